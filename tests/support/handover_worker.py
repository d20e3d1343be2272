"""A process that delivers to one endpoint and may be killed at any moment.

`python -m tests.support.handover_worker URL KEYRING MOMENT ORG ENDPOINT` looks, at that moment, until nothing
is due. `MOORAGE_FAIL_POINT` says where it dies.
"""

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import cast

import attrs

from moorage.handover.delivering import Deliverer
from moorage.services import Services
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.safe_http import SafeDoor
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.outgoing import outgoing_nudge
from tests.unit.adapters.test_safe_http import LOOPBACK


@attrs.frozen
class Lent:
    """What delivering needs of a host."""

    storage: SqlStorage
    clock: FixedClock
    door: SafeDoor


async def main(url: str, keyring: str, moment: str, org_id: str, endpoint_id: str) -> None:
    """Deliver until nothing is due."""
    clock = FixedClock(datetime.fromisoformat(moment))
    storage = await SqlStorage.open(url, Keyring.load(Path(keyring)), clock)
    door = SafeDoor(LOOPBACK)
    deliverer = Deliverer(cast("Services", Lent(storage, clock, door)))
    while await deliverer.look(outgoing_nudge(org_id, endpoint_id)) is not None:
        pass
    await door.aclose()
    await storage.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
