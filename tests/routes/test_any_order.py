"""W15: order is not assumed. Any permutation, with repetitions, over any workers, ends in the same state."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from moorage.crm.apply import apply_events
from moorage.inbox_worker import InboxWorker
from moorage_adapters.memory.chatter import Cheer, Remark
from moorage_adapters.memory.letters import Letter, Receipt
from moorage_adapters.memory.news import (
    piece_about_cheer,
    piece_about_letter,
    piece_about_receipt,
    piece_about_remark,
    piece_of_news,
    signed,
)
from moorage_adapters.memory.things import Note, Person, Slip
from moorage_adapters.memory.webhooks import MemoryWebhooks
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.crm_records import LedgerKeys
from moorage_ports.events import CrmEvent, Event
from moorage_ports.jobs import Nudge
from moorage_ports.webhooks import Change
from tests.support.crm_events import assert_same
from tests.support.crm_records import KINDS, DictRecords
from tests.support.harbour import NOON, Harbour, harbour

ENOUGH = 5
_COURSES: Final = count(1)
STRANGE = ({"what": "closed", "board": CAFE.id}, {"what": "renamed", "board": CAFE.id, "to": "Quay"})


@attrs.frozen
class Course:
    """One way things may come: deliveries of news by number, and how many workers look after each."""

    deliveries: tuple[tuple[int, ...], ...]
    workers: tuple[int, ...]


@st.composite
def courses(draw: st.DrawFn, pieces: int = ENOUGH + len(STRANGE)) -> Course:
    """Every piece of news at least once, in any order and company, some of it again."""
    once = draw(st.permutations(range(pieces)))
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
    await asyncio.gather(*(InboxWorker(host.services).look(nudge) for nudge in nudges * workers))


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


# What people say and do ------------------------------------------------------------------------------


def story(number: int) -> list[dict[str, object]]:
    """A thread with an answer to an answer, second thoughts, things taken back, cheers, and letters.

    Every moment is told by the news itself; only the names differ from one number to the next.
    """
    names = {name: f"remark-{number * 10 + at}" for at, name in enumerate(("top", "answer", "deep", "gone"))}
    bo, cy = Person(id=f"person-{number * 10}", name="Bo"), Person(id=f"person-{number * 10 + 1}", name="Cy")
    note, board = f"note-{number}", CAFE.id

    def remark(name: str, seconds: int, by: Person | None, text: str, **more: Any) -> Remark:
        given: dict[str, Any] = {"made_at": _at(seconds), "told_at": _at(seconds), **more}
        return Remark(id=names[name], note_id=note, board_id=board, by=by, text=text, **given)

    def cheer(seconds: int, face: str) -> dict[str, object]:
        return piece_about_cheer(Cheer(note_id=note, board_id=board, by=cy, face=face, told_at=_at(seconds)))

    top, gone = remark("top", 1, bo, "Frist"), remark("gone", 5, cy, "Secret")
    letter = Letter(
        id=f"letter-{number * 10}",
        board_id=board,
        person=cy,
        is_from_board=False,
        text="Hi",
        written_at=_at(6),
    )
    ours = attrs.evolve(letter, id=f"letter-{number * 10 + 1}", is_from_board=True, written_at=_at(7))
    return [
        piece_about_remark(top),
        piece_about_remark(attrs.evolve(top, text="First", told_at=_at(9)), is_changed=True),
        piece_about_remark(attrs.evolve(top, text="First", is_covered=True, told_at=_at(10))),
        piece_about_remark(remark("answer", 2, None, "Welcome", answers=names["top"])),
        piece_about_remark(remark("deep", 3, cy, "Hello both", answers=names["answer"])),
        piece_about_remark(gone),
        piece_about_remark(attrs.evolve(gone, text="Secret!", told_at=_at(8)), is_changed=True),
        piece_about_remark(attrs.evolve(gone, told_at=_at(7)), is_gone=True),
        cheer(4, "love"),
        cheer(5, ""),
        cheer(6, "wow"),
        piece_about_letter(letter),
        piece_about_letter(ours),
        piece_about_receipt(Receipt(letter=ours, what="opened", at=_at(9))),
        piece_about_receipt(Receipt(letter=ours, what="arrived", at=_at(8))),
    ]


def _at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


STORY: Final = len(story(0))


async def told_in_order(pieces: Sequence[dict[str, object]]) -> DictRecords:
    """What the CRM is when each piece of news comes once, in the order in which it happened."""
    alone, webhooks = DictRecords(), MemoryWebhooks()
    for piece in pieces:
        events = webhooks.events(msgspec.json.encode(piece), NOON)
        await apply_events(alone, [("memory", cast("CrmEvent", event)) for event in events])
    return alone


@pytest.fixture
async def either(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    """The same host, on either database."""
    async with harbour(tmp_path, database_url=database_url) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=courses(STORY))
async def test_the_crm_ends_the_same_in_any_order_over_any_number_of_workers_w15(
    either: Harbour, course: Course
) -> None:
    """Every record, field by field, as if all of it had come once and in order; nothing is left undone."""
    pieces = story(next(_COURSES))
    for delivery, workers in zip(course.deliveries, course.workers, strict=True):
        body = msgspec.json.encode({"news": [pieces[number] for number in delivery]})
        assert (await either.deliver(signed(body, either.world.app.secret))).status_code == 200
        await race(either, workers)
        either.clock.advance(timedelta(seconds=1))
    await either.work()

    expected = (await told_in_order(pieces)).kept
    keys = LedgerKeys(**{kind: set(getattr(expected, kind)) for kind in KINDS})
    async with either.storage.unit_of_work("org-a") as uow:
        assert_same(expected, await uow.crm_records.load(keys))
    _, states = await _kept(either)
    assert set(states) == {"done"}


async def test_what_is_said_below_one_note_is_worked_on_in_order(either: Harbour) -> None:
    """Whatever the number of workers: nobody begins with a later one while an earlier one is not done."""
    begun: list[str] = []

    class Noting(MemoryWebhooks):
        def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
            begun.append(str(msgspec.json.decode(change)["remark"]))
            return super().events(change, received_at)

    vendor = attrs.evolve(either.vendor, webhooks=Noting())
    vendors = attrs.evolve(either.services.vendors, by_slug={vendor.slug: vendor})
    host = Harbour(attrs.evolve(either.services, vendors=vendors), either.storage, either.world, either.clock)
    host.world.notes["note-1"] = Note(
        id="note-1", board_id=CAFE.id, text="Hi", link=None, images=(), pinned_at=NOON
    )
    said = [host.world.say("note-1", f"Number {number}").id for number in range(30)]
    await host.deliver_all()
    await race(host, 3)
    await host.work()
    assert list(dict.fromkeys(begun)) == said
