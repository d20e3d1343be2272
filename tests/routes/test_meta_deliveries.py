"""Every kind of delivery through a whole host, signed: none refused, all kept, the CRM has what they mean."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.deliveries import sample_bodies
from tests.support.listening import RECORDS, ListeningHost, listening_host, owner_keys
from tests.support.mutants import Expected, Mutator
from tests.unit.facebook.fixtures import FIXTURES

OURS = {path.stem: path.read_bytes() for path in sorted(FIXTURES.glob("*.json"))}
SAMPLES = {path.stem: path.read_bytes() for path in sample_bodies()}
MUTANTS = 200


async def deliver_all(host: ListeningHost, bodies: Sequence[bytes]) -> None:
    """Each is answered with 200, and no worker breaks on any."""
    for start in range(0, len(bodies), 32):
        answers = await asyncio.gather(*map(host.deliver, bodies[start : start + 32]))
        assert {answer.status_code for answer in answers} == {200}
    await host.work()
    # Leads are asked for, and nobody answers here; everything else is done.
    states = await host.states()
    assert {state for state, _ in states} <= {"done", "pending"}, states
    assert {error for _, error in states} <= {"", "unavailable"}, states


def expected(bodies: Sequence[bytes], channels: Sequence[str]) -> dict[str, int]:
    """How many rows must be there then."""
    kept = Expected(frozenset(channels))
    for body in bodies:
        kept.add(body)
    return kept.rows


async def test_every_kind_is_kept_and_applied(tmp_path: Path, database_url: str) -> None:
    """All of ours, with an org that owns every channel in them; then all of it again, from behind."""
    bodies = [*OURS.values()]
    channels = owner_keys(bodies)
    async with listening_host(tmp_path, {"org": channels}, database_url=database_url) as host:
        await deliver_all(host, bodies)
        assert await host.count("inbox", "quarantine") == expected(bodies, channels)
        once = await host.count("inbox", *RECORDS)
        assert all(once.values()), once
        await deliver_all(host, bodies[::-1])
        assert await host.count("inbox", *RECORDS) == once


@pytest.mark.skipif(not SAMPLES, reason="the samples are not beside this checkout")
async def test_every_sample_is_kept_and_applied(tmp_path: Path) -> None:
    """What Meta and others show in public: none refused, none broken, only two of them unmapped."""
    bodies = [*SAMPLES.values()]
    channels = owner_keys(bodies)
    async with listening_host(tmp_path, {"org": channels}) as host:
        await deliver_all(host, bodies)
        assert await host.count("inbox", "quarantine") == expected(bodies, channels)
        records = await host.count(*RECORDS)
        assert all(records.values()), records
        assert records["unmapped_kind"] == 2


async def test_mutants_are_kept_and_break_nothing(tmp_path: Path, database_url: str) -> None:
    """Types swapped, parts missing, lone surrogates, NUL, depth: `python -m bench.mutants` sends 50,000."""
    mutator = Mutator.of([*OURS.values()], seed=3)
    bodies = [mutator.mutant() for _ in range(MUTANTS)]
    channels = owner_keys(OURS.values())
    async with listening_host(tmp_path, {"org": channels}, database_url=database_url) as host:
        await deliver_all(host, bodies)
        assert await host.count("inbox", "quarantine") == expected(bodies, channels)
