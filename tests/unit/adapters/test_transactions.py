"""What a transaction is, on either database: whole or nothing, alone, and quiet about what went wrong."""

import asyncio
import logging
import threading
import traceback

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from moorage_adapters.sqlmodel.postgres import POOL
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tenant import among
from moorage_ports.errors import UnavailableError
from moorage_ports.jobs import Nudge
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef
from moorage_ports.storage import UnitOfWork
from tests.unit.adapters.things import VENDOR, lead


async def test_a_unit_of_work_that_only_reads_cannot_write(storage: SqlStorage) -> None:
    async def write() -> None:
        async with storage.unit_of_work("a", reads_only=True) as uow:
            await uow.leads.add(lead())

    with pytest.raises((sa.exc.OperationalError, UnavailableError), match=r"readonly|25006"):
        await write()
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.leads.get("lead-1") is None


async def test_readers_do_not_wait_for_a_writer_and_see_one_moment(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a", reads_only=True) as reading:
        assert await reading.leads.get("lead-1") is None
        async with storage.unit_of_work("a") as writing:
            await writing.leads.add(lead())
            async with asyncio.timeout(1), storage.unit_of_work("a", reads_only=True) as another:
                assert await another.leads.get("lead-1") is None
        assert await reading.leads.get("lead-1") is None, "still the moment it began at"
    async with storage.unit_of_work("a", reads_only=True) as later:
        assert await later.leads.get("lead-1") is not None


async def test_what_a_cancelled_caller_began_is_undone_and_the_next_one_gets_its_turn(
    storage: SqlStorage,
) -> None:
    entered = asyncio.Event()

    async def hold() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead())
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await entered.wait()
    task.cancel()
    async with asyncio.timeout(2), storage.unit_of_work("a") as uow:
        assert await uow.leads.get("lead-1") is None


async def test_callers_cancelled_at_any_moment_block_nobody(storage: SqlStorage) -> None:
    async def work(number: int) -> None:
        async with storage.unit_of_work("a", reads_only=number % 3 == 0) as uow:
            if number % 3:
                await uow.leads.add(lead(number))
            await uow.leads.get("x")

    for number in range(300):
        task = asyncio.create_task(work(number))
        for _ in range(number % 12):
            await asyncio.sleep(0)
        if number % 5 == 0:
            await asyncio.sleep(0.0003)
        task.cancel()
    async with asyncio.timeout(5):
        for _ in range(2 * POOL):
            await work(1000)
            await work(999)


async def test_after_a_failed_statement_nothing_of_the_unit_is_kept(storage: SqlStorage) -> None:
    async def swallow() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead(1))
            with pytest.raises(IntegrityError):
                await uow.leads.add(lead(2, source=None))
            await uow.leads.add(lead(3))

    with pytest.raises(UnavailableError):
        await swallow()
    async with storage.unit_of_work("a") as uow:
        assert (await uow.leads.page(page=1, page_size=9)).total == 0


async def test_l5_no_error_of_the_database_shows_a_value(storage: SqlStorage) -> None:
    canary = "".join(["can", "ary@customer.example"])  # a traceback shows this line, too

    async def fail() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead(email=canary, source=None))

    with pytest.raises(IntegrityError) as failed:
        await fail()
    told = [str(failed.value), repr(failed.value), str(failed.value.orig)]
    told += traceback.format_exception(failed.value)
    assert canary not in "".join(told)


async def test_l5_sql_is_not_echoed(storage: SqlStorage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with storage.unit_of_work("a") as uow:
        await uow.leads.add(lead(email="canary@customer.example"))
    assert "canary" not in caplog.text


# At once -------------------------------------------------------------------------------------


TOKEN = SecretRef(owner_type="channel", owner_id="page-1", field="token")


async def _names(storage: SqlStorage, *ids: str) -> list[str]:
    async with storage.unit_of_work("a", reads_only=True) as uow:
        return [found.id for one in ids if (found := await uow.leads.get(one)) is not None]


async def test_work_at_once_is_one_unit_of_work_with_its_nudges_and_secrets(storage: SqlStorage) -> None:
    rung: list[str] = []
    storage.bell.listen(lambda: rung.append("bell"))

    async def work(uow: UnitOfWork) -> str:
        await uow.leads.add(lead(1))
        await uow.leads.add(lead(2))
        await uow.jobs.nudge(Nudge(queue="inbox", group="a:0", org_id="a"))
        await uow.secrets(VENDOR).put(TOKEN, Secret("one"))
        return uow.org_id

    assert await storage.at_once("a", work) == "a"
    assert await _names(storage, "lead-1", "lead-2") == ["lead-1", "lead-2"]
    assert rung == ["bell"]
    kept = await storage.secrets("a", VENDOR).get(TOKEN)
    assert kept is not None
    assert kept.value.reveal() == "one"


async def test_work_at_once_that_raises_is_undone_and_the_next_one_gets_its_turn(storage: SqlStorage) -> None:
    async def break_off(uow: UnitOfWork) -> None:
        await uow.leads.add(lead(1))
        raise KeyError

    async def add(uow: UnitOfWork) -> None:
        await uow.leads.add(lead(2))

    with pytest.raises(KeyError):
        await storage.at_once("a", break_off)
    async with asyncio.timeout(2):
        await storage.at_once("a", add)
    assert await _names(storage, "lead-1", "lead-2") == ["lead-2"]


async def test_after_a_failed_statement_nothing_of_work_at_once_is_kept(storage: SqlStorage) -> None:
    """Not even if whoever wrote it caught the error."""

    async def go_on(uow: UnitOfWork) -> None:
        await uow.leads.add(lead(1))
        with pytest.raises(IntegrityError):
            await uow.leads.add(lead(2, source=None))
        await uow.leads.add(lead(3))

    with pytest.raises(UnavailableError):
        await storage.at_once("a", go_on)
    assert await _names(storage, "lead-1", "lead-3") == []


async def test_work_at_once_whose_caller_is_cancelled_is_done_all_the_same(storage: SqlStorage) -> None:
    begun = threading.Event()
    go_on = threading.Event()

    async def work(uow: UnitOfWork) -> None:
        begun.set()
        if storage.database.dialect_name == "sqlite":
            assert go_on.wait(5)
        await uow.leads.add(lead(1))

    task = asyncio.create_task(storage.at_once("a", work))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(2), storage.unit_of_work("a") as uow:
        assert await uow.leads.get("lead-1") is not None


# Lists of values -----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), max_size=40))
def test_a_list_of_any_length_is_one_of_a_few_statements_and_means_the_same(values: list[int]) -> None:
    engine = sa.create_engine("sqlite://")
    numbers = sa.Table("n", sa.MetaData(), sa.Column("n", sa.Integer))
    with engine.begin() as connection:
        numbers.create(connection)
        connection.execute(numbers.insert(), [{"n": n} for n in range(51)])
        found = connection.execute(sa.select(numbers.c.n).where(among(numbers.c.n, values))).scalars().all()
    length = len(among(numbers.c.n, values).right.value)

    assert set(found) == set(values)
    assert length in {0, 1, 2, 4, 8, 16, 32, 64}
    assert length <= 2 * len(values)
