"""Everything that is left of somebody in a database: what stands in its files or tables, and what opens."""

import base64
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from tests.support.harbour import Harbour


def spellings(word: str) -> Iterator[bytes]:
    """The word as it may lie in a file: as it is, in hex, in base64 at any offset, and as UTF-16."""
    raw = word.encode()
    yield raw
    yield raw.hex().encode()
    yield word.encode("utf-16-le")
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        first, last = (offset * 8 + 5) // 6, (len(raw) + offset) * 8 // 6
        yield encoded[first:last]


def found_in(content: bytes, words: Iterable[str]) -> set[str]:
    """Which of the words stand in it, whatever their case where case is kept."""
    folded = content.lower()
    hits = set()
    for word in words:
        for one in spellings(word):
            if one in content or one.lower() in folded:
                hits.add(word)
    return hits


def sqlite_files(path: Path) -> bytes:
    """All bytes of a SQLite database and its journals, after what it does to give space back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(f"{path.name}*")) if part.is_file())


async def postgres_rows(url: str) -> bytes:
    """All rows of all tables as text, as `pg_dump` would write them."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('public', 'jobs')"
        )
        rows = [
            row[0]
            for (table,) in tables
            for row in await connection.fetch(f"SELECT row_text::text FROM {table} AS row_text")  # noqa: S608
        ]
    finally:
        await connection.close()
    return "\n".join(rows).encode()


async def opened(host: Harbour, org_id: str, *, aside: bool = True) -> bytes:
    """Everything sealed of an org that may hold what people said, and what is nobody's, in the clear."""
    parts: list[bytes] = []
    async with host.storage.unit_of_work(org_id, reads_only=True) as uow:
        for copies in (
            await uow.kept_copies.deliveries(after=0, limit=10_000),
            await uow.kept_copies.answers(after=0, limit=10_000),
        ):
            parts += [part for copy in copies for part in (copy.name.encode(), copy.body)]
        leads = (await uow.leads.page(page=1, page_size=500)).items
        parts += [repr([(one.name, one.values) for one in lead.answers]).encode() for lead in leads]
        endpoints = await uow.outgoing.endpoints()
    for copy in await host.storage.aside.some(after="", limit=10_000) if aside else ():
        parts += [copy.name.encode(), copy.body]
    async with host.storage.unit_of_work(org_id) as uow:
        for endpoint in endpoints:
            now = host.clock.now()
            parcels = await uow.outgoing.claim(endpoint.id, limit=1000, now=now, lease_until=now)
            parts += [parcel.payload for parcel in parcels]
    return b"\n".join(parts)
