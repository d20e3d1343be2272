"""What we are compared with: a Litestar app without middleware that checks the HMAC and answers.

Started as `python -m bench.baseline PORT SECRET` in a process of its own, with the same server
(uvicorn, uvloop, httptools) and the same settings as the host.
"""

import hashlib
import hmac
import sys

import uvicorn
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.enums import MediaType
from litestar.exceptions import PermissionDeniedException

_SECRET = sys.argv[2].encode() if __name__ == "__main__" else b""


@post("/connect/webhook/facebook", status_code=200, media_type=MediaType.TEXT)
async def receive(request: Request[object, object, State]) -> str:
    """Hash the raw body, compare, answer."""
    body = await request.body()
    expected = "sha256=" + hmac.new(_SECRET, body, hashlib.sha256).hexdigest()
    given = request.headers.get("x-hub-signature-256", "")
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise PermissionDeniedException
    return "ok"


if __name__ == "__main__":
    uvicorn.run(
        Litestar(route_handlers=[receive], openapi_config=None),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
    )
