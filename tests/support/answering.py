"""A whole host that answers people, and what tests of that ask of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from moorage.crm.merge import direct_id_of
from moorage.operations import outgoing
from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.world import ADA, BOOKS, CAFE
from moorage_ports.conversations import Message
from moorage_ports.crm_records import ConversationRecord
from moorage_ports.operations import Role
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, Harbour, harbour

CALL, REHEARSE = "/upstream/call/memory-provider", "/upstream/test/memory-provider"
TALK = direct_id_of("memory", CAFE.id, person_from_memory(ADA))
ANSWER = "From ten to four."
PICTURE = {"type": "image", "url": "https://img.example/menu.jpg"}
LATER = outgoing.LOST_AFTER + timedelta(seconds=1)


class CrashError(BaseException):
    """The process dies here."""


@asynccontextmanager
async def answering_host(folder: Path, url: str) -> AsyncIterator[Harbour]:
    """Org A manages the café's board, on which a note hangs; Ada has just written to it."""
    async with harbour(folder, database_url=url) as made:
        await made.connect()
        await made.select(CAFE.id)
        made.hang_notes(CAFE, BOOKS)
        made.world.write_to(CAFE.id, "Do you open on Sunday?")
        await hear(made)
        made.clock.advance(timedelta(minutes=1))
        yield made


async def hear(host: Harbour) -> None:
    """Take what lies in the vendor's outbox in, and work on it."""
    await host.deliver_all()
    await host.work()


async def ask(
    host: Harbour,
    operation: str,
    body: Mapping[str, object],
    *,
    key: str | None = None,
    role: Role = Role.AGENT,
    to: str = CALL,
) -> httpx.Response:
    headers = headers_of(host, role=role) | ({} if key is None else {"idempotency-key": key})
    return await host.http.post(f"{to}/{operation}", content=msgspec.json.encode(body), headers=headers)


async def write(host: Harbour, text: str = ANSWER, *, key: str | None = None, **more: Any) -> httpx.Response:
    return await ask(host, "write", {"conversationId": TALK, "text": text, **more}, key=key)


async def comment(host: Harbour, text: str = "What does it cost?") -> str:
    """Ada writes below the café's note, and the sync reads it; the vendor's id of it."""
    remark = host.world.say(f"note-{CAFE.id}", text)
    await sync(host)
    return remark.id


async def sync(host: Harbour) -> None:
    headers = headers_of(host, role=Role.AGENT)
    assert (await host.http.post(f"{CALL}/sync", content=b"{}", headers=headers)).status_code == 200
    for _ in range(50):
        if await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "memory", CAFE.id)) is None:
            return
    msg = "the sync never ends"
    raise AssertionError(msg)


async def messages(host: Harbour, conversation_id: str = TALK) -> Sequence[Message]:
    """Oldest first."""
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.messages(conversation_id, page=1, page_size=100)
    return tuple(reversed(found.items))


async def ours(host: Harbour, conversation_id: str = TALK) -> Sequence[Message]:
    return [one for one in await messages(host, conversation_id) if one.record.is_ours]


async def conversation(host: Harbour, conversation_id: str = TALK) -> ConversationRecord:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.get(conversation_id)
    assert found is not None
    return found.record


def told(host: Harbour) -> list[str]:
    """What the board wrote to people, as they got it."""
    return [
        letter.enclosure.url if letter.enclosure else letter.text
        for letter in host.world.mail.letters.values()
        if letter.is_from_board
    ]


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def crash_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Die at a fail point: what was not committed by then never will be."""

    def die(name: str) -> None:
        if name == point:
            raise CrashError

    monkeypatch.setattr(outgoing, "fail_point", die)
