"""Telling workers to look, for sweeps: whoever lost a nudge is told again."""

from collections.abc import Iterable

from moorage_ports.jobs import Nudge
from moorage_ports.storage import Storage


async def nudge_all(storage: Storage, nudges: Iterable[Nudge]) -> None:
    """Leave all of these, each org's in one transaction.

    Raises:
        UnavailableError: The database is out of reach; the next sweep leaves what this one did not.
    """
    by_org: dict[str, list[Nudge]] = {}
    for nudge in nudges:
        by_org.setdefault(nudge.org_id, []).append(nudge)
    for org_id, theirs in by_org.items():
        async with storage.unit_of_work(org_id) as uow:
            await uow.jobs.nudge(*theirs)
