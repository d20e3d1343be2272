"""V3: a keyring is changed under running processes; its file is whole at every moment, and no key is lost."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage_adapters.cipher import EnvelopeCipher, Keyring, KeyringError
from moorage_adapters.clock import FixedClock
from moorage_adapters.keyring_file import add_primary_key
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SealError, SecretRef

REF = SecretRef(owner_type="channel", owner_id="page-1", field="token")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Keyring.create(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


def test_v3_a_fresh_key_wraps_and_the_old_one_still_opens(path: Path) -> None:
    before = Keyring.load(path)
    wrapped = before.wrap(bytes(range(32)), org_id="a", key_no=1)

    after = add_primary_key(path)

    assert (before.primary, after.primary) == ("k1", "k2")
    assert after.unwrap(wrapped, org_id="a") == bytes(range(32))
    assert Keyring.load(path).fingerprints() == after.fingerprints()
    assert after.fingerprints()["k1"] == before.fingerprints()["k1"]
    assert path.stat().st_mode & 0o777 == 0o400
    assert [one.name for one in path.parent.iterdir()] == ["keyring.json"]


def test_v3_of_two_at_once_neither_loses_its_key(path: Path) -> None:
    """Else everything that was wrapped by the lost one would be lost with it."""
    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(add_primary_key, [path] * 8)]

    last = Keyring.load(path)
    assert sorted(last.fingerprints()) == [f"k{number}" for number in range(1, 10)]
    for one in made:
        assert last.fingerprints()[one.primary] == one.fingerprints()[one.primary]


def test_v3_a_crash_before_the_file_is_replaced_leaves_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(KeyringError, match="No space left"):
        add_primary_key(path)

    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["keyring.json"]


def test_v3_a_keyring_that_is_none_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(KeyringError):
        add_primary_key(tmp_path / "nothing.json")
    with pytest.raises(KeyringError):
        add_primary_key(tmp_path / "no" / "folder.json")


def test_v3_a_running_process_learns_of_a_fresh_key_when_it_meets_it(path: Path) -> None:
    running = EnvelopeCipher(Keyring.load(path))
    other = EnvelopeCipher(add_primary_key(path))
    theirs = other.mint("a")

    opened = running.unwrap("a", theirs)

    assert opened.open(other.unwrap("a", theirs).seal(b"x", "t"), "t") == b"x"
    assert {key.kek_id for key in theirs} == {"k2"}


def test_v3_what_is_minted_is_wrapped_by_the_newest_key_at_once(path: Path) -> None:
    """Else a rotation would be over, and the old key still be needed."""
    running = EnvelopeCipher(Keyring.load(path))
    add_primary_key(path)

    assert {key.kek_id for key in running.mint("a")} == {"k2"}


@pytest.mark.parametrize("becomes", ["gone", "another's", "unfit"])
def test_v3_a_running_process_keeps_its_keys_whatever_becomes_of_the_file(path: Path, becomes: str) -> None:
    """It would lose what it sealed since, and stop."""
    running = EnvelopeCipher(Keyring.load(path))
    wrapped = running.mint("a")
    path.unlink()
    if becomes == "another's":
        Keyring.create(path)
    elif becomes == "unfit":
        path.write_text("{}")

    assert {key.kek_id for key in running.mint("b")} == {"k1"}
    running.unwrap("a", wrapped)
    stranger = Keyring.create(path.with_name("stranger.json")).with_new_primary("k7")
    with pytest.raises(SealError):
        running.unwrap("c", EnvelopeCipher(stranger).mint("c"))


async def test_v3_two_hosts_work_while_the_keys_turn_over(
    storage_url: str, path: Path, clock: FixedClock
) -> None:
    """One rewraps in small steps, the other reads, writes and meets new organisations all the while."""
    host = await SqlStorage.open(storage_url, Keyring.load(path), clock)
    for number in range(60):
        await host.secrets(f"org-{number}", "quay").put(REF, Secret(f"of {number}"))
    is_over = asyncio.Event()

    async def work() -> int:
        number = 0
        while not is_over.is_set() or number < 60:
            host.cipher.forget()  # as if it had just started
            found = await host.secrets(f"org-{number % 60}", "quay").get(REF)
            assert found is not None
            assert found.value.reveal() == f"of {number % 60}"
            await host.secrets(f"new-{number}", "quay").put(REF, Secret(f"new {number}"))
            number += 1
        return number

    working = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    rotating = await SqlStorage.open(storage_url, add_primary_key(path), clock)
    told: list[int] = []
    assert await rotating.rewrap_keys(told.append) >= 120
    is_over.set()
    number = await working

    assert told[-1] >= 120
    assert set(await host.keys_by_kek()) == {"k2"}
    found = await rotating.secrets(f"new-{number - 1}", "quay").get(REF)
    assert found is not None
    assert found.value.reveal() == f"new {number - 1}"
    await rotating.aclose()
    await host.aclose()
