"""How often somebody may guess a password: per account and per address, on the host's own clock."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

WINDOW: Final = timedelta(minutes=15)
PER_ACCOUNT: Final = 8
PER_ADDRESS: Final = 40  # people behind one proxy share an address
_REMEMBERED: Final = 20_000  # keys; the ones unused for longest are forgotten first


class Attempts:
    """Counts sign-ins that have not succeeded within the last quarter of an hour.

    An attempt counts before its password is checked, so that a hundred at once do not all get through; a
    successful one gives its account's count back. Kept in this process: with several, each counts alone.
    """

    def __init__(self) -> None:
        self._recent: OrderedDict[str, deque[datetime]] = OrderedDict()

    def begin(self, email: str, address: str, now: datetime) -> timedelta | None:
        """Count an attempt; answers how long to wait instead, when there were too many."""
        limits = ((_account(email), PER_ACCOUNT), (f"address:{address}", PER_ADDRESS))
        waits = [wait for key, limit in limits if (wait := self._wait(key, limit, now))]
        if waits:
            return max(waits)
        for key, _ in limits:
            self._recent.setdefault(key, deque()).append(now)
            self._recent.move_to_end(key)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return None

    def succeeded(self, email: str, address: str) -> None:
        """Forget the account's attempts and the address's latest: somebody knew the password."""
        self._recent.pop(_account(email), None)
        recent = self._recent.get(f"address:{address}")
        if recent:
            recent.pop()

    def _wait(self, key: str, limit: int, now: datetime) -> timedelta | None:
        recent = self._recent.get(key)
        if recent is None:
            return None
        while recent and recent[0] <= now - WINDOW:
            recent.popleft()
        return recent[-limit] + WINDOW - now if len(recent) >= limit else None


def _account(email: str) -> str:
    """Hashed: whoever reads this process's memory or a debugger's output learns no addresses."""
    return "account:" + sha256(email.strip().casefold().encode(errors="replace")).hexdigest()
