"""A Graph that knows every lead: any id answers with answers that follow from the id, alone or in a batch."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import msgspec

_PATH = re.compile(rb"^GET /v[0-9.]+/(\d+)[?/ ]")
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_RELATIVE = re.compile(r"(\d+)(?:\?|$)")


def lead_body(lead_id: str) -> bytes:
    """What Graph says about a lead; the e-mail tells which one it is."""
    answers = f'[{{"name":"email","values":["{lead_id}@chaos.example"]}}]'
    created = "2026-11-01T10:00:00+0000"
    return f'{{"id":"{lead_id}","created_time":"{created}","form_id":"77","field_data":{answers}}}'.encode()


def batch_body(request: bytes) -> bytes | None:
    """What Graph says to a batch of reads; `None` if it is none."""
    asked = parse_qs(request.decode()).get("batch")
    if asked is None:
        return None
    rows = []
    for item in msgspec.json.decode(asked[0], type=list[dict[str, str]]):
        found = _RELATIVE.match(item["relative_url"])
        body = lead_body(found[1]).decode() if found and item["method"] == "GET" else "{}"
        rows.append({"code": 200 if found else 404, "body": body})
    return msgspec.json.encode(rows)


def answer_to(head: bytes, request: bytes) -> tuple[str, bytes]:
    """The status and the body."""
    found = _PATH.match(head)
    body = lead_body(found[1].decode()) if found else batch_body(request)
    return ("200 OK", body) if body is not None else ("404 Not Found", b"{}")


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = _LENGTH.search(head)
            status, body = answer_to(head, await reader.readexactly(int(length[1])) if length else b"")
            headers = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def graph_of_leads(port: int) -> AsyncIterator[str]:
    """Serve it; answers its base URL."""
    server = await asyncio.start_server(_serve, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
