"""A9 when the database goes away in the middle of a commit: nobody knows what is written; it is posted once.

Each fate below is of one writing unit of work, in the order in which a call makes them: the claim of the key,
the publication, the note that it is being sent, what became of it, the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs
import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from moorage.crm.merge import direct_id_of
from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.world import ADA, CAFE
from moorage_ports.errors import CommitUnknownError, UnavailableError
from moorage_ports.operations import PublicationStatus
from moorage_ports.storage import UnitOfWork
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, Harbour, harbour

WELL: Final = "well"
WRITTEN: Final = "written, and the answer lost"
NOT_WRITTEN: Final = "not written, and the answer lost"
LIED: Final = "written, and told as not written"
OUT_OF_REACH: Final = "out of reach"
A_WHILE: Final = timedelta(seconds=70)  # more than a lease, and than anybody waits


@attrs.define
class _Fates:
    """Decides what becomes of the next writing units of work; everything is well afterwards."""

    real: Callable[..., AbstractAsyncContextManager[UnitOfWork]]
    next: list[str] = attrs.field(factory=list)

    @asynccontextmanager
    async def unit_of_work(self, org_id: str, *, reads_only: bool = False) -> AsyncIterator[UnitOfWork]:
        fate = self.next.pop(0) if self.next and not reads_only else WELL
        if fate == OUT_OF_REACH:
            raise UnavailableError("out of reach")
        async with self.real(org_id, reads_only=reads_only) as uow:
            yield uow
            if fate == NOT_WRITTEN:
                raise CommitUnknownError("gone while committing")  # which rolls it back
        if fate == WRITTEN:
            raise CommitUnknownError("gone while committing")
        if fate == LIED:
            raise UnavailableError("nothing was written")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


@pytest.fixture
def fates(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> _Fates:
    made = _Fates(host.storage.unit_of_work)
    monkeypatch.setattr(host.storage, "unit_of_work", made.unit_of_work)
    return made


async def publish(host: Harbour, text: str = "Fresh scones") -> httpx.Response:
    headers = headers_of(host) | {"idempotency-key": f"key-of-{text.replace(' ', '-')}"}
    body = {"board": CAFE.id, "text": text}
    return await host.http.post("/upstream/call/memory-provider/publish", json=body, headers=headers)


async def run_jobs(host: Harbour) -> None:
    """What the workers do with every publication until all are settled, however long they look for a post."""
    for looks in range(30):
        host.clock.advance(A_WHILE * 2 ** min(max(looks - 3, 0), 6))
        async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
            unsettled = await uow.publications.unsettled(before=host.clock.now())
        if not unsettled and looks >= 3:
            return
        for publication in unsettled:
            await host.look_for(publication.id)
    msg = "a publication is never settled"
    raise AssertionError(msg)


def posted(host: Harbour, text: str = "Fresh scones") -> int:
    return sum(note.text == text for note in host.world.notes.values())


@pytest.mark.parametrize("fate", [WRITTEN, NOT_WRITTEN])
@pytest.mark.parametrize("which", range(5))
async def test_a9_a_commit_whose_answer_is_lost_is_made_sure_of(
    host: Harbour, fates: _Fates, which: int, fate: str
) -> None:
    """A9: the database is there again at once: the caller notices nothing."""
    fates.next = [WELL] * which + [fate]

    first = await publish(host)
    again = await publish(host)
    await run_jobs(host)

    assert not fates.next
    assert first.status_code in {200, 202}, first.text
    assert again.json()["id"] == first.json()["id"]
    assert (await publish(host)).json()["id"] == first.json()["id"]
    assert posted(host) == 1


async def test_a9_a_publication_that_nobody_knows_of_is_told_as_unknown_and_posted_once(
    host: Harbour, fates: _Fates
) -> None:
    """A9: it was written, and neither that nor anything else can be asked for a while."""
    fates.next = [WELL, WRITTEN, OUT_OF_REACH, OUT_OF_REACH]

    first = await publish(host)
    at_once = await publish(host)
    host.clock.advance(timedelta(seconds=25))
    later = await publish(host)
    await run_jobs(host)
    in_the_end = await publish(host)

    assert (first.status_code, first.json()["code"]) == (504, "outcome_unknown")
    assert (at_once.status_code, at_once.json()["code"]) == (409, "conflict")
    assert (later.status_code, later.json()["status"]) == (202, "pending")
    assert (in_the_end.status_code, in_the_end.json()["status"]) == (200, "published")
    assert posted(host) == 1


async def test_a9_a_key_is_kept_for_what_is_there_whatever_was_said(host: Harbour, fates: _Fates) -> None:
    """A9: the record decides, not the error."""
    fates.next = [WELL, LIED]

    first = await publish(host)
    again = await publish(host)
    await run_jobs(host)

    assert (first.status_code, first.json()["code"]) == (503, "unavailable")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (await publish(host)).json()["status"] == "published"
    assert posted(host) == 1


@given(
    st.lists(
        st.lists(st.sampled_from([WELL, WRITTEN, NOT_WRITTEN, LIED, OUT_OF_REACH]), max_size=7),
        min_size=1,
        max_size=3,
    )
)
@example([[WELL, WELL, LIED, WELL, LIED, WELL, LIED]])  # nobody called, and the record says that somebody did
@settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_a9_whatever_the_database_says_a_post_goes_out_at_most_once(
    host: Harbour, fates: _Fates, calls: Sequence[Sequence[str]]
) -> None:
    """A9: the same key again and again over a database in trouble; what is posted is what is written down."""
    text = f"Note {len(host.world.notes)} {host.clock.now().timestamp()}"
    for each in calls:
        fates.next = list(each)
        await publish(host, text)
        host.clock.advance(timedelta(seconds=1))
    fates.next = []
    await asyncio.gather(*host.services.background._tasks)
    await run_jobs(host)
    host.clock.advance(timedelta(minutes=5))  # a claim that nothing came of is over

    await publish(host, text)

    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        made = [each for each in await uow.publications.latest(limit=10) if each.post.text == text]
    published = [each for each in made if each.status is PublicationStatus.PUBLISHED]
    assert made
    assert posted(host, text) == len(published) <= 1
    assert len(published) == 1 or made[0].status is PublicationStatus.FAILED


# Messages -----------------------------------------------------------------------------------------


async def write(host: Harbour, text: str = "From ten to four.") -> httpx.Response:
    headers = headers_of(host) | {"idempotency-key": f"key-of-{text.replace(' ', '-')}"}
    conversation = direct_id_of("memory", CAFE.id, person_from_memory(ADA))
    body = {"conversationId": conversation, "text": text}
    return await host.http.post("/upstream/call/memory-provider/write", json=body, headers=headers)


def sent(host: Harbour, text: str = "From ten to four.") -> int:
    return sum(letter.text == text for letter in host.world.mail.letters.values())


@pytest.fixture
async def ada_waits(host: Harbour) -> None:
    """A person wrote to the café, so it may answer."""
    host.world.write_to(CAFE.id, "Do you open on Sunday?")
    await host.deliver_all()
    await host.work()
    host.clock.advance(timedelta(minutes=1))


@pytest.mark.usefixtures("ada_waits")
@pytest.mark.parametrize("fate", [WRITTEN, NOT_WRITTEN])
@pytest.mark.parametrize("which", range(4))
async def test_a9_a_message_whose_commit_is_not_known_is_made_sure_of(
    host: Harbour, fates: _Fates, which: int, fate: str
) -> None:
    """A9: it is sent, once, and counted once."""
    fates.next = [WELL] * which + [fate]

    first = await write(host)
    again = await write(host)

    assert not fates.next
    assert first.status_code in {200, 202}, first.text
    assert again.json()["id"] == first.json()["id"]
    assert sent(host) == 1
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.messages(again.json()["conversationId"], page=1, page_size=9)
    assert [one.record.text for one in found.items].count("From ten to four.") == 1


@pytest.mark.usefixtures("ada_waits")
async def test_a9_a_message_that_was_told_as_not_sent_keeps_its_key_while_it_stands_there(
    host: Harbour, fates: _Fates
) -> None:
    """A9: the record says that it may be under way, so the same key does not send another."""
    fates.next = [WELL, LIED]

    first = await write(host)
    again = await write(host)
    host.clock.advance(A_WHILE)
    later = await write(host)

    assert (first.status_code, again.status_code) == (503, 409)
    assert (later.status_code, later.json()["state"]) == (202, "pending")
    assert sent(host) == 0
