"""Contacts, what they do, posts, notices and the drift report: as people read them."""

from typing import Any

import pytest

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.contacts import Activity, ActivityFilter, Contact
from moorage_ports.listing import Listing
from tests.unit.adapters.crm_things import (
    activity,
    at,
    contact,
    identity,
    keep,
    message,
    notice,
    post,
    unmapped,
)


async def people(storage: SqlStorage, *, org_id: str = "a", **wanted: Any) -> Listing[Contact]:
    async with storage.unit_of_work(org_id, reads_only=True) as uow:
        return await uow.contacts.page(**{"page": 1, "page_size": 50, **wanted})


async def ids(storage: SqlStorage, **wanted: Any) -> list[str]:
    found = await people(storage, **wanted)
    assert found.total == len(found.items)
    return [one.record.id for one in found.items]


async def done(storage: SqlStorage, *, org_id: str = "a", **wanted: Any) -> Listing[Activity]:
    async with storage.unit_of_work(org_id, reads_only=True) as uow:
        return await uow.contacts.activity(ActivityFilter(**wanted), page=1, page_size=50)


async def did(storage: SqlStorage, **wanted: Any) -> list[str]:
    found = await done(storage, **wanted)
    assert found.total == len(found.items)
    return [one.record.id for one in found.items]


# Contacts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("heat", ["ct_3", "ct_1", "ct_4", "ct_2"]),
        ("seen", ["ct_2", "ct_4", "ct_1", "ct_3"]),
        ("name", ["ct_2", "ct_1", "ct_3", "ct_4"]),
    ],
)
async def test_contacts_are_put_in_order_as_asked(storage: SqlStorage, by: str, order: list[str]) -> None:
    """By name whatever the case and the accents, those without one last."""
    await keep(
        storage,
        "a",
        contact(1, name="bob", heat=7.5, last_seen_at=at(2)),
        contact(2, name="Älfred", heat=0, last_seen_at=at(4)),
        contact(3, name="Émile", heat=1e300, last_seen_at=at(1)),
        contact(4, name="", heat=1e-300, last_seen_at=at(3)),
    )
    assert await ids(storage, by=by) == order
    pages = [(await people(storage, by=by, page=n, page_size=1)).items for n in (1, 2, 3, 4)]
    assert [one.record.id for page in pages for one in page] == order
    assert (await people(storage, by=by, page=5, page_size=1)).total == 4


async def test_a_contact_comes_with_all_it_is_known_by(storage: SqlStorage) -> None:
    await keep(
        storage, "a", contact(1), identity(1), identity(2, contact_id="ct_1", vendor="other"), identity(3)
    )
    [listed] = (await people(storage)).items
    async with storage.unit_of_work("a", reads_only=True) as uow:
        alone = await uow.contacts.get("ct_1")
        assert await uow.contacts.get("ct_9") is None
    assert alone == listed
    assert [one.id for one in listed.identities] == ["pi_1", "pi_2"]
    assert await ids(storage, vendor="other") == ["ct_1"]
    assert await ids(storage, vendor="memory", search="") == ["ct_1"]
    assert await ids(storage, vendor="third") == []


async def test_contacts_that_were_joined_are_listed_once_and_found_by_either_id(storage: SqlStorage) -> None:
    await keep(
        storage,
        "a",
        contact(1, merged_into="ct_2"),
        contact(2, merged_into="ct_3"),
        contact(3, name="Ada"),
        identity(1, contact_id="ct_3", name="Adelheid"),
        identity(2),
        identity(3),
    )
    assert await ids(storage) == ["ct_3"]
    assert await ids(storage, search="adelheid") == ["ct_3"]
    async with storage.unit_of_work("a", reads_only=True) as uow:
        for asked in ("ct_1", "ct_2", "ct_3"):
            found = await uow.contacts.get(asked)
            assert found is not None
            assert found.record.id == "ct_3"
            # One that still hangs on a former contact is theirs as well.
            assert [one.id for one in found.identities] == ["pi_1", "pi_2", "pi_3"]


async def test_a3_another_orgs_contacts_and_activity_are_not_seen(storage: SqlStorage) -> None:
    """Both hold the same page, so every id is the same; only what is said differs."""
    words = {"a": "harbour", "b": "quay"}
    for org_id, word in words.items():
        who = contact(1, name=f"Ada {word}"), identity(1, name=f"Ada {word}")
        told = post(1, text=word), notice(1, text=word), unmapped(1, count=len(word))
        await keep(storage, org_id, *who, activity(1, text=word), *told)
    for org_id, other in (("a", "b"), ("b", "a")):
        word = words[org_id]
        [seen] = (await people(storage, org_id=org_id)).items
        assert (seen.record.name, [one.name for one in seen.identities]) == (f"Ada {word}", [f"Ada {word}"])
        assert [one.record.text for one in (await done(storage, org_id=org_id)).items] == [word]
        assert (await people(storage, org_id=org_id, search=words[other])).total == 0
        assert (await done(storage, org_id=org_id, search=words[other])).total == 0
        async with storage.unit_of_work(org_id, reads_only=True) as uow:
            posts = await uow.contacts.posts(page=1, page_size=9)
            notices = await uow.contacts.notices(page=1, page_size=9)
            counts = [one.count for one in await uow.contacts.unmapped()]
        assert [one.text for one in posts.items] == [one.text for one in notices.items] == [word]
        assert counts == [len(word)]
    assert (await people(storage, org_id="c")).total == (await done(storage, org_id="c")).total == 0


# Activity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, ["ac_5", "ac_4", "ac_3", "ac_2", "ac_1"]),
        ({"kind": "share"}, ["ac_2"]),
        ({"vendor": "other"}, ["ac_3"]),
        ({"channel_external_id": "page-9"}, ["ac_4"]),
        ({"post_external_id": "post-9"}, ["ac_5", "ac_1"]),
        ({"post_external_id": "9" * 4000}, ["ac_2"]),
        ({"contact_id": "ct_1"}, ["ac_5", "ac_1"]),
        ({"contact_id": "ct_former"}, ["ac_5", "ac_1"]),
        ({"contact_id": "ct_nobody"}, []),
        ({"contact_id": "\0\ud800", "kind": "\0", "post_external_id": "\ud800"}, []),
        ({"since": at(2), "until": at(4)}, ["ac_3", "ac_2"]),
        ({"since": at(4), "post_external_id": "post-9"}, ["ac_5"]),
    ],
)
async def test_activity_is_what_is_still_there_and_fits(
    storage: SqlStorage, wanted: dict[str, Any], fits: list[str]
) -> None:
    await keep(
        storage,
        "a",
        contact(1, name="Ada"),
        contact(6, id="ct_former", merged_into="ct_1"),
        identity(1),
        activity(1, post_external_id="post-9"),
        activity(2, kind="share", post_external_id="9" * 4000),
        activity(3, vendor="other"),
        activity(4, channel_external_id="page-9"),
        activity(5, post_external_id="post-9", identity_id="pi_1"),
        activity(6, is_present=False, identity_id="pi_1"),
    )
    assert await did(storage, **wanted) == fits


async def test_activity_says_who_it_was(storage: SqlStorage) -> None:
    await keep(
        storage,
        "a",
        contact(1, merged_into="ct_2"),
        contact(2, name="Ada"),
        identity(1),
        activity(1),
        activity(2, identity_id=""),
    )
    assert [(one.contact_id, one.contact_name) for one in (await done(storage)).items] == [
        ("", ""),
        ("ct_2", "Ada"),
    ]


async def test_activity_is_found_by_text_by_its_comments_text_and_by_its_persons_name(
    storage: SqlStorage,
) -> None:
    """A comment's words are kept once, with the message that it is."""
    await keep(
        storage,
        "a",
        contact(1, name="Ada Reed"),
        identity(1, handle="quaylady"),
        contact(2),
        identity(2),
        activity(1, kind="comment", external_id="m1", text="scones, please"),
        message(1, text="scones, please"),
        activity(2, kind="mention", text="lovely harbour", identity_id="pi_2"),
        activity(3, kind="comment", external_id="m3", identity_id="pi_2", text="gone", is_present=False),
        message(3, removed_at=at(4)),
    )
    assert await did(storage, search="scone") == ["ac_1"]
    assert await did(storage, search="harbour") == ["ac_2"]
    assert await did(storage, search="ada reed") == ["ac_1"]
    assert await did(storage, search="QUAYL") == ["ac_1"]
    assert await did(storage, search="gone") == []
    assert await did(storage, search="harbour", kind="comment") == []


# Posts, notices, what nobody mapped ------------------------------------------------------------


async def test_posts_are_listed_newest_first_without_those_removed(storage: SqlStorage) -> None:
    await keep(
        storage,
        "a",
        post(1),
        post(2, removed_at=at(9)),
        post(3, channel_external_id="page-9"),
        post(4, created_at=None, stamp=at(2)),
        post(5, created_at=None),
    )
    async with storage.unit_of_work("a", reads_only=True) as uow:
        every = await uow.contacts.posts(page=1, page_size=9)
        of_channel = await uow.contacts.posts(page=1, page_size=9, channel_external_id="page-9")
    assert [one.id for one in every.items] == ["po_3", "po_4", "po_1", "po_5"]
    assert ([one.id for one in of_channel.items], of_channel.total) == (["po_3"], 1)


async def test_notices_are_listed_newest_first(storage: SqlStorage) -> None:
    await keep(storage, "a", notice(1), notice(3), notice(2))
    async with storage.unit_of_work("a", reads_only=True) as uow:
        found = await uow.contacts.notices(page=1, page_size=2)
    assert ([one.id for one in found.items], found.total) == (["nt_3", "nt_2"], 3)


async def test_kinds_that_nobody_mapped_are_listed_by_how_often_they_come(storage: SqlStorage) -> None:
    await keep(storage, "a", unmapped(1, count=2), unmapped(2, count=9), unmapped(3, count=2, last_at=at(1)))
    async with storage.unit_of_work("a", reads_only=True) as uow:
        found = await uow.contacts.unmapped()
    assert [one.id for one in found] == ["un_2", "un_3", "un_1"]
