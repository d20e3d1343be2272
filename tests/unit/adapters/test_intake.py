"""The intake beyond the promises of every intake: groups, failures, forgeries, any ownership whatsoever."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import attrs
import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_adapters.cipher import HOST
from moorage_adapters.sqlmodel.intake import GROUP_ROWS, PIECE_ROWS
from moorage_adapters.sqlmodel.keeping import BUCKETS, Keeping, bucket_of
from moorage_adapters.sqlmodel.postgres_rows import PostgresRows
from moorage_adapters.sqlmodel.sqlite_rows import SqliteRows
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import INBOX, JOB, ORG_KEY, QUARANTINE
from moorage_ports.errors import UnavailableError
from moorage_ports.inbox import Arrival, InboxItem, Kept, Unreadable
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.webhooks import Change
from tests.unit.adapters.conftest import NOON, Fresh, Opener
from tests.unit.adapters.things import APP, VENDOR, arrival, change, channel, connect


async def _claimed(storage: SqlStorage, org_id: str) -> list[InboxItem]:
    async with storage.unit_of_work(org_id) as uow:
        return [
            item for bucket in range(BUCKETS) for item in await uow.inbox.claim(bucket, limit=999, now=NOON)
        ]


async def _count(storage: SqlStorage, table: sa.Table) -> int:
    statement = sa.select(sa.func.count()).select_from(table)
    return await storage.database.read_at_once(lambda connection: connection.execute(statement).scalar_one())


async def test_w5_each_event_up_to_five_times_from_four_senders_is_one_row(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await connect(storage, "b", "page-1")
    keys = [f"key-{number}" for number in range(200)]
    sends = [key for key in keys for _ in range(random.randint(1, 5))]
    random.shuffle(sends)
    kept: list[Kept] = []

    async def send(mine: list[str]) -> None:
        kept.extend([await storage.intake.keep(arrival(change(key, partition=key))) for key in mine])

    await asyncio.gather(*(send(sends[number::4]) for number in range(4)))
    assert sum(one.stored for one in kept) == 2 * len(keys)
    assert sum(one.duplicates for one in kept) == 2 * (len(sends) - len(keys))
    for org_id in ("a", "b"):
        assert len(await _claimed(storage, org_id)) == len(keys)


async def test_w5_doubles_within_one_delivery_count_as_doubles(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    assert await storage.intake.keep(arrival(change("k"), change("k"), change("l"))) == Kept(
        stored=2, duplicates=1
    )
    assert await storage.intake.keep(arrival()) == Kept()


async def test_w6_of_a_mixed_delivery_each_org_gets_its_own_and_nobodys_is_sealed_by_the_host(
    storage: SqlStorage,
) -> None:
    await connect(storage, "a", "page-a")
    await connect(storage, "b", "page-b")
    kept = await storage.intake.keep(
        arrival(
            change("1", "page-a", body=b"for a"),
            change("2", "page-b", body=b"for b"),
            change("3", "page-x", body=b"for nobody"),
            Change(kind="k", owner_keys=(), business_key="4", partition="p", body=b"for nobody either"),
        )
    )
    assert kept == Kept(stored=2, orphaned=2)
    assert [item.body for item in await _claimed(storage, "a")] == [b"for a"]
    assert [item.body for item in await _claimed(storage, "b")] == [b"for b"]
    rows = await storage.database.read_at_once(
        lambda connection: connection.execute(sa.select(QUARANTINE)).all()
    )
    host = storage.cipher.cached(HOST)
    assert host is not None
    opened = [
        msgspec.msgpack.decode(host.open(row.body_sealed, "quarantine", row.id, "body"), type=Change).body
        for row in rows
    ]
    assert sorted(opened) == [b"for nobody", b"for nobody either"]
    assert {(row.expires_at - row.received_at).days for row in rows} == {7}


async def test_w13_what_cannot_be_split_is_kept_whole_for_seven_days(storage: SqlStorage) -> None:
    await storage.intake.keep_aside(
        Unreadable(vendor=VENDOR, app_id=APP, received_at=NOON, reason="not JSON", body=b"<html>\xff")
    )
    (row,) = await storage.database.read_at_once(
        lambda connection: connection.execute(sa.select(QUARANTINE)).all()
    )
    host = storage.cipher.cached(HOST)
    assert host is not None
    assert host.open(row.body_sealed, "quarantine", row.id, "body") == b"<html>\xff"
    assert (row.reason, (row.expires_at - NOON).days) == ("not JSON", 7)


async def test_w5_what_is_kept_aside_is_kept_once_however_often_it_comes(storage: SqlStorage) -> None:
    """A signature is good for ever: whoever has one signed body could fill the disk with it."""
    nobodys = arrival(change("3", "page-x"), change("3", "page-x"), change("4", "page-x"))
    whole = Unreadable(vendor=VENDOR, app_id=APP, received_at=NOON, reason="not JSON", body=b"3")

    for _ in range(5):
        await asyncio.gather(*(storage.intake.keep(nobodys) for _ in range(3)))
        await asyncio.gather(*(storage.intake.keep_aside(whole) for _ in range(3)))
    assert await _count(storage, QUARANTINE) == 3

    others = [
        attrs.evolve(whole, body=b"4"),
        attrs.evolve(whole, app_id="other"),
        attrs.evolve(whole, vendor="v"),
    ]
    for other in others:
        await storage.intake.keep_aside(other)
    await storage.intake.keep(attrs.evolve(nobodys, app_id="other"))
    assert await _count(storage, QUARANTINE) == 3 + 3 + 2


async def test_w7_the_url_gives_nothing_to_anybody(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await connect(storage, "b", "page-2")
    assert await storage.intake.keep(arrival(change(), narrow_to="b")) == Kept(orphaned=1)
    assert await _claimed(storage, "b") == []


async def test_w7b_an_app_that_an_org_brought_counts_for_its_own_integration_only(
    storage: SqlStorage,
) -> None:
    await connect(storage, "a", "page-1", app_id="brought by a")
    await connect(storage, "b", "page-2")
    forged = arrival(change("1", "page-2"), change("2", "page-1"), app_id="brought by a")
    assert await storage.intake.keep(forged) == Kept(stored=1, orphaned=1)
    assert await _claimed(storage, "b") == []


@attrs.frozen
class _World:
    """Who holds which channels how, and a delivery."""

    channels: dict[tuple[str, str], bool]  # (org, channel) -> selected
    integrations: dict[str, tuple[IntegrationStatus, str]]  # org -> status, app
    deliveries: list[tuple[list[tuple[str, ...]], str | None, str]]  # owner keys of changes, narrow_to, app

    def owners(self, owner_keys: tuple[str, ...], narrow_to: str | None, app_id: str) -> set[str]:
        """The rule, said the slow way."""
        for key in owner_keys:
            holders = {
                org_id
                for (org_id, channel_id), selected in self.channels.items()
                if channel_id == key
                and selected
                and self.integrations[org_id][0] is not IntegrationStatus.INACTIVE
                and self.integrations[org_id][1] == app_id
            }
            if holders:
                return {org_id for org_id in holders if narrow_to in (None, org_id)}
        return set()


_ORGS, _PAGES, _APPS = ("a", "b", "c"), ("1", "2", "3", "ü'%"), ("app", "app 2")
_WORLDS = st.builds(
    _World,
    channels=st.dictionaries(st.tuples(st.sampled_from(_ORGS), st.sampled_from(_PAGES)), st.booleans()),
    integrations=st.fixed_dictionaries(
        {org: st.tuples(st.sampled_from(IntegrationStatus), st.sampled_from(_APPS)) for org in _ORGS}
    ),
    deliveries=st.lists(
        st.tuples(
            st.lists(st.lists(st.sampled_from(_PAGES), max_size=3).map(tuple), max_size=4),
            st.sampled_from([None, *_ORGS, "x"]),
            st.sampled_from(_APPS),
        ),
        max_size=4,
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(world=_WORLDS)
async def test_w7_whatever_the_ownership_every_change_reaches_its_owners_and_nobody_else(
    fresh_storage: Fresh, world: _World
) -> None:
    async with fresh_storage() as storage:
        for org_id, (status, app_id) in world.integrations.items():
            await connect(storage, org_id, status=status, app_id=app_id)
            async with storage.unit_of_work(org_id) as uow:
                await uow.integrations.save_channels(
                    [
                        channel(page, org_id, selected=selected)
                        for (holder, page), selected in world.channels.items()
                        if holder == org_id
                    ]
                )
        expected: Counter[tuple[str, bytes]] = Counter()
        arrivals: list[Arrival] = []
        for number, (changes, narrow_to, app_id) in enumerate(world.deliveries):
            made = []
            for place, owner_keys in enumerate(changes):
                body = f"{number}/{place}".encode()
                made.append(
                    Change(
                        kind="k", owner_keys=owner_keys, business_key=body.decode(), partition="p", body=body
                    )
                )
                for org_id in world.owners(owner_keys, narrow_to, app_id):
                    expected[org_id, body] += 1
            arrivals.append(arrival(*made, narrow_to=narrow_to, app_id=app_id))
        kept = await asyncio.gather(*map(storage.intake.keep, arrivals))
        found = Counter([(org_id, item.body) for org_id in _ORGS for item in await _claimed(storage, org_id)])
        assert found == expected
        assert sum(one.stored for one in kept) == sum(expected.values())


# Groups --------------------------------------------------------------------------------------


async def test_what_arrives_together_is_committed_together(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(storage, "a", "page-1")
    groups: list[int] = []
    plain = Keeping.store

    def counting(self: Keeping, arrivals: list[Arrival]) -> list[Kept]:
        groups.append(sum(len(one.changes) for one in arrivals))
        return plain(self, arrivals)

    monkeypatch.setattr(Keeping, "store", counting)
    await asyncio.gather(*(storage.intake.keep(arrival(change(f"k{n}"))) for n in range(200)))
    await storage.intake.keep(arrival(*(change(f"big {n}") for n in range(PIECE_ROWS))))
    assert max(groups[:-1]) <= GROUP_ROWS
    assert len(groups) <= 6, "five groups of one commit each at most, and the big one alone"
    assert groups[-1] == PIECE_ROWS


async def test_a_delivery_of_many_changes_is_stored_in_pieces_with_others_between_them(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(storage, "a", "page-1")
    pieces: list[int] = []
    plain = Keeping.store

    def noting(self: Keeping, arrivals: list[Arrival]) -> list[Kept]:
        pieces.append(max(len(one.changes) for one in arrivals))
        return plain(self, arrivals)

    monkeypatch.setattr(Keeping, "store", noting)
    many = 10 * PIECE_ROWS + 1
    big = arrival(*(change(f"big {n}", "page-1" if n % 2 else "nobody") for n in range(many)))
    answered: list[str] = []

    async def keep(name: str, one: Arrival) -> Kept:
        kept = await storage.intake.keep(one)
        answered.append(name)
        return kept

    whole, _ = await asyncio.gather(keep("big", big), keep("small", arrival(change("small"))))
    assert answered == ["small", "big"]
    assert whole == Kept(stored=many // 2, orphaned=many - many // 2)
    assert max(pieces) <= PIECE_ROWS
    assert [await _count(storage, table) for table in (INBOX, QUARANTINE)] == [
        many // 2 + 1,
        many - many // 2,
    ]


async def test_a_delivery_that_fails_between_its_pieces_is_refused_and_is_whole_after_the_next_try(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(storage, "a", "page-1")
    plain, pieces = Keeping.store, iter(range(9))

    def failing(self: Keeping, arrivals: list[Arrival]) -> list[Kept]:
        if next(pieces) == 1:
            raise RuntimeError
        return plain(self, arrivals)

    big = arrival(*(change(f"big {n}") for n in range(3 * PIECE_ROWS)))
    monkeypatch.setattr(Keeping, "store", failing)
    with pytest.raises(UnavailableError):
        await storage.intake.keep(big)
    assert await storage.intake.keep(big) == Kept(stored=2 * PIECE_ROWS, duplicates=PIECE_ROWS)
    assert len(await _claimed(storage, "a")) == 3 * PIECE_ROWS


async def test_one_bad_delivery_takes_nobody_with_it(storage: SqlStorage) -> None:
    """An org whose keys are gone must not keep the others from being acknowledged."""
    await connect(storage, "a", "page-a")
    await connect(storage, "b", "page-b")
    spoil = sa.update(ORG_KEY).where(ORG_KEY.c.org_id == "b").values(wrapped=bytes(60))
    await storage.database.write_at_once(lambda connection: connection.execute(spoil).rowcount)
    storage.cipher.forget()
    results = await asyncio.gather(
        *(storage.intake.keep(arrival(change(f"k{n}", f"page-{'ab'[n % 2]}"))) for n in range(10)),
        return_exceptions=True,
    )
    assert results[0::2] == [Kept(stored=1)] * 5
    assert all(isinstance(one, UnavailableError) for one in results[1::2])


async def test_a_refused_delivery_left_nothing_behind(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(storage, "a", "page-1")

    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(SqliteRows, "nudge", fail)
        patched.setattr(PostgresRows, "nudge", fail)
        with pytest.raises(UnavailableError):
            await storage.intake.keep(arrival(change("1"), change("2", "nobody")))
    assert [await _count(storage, table) for table in (INBOX, QUARANTINE)] == [0, 0]
    assert await storage.database.read_at_once(_line) == set()
    assert await storage.intake.keep(arrival(change("1"), change("2", "nobody"))) == Kept(
        stored=1, orphaned=1
    )


async def test_a_sender_that_goes_away_disturbs_nobody(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    tasks = [asyncio.create_task(storage.intake.keep(arrival(change(f"k{n}")))) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [Kept(stored=1)] * 25
    assert await storage.intake.keep(arrival(change("k1"))) == Kept(duplicates=1)


async def test_closing_waits_for_what_is_being_written(open_storage: Opener, tmp_path: Path) -> None:
    storage = await open_storage(tmp_path / "m.db")
    await connect(storage, "a", "page-1")
    tasks = [asyncio.create_task(storage.intake.keep(arrival(change(f"k{n}")))) for n in range(200)]
    await asyncio.sleep(0.001)
    await storage.aclose()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    stored = sum(isinstance(one, Kept) for one in results)
    again = await open_storage(tmp_path / "m.db")
    assert await _count(again, INBOX) == stored
    assert all(isinstance(one, Kept | UnavailableError) for one in results)


async def test_each_new_row_nudges_its_group_and_a_double_nudges_nobody(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await storage.intake.keep(arrival(change("1", partition="p"), change("2", partition="q")))
    await storage.intake.keep(arrival(change("1", partition="p")))
    groups = {f"a:{bucket_of('p')}", f"a:{bucket_of('q')}"}
    assert await storage.database.read_at_once(_line) == {("inbox", group, "a", 1) for group in groups}


def _line(connection: sa.Connection) -> set[tuple[str, str, str, int]]:
    """(queue, group, org, how often it was nudged) of who stands in line."""
    statement: sa.Executable = sa.select(JOB.c.queue, JOB.c.group_key, JOB.c.org_id, JOB.c.version)
    if connection.dialect.name == "postgresql":
        statement = sa.text(
            "SELECT entrypoint, convert_from(payload, 'UTF8'), headers->>'org', (headers->>'nudges')::int"
            " FROM jobs.pgqueuer"
        )
    return {(row[0], row[1], row[2], row[3]) for row in connection.execute(statement)}


async def test_a_delivery_with_more_owner_keys_than_sqlite_has_parameters_is_kept(
    storage: SqlStorage,
) -> None:
    await connect(storage, "a", "page-1")
    many = [change(f"k{n}", *(f"{n}-{m}" for m in range(50)), "page-1") for n in range(1000)]
    assert await storage.intake.keep(arrival(*many)) == Kept(stored=1000)


async def test_text_that_no_database_takes_gets_in(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    odd = Change(
        kind="k\ud800\0",
        owner_keys=("\ud800", "page-1"),
        business_key="\udfff\0",
        partition="\ud800",
        body=b"\0",
    )
    assert await storage.intake.keep(arrival(odd)) == Kept(stored=1)
    assert await storage.intake.keep(arrival(odd)) == Kept(duplicates=1)
    (item,) = await _claimed(storage, "a")
    assert (item.partition, item.body) == ("\ud800", b"\0")
    assert await storage.intake.keep(arrival(change("x", "\ud800"))) == Kept(orphaned=1)
