"""The worker's side of the inbox beyond the promises of every inbox: damage, races, any history."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.keeping import BUCKETS, bucket_of
from moorage_adapters.sqlmodel.sqlite import SqliteDatabase
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import INBOX
from moorage_ports.inbox import InboxItem, ItemState, Settlement
from moorage_ports.secret_store import SealError
from tests.unit.adapters.conftest import NOON, Fresh, Opener
from tests.unit.adapters.things import VENDOR, arrival, change, connect

BUCKET = bucket_of("p")


async def _keep(storage: SqlStorage, *keys: str, partition: str = "p") -> None:
    for key in keys:
        await storage.intake.keep(arrival(change(key, partition=partition, body=key.encode())))


async def _claim(storage: SqlStorage, *, limit: int = 99, bucket: int = BUCKET) -> tuple[InboxItem, ...]:
    async with storage.unit_of_work("a") as uow:
        return await uow.inbox.claim(bucket, limit=limit, now=NOON)


async def test_w14_a_row_that_does_not_open_is_dead_and_stops_nobody(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await _keep(storage, "1", "2", "3")
    second = sa.select(sa.func.min(INBOX.c.seq) + 1).scalar_subquery()
    spoil = sa.update(INBOX).where(INBOX.c.seq == second).values(body_sealed=bytes(99))
    await storage.database.write_at_once(lambda connection: connection.execute(spoil).rowcount)
    assert [item.body for item in await _claim(storage)] == [b"1", b"3"]
    states = await storage.database.read_at_once(
        lambda connection: connection.execute(
            sa.select(INBOX.c.state, INBOX.c.last_error).order_by(INBOX.c.seq)
        ).all()
    )
    assert states[1] == (ItemState.DEAD, "sealed")
    assert len(await _claim(storage)) == 2


async def test_f41_a_wrong_keyring_kills_no_rows(
    storage: SqlStorage, storage_url: str, tmp_path: Path, clock: FixedClock
) -> None:
    await connect(storage, "a", "page-1")
    await _keep(storage, "1")
    wrong = await SqlStorage.open(storage_url, Keyring.create(tmp_path / "other.json"), clock)
    with pytest.raises(SealError):
        await _claim(wrong)
    await wrong.aclose()
    (item,) = await _claim(storage)
    assert (item.body, item.tries) == (b"1", 1)


async def test_a_key_that_another_process_renewed_opens_here_too(
    storage: SqlStorage, open_storage: Opener, place: Path
) -> None:
    await connect(storage, "a", "page-1")
    other = await open_storage(place)
    await _keep(storage, "1")
    assert len(await _claim(other)) == 1, "its cache knows the first key only"
    await storage.renew_key("a")
    await _keep(storage, "2")
    assert [item.body for item in await _claim(other)] == [b"1", b"2"]


async def test_d5_of_two_claimers_the_earlier_one_settles_nothing(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await _keep(storage, *map(str, range(20)))
    claims = await asyncio.gather(*(_claim(storage) for _ in range(5)))
    assert len({item.lease for claim in claims for item in claim}) == 5, "each claim has its own number"
    settled = 0
    for claim in claims:
        async with storage.unit_of_work("a") as uow:
            done = [Settlement(item=item, state=ItemState.DONE) for item in claim]
            settled += sum(await uow.inbox.settle(done, now=NOON))
    assert settled == 20


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_the_claim_uses_its_index(storage: SqlStorage) -> None:
    """A scan of the whole inbox would grow with every lead ever received."""
    statements: list[tuple[str, Any]] = []
    assert isinstance(storage.database, SqliteDatabase)
    engine = storage.database._writer._engine

    def note(*event: object) -> None:
        statements.append((str(event[2]), event[3]))

    sa.event.listen(engine, "before_cursor_execute", note)
    await connect(storage, "a", "page-1")
    await _keep(storage, "1")
    statements.clear()
    await _claim(storage)
    await storage.backlog.pending_groups(NOON)
    (claim,) = [one for one in statements if "UPDATE inbox" in one[0]]
    plan = await storage.database.read_at_once(
        lambda connection: [
            row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {claim[0]}", claim[1])
        ]
    )
    assert not [step for step in plan if "SCAN" in step and "INDEX" not in step and step != "SCAN due"], plan
    assert any("INTEGER PRIMARY KEY (rowid=?)" in step for step in plan), plan
    assert not any("autoindex" in step for step in plan), plan
    assert any("ix_inbox_pending" in step for step in plan), plan
    assert any("ix_inbox_waiting" in step for step in plan), plan


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.sampled_from("pqr")),
        st.tuples(st.just("claim"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.sampled_from(["done", "dead", "parked", "retry", "give back"])),
        st.tuples(st.just("wait"), st.integers(1, 90)),
        st.tuples(st.just("unpark"), st.none()),
    ),
    max_size=40,
)


@attrs.define
class _Row:
    """What a row should be like."""

    partition: str
    state: str = "pending"
    due: datetime = NOON
    tries: int = 0


@attrs.define
class _History:
    """The inbox of one org beside a model of it."""

    storage: SqlStorage
    now: datetime = NOON
    rows: dict[str, _Row] = attrs.field(factory=dict)  # by key, in order of arrival
    held: list[InboxItem] = attrs.field(factory=list)

    async def keep(self, partition: str) -> None:
        key = f"{partition}{len(self.rows)}"
        self.rows[key] = _Row(partition)
        await _keep(self.storage, key, partition=partition)

    async def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    async def unpark(self, _: None) -> None:
        async with self.storage.unit_of_work("a") as uow:
            buckets = await uow.inbox.unpark(VENDOR, now=self.now)
        woken = [
            row
            for row in self.rows.values()
            if row.state == "parked" or (row.state == "pending" and row.due > self.now)
        ]
        assert set(buckets) == {bucket_of(row.partition) for row in woken}
        for row in woken:
            row.state, row.due, row.tries = "pending", NOON, 0

    def claimable(self, bucket: int) -> list[str]:
        pending = {key: row for key, row in self.rows.items() if row.state == "pending"}
        waiting = {row.partition for row in pending.values() if row.due > self.now}
        return [
            key
            for key, row in pending.items()
            if bucket_of(row.partition) == bucket and row.partition not in waiting
        ]

    async def claim(self, limit: int) -> None:
        for bucket in range(BUCKETS):
            expected = self.claimable(bucket)[:limit]
            async with self.storage.unit_of_work("a") as uow:
                claimed = await uow.inbox.claim(bucket, limit=limit, now=self.now)
            assert [item.body.decode() for item in claimed] == expected
            for item in claimed:
                row = self.rows[item.body.decode()]
                row.tries += 1
                assert item.tries == row.tries
            taken_over = {item.id for item in claimed}
            self.held = [one for one in self.held if one.id not in taken_over] + list(claimed)

    async def settle(self, outcome: str) -> None:
        if not self.held:
            return
        item = self.held.pop(0)
        row = self.rows[item.body.decode()]
        state, error, retry_at = ItemState.PENDING, "so", None
        if outcome == "retry":
            row.due = retry_at = self.now + timedelta(seconds=30)
        elif outcome == "give back":
            error, row.due, row.tries = "", NOON, item.tries - 1
        else:
            state, row.state = ItemState(outcome), outcome
        async with self.storage.unit_of_work("a") as uow:
            settlement = Settlement(item=item, state=state, error=error, retry_at=retry_at)
            assert await uow.inbox.settle([settlement], now=self.now) == (True,)
            again = Settlement(item=item, state=ItemState.DONE)
            assert await uow.inbox.settle([again], now=self.now) == (False,), "once only"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(steps=_STEPS)
async def test_whatever_happens_partitions_stay_in_order_and_nothing_is_lost(
    fresh_storage: Fresh, steps: list[tuple[str, Any]]
) -> None:
    async with fresh_storage() as storage:
        await connect(storage, "a", "page-1")
        history = _History(storage)
        for action, argument in steps:
            await getattr(history, action)(argument)
        later = history.now + timedelta(days=1)
        async with storage.unit_of_work("b") as uow:
            for bucket in range(BUCKETS):
                assert await uow.inbox.claim(bucket, limit=99, now=later) == ()
        left = {bucket_of(row.partition) for row in history.rows.values() if row.state == "pending"}
        assert {bucket for _, bucket in await storage.backlog.pending_groups(later)} == left
