"""W15: order is not assumed. Any permutation, with repetitions, over any workers, ends in the same state."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from moorage.intake import Intaker
from moorage_adapters.memory.news import piece_of_news, signed
from moorage_adapters.memory.things import Slip
from moorage_adapters.memory.webhooks import MemoryWebhooks
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.jobs import Nudge
from moorage_ports.webhooks import Change
from tests.support.harbour import Harbour, harbour

ENOUGH = 5
_COURSES: Final = count(1)
STRANGE = ({"what": "closed", "board": CAFE.id}, {"what": "renamed", "board": CAFE.id, "to": "Quay"})


@attrs.frozen
class Course:
    """One way things may come: deliveries of news by number, and how many workers look after each."""

    deliveries: tuple[tuple[int, ...], ...]
    workers: tuple[int, ...]


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Every piece of news at least once, in any order and company, some of it again."""
    once = draw(st.permutations(range(ENOUGH + len(STRANGE))))
    again = draw(st.lists(st.sampled_from(once), max_size=6))
    rest = list(once) + again
    if draw(st.booleans()):
        rest = draw(st.permutations(rest))
    deliveries = []
    while rest:
        size = draw(st.integers(1, len(rest)))
        deliveries.append(tuple(rest[:size]))
        rest = rest[size:]
    workers = draw(st.lists(st.integers(0, 3), min_size=len(deliveries), max_size=len(deliveries)))
    return Course(tuple(deliveries), tuple(workers))


class Telling(MemoryWebhooks):
    """The memory vendor's, but what it does not know belongs to the board that it names, in order."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return tuple(
            change if change.owner_keys else attrs.evolve(change, owner_keys=(CAFE.id,), partition=CAFE.id)
            for change in super().split(body)
        )


def telling(host: Harbour) -> Harbour:
    vendor = attrs.evolve(host.vendor, webhooks=Telling())
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    services = attrs.evolve(host.services, vendors=vendors)
    return Harbour(services, host.storage, host.world, host.clock)


async def race(host: Harbour, workers: int) -> None:
    """So many workers at every group at once."""
    groups = await host.storage.backlog.pending_groups(host.clock.now())
    nudges = [Nudge(queue="inbox", group=f"{org}:{bucket}", org_id=org) for org, bucket in groups]
    await asyncio.gather(*(Intaker(host.services).look(nudge) for nudge in nudges * workers))


async def end_of(host: Harbour, course: Course) -> tuple[list[tuple[str, str]], list[str]]:
    """The leads that there are now and were not before, by form and answer, and the states of their rows."""
    before, marker = await _kept(host), next(_COURSES)
    slips = [_slip(host, marker * ENOUGH + number) for number in range(ENOUGH)]
    news = [piece_of_news(slip.id, slip.form_id, slip.board_id, slip.handed_in_at) for slip in slips]
    every = [*news, *({**strange, "at": marker} for strange in STRANGE)]
    for delivery, workers in zip(course.deliveries, course.workers, strict=True):
        body = msgspec.json.encode({"news": [every[number] for number in delivery]})
        assert (await host.deliver(signed(body, host.world.app.secret))).status_code == 200
        await race(host, workers)
        host.clock.advance(timedelta(seconds=1))
    await host.work()
    leads, states = await _kept(host)
    return leads[len(before[0]) :], states[len(before[1]) :]


async def _kept(host: Harbour) -> tuple[list[tuple[str, str]], list[str]]:
    """Every lead with its answer, and the state of every row; what came later stands behind."""
    leads = text("SELECT external_id, email FROM lead ORDER BY length(external_id), external_id")
    states = text("SELECT state FROM inbox ORDER BY seq")
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: (
                [(row[0], row[1]) for row in connection.execute(leads)],
                [row[0] for row in connection.execute(states)],
            )
        )


def _slip(host: Harbour, number: int) -> Slip:
    slip = Slip(
        id=f"slip-{1000 + number}",
        form_id=NEWSLETTER.id,
        board_id=CAFE.id,
        answers={"email": (f"{number % ENOUGH}@harbour.example",)},
        handed_in_at=host.clock.now(),
    )
    host.world.slips[slip.id] = slip
    return slip


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    """One for all courses: each brings news of its own."""
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield telling(made)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=courses())
async def test_any_permutation_with_duplicates_ends_in_the_same_state_w15(
    host: Harbour, course: Course
) -> None:
    """One lead for each form, one row for each piece of news, understood or not, all of them done."""
    leads, states = await end_of(host, course)

    assert [email for _, email in leads] == [f"{number}@harbour.example" for number in range(ENOUGH)]
    assert len(dict(leads)) == ENOUGH
    assert states == ["done"] * (ENOUGH + len(STRANGE))
