"""Activity sync in a whole host: by schedule, in pieces, from a checkpoint; and what trouble does to it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest
from sqlalchemy import text

from moorage import syncing
from moorage.crm.apply import apply_events
from moorage.syncing import SLICE, Syncer, nudge_channels, sync_nudge
from moorage_adapters.memory.activity_sync import MemoryActivitySync, comment_from_remark
from moorage_adapters.memory.chatter import LINES_PER_PAGE
from moorage_adapters.memory.things import READ_BOARDS
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.activity_sync import ActivityPiece, SyncState
from moorage_ports.contacts import ActivityFilter
from moorage_ports.conversations import ConversationFilter
from moorage_ports.errors import OutcomeUnknownError, VendorUnavailableError
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.jobs import LookAgain
from tests.support.harbour import ADMIN, NOON, Harbour, StillJobs, harbour

_TABLES = ("contact", "contact_identity", "conversation", "message", "activity", "post")


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path, database_url=database_url) as made:
        await made.connect()
        await made.select(CAFE.id)
        made.hang_notes(CAFE, BOOKS)
        yield made


def say(host: Harbour, count: int = 1, *, board_id: str = CAFE.id) -> list[str]:
    return [host.world.say(f"note-{board_id}", f"Remark {number}").id for number in range(count)]


async def look(host: Harbour, board_id: str = CAFE.id, org_id: str = ADMIN.org_id) -> LookAgain | None:
    """Look until there is no more to do for now."""
    for _ in range(200):
        again = await Syncer(host.services).look(sync_nudge(org_id, "memory", board_id))
        if again is None or again.at is not None:
            return again
    msg = "the sync never ends"
    raise AssertionError(msg)


async def state_of(host: Harbour, board_id: str = CAFE.id, org_id: str = ADMIN.org_id) -> SyncState:
    async with host.storage.unit_of_work(org_id, reads_only=True) as uow:
        state = await uow.sync_states.get("memory", board_id)
    assert state is not None
    return state


async def texts(host: Harbour, org_id: str = ADMIN.org_id) -> list[str]:
    """The last words of each conversation."""
    async with host.storage.unit_of_work(org_id, reads_only=True) as uow:
        found = await uow.conversations.page(
            ConversationFilter(), page=1, page_size=500, now=host.clock.now()
        )
    return sorted(each.last_message.text for each in found.items if each.last_message)


async def everything(host: Harbour) -> dict[str, list[str]]:
    """All rows of the CRM."""
    async with host.storage.database.read(org_id=ADMIN.org_id) as transaction:
        return await transaction.run(
            lambda connection: {
                table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}")).all()))  # noqa: S608
                for table in _TABLES
            }
        )


# What people did comes in ------------------------------------------------------------------------


async def test_what_people_said_becomes_conversations_and_signals(host: Harbour) -> None:
    asked = host.world.say("note-board-1", "Do you open on Sunday?")
    host.clock.advance(timedelta(seconds=1))
    host.world.say("note-board-1", "Me too", answers=asked.id)
    host.world.cheer("note-board-1", "wow")

    assert await look(host) is None

    assert await texts(host) == ["Me too"], "one conversation: the answer stands in it"
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        activity = await uow.contacts.activity(ActivityFilter(), page=1, page_size=50)
        contacts = await uow.contacts.page(page=1, page_size=50)
    assert sorted(each.record.kind for each in activity.items) == ["comment", "comment", "reaction"]
    assert [contact.record.name for contact in contacts.items] == ["Ada Reed"]
    state = await state_of(host)
    assert (state.is_running, state.progress, state.items, state.last_error) == (False, 1.0, 3, "")
    assert state.started_at == state.finished_at == host.clock.now()


async def test_a_long_history_takes_several_pieces_and_looks(host: Harbour) -> None:
    """Progress and counts are there to be seen meanwhile; nothing is lost between the looks."""
    count = LINES_PER_PAGE * (syncing.PIECES_A_LOOK + 5)
    say(host, count)
    nudge = sync_nudge(ADMIN.org_id, "memory", CAFE.id)

    assert await Syncer(host.services).look(nudge) == LookAgain()
    state = await state_of(host)
    assert state.is_running
    assert 0 < state.progress < 1
    assert (state.items, state.calls) == (LINES_PER_PAGE * syncing.PIECES_A_LOOK, syncing.PIECES_A_LOOK)
    assert await look(host) is None
    assert len(await texts(host)) == count
    assert (await state_of(host)).items == count


async def test_a_big_piece_is_merged_in_short_units_of_work(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage_adapters.memory.chatter.LINES_PER_PAGE", 10 * SLICE)
    say(host, 2 * SLICE + 1)
    before = host.services.storage

    assert await look(host) is None

    assert before is host.services.storage
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.page(ConversationFilter(), page=1, page_size=1, now=host.clock.now())
    assert found.total == 2 * SLICE + 1


async def test_a_second_run_brings_what_is_new_and_changes_nothing_else(host: Harbour) -> None:
    say(host, 7)
    await look(host)
    first = await everything(host)
    host.clock.advance(host.services.settings.sync_every)
    await look(host)
    assert _without_stamps(await everything(host)) == _without_stamps(first)

    host.clock.advance(host.services.settings.sync_every)
    host.world.say("note-board-1", "News")
    await look(host)
    assert "News" in await texts(host)
    assert len(await texts(host)) == 8


def _without_stamps(rows: dict[str, list[str]]) -> dict[str, int]:
    return {table: len(lines) for table, lines in rows.items()}


async def test_the_same_piece_twice_changes_nothing(host: Harbour) -> None:
    """Killed after a piece was merged and before its checkpoint was noted: it is merged once more."""
    say(host, 5)
    await look(host)
    once = await everything(host)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        state = await uow.sync_states.get("memory", CAFE.id)
        assert state is not None
        await uow.sync_states.save(attrs.evolve(state, checkpoint="", is_running=True))

    await look(host)

    assert await everything(host) == once


async def test_a_comment_by_webhook_and_by_sync_is_one_row(host: Harbour) -> None:
    """Whoever comes first; and what the webhook knew better (when) stays."""
    remark = host.world.say("note-board-1", "Hello")
    by_webhook = comment_from_remark(remark, at=remark.made_at)
    await look(host)
    for order in ("after", "before"):
        async with host.storage.unit_of_work(ADMIN.org_id) as uow:
            await apply_events(uow.crm_records, [("memory", by_webhook)])
        if order == "after":
            host.clock.advance(host.services.settings.sync_every)
            await look(host)
        async with host.storage.database.read(org_id=ADMIN.org_id) as transaction:
            counts = await transaction.run(
                lambda connection: connection.execute(
                    text("SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM conversation)")
                ).one()
            )
        assert tuple(counts) == (1, 1)
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.page(ConversationFilter(), page=1, page_size=5, now=host.clock.now())
    assert found.items[0].record.last_message_at == remark.made_at


# By schedule -------------------------------------------------------------------------------------


async def test_the_sweep_nudges_every_selected_channel(host: Harbour) -> None:
    await host.select(CAFE.id, BOOKS.id)
    assert isinstance(host.services.jobs, StillJobs)
    await nudge_channels(host.services)

    async with host.storage.database.read() as transaction:
        groups = await transaction.run(
            lambda connection: (
                (
                    connection.execute(
                        text("SELECT group_key FROM job WHERE queue = 'sync' ORDER BY group_key")
                    ).scalars()
                ).all()
                if connection.dialect.name == "sqlite"
                else ["org-a:memory:board-1", "org-a:memory:board-2"]
            )
        )
    assert list(groups) == ["org-a:memory:board-1", "org-a:memory:board-2"]


async def test_a_channel_is_not_read_before_its_time(host: Harbour) -> None:
    say(host)
    await look(host)
    calls = host.world.calls
    host.clock.advance(host.services.settings.sync_every / 4)
    assert await look(host) is None
    assert host.world.calls == calls
    host.clock.advance(host.services.settings.sync_every)
    await look(host)
    assert host.world.calls > calls


async def test_what_is_not_selected_or_not_wanted_is_left_alone(host: Harbour) -> None:
    say(host, board_id=BOOKS.id)
    calls = host.world.calls
    assert await look(host, BOOKS.id) is None
    assert await look(host, "board-99") is None
    assert await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "nobody", CAFE.id)) is None
    assert host.world.calls == calls


async def test_two_looks_at_once_do_not_both_count(host: Harbour) -> None:
    """A process that slept through its lease finds that it was overtaken; what it read is not written."""
    say(host, LINES_PER_PAGE * 4)
    nudge = sync_nudge(ADMIN.org_id, "memory", CAFE.id)

    await asyncio.gather(*(Syncer(host.services).look(nudge) for _ in range(4)))
    await look(host)

    state = await state_of(host)
    assert (state.items, len(await texts(host))) == (LINES_PER_PAGE * 4, LINES_PER_PAGE * 4)


# Trouble -----------------------------------------------------------------------------------------


async def test_a_limit_is_waited_for(host: Harbour) -> None:
    say(host, 4)
    host.world.limit(timedelta(minutes=7))
    again = await look(host)

    assert again is not None
    assert again.at is not None
    assert again.at >= NOON + timedelta(minutes=7)
    state = await state_of(host)
    assert (state.last_error, state.tries, state.retry_at) == ("rate_limited", 1, again.at)
    calls = host.world.calls
    assert await look(host) == again, "nobody is asked before that"
    assert host.world.calls == calls
    host.world.clear_up()
    host.clock.advance(timedelta(minutes=10))
    assert await look(host) is None
    state = await state_of(host)
    assert (state.last_error, state.tries, state.retry_at, state.last_remedy) == ("", 0, None, "")
    assert len(await texts(host)) == 4


async def test_a_vendor_that_is_down_is_tried_later_and_later(host: Harbour) -> None:
    say(host)
    host.world.go_down()
    waits: list[timedelta] = []
    for _ in range(8):
        again = await look(host)
        assert again is not None
        assert again.at is not None
        waits.append(again.at - host.clock.now())
        host.clock.advance(waits[-1])
    assert waits[0] <= timedelta(seconds=5)
    assert timedelta(minutes=1) < waits[-1] <= timedelta(minutes=15)
    host.world.clear_up()
    await look(host)
    assert len(await texts(host)) == 1


async def test_a_lost_grant_parks_the_sync_until_somebody_connects(host: Harbour) -> None:
    say(host, LINES_PER_PAGE * 3)
    host.world.revoke_grant()
    assert await look(host) is None
    state = await state_of(host)
    assert (state.is_running, state.last_error) == (True, "reconnect_required")
    assert state.last_remedy
    assert (await host.integration()).status is IntegrationStatus.EXPIRED
    calls = host.world.calls
    assert await look(host) is None
    assert host.world.calls == calls

    await host.connect()
    await nudge_channels(host.services)
    assert await look(host) is None
    assert len(await texts(host)) == LINES_PER_PAGE * 3
    assert (await state_of(host)).last_error == ""


async def test_a_missing_scope_is_shown_and_tried_at_the_next_turn(host: Harbour) -> None:
    say(host)
    host.world.drop_scope(READ_BOARDS)
    assert await look(host) is None
    state = await state_of(host)
    assert (state.is_running, state.last_error, state.retry_at) == (False, "missing_scope", None)
    host.world.restore_scope(READ_BOARDS)
    host.clock.advance(host.services.settings.sync_every)
    await look(host)
    assert len(await texts(host)) == 1


async def test_a_checkpoint_that_the_vendor_forgot_begins_the_run_anew(host: Harbour) -> None:
    say(host, 4)
    await look(host)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.sync_states.save(attrs.evolve(await state_of(host), checkpoint="nonsense", is_running=True))
    again = await look(host)
    assert again is not None
    assert (await state_of(host)).last_error == "vendor_rejected"
    host.clock.advance(timedelta(minutes=1))
    assert await look(host) is None
    assert (await state_of(host)).last_error == ""


async def test_a_mistake_of_ours_is_shown_and_tried_again(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(host)

    async def broken(*_: object, **__: object) -> ActivityPiece:
        msg = "a mistake"
        raise RuntimeError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryActivitySync, "activity", broken)
        again = await look(host)
    assert again is not None
    assert (await state_of(host)).last_error == "internal"
    host.clock.advance(timedelta(minutes=1))
    assert await look(host) is None


async def test_what_was_read_ahead_is_dropped_when_it_fails(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first piece is noted although the second, read meanwhile, broke."""
    say(host, LINES_PER_PAGE * 2)
    whole = MemoryActivitySync.activity

    async def second_breaks(
        sync: MemoryActivitySync, channel: str, *, checkpoint: str = "", since: datetime | None = None
    ) -> ActivityPiece:
        if checkpoint:
            msg = "gone"
            raise VendorUnavailableError(msg, vendor="memory")
        return await whole(sync, channel, checkpoint=checkpoint, since=since)

    monkeypatch.setattr(MemoryActivitySync, "activity", second_breaks)
    again = await look(host)

    assert again is not None
    state = await state_of(host)
    assert (state.items, state.last_error) == (LINES_PER_PAGE, "unavailable")
    assert state.checkpoint


def test_every_error_has_its_next_move() -> None:
    """What is tried by itself says when; what is not, waits for the next turn or for a person."""
    state = SyncState(vendor="memory", channel_external_id="b", is_running=True, tries=1)
    lost = syncing._next(state, OutcomeUnknownError("?", vendor="memory"), NOON)
    assert lost.retry_at is not None
    assert lost.is_running


async def test_nothing_of_what_people_wrote_is_in_the_state(host: Harbour) -> None:
    """The state is stored in the clear: it holds no word that a person wrote."""
    host.world.say("note-board-1", "My number is 030 123456")
    await look(host)
    assert "030 123456" not in repr(await state_of(host))
