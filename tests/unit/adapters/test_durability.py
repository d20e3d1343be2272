"""An acknowledgement stands for an fsynced commit: proven by killing, by tearing and by system calls."""

import asyncio
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.crash_worker import FATAL
from tests.unit.adapters.things import arrival, change, connect

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STRACE = shutil.which("strace")


@attrs.frozen
class Place:
    """A database with one org that owns page-1, and its keyring."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "m.db"

    @property
    def keyring(self) -> Path:
        return self.folder / "keyring.json"

    def command(self, *, first: int = 0, count: int = 200, at_once: int = 8) -> list[str]:
        worker = [sys.executable, "-m", "tests.unit.adapters.crash_worker"]
        return [*worker, str(self.database), str(self.keyring), str(first), str(count), str(at_once)]

    def run(
        self, *command: str, prefix: tuple[str, ...] = (), fail_point: str = ""
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "MOORAGE_FAIL_POINT": fail_point}
        return subprocess.run(
            [*prefix, *command],
            check=False,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    async def open(self) -> SqlStorage:
        return await SqlStorage.open(
            f"sqlite:///{self.database}", Keyring.load(self.keyring), FixedClock(NOON)
        )

    async def kept_of(self, numbers: list[int]) -> dict[str, int]:
        """What sending all of `numbers` again comes to."""
        storage = await self.open()
        kept = await asyncio.gather(*(storage.intake.keep(arrival(change(f"key-{n}"))) for n in numbers))
        await storage.aclose()
        return {
            "stored": sum(one.stored for one in kept),
            "duplicates": sum(one.duplicates for one in kept),
        }

    def integrity(self) -> str:
        connection = sqlite3.connect(self.database)
        try:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        finally:
            connection.close()


@pytest.fixture
async def place(tmp_path: Path, migrated: Path) -> Place:
    made = Place(tmp_path)
    Keyring.create(made.keyring)
    shutil.copyfile(migrated, made.database)
    storage = await made.open()
    await connect(storage, "a", "page-1")
    await storage.aclose()
    return made


def acknowledged(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"^ack (\d+)$", output, re.MULTILINE)]


@pytest.mark.parametrize("point", ["P4", "P4:9", "P5", "P5:9", "P6", "P6:9"])
async def test_d4_killed_at_a_point_of_the_intake_nothing_acknowledged_is_lost_or_doubled(
    place: Place, point: str
) -> None:
    """D3: nothing but starting again is needed."""
    died = place.run(*place.command(), fail_point=point)
    assert died.returncode == -signal.SIGKILL, died.stderr
    acked = acknowledged(died.stdout)
    assert place.integrity() == "ok"
    assert await place.kept_of(acked) == {"stored": 0, "duplicates": len(acked)}
    rest = [number for number in range(200) if number not in acked]
    first, second = await place.kept_of(rest), await place.kept_of(rest)
    assert first["stored"] + first["duplicates"] == len(rest)
    assert second == {"stored": 0, "duplicates": len(rest)}
    if point in {"P4", "P5"}:
        assert (len(acked), first["duplicates"]) == (0, 0), "killed before the first commit"
    if point == "P6":
        assert len(acked) == 0
        assert first["duplicates"] > 0, (
            "committed, but not acknowledged yet: the sender's repetition is a double"
        )


async def test_d3_killed_again_and_again_at_random_nothing_acknowledged_is_lost(place: Place) -> None:
    acked: list[int] = []
    for number in range(6):
        command = place.command(first=number * 100_000, count=100_000, at_once=16)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        await asyncio.sleep(random.uniform(0.02, 0.6))
        process.kill()
        acked += acknowledged(process.communicate()[0])
        assert place.integrity() == "ok"
    assert len(acked) > 100
    assert await place.kept_of(acked) == {"stored": 0, "duplicates": len(acked)}


def _calls(trace: str) -> list[str]:
    """One letter per completed call of interest: w(rite to the log), s(ync of the log), a(cknowledgement)."""
    letters = []
    for line in trace.splitlines():
        if "<unfinished" in line and not line.strip().startswith("write"):
            continue
        if re.search(r'write\(1<.*"ack ', line):
            letters.append("a")
        elif re.search(r"pwrite64.*(-wal>|resumed)", line):
            letters.append("w")
        elif re.search(r"f(data)?sync.*(-wal>\) += 0|resumed>\) += 0)", line):
            letters.append("s")
    return letters


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_w3_every_acknowledgement_follows_a_completed_fsync_of_what_was_written(place: Place) -> None:
    trace = place.folder / "trace"
    prefix = (str(STRACE), "-f", "-y", "-o", str(trace), "-e", "trace=pwrite64,fdatasync,fsync,write")
    done = place.run(*place.command(count=40, at_once=1), prefix=prefix)
    assert done.returncode == 0, done.stderr
    assert len(acknowledged(done.stdout)) == 40
    since_last = "".join(_calls(trace.read_text())).split("a")
    assert len(since_last) == 41
    for before in since_last[:-1]:
        assert "w" in before, "the row was written"
        assert before.rindex("s") > before.rindex("w"), "and synced, before it was acknowledged"


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_w4_after_an_io_error_nothing_is_acknowledged_and_the_process_ends(
    place: Place, call: str
) -> None:
    trace = place.folder / "trace"
    fault = f"inject={call}:error=EIO:when=30+"
    prefix = (str(STRACE), "-f", "-y", "-o", str(trace), "-e", f"trace={call},write", "-e", fault)
    died = place.run(*place.command(count=2000, at_once=4), prefix=prefix)
    assert died.returncode == FATAL, (died.returncode, died.stderr)
    acked = acknowledged(died.stdout)
    assert 0 < len(acked) < 2000
    after_failure = trace.read_text().split("EIO", 1)[1]
    assert not re.search(r'write\(1<.*"ack ', after_failure)
    assert place.integrity() == "ok"
    assert await place.kept_of(acked) == {"stored": 0, "duplicates": len(acked)}


async def test_w4_a_file_system_that_is_full_refuses_and_heals(place: Place, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        shutil.copyfile(place.database, small / "m.db")
        shutil.copy2(place.keyring, small / "keyring.json")
        full = Place(small)
        ballast = small / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        process = subprocess.Popen(
            full.command(count=4000, at_once=8), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("refused")):
            lines.append(process.stdout.readline())
            assert lines[-1], "it must not die of a full disk"
        ballast.unlink()
        while not (lines[-1].startswith("ack") and any(line.startswith("refused") for line in lines[-50:])):
            line = process.stdout.readline()
            if not line:
                break
            lines.append(line)
        process.kill()
        rest = process.communicate()[0]
        acked = acknowledged("".join(lines) + rest)
        first_refusal = next(n for n, line in enumerate(lines) if line.startswith("refused"))
        assert any(line.startswith("ack") for line in lines[first_refusal:]), "it went on by itself"
        assert full.integrity() == "ok"
        for path in small.iterdir():  # what is checked must not run into the limit itself
            shutil.copy2(path, place.folder)
        assert await place.kept_of(acked) == {"stored": 0, "duplicates": len(acked)}
    finally:
        subprocess.run(["umount", str(small)], check=True)


async def test_d7_a_torn_log_opens_and_holds_what_was_synced_before_the_tear(
    place: Place, tmp_path: Path
) -> None:
    storage = await place.open()
    wal = Path(f"{place.database}-wal")
    sizes: list[int] = []  # of the log when delivery n was acknowledged
    for number in range(60):
        await storage.intake.keep(arrival(change(f"key-{number}", body=bytes(700))))
        sizes.append(wal.stat().st_size)
    database, log = place.database.read_bytes(), wal.read_bytes()
    await storage.aclose()
    torn = tmp_path / "torn.db"
    for _ in range(1000):
        cut = random.randrange(len(log) + 1)
        torn.write_bytes(database)
        Path(f"{torn}-wal").write_bytes(log[:cut])
        connection = sqlite3.connect(torn)
        (rows,) = connection.execute("SELECT count(*) FROM inbox").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        connection.close()
        assert rows >= sum(size <= cut for size in sizes)
