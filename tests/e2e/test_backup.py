"""D8: a backup of a running host is restored in another place: sealed as before, and the work goes on."""

import base64
import re
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef
from tests.chaos.checker import settled, verdict
from tests.chaos.graph import graph_of_leads
from tests.chaos.load import OWNERS, History, body_of, entry_of
from tests.support.databases import Databases, fresh_database
from tests.support.deliveries import signature
from tests.support.demo import free_port
from tests.support.hosting import HostPlan, HostProcess

CANARY = "canary-7c1f0b8e5d"
REF = SecretRef(owner_type="grant", owner_id="canary", field="token")
LEADS = tuple(f"lead:1000000000000000{number}" for number in range(5))
COMMENT = f'{{"item":"comment","verb":"add","comment_id":"5_1","post_id":"1001_5","message":"{CANARY}"}}'

BackUp = Callable[[Path], Awaitable[tuple[Path, bytes]]]
"""Writes a backup below a folder; answers where it is, and all that can be read in it."""


async def test_a_backup_of_sqlite_is_restored_elsewhere_d8(tmp_path: Path) -> None:
    """D8: SQLite's own backup, taken while the host takes deliveries in."""
    source = tmp_path / "here" / "moorage.sqlite3"

    async def back_up(folder: Path) -> tuple[Path, bytes]:
        backup = folder / "backup.sqlite3"
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(backup)) as copy:
            live.backup(copy)
        return backup, backup.read_bytes()

    async def restore(backup: Path, folder: Path) -> str:
        shutil.copyfile(backup, folder / "moorage.sqlite3")
        return f"sqlite:///{folder / 'moorage.sqlite3'}"

    await _survives(tmp_path, f"sqlite:///{source}", back_up, restore)


@pytest.mark.postgres
async def test_a_dump_of_postgresql_is_restored_elsewhere_d8(tmp_path: Path, databases: Databases) -> None:
    """D8: `pg_dump` as the role that the page makes, and `pg_restore` into a database that was empty."""
    async with fresh_database(databases) as url, _reader(databases, url, "BYPASSRLS") as reader:

        async def back_up(folder: Path) -> tuple[Path, bytes]:
            backup = folder / "backup.dump"
            _run(databases, "pg_dump", "--format=custom", f"--file={backup}", reader)
            plain = _run(databases, "pg_dump", "--format=plain", reader)
            return backup, plain

        async def restore(backup: Path, folder: Path) -> str:
            there = await databases.empty()
            _run(databases, "pg_restore", "--exit-on-error", f"--dbname={there}", str(backup))
            return there

        await _survives(tmp_path, url, back_up, restore)


@pytest.mark.postgres
async def test_whoever_does_not_see_all_rows_gets_no_backup_with_holes_d8(databases: Databases) -> None:
    """D8: what row-level security hides is missed at once, not after the restore."""
    async with fresh_database(databases) as url, _reader(databases, url, "NOBYPASSRLS") as reader:
        done = _ran(databases, "pg_dump", "--format=custom", reader)
    assert done.returncode != 0
    assert b"row-level security" in done.stderr


@asynccontextmanager
async def _reader(databases: Databases, url: str, right: str) -> AsyncIterator[str]:
    """The URL for a login that may read everything, and has this right."""
    name = f"backup_{secrets.token_hex(4)}"
    await databases.execute(f"CREATE ROLE {name} LOGIN {right} IN ROLE pg_read_all_data")
    try:
        yield re.sub(r"//[^@]*@", f"//{name}@", url)
    finally:
        await databases.execute(f"DROP ROLE {name}")


def _run(databases: Databases, program: str, *arguments: str) -> bytes:
    """What a program of the server's says, which succeeds."""
    done = _ran(databases, program, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _ran(databases: Databases, program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """A program of the server's own version, if we know where those are."""
    binaries = databases.cluster.binaries
    beside = (binaries / "initdb").resolve().with_name(program) if binaries else None
    path = beside if beside and beside.exists() else program
    return subprocess.run([str(path), *arguments], capture_output=True, check=False)


async def _survives(
    tmp_path: Path, url: str, back_up: BackUp, restore: Callable[[Path, Path], Awaitable[str]]
) -> None:
    """Take in, back up, lose the place, restore elsewhere, work on what was taken in."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    history = History(sent=dict.fromkeys(LEADS, ("1001", True)), acked=set(LEADS))
    async with graph_of_leads(free_port()) as graph_url:
        plan = HostPlan(folder=here, database_url=url, graph_url=graph_url)
        await plan.seed(OWNERS)
        await _keep_a_secret(plan)
        host = HostProcess(plan=plan, port=free_port(), arguments=("serve", "--no-jobs"))
        try:
            await host.start()
            await host.ready()
            await _take_in(plan, host)
            backup, readable = await back_up(tmp_path)
        finally:
            await host.kill()
        for shape in _shapes(CANARY):
            assert shape not in readable
        keyring = plan.keyring_file.read_bytes()
        shutil.rmtree(here)

        (there / "keyring.json").write_bytes(keyring)  # kept elsewhere than the backup
        (there / "keyring.json").chmod(0o400)
        new = HostPlan(
            folder=there,
            database_url=await restore(backup, there),
            graph_url=graph_url,
            app_secret=plan.app_secret,
        )
        await _goes_on(new, history)


async def _keep_a_secret(plan: HostPlan) -> None:
    storage = await plan.storage()
    await storage.secrets("org-a", "facebook").put(REF, Secret(CANARY))
    await storage.aclose()


async def _take_in(plan: HostPlan, host: HostProcess) -> None:
    """Deliveries that nobody works on yet; one has the canary in it."""
    comment = f'{{"id":"1001","time":1764000000,"changes":[{{"field":"feed","value":{COMMENT}}}]}}'
    async with httpx.AsyncClient(trust_env=False) as http:
        for body in (body_of([entry_of(key, "1001") for key in LEADS]), body_of([comment])):
            answer = await http.post(
                f"http://127.0.0.1:{host.port}/connect/webhook/facebook",
                content=body,
                headers={"x-hub-signature-256": signature(body, plan.app_secret)},
            )
            assert answer.status_code == 200


async def _goes_on(plan: HostPlan, history: History) -> None:
    """The restored host starts, works on what was taken in before, and opens what was sealed."""
    host = HostProcess(plan=plan, port=free_port())
    storage = await plan.storage()
    try:
        await host.start()
        await host.ready()
        await settled(storage, deadline=30)
        found = await verdict(storage, history)
        secret = await storage.secrets("org-a", "facebook").get(REF)
    finally:
        await host.kill()
        await storage.aclose()
    assert (found.lost, found.leads, found.leads_lost, found.left_over, found.dead) == (
        0,
        len(LEADS),
        0,
        0,
        0,
    )
    assert secret is not None
    assert secret.value.reveal() == CANARY


def _shapes(canary: str) -> list[bytes]:
    """How it could stand in a file: as it is, in hex, in base64 at each of its three phases, in UTF-16."""
    raw = canary.encode()
    phases = [base64.b64encode(b"\0" * phase + raw)[4:-4] for phase in range(3)]
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), canary.encode("utf-16-le"), *phases]


async def test_the_scan_would_find_it_d8(tmp_path: Path) -> None:
    """A canary that is planted in a table in the clear is found, whichever way it is written."""
    for text in (CANARY, CANARY.encode().hex(), base64.b64encode(f"x{CANARY}".encode()).decode()):
        with closing(sqlite3.connect(tmp_path / "planted.sqlite3")) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS planted (text)")
            connection.execute("DELETE FROM planted")
            connection.execute("INSERT INTO planted VALUES (?)", (text,))
        found = (tmp_path / "planted.sqlite3").read_bytes()
        assert any(shape in found for shape in _shapes(CANARY)), text
