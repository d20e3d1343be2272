"""An organisation leaves: everything that is its own is deleted, a transaction's worth at a time."""

from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from moorage_ports.storage import Storage

log = structlog.get_logger(__name__)


async def forget_org(
    storage: Storage, org_id: str, progress: Callable[[int], None] = lambda _: None
) -> Mapping[str, int]:
    """Delete all rows of an org, its keys last; answers how many of which table. Interrupted, it goes on.

    `progress` is told how many are gone, again and again.

    Raises:
        UnavailableError: The database is out of reach; what is left goes when it is called again.
    """
    removed: Counter[str] = Counter()
    while some := await storage.offboarding.remove_some(org_id):
        removed.update(some)
        progress(removed.total())
    storage.forget_keys(org_id)
    await storage.compact_search()
    log.warning("org_forgotten", org=org_id, rows=removed.total())
    return dict(removed)
