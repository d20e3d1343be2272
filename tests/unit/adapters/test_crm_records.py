"""The CRM's records: what is saved is loaded again, whole, by its own org only; and nothing is overtaken."""

import asyncio
import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.crm.apply import apply_events
from moorage_adapters.sqlmodel.crm_codec import MAX_KEY, short
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.crm_records import ContactRecord, Ledger, LedgerKeys
from moorage_ports.events import Attachment, AttachmentType, CrmEvent, MessageSeen, Person
from tests.support.crm_events import assert_same, events
from tests.support.crm_records import DictRecords
from tests.unit.adapters.crm_things import (
    BOARD,
    FULL,
    KINDS,
    at,
    contact,
    conversation,
    identity,
    keep,
    ledger_of,
    message,
    notice,
    post,
)
from tests.unit.adapters.things import VENDOR

EVERY = LedgerKeys(**{kind: {one.id for one in FULL if KINDS[type(one)] == kind} for kind in KINDS.values()})  # type: ignore[attr-defined]


async def load(storage: SqlStorage, org_id: str, keys: LedgerKeys) -> Ledger:
    async with storage.unit_of_work(org_id) as uow:
        return await uow.crm_records.load(keys)


async def test_every_kind_of_record_comes_back_as_it_was_given(storage: SqlStorage) -> None:
    await keep(storage, "a", *copy.deepcopy(FULL))

    assert await load(storage, "a", EVERY) == ledger_of(FULL)


async def test_saving_again_replaces_every_field(storage: SqlStorage) -> None:
    """In both directions: what had a value loses it, and what had none gets one."""
    swapped = [
        attrs.evolve(other, id=one.id)  # type: ignore[attr-defined,misc]
        for one, other in [
            pair for n in range(0, len(FULL), 2) for pair in ((FULL[n], FULL[n + 1]), (FULL[n + 1], FULL[n]))
        ]
    ]
    await keep(storage, "a", *copy.deepcopy(FULL))
    await keep(storage, "a", *copy.deepcopy(swapped))

    assert await load(storage, "a", EVERY) == ledger_of(swapped)


async def test_a3_another_org_loads_changes_and_deletes_nothing_of_it(storage: SqlStorage) -> None:
    """Though every id is the same: both hold the same page."""
    await keep(storage, "a", *copy.deepcopy(FULL))
    assert await load(storage, "b", EVERY) == Ledger()

    await keep(storage, "b", conversation(name_of_b := 1, surface="b's"), message(name_of_b, text="b's"))
    async with storage.unit_of_work("b") as uow:
        assert [one.text for one in await uow.crm_records.messages_of(["cv_1"])] == ["b's"]
        assert await uow.crm_records.identities_of(["ct_2"]) == ()
        await uow.crm_records.remove_conversations(["cv_1", "cv_2"])
    assert await load(storage, "a", EVERY) == ledger_of(FULL)
    assert (await load(storage, "b", EVERY)).conversations == {}


async def test_nothing_is_loaded_for_nothing_and_for_what_is_not_there(storage: SqlStorage) -> None:
    assert await load(storage, "a", LedgerKeys()) == Ledger()
    assert await load(storage, "a", EVERY) == Ledger()
    await keep(storage, "a")
    async with storage.unit_of_work("a") as uow:
        assert await uow.crm_records.messages_of([]) == ()
        assert await uow.crm_records.identities_of([]) == ()
        await uow.crm_records.remove_conversations([])


async def test_identities_bring_their_contacts_and_all_that_these_were_joined_to(storage: SqlStorage) -> None:
    chain = [contact(1, merged_into="ct_2"), contact(2, merged_into="ct_3"), contact(3), contact(4)]
    await keep(storage, "a", *chain, identity(1))

    found = await load(storage, "a", LedgerKeys(identities={"pi_1"}))
    assert set(found.contacts) == {"ct_1", "ct_2", "ct_3"}


async def test_joined_in_a_circle_is_found_and_ends(storage: SqlStorage) -> None:
    await keep(storage, "a", contact(1, merged_into="ct_2"), contact(2, merged_into="ct_1"), identity(1))
    async with asyncio.timeout(5):
        assert set((await load(storage, "a", LedgerKeys(contacts={"ct_1"}))).contacts) == {"ct_1", "ct_2"}
        async with storage.unit_of_work("a", reads_only=True) as uow:
            await uow.contacts.get("ct_1")


async def test_a_conversations_messages_come_from_the_oldest_to_the_newest(storage: SqlStorage) -> None:
    given = [message(n, conversation_id="cv_1", at=at(-n)) for n in (1, 2, 3)]
    stub = message(4, conversation_id="cv_1", is_known=False, at=at(-9))
    await keep(storage, "a", *given, stub, message(5, conversation_id="cv_2"))
    async with storage.unit_of_work("a") as uow:
        found = await uow.crm_records.messages_of(["cv_1"])
    assert [one.id for one in found] == ["ms_4", "ms_3", "ms_2", "ms_1"]


@pytest.mark.parametrize("count", [1, 3, 63, 64, 65, 257])
async def test_any_number_of_records_is_saved_at_once(storage: SqlStorage, count: int) -> None:
    """SQLite is told them in statements of a few sizes."""
    given = [message(n, text=f"word{n}") for n in range(count)]
    await keep(storage, "a", *given)
    found = await load(storage, "a", LedgerKeys(messages={one.id for one in given}))
    assert found == ledger_of(given)
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert (await uow.conversations.search_messages(f"word{count - 1}", page=1, page_size=9)).total == 1


# What vendors and people write ---------------------------------------------------------------------

_ODD = st.text(alphabet=st.sampled_from("aÄ'\"\\%_{}[],;:$?\n\t\0\ud800\udfff👍\u202e\ufeff"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(texts=st.lists(_ODD, min_size=8, max_size=8))
async def test_any_text_is_kept_cleaned_of_what_no_database_takes(
    storage: SqlStorage, texts: list[str]
) -> None:
    a, b, c, d, e, f, g, h = texts
    given: list[Any] = [
        message(1, text=a, payload=b, external_id=c, error=d, reactions={e: (f, "2026")}),
        message(2, attachments=(Attachment(type=AttachmentType.FILE, url=a, title=b, details={c: d, e: f}),)),
        conversation(1, tags=(g, h), assignee=a, owner=b),
        contact(1, name=c),
        identity(1, name=d, handle=e, external_id=f),
        notice(1, text=g, details={h: a}),
        post(1, text=b, external_id=c),
    ]
    await keep(storage, "a", *given)
    found = await load(storage, "a", EVERY)

    first, second = found.messages["ms_1"], found.messages["ms_2"]
    assert (first.text, first.payload, first.external_id, first.error) == tuple(map(clean, (a, b, c, d)))
    assert first.reactions == {clean(e): (clean(f), "2026")}
    [attachment] = second.attachments
    assert (attachment.url, attachment.title) == (clean(a), clean(b))
    assert attachment.details == {clean(c): clean(d)} | {clean(e): clean(f)}
    assert found.conversations["cv_1"].tags == (clean(g), clean(h))
    assert found.contacts["ct_1"].name == clean(c)
    assert (found.identities["pi_1"].name, found.identities["pi_1"].handle) == (clean(d), clean(e))
    assert found.notices["nt_1"].details == {clean(h): clean(a)}
    assert (found.posts["po_1"].text, found.posts["po_1"].external_id) == (clean(b), clean(c))


async def test_ids_that_nobody_could_index_are_kept_and_found(storage: SqlStorage) -> None:
    """A vendor's id may be of any length; PostgreSQL indexes nothing longer than some 2,700 bytes."""
    long, text = "9" * 40_000, "x" * 65_536
    given: list[attrs.AttrsInstance] = [
        post(1, external_id=long, text=text),
        conversation(1, post_external_id=long),
        message(1, text=text),
    ]
    await keep(storage, "a", *given)
    async with storage.unit_of_work("a", reads_only=True) as uow:
        found = await uow.conversations.get("cv_1")
    assert found is not None
    assert found.subject == "x" * 119 + "…"


def test_what_stands_for_an_id_is_short_and_tells_two_apart() -> None:
    assert short("memory", "post-1") == "memory/post-1"
    one, other = short("v" * 40, "9" * 100), short("v" * 40, "9" * 101)
    assert one != other
    assert len(one) <= MAX_KEY
    assert short("\ud800" * 70) == short("\ufffd" * 70)


async def test_every_moment_is_kept_whatever_a_vendors_clock_says(storage: SqlStorage) -> None:
    """To the microsecond, from the first year to the last; the very ends are infinities to PostgreSQL."""
    for first, last in (
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        (datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC)),
    ):
        await keep(storage, "a", contact(1, first_seen_at=first, last_seen_at=last))
        found = (await load(storage, "a", LedgerKeys(contacts={"ct_1"}))).contacts["ct_1"]
        assert (found.first_seen_at, found.last_seen_at) == (first, last)


# Several at once -------------------------------------------------------------------------------------


def letter(number: int) -> MessageSeen:
    return MessageSeen(
        channel_external_id=BOARD,
        message_external_id=f"m{number}",
        person=Person(external_id="p", realm=BOARD, name=f"Name {number}"),
        at=at(number),
        surface="letters",
        text=f"letter {number}",
    )


async def test_merges_that_happen_at_once_lose_nothing(storage: SqlStorage) -> None:
    """Twenty transactions count up the same conversation and warm the same contact."""

    async def merge(number: int) -> None:
        async with storage.unit_of_work("a") as uow:
            await apply_events(uow.crm_records, [(VENDOR, letter(number))])

    await asyncio.gather(*(merge(number) for number in range(20)))

    alone = DictRecords()
    await apply_events(alone, [(VENDOR, letter(number)) for number in range(20)])
    keys = LedgerKeys(**{kind: set(getattr(alone.kept, kind)) for kind in KINDS.values()})
    assert_same(alone.kept, await load(storage, "a", keys))
    [conversation_] = (await load(storage, "a", keys)).conversations.values()
    assert conversation_.unread_count == 20


async def test_what_was_not_committed_was_never_there(storage: SqlStorage) -> None:
    async def fail() -> None:
        async with storage.unit_of_work("a") as uow:
            await apply_events(uow.crm_records, [(VENDOR, letter(1))])
            msg = "the disk, say"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError):
        await fail()
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert (await uow.conversations.search_messages("letter", page=1, page_size=9)).total == 0
        assert (await uow.contacts.page(page=1, page_size=9)).total == 0


async def test_readers_see_a_merge_whole_or_not_at_all(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a", reads_only=True) as reading:
        assert (await reading.contacts.page(page=1, page_size=9)).total == 0
        async with storage.unit_of_work("a") as writing:
            await apply_events(writing.crm_records, [(VENDOR, letter(1))])
        assert (await reading.conversations.search_messages("letter", page=1, page_size=9)).total == 0
    async with storage.unit_of_work("a", reads_only=True) as later:
        assert (await later.contacts.page(page=1, page_size=9)).total == 1


_orgs = iter(f"org-{number}" for number in range(10_000))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    happened=st.lists(events, min_size=1, max_size=20),
    sizes=st.lists(st.integers(1, 6), min_size=20, max_size=20),
)
async def test_merged_on_a_database_is_merged_in_memory(
    storage: SqlStorage, happened: Sequence[CrmEvent], sizes: list[int]
) -> None:
    """W15 over the real stores: each batch its own transaction; the records end as those in a dict do."""
    alone, org_id, rest = DictRecords(), next(_orgs), list(happened)
    for size in sizes:
        batch, rest = [(VENDOR, event) for event in rest[:size]], rest[size:]
        await apply_events(alone, batch)
        async with storage.unit_of_work(org_id) as uow:
            await apply_events(uow.crm_records, batch)

    keys = LedgerKeys(**{kind: set(getattr(alone.kept, kind)) for kind in KINDS.values()})
    assert_same(alone.kept, await load(storage, org_id, keys))
    async with storage.unit_of_work(org_id, reads_only=True) as uow:
        people = await uow.contacts.page(page=1, page_size=100)
    assert [one.record.id for one in people.items] == _by_heat(alone.kept.contacts.values())


def _by_heat(contacts: Any) -> list[str]:
    there: list[ContactRecord] = [one for one in contacts if not one.merged_into]
    return [one.id for one in sorted(there, key=lambda one: (one.heat, one.id), reverse=True)]


async def test_what_is_marked_as_erased_stays_so_since_then_and_for_its_org_alone(
    storage: SqlStorage,
) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.crm_records.mark_erased({"ms_1"}, at=at(1))
        await uow.crm_records.mark_erased({"ms_1", "ms_2"}, at=at(2))
        await uow.crm_records.mark_erased(set(), at=at(3))
        assert await uow.crm_records.erased({"ms_1", "ms_2", "ms_3"}) == {"ms_1": at(1), "ms_2": at(2)}
    async with storage.unit_of_work("b") as uow:
        assert await uow.crm_records.erased({"ms_1"}) == {}
