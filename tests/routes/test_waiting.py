"""W20: how much waits, for how long already, and since when nothing was heard."""

from collections.abc import AsyncIterator
from datetime import timedelta
from math import isnan
from pathlib import Path
from typing import Any

import attrs
import pytest

from moorage.metrics import LAST_HEARD
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.errors import UnavailableError
from tests.support.harbour import ADMIN, Harbour, harbour

OLDEST = "moorage_inbox_oldest_pending_seconds"
PENDING = "moorage_inbox_pending"
SILENCE = 'moorage_seconds_since_delivery{vendor="memory"}'


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    LAST_HEARD.clear()
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        services = attrs.evolve(
            made.services, settings=attrs.evolve(made.services.settings, open_metrics=True)
        )
        yield Harbour(services, made.storage, made.world, made.clock)


async def metrics(host: Harbour) -> dict[str, float]:
    answer = await host.http.get("/metrics")
    assert answer.status_code == 200
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def hand_in(host: Harbour) -> None:
    host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await host.deliver_all()


async def test_the_age_of_the_oldest_grows_with_the_clock_and_falls_to_nothing_w20(host: Harbour) -> None:
    assert (await metrics(host))[OLDEST] == 0
    await hand_in(host)
    host.clock.advance(timedelta(minutes=4))
    await hand_in(host)
    host.clock.advance(timedelta(minutes=1))
    found = await metrics(host)
    assert (found[OLDEST], found[PENDING]) == (300, 2)

    await host.work()
    found = await metrics(host)
    assert (found[OLDEST], found[PENDING]) == (0, 0)


async def test_what_waits_for_a_retry_waits_w20(host: Harbour) -> None:
    """Throttled ones included: an alarm that leaves them out is silent in the worst hour."""
    host.world.limit(timedelta(hours=2))
    await hand_in(host)
    await host.work()
    host.clock.advance(timedelta(hours=1))
    assert await host.storage.backlog.pending_groups(host.clock.now()) == [], "nobody may work on it yet"
    found = await metrics(host)
    assert (found[OLDEST], found[PENDING]) == (3600, 1)


async def test_every_org_counts_w20(host: Harbour) -> None:
    other = attrs.evolve(ADMIN, org_id="org-b", user_id="user-2")
    await host.connect(other)
    await host.select(CAFE.id, caller=other)
    await hand_in(host)
    assert (await metrics(host))[PENDING] == 2


async def test_silence_grows_until_the_next_delivery_w20(host: Harbour) -> None:
    host.app  # noqa: B018 - the app starts now
    host.clock.advance(timedelta(minutes=30))
    assert (await metrics(host))[SILENCE] == 1800, "since the start, when nothing was ever heard"
    await hand_in(host)
    assert (await metrics(host))[SILENCE] == 0
    host.clock.advance(timedelta(minutes=5))
    await host.http.post("/connect/webhook/memory", content=b"{}")
    assert (await metrics(host))[SILENCE] == 300, "what nobody signed is no sign of life"


async def test_readiness_does_not_depend_on_what_waits_w20(host: Harbour) -> None:
    """Taking the host out of service would only make the queue longer."""
    await hand_in(host)
    host.clock.advance(timedelta(days=1))
    assert (await host.http.get("/readyz")).status_code == 200


async def test_without_its_database_the_host_still_shows_its_counters_w20(host: Harbour) -> None:
    services = attrs.evolve(host.services, storage=_Away(host.storage))
    away = Harbour(services, host.storage, host.world, host.clock)
    found = await metrics(away)
    assert isnan(found[OLDEST])
    assert isnan(found[PENDING])


class _Away:
    """Storage whose database is out of reach."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @property
    def backlog(self) -> "_Away":
        return self

    async def pending_count(self) -> int:
        msg = "away"
        raise UnavailableError(msg)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
