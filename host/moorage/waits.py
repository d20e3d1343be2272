"""How long to wait before a vendor is asked again: as long as it says, else longer from try to try.

Always spread a little, so that not all come back at once.
"""

import random
from datetime import timedelta
from typing import Final

from moorage_ports.errors import RateLimitError

FIRST_RETRY: Final = timedelta(seconds=5)
LONGEST_RETRY: Final = timedelta(minutes=15)
SHORTEST_WAIT: Final = timedelta(minutes=1)  # after a limit, also one that names no time


def asked_by(limit: RateLimitError) -> timedelta:
    """What the vendor asks for, and a little more."""
    return max(limit.retry_after or SHORTEST_WAIT, SHORTEST_WAIT) * random.uniform(1.0, 1.2)  # noqa: S311


def doubled(tries: int) -> timedelta:
    """After so many tries: 5 seconds after the first, then twice as long each time, up to 15 minutes."""
    wait = min(FIRST_RETRY * (1 << min(max(tries - 1, 0), 10)), LONGEST_RETRY)
    return wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
