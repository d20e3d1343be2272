"""The inbox that people read: which conversations, in which order, with what beside them, and whose."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import pytest

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.conversations import Conversation, ConversationFilter, Message
from moorage_ports.events import MessageKind
from moorage_ports.listing import Listing
from tests.unit.adapters.crm_things import (
    PICTURE,
    at,
    contact,
    conversation,
    identity,
    keep,
    message,
    post,
)
from tests.unit.adapters.things import connect

LATER = at(1_000)


async def page(
    storage: SqlStorage,
    *,
    org_id: str = "a",
    number: int = 1,
    size: int = 50,
    now: datetime = LATER,
    **wanted: Any,
) -> Listing[Conversation]:
    async with storage.unit_of_work(org_id, reads_only=True) as uow:
        return await uow.conversations.page(
            ConversationFilter(**wanted), page=number, page_size=size, now=now
        )


async def numbers(storage: SqlStorage, **wanted: Any) -> list[int]:
    """The numbers of the conversations that fit, in their order."""
    found = await page(storage, **wanted)
    assert found.total == len(found.items)
    return [int(one.record.id.removeprefix("cv_")) for one in found.items]


async def talks(storage: SqlStorage, *given: Any, org_id: str = "a") -> None:
    """These conversations, each with its last message."""
    last = [message(int(one.id.removeprefix("cv_")), conversation_id=one.id) for one in given]
    await keep(storage, org_id, *given, *last)


# Which, and in which order -----------------------------------------------------------------------


async def test_the_last_changed_come_first_page_by_page(storage: SqlStorage) -> None:
    await talks(storage, *(conversation(n) for n in (3, 1, 5, 2, 4)))
    first, last = await page(storage, size=2), await page(storage, number=3, size=2)
    beyond = await page(storage, number=4, size=2)

    assert [one.record.id for one in first.items] == ["cv_5", "cv_4"]
    assert [one.record.id for one in last.items] == ["cv_1"]
    assert (first.total, first.page, first.page_size) == (5, 1, 2)
    assert (beyond.items, beyond.total, beyond.page) == ((), 5, 4)


async def test_those_changed_at_the_same_moment_stand_on_one_page_each(storage: SqlStorage) -> None:
    await talks(storage, *(conversation(n, updated_at=at(0)) for n in range(1, 8)))
    seen = [one.record.id for n in range(1, 5) for one in (await page(storage, number=n, size=2)).items]
    assert sorted(seen) == [f"cv_{n}" for n in range(1, 8)]


@pytest.mark.parametrize(("number", "size"), [(0, 0), (-1, -1), (10**30, 10**30)])
async def test_a_page_beyond_all_bounds_is_brought_into_them(
    storage: SqlStorage, number: int, size: int
) -> None:
    await talks(storage, conversation(1))
    found = await page(storage, number=number, size=size)
    assert found.total == 1
    assert 1 <= found.page_size <= 500


async def test_a_conversation_without_a_message_is_not_listed(storage: SqlStorage) -> None:
    """Only a mark was heard of it: that somebody has read what we sent from elsewhere."""
    await keep(storage, "a", conversation(1, last_message_id=""))
    assert await numbers(storage) == []
    async with storage.unit_of_work("a", reads_only=True) as uow:
        found = await uow.conversations.get("cv_1")
    assert found is not None
    assert (found.last_message, found.subject) == (None, "")


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"kind": "comment"}, [2]),
        ({"surface": "notes"}, [2]),
        ({"vendor": "other"}, [3]),
        ({"channel_external_id": "page-9"}, [4]),
        ({"assignee": "ada"}, [1]),
        ({"assignee": "none"}, [5, 4, 3, 2]),
        ({"is_unread": True}, [5, 1]),
        ({"is_unread": False}, [4, 3, 2]),
        ({"status": "open"}, [5, 2, 1]),
        ({"status": "pending"}, [3]),
        ({"status": "closed"}, [4]),
        ({"kind": "direct", "is_unread": True, "assignee": "none"}, [5]),
        ({"vendor": "' OR 1=1 --"}, []),
        ({"vendor": "\0\ud800", "assignee": "\0", "kind": "\udfff"}, []),
        ({"contact_id": "\0\ud800"}, []),
        ({"status": "nonsense"}, []),
    ],
)
async def test_filters_leave_only_what_fits_all_of_them(
    storage: SqlStorage, wanted: dict[str, Any], fits: list[int]
) -> None:
    await talks(
        storage,
        conversation(1, assignee="ada", unread_count=2),
        conversation(2, kind="comment", surface="notes"),
        conversation(3, vendor="other", status="pending"),
        conversation(4, channel_external_id="page-9", status="closed"),
        conversation(5, unread_count=1),
    )
    assert await numbers(storage, **wanted) == fits


async def test_a_snoozed_one_whose_time_has_come_is_open_again(storage: SqlStorage) -> None:
    """Without anybody having to change the row."""
    await talks(
        storage,
        conversation(1, status="snoozed", snoozed_until=at(100)),
        conversation(2, status="snoozed", snoozed_until=at(200)),
        conversation(3, status="snoozed", snoozed_until=None),
        conversation(4),
    )
    for now, is_open, is_snoozed in (
        (at(99), [4], [3, 2, 1]),
        (at(100), [4, 1], [3, 2]),
        (at(201), [4, 2, 1], [3]),
    ):
        assert await numbers(storage, now=now, status="open") == is_open
        assert await numbers(storage, now=now, status="snoozed") == is_snoozed


TAGS = (
    "vip",
    "vip2",
    "v_p",
    "v%p",
    'with "quotes"',
    "back\\slash",
    "größe",
    "VIP",
    "a,b",
    "[]",
    "\ud800x",
    ",",
)


async def test_a_tag_is_found_literally_and_whole(storage: SqlStorage) -> None:
    await talks(storage, *(conversation(n, tags=("first", tag)) for n, tag in enumerate(TAGS, 1)))
    for n, tag in enumerate(TAGS, 1):
        assert await numbers(storage, tag=tag) == [n], tag
    assert len(await numbers(storage, tag="first")) == len(TAGS)
    for none in ("vi", "%", "_", "firs", '","', "\\", "'", " ", "]", '"', "1"):
        assert await numbers(storage, tag=none) == [], none


async def test_a3_nothing_of_another_org_is_seen(storage: SqlStorage) -> None:
    """Both hold the same page, so every id is the same; only what is said differs."""
    for org_id in ("a", "b"):
        await keep(
            storage,
            org_id,
            contact(1, name=f"Ada of {org_id}"),
            identity(1),
            conversation(1, post_external_id="post-1", kind="comment"),
            message(1, text=f"only {org_id}"),
            post(1, text=f"Post of {org_id}"),
        )
    await keep(storage, "b", conversation(2), message(2), identity(2), contact(2, name="Bo"))

    for org_id, count in (("a", 1), ("b", 2), ("c", 0)):
        found = await page(storage, org_id=org_id)
        assert found.total == count
        seen = [
            (one.contact_name, one.subject, one.last_message and one.last_message.text) for one in found.items
        ]
        assert (f"Ada of {org_id}", f"Post of {org_id}", f"only {org_id}") in seen or not count
        assert (await page(storage, org_id=org_id, search="only b")).total == (org_id == "b")
        async with storage.unit_of_work(org_id, reads_only=True) as uow:
            assert (await uow.conversations.get("cv_2") is None) == (org_id != "b")
            assert (await uow.conversations.message("ms_2") is None) == (org_id != "b")
            assert (await uow.conversations.messages("cv_2", page=1, page_size=9)).total == (org_id == "b")
            assert (await uow.conversations.search_messages("only", page=1, page_size=9)).total == (
                org_id != "c"
            )
            assert await uow.conversations.count_unread("cv_2", since=None) == (org_id == "b")


# What is shown -----------------------------------------------------------------------------------


async def test_it_is_called_by_the_person_or_by_the_post_it_is_about(storage: SqlStorage) -> None:
    await keep(
        storage,
        "a",
        contact(1, name="Ada Reed"),
        contact(2),
        identity(1),
        identity(2, handle="@bo"),
        post(1, text="  Fresh\n\tscones  "),
        conversation(1),
        conversation(2),
        conversation(3, identity_id=""),
        conversation(4, kind="comment", post_external_id="post-1", identity_id="pi_1"),
        conversation(5, kind="comment", post_external_id="post-9", identity_id="pi_1"),
        *(message(n) for n in range(1, 6)),
    )
    found = await page(storage)
    assert {one.record.id: (one.contact_id, one.contact_name, one.subject) for one in found.items} == {
        "cv_1": ("ct_1", "Ada Reed", "Ada Reed"),
        "cv_2": ("ct_2", "@bo", "@bo"),
        "cv_3": ("", "", ""),
        "cv_4": ("ct_1", "Ada Reed", "Fresh scones"),
        "cv_5": ("ct_1", "Ada Reed", "Ada Reed"),
    }
    assert [one.last_message and one.last_message.text for one in found.items] == [
        f"text {n}" for n in (5, 4, 3, 2, 1)
    ]


async def test_a_post_of_another_vendor_with_the_same_id_is_not_what_it_is_about(storage: SqlStorage) -> None:
    await keep(
        storage, "a", post(1, vendor="other", text="Theirs"), post(2, external_id="post-1", text="Ours")
    )
    await talks(storage, conversation(1, kind="comment", post_external_id="post-1"))
    [found] = (await page(storage)).items
    assert found.subject == "Ours"


async def test_whoever_was_joined_to_another_is_that_other(storage: SqlStorage) -> None:
    """In a chain, and also asked for by a former id."""
    await keep(
        storage,
        "a",
        contact(1, merged_into="ct_2"),
        contact(2, merged_into="ct_3"),
        contact(3, name="Ada Reed"),
        identity(1),
        identity(2, contact_id="ct_3"),
        identity(3),
        identity(4),
        contact(4),
    )
    await talks(storage, *(conversation(n) for n in (1, 2, 3, 4)))
    found = await page(storage)
    assert {one.contact_id for one in found.items} == {"ct_3", "ct_4"}
    for asked in ("ct_1", "ct_2", "ct_3"):
        assert await numbers(storage, contact_id=asked) == [3, 2, 1]
    assert await numbers(storage, contact_id="ct_4") == [4]
    assert await numbers(storage, contact_id="ct_5") == []


async def test_nothing_of_a_message_that_was_removed_is_shown(storage: SqlStorage) -> None:
    """Not in the list, not in the thread, not alone; even if a row of before still had it."""
    left = {
        "text": "secret",
        "attachments": (PICTURE,),
        "payload": "secret",
        "permalink": "https://vendor.example/secret",
        "reactions": {"pi_1": ("👍", "2026")},
    }
    await keep(storage, "a", conversation(1), message(1, removed_at=at(9), **left))
    [listed] = (await page(storage)).items
    async with storage.unit_of_work("a", reads_only=True) as uow:
        [inside] = (await uow.conversations.messages("cv_1", page=1, page_size=9)).items
        alone = await uow.conversations.message("ms_1")
        assert (await uow.conversations.search_messages("secret", page=1, page_size=9)).items == ()
    assert alone is not None
    for shown in (listed.last_message, inside.record, alone.record):
        assert shown is not None
        assert (shown.text, shown.attachments, shown.payload, shown.permalink, shown.reactions) == (
            *("", (), "", ""),
            {},
        )
        assert shown.removed_at == at(9)


async def messages(storage: SqlStorage, *, number: int = 1, size: int = 50) -> Listing[Message]:
    async with storage.unit_of_work("a", reads_only=True) as uow:
        return await uow.conversations.messages("cv_1", page=number, page_size=size)


async def test_messages_come_from_the_newest_to_the_oldest_without_what_is_only_heard_of(
    storage: SqlStorage,
) -> None:
    given = [message(n, conversation_id="cv_1") for n in range(1, 6)]
    await keep(storage, "a", *given, message(9, conversation_id="cv_1", is_known=False), message(8))
    first, last = await messages(storage, size=2), await messages(storage, number=3, size=2)
    assert [one.record.id for one in first.items] == ["ms_5", "ms_4"]
    assert [one.record.id for one in last.items] == ["ms_1"]
    assert first.total == 5
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.conversations.message("ms_9") is None
        assert (await uow.conversations.messages("cv_7", page=1, page_size=9)).items == ()


async def test_ours_are_written_by_the_channel_and_theirs_by_the_person(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    ours = message(2, is_ours=True, identity_id="", conversation_id="cv_1")
    unknown = message(3, is_ours=True, identity_id="", conversation_id="cv_1", channel_external_id="page-7")
    await keep(storage, "a", contact(1, name="Ada"), identity(1), message(1), ours, unknown)
    assert [(one.author_name, one.contact_id) for one in (await messages(storage)).items] == [
        ("", ""),
        ("Page page-1", ""),
        ("Ada", "ct_1"),
    ]


@pytest.mark.parametrize(("since", "count"), [(None, 3), (at(0), 3), (at(1), 2), (at(2), 1), (at(9), 0)])
async def test_unread_is_what_the_other_side_wrote_since_and_is_still_there(
    storage: SqlStorage, since: datetime | None, count: int
) -> None:
    theirs = [message(n, conversation_id="cv_1") for n in (1, 2, 3)]
    others: Collection[Any] = (
        message(4, conversation_id="cv_1", is_ours=True),
        message(5, conversation_id="cv_1", removed_at=at(6)),
        message(6, conversation_id="cv_1", is_known=False),
        message(7),
        message(8, conversation_id="cv_1", kind=MessageKind.NOTICE),
    )
    await keep(storage, "a", *theirs, *others)
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.conversations.count_unread("cv_1", since=since) == count
