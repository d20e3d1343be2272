"""A host's CRM for tests of what people read: told events at once, and asked as the platform asks."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec

from moorage.crm.apply import apply_events
from moorage_adapters.memory.world import CAFE
from moorage_ports.events import CommentSeen, CrmEvent, MessageSeen, Person
from moorage_ports.operations import Role
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, NOON, Harbour

REALM = "town"


def at(seconds: float) -> datetime:
    """So many seconds before or after noon."""
    return NOON + timedelta(seconds=seconds)


def person(number: int, name: str = "") -> Person:
    return Person(external_id=f"person-{number}", realm=REALM, name=name)


def comment(number: int, seconds: float = 0, **more: Any) -> CommentSeen:
    given: dict[str, Any] = {"post_external_id": "note-1", "author": person(1, "Ada Reed"), "text": "Lovely"}
    return CommentSeen(
        channel_external_id=more.pop("channel", CAFE.id),
        comment_external_id=f"remark-{number}",
        at=at(seconds),
        created_at=more.pop("created_at", at(seconds)),
        surface="board",
        **{**given, **more},
    )


def letter(number: int, seconds: float = 0, **more: Any) -> MessageSeen:
    given: dict[str, Any] = {"person": person(2, "Bo Quay"), "text": f"Letter {number}"}
    return MessageSeen(
        channel_external_id=more.pop("channel", CAFE.id),
        message_external_id=f"letter-{number}",
        at=at(seconds),
        surface="letters",
        **{**given, **more},
    )


async def tell(host: Harbour, *events: CrmEvent, org_id: str = ADMIN.org_id) -> None:
    """Have the org's CRM know of these, in one transaction."""
    async with host.storage.unit_of_work(org_id) as uow:
        await apply_events(uow.crm_records, [("memory", event) for event in events])


async def ask(
    host: Harbour,
    path: str,
    *,
    method: str = "GET",
    org_id: str = ADMIN.org_id,
    role: Role = Role.ADMIN,
    body: object = None,
    **query: object,
) -> httpx.Response:
    """Ask as a member of an org; `query` with the names of the API."""
    return await host.http.request(
        method,
        path,
        headers=headers_of(host, org_id, role=role),
        params={name: _text(value) for name, value in query.items()},
        json=body,
    )


async def read(host: Harbour, path: str, **more: Any) -> dict[str, Any]:
    """The same for what must go well; the answer's body."""
    answer = await ask(host, path, **more)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=dict[str, Any])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
