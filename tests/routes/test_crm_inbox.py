"""`/crm/inbox/…`: conversations and messages as a frontend asks for them; what people decide about them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    CommentHidden,
    CommentRemoved,
    DeliveryMark,
    DeliveryState,
    MessageKind,
    PersonLinked,
    PostSeen,
    ReactionSet,
    Target,
)
from moorage_ports.operations import Role
from tests.support.crm import ask, at, comment, letter, person, read, tell
from tests.support.harbour import ADMIN, Harbour, harbour

CONVERSATIONS, MESSAGES = "/crm/inbox/conversations", "/crm/inbox/messages"
NOTE = PostSeen(channel_external_id=CAFE.id, post_external_id="note-1", at=at(-9), text="Fresh scones today")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id, BOOKS.id)
        yield made


@pytest.fixture
async def full(host: Harbour) -> Harbour:
    """A thread below a note, and letters with somebody, one of them ours."""
    await tell(
        host,
        NOTE,
        comment(1, 1),
        comment(2, 2, parent_external_id="remark-1", author=None, is_ours=True, text="Thank you"),
        letter(1, 3, reply_until=at(90_000)),
        letter(2, 4, is_ours=True, text="We open at nine"),
        letter(3, 5, text="Great, see you", channel=CAFE.id),
    )
    return host


async def cafe_id(host: Harbour) -> str:
    return next(one.id for one in (await host.channels()).channels if one.external_id == CAFE.id)


async def items(host: Harbour, **query: object) -> list[dict[str, Any]]:
    found = await read(host, CONVERSATIONS, **query)
    assert found["total"] == len(found["items"])
    listed: list[dict[str, Any]] = found["items"]
    return listed


async def only(host: Harbour, **query: object) -> dict[str, Any]:
    [one] = await items(host, **query)
    return one


# What is read ------------------------------------------------------------------------------------


async def test_a_conversation_has_what_the_contract_says(full: Harbour) -> None:
    thread, direct = await only(full, kind="comment"), await only(full, kind="direct")

    assert thread == {
        "id": thread["id"],
        "vendor": "memory",
        "kind": "comment",
        "surface": "board",
        "channelId": await cafe_id(full),
        "subject": "Fresh scones today",
        "contactId": thread["contactId"],
        "contactName": "Ada Reed",
        "status": "open",
        "assignee": None,
        "tags": [],
        "unreadCount": 1,
        "lastMessage": {
            "id": thread["lastMessage"]["id"],
            "text": "Thank you",
            "at": "2030-06-01T12:00:02Z",
            "direction": "out",
        },
        "postExternalId": "note-1",
        "externalId": "remark-1",
        "createdAt": "2030-06-01T12:00:01Z",
        "updatedAt": "2030-06-01T12:00:02Z",
    }
    assert (direct["subject"], direct["contactName"], direct["unreadCount"]) == ("Bo Quay", "Bo Quay", 2)
    assert direct["replyUntil"] == "2030-06-02T13:00:00Z"
    assert direct["lastMessage"]["direction"] == "in"
    assert await read(full, f"{CONVERSATIONS}/{thread['id']}") == thread
    assert await read(full, f"/api{CONVERSATIONS}/{direct['id']}") == direct


async def test_messages_have_what_the_contract_says(full: Harbour) -> None:
    direct = await only(full, kind="direct")
    found = await read(full, MESSAGES, conversationId=direct["id"])

    assert (found["total"], found["page"], found["pageSize"]) == (3, 1, 50)
    third, second, first = found["items"]
    assert second == {
        "id": second["id"],
        "externalId": "letter-2",
        "conversationId": direct["id"],
        "direction": "out",
        "author": {"name": CAFE.name},
        "text": "We open at nine",
        "attachments": [],
        "state": "sent",
        "hidden": False,
        "at": "2030-06-01T12:00:04Z",
    }
    assert (first["direction"], first["state"], third["text"]) == ("in", None, "Great, see you")
    assert first["author"] == {"name": "Bo Quay", "contactId": direct["contactId"]}


async def test_a_message_shows_all_there_is_to_it(host: Harbour) -> None:
    url = "https://cdn.example/1.jpg"
    picture = Attachment(type=AttachmentType.IMAGE, url=url, details={"alt": "A quay"})
    await tell(
        host,
        letter(1, 1),
        letter(2, 2, is_ours=True, reply_to_external_id="letter-1"),
        letter(3, 3, kind=MessageKind.CHOICE, payload="YES", attachments=(picture,)),
        ReactionSet(
            channel_external_id=CAFE.id,
            target=Target.MESSAGE,
            target_external_id="letter-2",
            person=person(2),
            reaction="👍",
            at=at(4),
        ),
        DeliveryMark(
            channel_external_id=CAFE.id,
            person=person(2),
            surface="letters",
            state=DeliveryState.READ,
            up_to=at(5),
        ),
    )
    direct = await only(host)
    third, second, first = (await read(host, MESSAGES, conversationId=direct["id"]))["items"]

    assert (third["kind"], third["payload"]) == ("choice", "YES")
    assert third["attachments"] == [{"type": "image", "url": url, "details": {"alt": "A quay"}}]
    assert second["replyToMessageId"] == first["id"]
    assert second["state"] == "read"
    assert second["reactions"] == [
        {"reaction": "👍", "contactId": direct["contactId"], "at": "2030-06-01T12:00:04Z"}
    ]


async def test_what_was_removed_shows_when_and_nothing_else(full: Harbour) -> None:
    await tell(
        full,
        CommentHidden(channel_external_id=CAFE.id, comment_external_id="remark-2", at=at(6)),
        CommentRemoved(channel_external_id=CAFE.id, comment_external_id="remark-2", at=at(7)),
    )
    thread = await only(full, kind="comment")
    last, _ = (await read(full, MESSAGES, conversationId=thread["id"]))["items"]
    assert (last["text"], last["removedAt"], last["hidden"]) == ("", "2030-06-01T12:00:07Z", True)
    assert (thread["lastMessage"]["text"], thread["lastMessage"]["removedAt"]) == ("", "2030-06-01T12:00:07Z")


async def test_messages_are_leafed_through_by_page_and_by_moment(host: Harbour) -> None:
    await tell(host, *(letter(n, n) for n in range(1, 8)))
    key = (await only(host))["id"]

    async def texts(**query: object) -> list[str]:
        found = await read(host, MESSAGES, conversationId=key, **query)
        return [one["text"].removeprefix("Letter ") for one in found["items"]]

    assert await texts(p=2, ps=3) == ["4", "3", "2"]
    assert await texts(before="2030-06-01T12:00:03Z") == ["2", "1"]
    assert await texts(after="2030-06-01T12:00:05Z") == ["7", "6"]
    assert await texts(after="2030-06-01T12:00:05Z", before="2030-06-01T12:00:07Z") == ["6"]
    assert (await read(host, CONVERSATIONS, p=9, ps=1))["items"] == []


async def test_messages_of_all_conversations_are_searched(full: Harbour) -> None:
    found = await read(full, MESSAGES, search="great SEE")
    assert [one["text"] for one in found["items"]] == ["Great, see you"]
    assert (await read(full, MESSAGES, search="?!"))["total"] == 0


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["direct", "comment"]),
    ({"status": "open"}, ["direct", "comment"]),
    ({"status": "closed"}, []),
    ({"surface": "board"}, ["comment"]),
    ({"vendor": "memory"}, ["direct", "comment"]),
    ({"vendor": "other"}, []),
    ({"channelId": CAFE.id}, ["direct", "comment"]),
    ({"channelId": BOOKS.id}, []),
    ({"channelId": CAFE.id, "vendor": "other"}, []),
    ({"assignee": "none"}, ["direct", "comment"]),
    ({"assignee": "me"}, []),
    ({"unread": True}, ["direct", "comment"]),
    ({"unread": False}, []),
    ({"search": "scones"}, []),
    ({"search": "bo"}, ["direct"]),
    ({"search": "thank ada"}, []),
    ({"search": "lovely"}, ["comment"]),
    ({"tag": "vip"}, []),
]


async def test_filters_leave_what_fits(full: Harbour) -> None:
    for query, kinds in FILTERS:
        assert [one["kind"] for one in await items(full, **query)] == kinds, query


async def test_a_channel_is_named_by_our_id_too(full: Harbour) -> None:
    assert len(await items(full, channelId=await cafe_id(full))) == 2


async def test_conversations_of_a_channel_that_is_gone_stay(full: Harbour) -> None:
    async with full.storage.unit_of_work(ADMIN.org_id) as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.remove_channels(
            [one.id for one in await uow.integrations.channels(integration.id)]
        )
    assert [one["channelId"] for one in await items(full, channelId=CAFE.id)] == [None, None]


async def test_a_contacts_conversations_are_found_also_after_they_turned_out_to_be_somebody_else(
    full: Harbour,
) -> None:
    thread, direct = await only(full, kind="comment"), await only(full, kind="direct")
    former = {thread["contactId"], direct["contactId"]}
    await tell(full, PersonLinked(channel_external_id=CAFE.id, persons=(person(1), person(2)), at=at(9)))
    for key in former:
        found = await items(full, contactId=key)
        assert {one["kind"] for one in found} == {"comment", "direct"}
        assert len({one["contactId"] for one in found}) == 1


# Whose, and what is refused ----------------------------------------------------------------------


async def test_a3_the_same_page_in_two_orgs_is_two_inboxes(full: Harbour) -> None:
    """Every id is the same in both; only what each was told, and decided, is seen."""
    await tell(full, letter(1, 3, text="only b"), org_id="org-b")
    mine, theirs = await only(full, kind="direct"), await only(full, org_id="org-b")
    assert mine["id"] == theirs["id"]
    assert (theirs["lastMessage"]["text"], theirs["channelId"]) == ("only b", None)
    path = f"{CONVERSATIONS}/{mine['id']}"
    await read(full, path, method="PATCH", body={"status": "closed"}, org_id="org-b")
    assert (await only(full, kind="direct"))["status"] == "open"
    assert (await read(full, MESSAGES, org_id="org-b", conversationId=mine["id"]))["total"] == 1
    assert (await read(full, MESSAGES, org_id="org-b", search="great"))["total"] == 0
    thread = await only(full, kind="comment")
    for method in ("GET", "PATCH"):
        answer = await ask(full, f"{CONVERSATIONS}/{thread['id']}", method=method, org_id="org-b")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await ask(full, MESSAGES, org_id="org-b", conversationId=thread["id"])).status_code == 404


MISFITS: list[tuple[str, dict[str, Any], str]] = [
    (CONVERSATIONS, {"kind": "smoke"}, "kind"),
    (CONVERSATIONS, {"status": "lost"}, "status"),
    (CONVERSATIONS, {"unread": "maybe"}, "unread"),
    (CONVERSATIONS, {"p": 0}, "p"),
    (CONVERSATIONS, {"ps": 501}, "ps"),
    (CONVERSATIONS, {"colour": "red"}, "colour"),
    (CONVERSATIONS, {"search": "x" * 201}, "search"),
    (MESSAGES, {}, "conversationId"),
    (MESSAGES, {"conversationId": "cv_1", "search": "x"}, "conversationId"),
    (MESSAGES, {"search": "x", "before": "2030-06-01T12:00:00Z"}, "search"),
    (MESSAGES, {"conversationId": "cv_1", "before": "yesterday"}, "before"),
]


async def test_what_does_not_fit_is_named(host: Harbour) -> None:
    for path, query, field in MISFITS:
        answer = await ask(host, path, **query)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["fields"]


# What people decide ------------------------------------------------------------------------------


async def tend(host: Harbour, key: str, *, role: Role = Role.AGENT, **body: object) -> dict[str, Any]:
    return await read(host, f"{CONVERSATIONS}/{key}", method="PATCH", role=role, body=body)


async def test_a_conversation_is_closed_and_opens_when_somebody_writes(full: Harbour) -> None:
    key = (await only(full, kind="direct"))["id"]
    full.clock.advance(at(10) - at(0))
    assert (await tend(full, key, status="closed"))["status"] == "closed"
    assert [one["kind"] for one in await items(full, status="open")] == ["comment"]
    await tell(full, letter(4, 6, text="sent before it was closed, came later"))
    assert (await only(full, status="closed"))["id"] == key
    await tell(full, letter(5, 11, text="one more thing"))
    assert (await only(full, kind="direct"))["status"] == "open"


async def test_a_tag_does_not_make_a_closed_conversation_look_younger(full: Harbour) -> None:
    """What was written after it was closed, and comes after the tag, still opens it."""
    key = (await only(full, kind="direct"))["id"]
    await tend(full, key, status="closed")
    full.clock.advance(at(60) - at(0))
    await tend(full, key, tags=["vip"])
    await tell(full, letter(6, 30))
    assert (await only(full, tag="vip"))["status"] == "open"


async def test_snoozed_until_a_moment_or_until_somebody_writes(full: Harbour) -> None:
    key, thread = (await only(full, kind="direct"))["id"], (await only(full, kind="comment"))["id"]
    first = await tend(full, key, snoozedUntil="2030-06-01T13:00:00Z")
    assert (first["status"], first["snoozedUntil"]) == ("snoozed", "2030-06-01T13:00:00Z")
    assert (await tend(full, thread, status="snoozed"))["status"] == "snoozed"
    assert len(await items(full, status="snoozed")) == 2
    full.clock.advance(at(3600) - at(0))
    woken = await only(full, status="open")
    assert (woken["id"], "snoozedUntil" in woken) == (key, False)
    assert (await only(full, status="snoozed"))["id"] == thread
    await tell(full, comment(3, 3601, parent_external_id="remark-1"))
    assert len(await items(full, status="open")) == 2


async def test_what_only_a_history_told_of_is_read_until_somebody_says_otherwise(host: Harbour) -> None:
    """And what a history tells of once more stays as it was; what is told out of order is counted anew."""
    await tell(host, letter(2, 4, is_history=True), letter(1, 3, is_history=True))
    await tell(host, letter(1, 2, is_history=True))
    key, unread = (await only(host))["id"], "unreadCount"
    assert (await only(host))[unread] == 0
    assert (await tend(host, key, read=False))[unread] == 1
    await tell(host, letter(2, 4, is_history=True), letter(1, 1, is_history=True), letter(3, 5))
    assert (await only(host))[unread] == 2, "of the one that somebody wants to look at, and of news"
    assert (await tend(host, key, read=True))[unread] == 0
    assert (await tend(host, key, readUpTo="2030-06-01T12:00:01Z"))[unread] == 0


async def test_somebody_sees_to_it(full: Harbour) -> None:
    key = (await only(full, kind="direct"))["id"]
    assert (await tend(full, key, assignee="me"))["assignee"] == "user-1"
    assert (await only(full, assignee="me"))["id"] == key
    assert (await tend(full, key, assignee="user-2"))["assignee"] == "user-2"
    assert await items(full, assignee="me") == []
    for nobody in ("", None):
        await tend(full, key, assignee="user-2")
        assert (await tend(full, key, assignee=nobody))["assignee"] is None
    assert len(await items(full, assignee="none")) == 2


async def test_tags_are_replaced_whole(full: Harbour) -> None:
    key = (await only(full, kind="direct"))["id"]
    assert (await tend(full, key, tags=[" vip ", "größe", "vip", " "]))["tags"] == ["vip", "größe"]
    assert (await only(full, tag="größe"))["id"] == key
    assert (await tend(full, key, status="pending"))["tags"] == ["vip", "größe"]
    assert (await tend(full, key, tags=[]))["tags"] == []


async def test_read_and_unread(full: Harbour) -> None:
    key = (await only(full, kind="direct"))["id"]
    assert (await tend(full, key, read=True))["unreadCount"] == 0
    assert [one["kind"] for one in await items(full, unread=True)] == ["comment"]
    await tell(full, letter(4, 6))
    assert (await only(full, kind="direct"))["unreadCount"] == 1
    assert (await tend(full, key, read=True))["unreadCount"] == 0
    assert (await tend(full, key, read=False))["unreadCount"] == 1
    assert (await tend(full, key, read=True))["unreadCount"] == 0


async def test_what_came_while_somebody_read_stays_unread(full: Harbour) -> None:
    """The page showed letters up to 12:00:03; another came at 12:00:05."""
    key = (await only(full, kind="direct"))["id"]
    assert (await tend(full, key, readUpTo="2030-06-01T12:00:03Z"))["unreadCount"] == 1
    assert (await tend(full, key, readUpTo="2030-06-01T12:00:01Z"))["unreadCount"] == 1, "never backwards"
    assert (await tend(full, key, readUpTo="2030-06-01T12:00:05Z", read=True))["unreadCount"] == 0


async def test_a_search_for_nothing_is_none(full: Harbour) -> None:
    """Also beside a conversation, as a form sends its empty box."""
    key = (await only(full, kind="direct"))["id"]
    plain = await read(full, MESSAGES, conversationId=key)
    assert plain["items"]
    before = "2099-01-01T00:00:00Z"
    assert await read(full, MESSAGES, conversationId=key, search=" ", before=before) == plain
    assert (await ask(full, MESSAGES, search=" ")).status_code == 422


async def test_nobody_has_read_what_is_not_written_yet(full: Harbour) -> None:
    key = (await only(full, kind="direct"))["id"]
    assert (await tend(full, key, readUpTo="2099-01-01T00:00:00Z"))["unreadCount"] == 0
    full.clock.advance(timedelta(minutes=1))
    await tell(full, letter(4, 60))
    assert (await only(full, kind="direct"))["unreadCount"] == 1


NO_DECISIONS: list[tuple[dict[str, object], str]] = [
    ({"status": "lost"}, "status"),
    ({"status": "closed", "snoozedUntil": "2030-06-01T13:00:00Z"}, "snoozedUntil"),
    ({"snoozedUntil": "2030-06-01T12:00:00Z"}, "snoozedUntil"),
    ({"snoozedUntil": "2030-06-01T13:00:00"}, "snoozedUntil"),
    ({"tags": ["x" * 65]}, "tags[0]"),
    ({"tags": [str(n) for n in range(33)]}, "tags"),
    ({"tags": "vip"}, "tags"),
    ({"read": "yes"}, "read"),
    ({"read": False, "readUpTo": "2030-06-01T13:00:00Z"}, "readUpTo"),
    ({"assignee": 7}, "assignee"),
    ({"unreadCount": 0}, "unreadCount"),
]


async def test_a_decision_that_does_not_fit_is_named(full: Harbour) -> None:
    before = await only(full, kind="direct")
    for body, field in NO_DECISIONS:
        answer = await ask(full, f"{CONVERSATIONS}/{before['id']}", method="PATCH", body=body)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["fields"]
    assert await only(full, kind="direct") == before


async def test_nothing_asked_for_changes_nothing_and_viewers_change_nothing(full: Harbour) -> None:
    before = await only(full, kind="direct")
    assert await tend(full, before["id"]) == before
    answer = await ask(
        full, f"{CONVERSATIONS}/{before['id']}", method="PATCH", role=Role.VIEWER, body={"status": "closed"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    missing = await ask(full, f"{CONVERSATIONS}/cv_nothing", method="PATCH", body={"status": "closed"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


async def test_what_is_decided_while_news_arrives_is_kept(full: Harbour) -> None:
    """Both write the same row."""
    key = (await only(full, kind="direct"))["id"]
    await asyncio.gather(
        *(tell(full, letter(n, n)) for n in range(10, 20)),
        *(tend(full, key, tags=[f"t{n}"], assignee="me") for n in range(5)),
        *(tell(full, attrs.evolve(letter(n, n), text="again")) for n in range(10, 20)),
    )
    found = await only(full, kind="direct")
    assert (found["assignee"], found["unreadCount"], len(found["tags"])) == ("user-1", 12, 1)
