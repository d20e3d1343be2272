"""kill -9 in the middle of a long sync: the next process goes on from the checkpoint, nothing is missing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.oracles.sandbox import PAGE, ServedSandbox
from tests.support.demo import free_port
from tests.support.sandboxes import SandboxProcess, host_plan, served_by
from tests.support.syncing import ORG, SyncingHost

pytestmark = pytest.mark.chaos

POSTS, COMMENTS, REACTIONS = 120, 40, 20
EXPANDED = "GET /{page}/feed"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[ServedSandbox]:
    """A wall with a history, in a process that nobody kills before the end."""
    process = SandboxProcess(folder=tmp_path)
    try:
        served = served_by(process, await process.start())
        with served.client:
            served.control("bulk", posts=POSTS, commentsPerPost=COMMENTS, reactionsPerPost=REACTIONS)
            yield served
    finally:
        await process.stop()


async def test_a_killed_sync_goes_on_from_its_checkpoint(sandbox: ServedSandbox, tmp_path: Path) -> None:
    """S2: of the second piece a part is written, and its checkpoint is not."""
    plan = host_plan(sandbox, tmp_path)
    await plan.seed({ORG: [PAGE]})
    host = SyncingHost(plan=plan, port=free_port())
    try:
        await host.start({"MOORAGE_FAIL_POINT": "S2:20"})
        await host.trigger()
        await host.process.wait_dead()
        died_at = await host.state()

        await host.start()
        state = await host.until_done(deadline=120)
        held = await host.held()
    finally:
        await host.process.kill()

    assert died_at is not None
    assert died_at.is_running
    assert held == {"comments": POSTS * COMMENTS, "reactions": POSTS * REACTIONS}
    assert state.items == POSTS * (COMMENTS + REACTIONS)
    again = asked(sandbox) - (state.calls - 1)  # one call counted the posts
    assert 0 <= again <= 2, f"{again} calls were made twice: it did not go on where it stood"


def asked(sandbox: ServedSandbox) -> int:
    """How often posts were listed."""
    calls = sandbox.client.get("/_sandbox/state", params={"only": "calls"}).json()["calls"]
    return int(calls.get(EXPANDED, 0))
