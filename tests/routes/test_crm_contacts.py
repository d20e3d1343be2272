"""`/crm/contacts`, `/crm/social/…`, `/crm/notices`: who people are, what they did, what vendors told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from moorage.crm.scoring import HALF_LIFE
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    CommentRemoved,
    ContactMoment,
    ContactMoved,
    Person,
    PersonLinked,
    PostRemoved,
    PostSeen,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
)
from tests.support.crm import ask, at, comment, letter, person, read, tell
from tests.support.harbour import Harbour, harbour

CONTACTS, ACTIVITY, POSTS, NOTICES = (
    "/crm/contacts",
    "/crm/social/activity",
    "/crm/social/posts",
    "/crm/notices",
)


def cheer(number: int, seconds: float, reaction: str = "love") -> ReactionSet:
    return ReactionSet(
        channel_external_id=CAFE.id,
        target=Target.POST,
        target_external_id="note-1",
        post_external_id="note-1",
        person=person(number),
        reaction=reaction,
        at=at(seconds),
    )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id, BOOKS.id)
        yield made


@pytest.fixture
async def full(host: Harbour) -> Harbour:
    """Ada comments and cheers, Bo writes a letter, nobody knows who person 3 is."""
    await tell(host, comment(1, 1), cheer(1, 2), letter(1, 3), cheer(3, 4, "wow"))
    return host


async def names(host: Harbour, **query: object) -> list[str]:
    found = await read(host, CONTACTS, **query)
    assert found["total"] == len(found["items"])
    return [one["name"] for one in found["items"]]


async def kinds(host: Harbour, **query: object) -> list[str]:
    found = await read(host, ACTIVITY, **query)
    assert found["total"] == len(found["items"])
    return [one["kind"] for one in found["items"]]


async def cafe_id(host: Harbour) -> str:
    return next(one.id for one in (await host.channels()).channels if one.external_id == CAFE.id)


# Contacts ----------------------------------------------------------------------------------------


async def test_a_contact_has_what_the_contract_says(full: Harbour) -> None:
    found = await read(full, CONTACTS, search="ada")
    [ada] = found["items"]
    assert ada == {
        "id": ada["id"],
        "name": "Ada Reed",
        "score": 5.0,
        "identities": [{"vendor": "memory", "externalId": "person-1", "name": "Ada Reed", "handle": ""}],
        "firstSeenAt": "2030-06-01T12:00:01Z",
        "lastSeenAt": "2030-06-01T12:00:02Z",
    }
    detail = await read(full, f"{CONTACTS}/{ada['id']}")
    assert {name: value for name, value in detail.items() if not name.startswith(("signal", "lead"))} == ada
    assert (detail["signalTotal"], [one["kind"] for one in detail["signals"]]) == (2, ["reaction", "comment"])
    assert [one["points"] for one in detail["signals"]] == [1.0, 4.0]


async def test_a_score_halves_in_two_weeks_and_grows_with_what_is_done(full: Harbour) -> None:
    [ada] = (await read(full, CONTACTS, search="ada"))["items"]
    full.clock.advance(HALF_LIFE)
    assert (await read(full, f"{CONTACTS}/{ada['id']}"))["score"] == 2.5
    fresh = comment(2, HALF_LIFE.total_seconds())
    await tell(full, fresh, fresh)
    assert (await read(full, f"{CONTACTS}/{ada['id']}"))["score"] == 6.5
    gone = CommentRemoved(
        channel_external_id=CAFE.id, comment_external_id="remark-2", at=at(HALF_LIFE.total_seconds() + 9)
    )
    await tell(full, gone)
    assert (await read(full, f"{CONTACTS}/{ada['id']}"))["score"] == 2.5


async def test_the_order_by_score_stays_true_as_time_passes(full: Harbour) -> None:
    """Nothing is rewritten for it: two weeks are worth the same to everybody."""
    assert await names(full) == ["Ada Reed", "Bo Quay", ""]
    full.clock.advance(timedelta(days=200))
    assert await names(full, sort="score") == ["Ada Reed", "Bo Quay", ""]
    await tell(full, letter(2, timedelta(days=200).total_seconds()))
    assert (await names(full))[0] == "Bo Quay"
    scores = [one["score"] for one in (await read(full, CONTACTS))["items"]]
    assert scores == [3.0, 0.0, 0.0]


LISTED: list[tuple[dict[str, Any], list[str]]] = [
    ({"sort": "name"}, ["Ada Reed", "Bo Quay", ""]),
    ({"sort": "lastSeen"}, ["", "Bo Quay", "Ada Reed"]),
    ({"search": "re"}, ["Ada Reed"]),
    ({"search": "quay bo"}, ["Bo Quay"]),
    ({"search": "%"}, []),
    ({"vendor": "memory", "search": "bo"}, ["Bo Quay"]),
    ({"vendor": "other"}, []),
]


async def test_contacts_are_found_and_sorted(full: Harbour) -> None:
    for query, found in LISTED:
        assert await names(full, **query) == found, query


async def test_one_who_turned_out_to_be_another_is_found_by_either_id(full: Harbour) -> None:
    ids = {one["id"] for one in (await read(full, CONTACTS))["items"]}
    await tell(full, PersonLinked(channel_external_id=CAFE.id, persons=(person(1), person(2)), at=at(5)))
    assert len(await names(full)) == 2
    found = [await read(full, f"{CONTACTS}/{key}") for key in sorted(ids)]
    joined = [one for one in found if len(one["identities"]) == 2]
    assert len({one["id"] for one in joined}) == 1
    assert {one["score"] for one in joined} == {8.0}


async def test_an_id_that_is_good_for_one_channel_names_it(host: Harbour) -> None:
    scoped = Person(external_id="7", realm=CAFE.id, handle="quaylady")
    await tell(host, comment(1, 1, author=scoped))
    [one] = (await read(host, CONTACTS))["items"]
    assert one["name"] == "quaylady"
    assert one["identities"][0]["channelId"] == await cafe_id(host)


async def test_a3_contacts_and_activity_of_another_org_are_not_there(full: Harbour) -> None:
    for path in (CONTACTS, ACTIVITY, POSTS, NOTICES):
        assert (await read(full, path, org_id="org-b"))["items"] == []
    [ada] = (await read(full, CONTACTS, search="ada"))["items"]
    answer = await ask(full, f"{CONTACTS}/{ada['id']}", org_id="org-b")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# Activity ----------------------------------------------------------------------------------------


async def test_activity_has_what_the_contract_says(full: Harbour) -> None:
    [wow, love, said] = (await read(full, ACTIVITY))["items"]
    [ada] = (await read(full, CONTACTS, search="ada"))["items"]
    assert love == {
        "id": love["id"],
        "vendor": "memory",
        "kind": "reaction",
        "reaction": "love",
        "channelId": await cafe_id(full),
        "postExternalId": "note-1",
        "externalId": "note-1",
        "target": "post",
        "contactId": ada["id"],
        "contactName": "Ada Reed",
        "points": 1.0,
        "at": "2030-06-01T12:00:02Z",
    }
    assert (wow["contactName"], wow["reaction"]) == ("", "wow")
    assert (said["kind"], said["text"], said["externalId"]) == ("comment", "Lovely", "remark-1")
    [message] = (await read(full, "/crm/inbox/messages", search="lovely"))["items"]
    assert said["messageId"] == message["id"]


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["reaction", "reaction", "comment"]),
    ({"kind": "comment"}, ["comment"]),
    ({"kind": "purchase"}, []),
    ({"vendor": "other"}, []),
    ({"channelId": CAFE.id}, ["reaction", "reaction", "comment"]),
    ({"channelId": BOOKS.id}, []),
    ({"postExternalId": "note-1"}, ["reaction", "reaction", "comment"]),
    ({"postExternalId": "note-2"}, []),
    ({"since": "2030-06-01T12:00:02Z"}, ["reaction", "reaction"]),
    ({"until": "2030-06-01T12:00:02Z"}, ["comment"]),
    ({"search": "lovely"}, ["comment"]),
    ({"search": "ada"}, ["reaction", "comment"]),
    ({"ps": 500, "p": 1}, ["reaction", "reaction", "comment"]),
]


async def test_activity_is_filtered(full: Harbour) -> None:
    for query, found in FILTERS:
        assert await kinds(full, **query) == found, query


async def test_activity_of_one_contact(full: Harbour) -> None:
    [ada] = (await read(full, CONTACTS, search="ada"))["items"]
    assert await kinds(full, contactId=ada["id"]) == ["reaction", "comment"]
    assert await kinds(full, contactId="ct_nobody") == []


async def test_what_was_taken_back_is_gone(full: Harbour) -> None:
    gone = ReactionRemoved(
        channel_external_id=CAFE.id,
        target=Target.POST,
        target_external_id="note-1",
        person=person(1),
        at=at(9),
    )
    deleted = CommentRemoved(channel_external_id=CAFE.id, comment_external_id="remark-1", at=at(9))
    await tell(full, gone, deleted)
    assert await kinds(full) == ["reaction"]
    [ada] = (await read(full, CONTACTS, search="ada"))["items"]
    assert ada["score"] == 0.0


async def test_what_else_a_person_did_is_a_signal_too(host: Harbour) -> None:
    for moment, points in ((ContactMoment.PURCHASE, 8.0), (ContactMoment.OPT_OUT, 0.0)):
        await tell(
            host,
            ContactMoved(
                channel_external_id=CAFE.id,
                person=person(1),
                moment=moment,
                moment_external_id="x",
                at=at(1),
                surface="letters",
            ),
        )
        [seen] = (await read(host, ACTIVITY, kind=moment.value))["items"]
        assert seen["points"] == points
        assert "target" not in seen


# Posts and notices -------------------------------------------------------------------------------


async def test_posts_are_listed_newest_first_without_those_removed(host: Harbour) -> None:
    picture = Attachment(type=AttachmentType.IMAGE, url="https://cdn.example/1.jpg")
    posts = [
        PostSeen(
            channel_external_id=channel,
            post_external_id=f"note-{n}",
            at=at(n),
            created_at=at(n),
            text=f"Note {n}",
            attachments=(picture,) if n == 1 else (),
            shares=n,
            permalink=f"https://memory.example/{n}",
        )
        for n, channel in enumerate((CAFE.id, CAFE.id, BOOKS.id), 1)
    ]
    gone = PostRemoved(channel_external_id=CAFE.id, post_external_id="note-2", at=at(9))
    await tell(host, *posts, gone, comment(1, 1, post_external_id="note-1"))

    of_books, first = (await read(host, POSTS))["items"]
    assert first == {
        "id": first["id"],
        "vendor": "memory",
        "channelId": await cafe_id(host),
        "externalId": "note-1",
        "text": "Note 1",
        "attachments": [{"type": "image", "url": "https://cdn.example/1.jpg"}],
        "permalink": "https://memory.example/1",
        "shares": 1,
        "hidden": False,
        "createdAt": "2030-06-01T12:00:01Z",
    }
    assert of_books["externalId"] == "note-3"
    assert [one["externalId"] for one in (await read(host, POSTS, channelId=CAFE.id))["items"]] == ["note-1"]


async def test_notices_are_listed_newest_first(host: Harbour) -> None:
    for n, severity in enumerate(Severity):
        await tell(
            host,
            ChannelNotice(
                channel_external_id=CAFE.id,
                kind="review",
                notice_external_id=str(n),
                at=at(n),
                severity=severity,
                text=f"Notice {n}",
                details={"limit": "10"},
            ),
        )
    found = await read(host, NOTICES, ps=2)
    assert (found["total"], [one["severity"] for one in found["items"]]) == (3, ["problem", "warning"])
    assert found["items"][0] == {
        "id": found["items"][0]["id"],
        "vendor": "memory",
        "channelId": await cafe_id(host),
        "kind": "review",
        "severity": "problem",
        "text": "Notice 2",
        "details": {"limit": "10"},
        "at": "2030-06-01T12:00:02Z",
    }


MISFITS: list[tuple[str, dict[str, Any], str]] = [
    (CONTACTS, {"sort": "heat"}, "sort"),
    (CONTACTS, {"ps": 0}, "ps"),
    (ACTIVITY, {"kind": "dance"}, "kind"),
    (ACTIVITY, {"since": "today"}, "since"),
    (POSTS, {"channel": "x"}, "channel"),
    (NOTICES, {"search": "x"}, "search"),
]


async def test_what_does_not_fit_is_named(host: Harbour) -> None:
    for path, query, field in MISFITS:
        answer = await ask(host, path, **query)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["fields"]
