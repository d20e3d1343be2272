"""A Graph that knows every lead: any id answers with answers that follow from the id. Nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PATH = re.compile(rb"^GET /v[0-9.]+/(\d+)[?/ ]")


def lead_body(lead_id: str) -> bytes:
    """What Graph says about a lead; the e-mail tells which one it is."""
    answers = f'[{{"name":"email","values":["{lead_id}@chaos.example"]}}]'
    created = "2026-11-01T10:00:00+0000"
    return f'{{"id":"{lead_id}","created_time":"{created}","form_id":"77","field_data":{answers}}}'.encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            found = _PATH.match(head)
            status, body = ("200 OK", lead_body(found[1].decode())) if found else ("404 Not Found", b"{}")
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
