"""The receiver of the how-to page, run as it stands there: it takes what we send, once, and nothing else."""

import asyncio
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from moorage.handover.signing import body_of, headers_of, new_secret
from moorage_ports.outgoing import EventType, Handover, HandoverState, Parcel
from moorage_ports.secret import Secret
from tests.support.demo import free_port

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "hear-of-leads.md"
SECRET = new_secret()


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Where the page's receiver listens."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "receiver.py").write_text(code)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "receiver.py", SECRET.reveal(), str(port), cwd=tmp_path
    )
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            break
    yield f"http://127.0.0.1:{port}/"
    process.kill()
    await process.wait()


def parcel(message_id: str) -> Parcel:
    handover = Handover(
        endpoint_id="e1",
        message_id=message_id,
        event_type=EventType.LEAD_CREATED,
        subject_id="lead-1",
        state=HandoverState.PENDING,
        created_at=datetime.now(UTC),
    )
    return Parcel(handover=handover, payload=b'{"id":"lead-1","firstName":"\xc3\x84da"}')


async def test_the_receiver_of_the_page_takes_each_message_once(url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    body = body_of(parcel("msg_1"))
    old = now - timedelta(minutes=10)

    async def send(message_id: str, *secrets: Secret, at: datetime = now, sent: bytes = body) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = dict(headers_of(message_id, body, secrets, at))
            return (await client.post(url, content=sent, headers=headers)).status_code

    assert await send("msg_1", SECRET) == 204
    assert await send("msg_1", SECRET) == 204, "a double"
    assert await send("msg_2", new_secret(), SECRET) == 204, "while the secret is turned over"
    assert await send("msg_3", new_secret()) == 401
    assert await send("msg_4", SECRET, at=old) == 401
    assert await send("msg_5", SECRET, sent=body.replace(b"lead-1", b"lead-2")) == 401
    kept = sqlite3.connect(tmp_path / "messages.sqlite3").execute("SELECT id, body FROM message").fetchall()
    assert kept == [("msg_1", body.decode()), ("msg_2", body.decode())]
