"""kill -9 between the answer and the note of it: every message arrives, and a double is known by its id."""

import asyncio
import os
import signal
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

from moorage.handover.delivering import AT_ONCE, BATCH, LEASE
from moorage_ports.outgoing import HandoverState
from tests.unit.handover.conftest import ORG, Quay

ROOT = Path(__file__).parents[3]
WORKER = "tests.support.handover_worker"
COUNT = 40


async def killed(quay: Quay, folder: Path, url: str, point: str) -> None:
    """Have another process deliver until it dies there."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", WORKER, url, str(folder / "keyring.json"), quay.now.isoformat(), ORG, "e1"),
        cwd=ROOT,
        env={**os.environ, "MOORAGE_FAIL_POINT": point},
    )
    assert await asyncio.wait_for(worker.wait(), 60) == -signal.SIGKILL


async def test_every_message_arrives_although_its_worker_was_killed(
    quay: Quay, tmp_path: Path, storage_url: str
) -> None:
    endpoint = await quay.endpoint()
    await quay.tell(*(f"lead-{number}" for number in range(COUNT)))
    await killed(quay, tmp_path, storage_url, "O2:2")  # the second wave has been answered, and not noted
    assert len(quay.receiver.received) == 2 * AT_ONCE
    states = Counter(one.state for one in await quay.handovers())
    assert states == {HandoverState.DELIVERED: AT_ONCE, HandoverState.PENDING: COUNT - AT_ONCE}

    await quay.look()
    assert len(quay.receiver.received) == 2 * AT_ONCE + COUNT - BATCH, (
        "what the dead one had claimed is its own"
    )
    quay.clock.advance(LEASE + timedelta(seconds=1))
    await quay.look_until_done()
    assert {one.state for one in await quay.handovers()} == {HandoverState.DELIVERED}
    told = Counter(quay.receiver.subjects)
    assert set(told) == {f"lead-{number}" for number in range(COUNT)}
    assert sorted(told.values())[-AT_ONCE:] == [2] * AT_ONCE
    assert sum(told.values()) == COUNT + AT_ONCE
    assert len(set(quay.receiver.ids)) == COUNT, "each under its one id"
    for got in quay.receiver.received:
        got.verify(endpoint.secrets[0].value)
