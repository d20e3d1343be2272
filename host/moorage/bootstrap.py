"""Puts the host together: the only module that names adapters."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import structlog

from moorage.apps import OrgApps
from moorage.services import Services
from moorage.settings import CannotStartError, Settings
from moorage.vendors import Vendors
from moorage.workers import register_workers
from moorage_adapters.cipher import Keyring, KeyringError
from moorage_adapters.clock import SystemClock
from moorage_adapters.http import HttpxClient
from moorage_adapters.jobs import EmbeddedJobs
from moorage_adapters.keyring_file import add_primary_key
from moorage_adapters.safe_http import Rules, SafeDoor
from moorage_adapters.sqlmodel.database import UnsafeDatabaseError
from moorage_adapters.sqlmodel.governor import SqlGovernors
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.clock import Clock
from moorage_ports.jobs import Jobs
from moorage_ports.secret_store import SealError

log = structlog.get_logger(__name__)

_IO_ERROR = 74  # EX_IOERR of sysexits.h


@attrs.frozen(kw_only=True)
class RotatedKeys:
    """What a rotation came to; `is_new`: the primary key was made by it. `old` ones wrap nothing here now."""

    primary: str
    is_new: bool
    rewrapped: int
    old: tuple[str, ...]


@asynccontextmanager
async def assembled(
    settings: Settings, vendors: Vendors, *, clock: Clock | None = None
) -> AsyncIterator[Services]:
    """The host, open and with its workers registered, for as long as the block lasts. Nothing runs yet.

    Raises:
        CannotStartError: There is no fit keyring (nothing is ever stored in the clear), or the database
            cannot promise durability.
        UnavailableError: The database is out of reach, or its schema is not current (run `moorage migrate`).
    """
    clock = clock or SystemClock()
    try:
        keyring = Keyring.load(settings.keyring_file)
        storage = await SqlStorage.open(settings.database_url, keyring, clock, on_fatal=_give_up)
    except (KeyringError, UnsafeDatabaseError) as unfit:
        raise CannotStartError(str(unfit)) from unfit
    http = HttpxClient()
    door = SafeDoor(Rules(opened=settings.outgoing_networks()))
    try:
        await storage.ping()
        services = Services(
            settings=settings,
            storage=storage,
            jobs=_jobs(settings, storage, clock),
            http=http,
            door=door,
            clock=clock,
            vendors=vendors,
            apps=OrgApps(settings, vendors, storage, clock),
            governors=SqlGovernors(storage.database, clock),
        )
        register_workers(services)
        try:
            yield services
        finally:
            await services.background.drain()
            await services.calls.write(storage)
    finally:
        await door.aclose()
        await http.aclose()
        await storage.aclose()


def _jobs(settings: Settings, storage: SqlStorage, clock: Clock) -> Jobs:
    """On PostgreSQL jobs of any number of processes, on SQLite those of this one."""
    database = storage.database
    if not isinstance(database, PostgresDatabase):
        return EmbeddedJobs(storage, clock)
    # Imported here: on SQLite pgqueuer would only cost half a second of every start.
    from moorage_adapters.jobs_pgqueuer import PgQueuerJobs  # noqa: PLC0415

    return PgQueuerJobs(database, settings.database_url, clock)


async def migrate(settings: Settings) -> str:
    """Bring the database to the newest version of its schema; answers that version.

    Raises:
        CannotStartError: The URL names no database.
        UnavailableError: It cannot be opened or written.
    """
    from moorage_adapters.sqlmodel.migrate import upgrade  # noqa: PLC0415 - a tenth of every start

    try:
        owner = settings.database_owner_url
        return await upgrade(owner or settings.database_url, app_url=settings.database_url if owner else "")
    except UnsafeDatabaseError as unfit:
        raise CannotStartError(str(unfit)) from unfit


def create_keyring(path: Path) -> None:
    """Make a keyring with one fresh key.

    Raises:
        CannotStartError: Something is there already; it is left alone.
    """
    try:
        Keyring.create(path)
    except KeyringError as unfit:
        raise CannotStartError(str(unfit)) from unfit


def add_key(settings: Settings) -> str:
    """Give the keyring's file a fresh primary key, and change nothing else; answers its id.

    Raises:
        CannotStartError: The keyring is unfit or cannot be replaced.
    """
    try:
        return add_primary_key(settings.keyring_file).primary
    except KeyringError as unfit:
        raise CannotStartError(str(unfit)) from unfit


async def rotate_keys(settings: Settings, progress: Callable[[int, int], None]) -> RotatedKeys:
    """Give the keyring a fresh primary key and have it wrap every data key, while the host works.

    What an earlier one left unfinished is finished first, with the key that is there for it. `progress` is
    told how many data keys are done, of how many.

    Raises:
        CannotStartError: The keyring is unfit or cannot be replaced, or a key is missing in it.
        UnavailableError: The database is out of reach; what is left is done the next time.
    """
    try:
        keyring = Keyring.load(settings.keyring_file)
        storage = await SqlStorage.open(settings.database_url, keyring, SystemClock())
    except (KeyringError, UnsafeDatabaseError) as unfit:
        raise CannotStartError(str(unfit)) from unfit
    try:
        await storage.ping()
        counts = await storage.keys_by_kek()
        is_new = set(counts) <= {keyring.primary}
        if is_new:
            keyring = storage.cipher.keyring = add_primary_key(settings.keyring_file)
        total = sum(count for kek_id, count in counts.items() if kek_id != keyring.primary)
        done = await storage.rewrap_keys(lambda done: progress(done, total))
    except KeyringError as unfit:
        raise CannotStartError(str(unfit)) from unfit
    except SealError as missing:
        msg = "a data key does not open: the keyring lacks the key that wraps it; put it back, then go on"
        raise CannotStartError(msg) from missing
    finally:
        await storage.aclose()
    old = tuple(key_id for key_id in keyring.fingerprints() if key_id != keyring.primary)
    return RotatedKeys(primary=keyring.primary, is_new=is_new, rewrapped=done, old=old)


def _give_up() -> None:
    """The disk broke a promise: whatever we would say now could be wrong. The next process recovers."""
    log.critical("storage_broke_its_promise")
    os._exit(_IO_ERROR)
