"""Where a browser may be sent back to: exact origins and path prefixes that the operator listed.

Checked when a connection begins; the callback only ever follows what was stored then (RFC 9700, 4.11).
"""

from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from moorage_ports.errors import ReturnUrlError
from moorage_ports.values import ORG_ID, web_url

_PORTS = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class ReturnTarget:
    """One allowed place: everything at or below `path` of `origin`; for one org only, when it says so."""

    origin: tuple[str, str, int]  # scheme, host, port
    path: str
    org_id: str | None = None

    def covers(self, parts: SplitResult) -> bool:
        """Whether a split URL (already known to be unambiguous) lies at or below this place."""
        path = parts.path or "/"
        below = self.path if self.path.endswith("/") else self.path + "/"
        return _origin(parts) == self.origin and (path == self.path or path.startswith(below))


def return_target(text: str) -> ReturnTarget:
    """Read `https://origin/prefix`, or `org:https://origin/prefix` for one org.

    Raises:
        ValueError: It is neither.
    """
    org_id, separator, rest = text.partition(":")
    if not separator or rest.startswith("//"):
        org_id, rest = "", text
    parts = urlsplit(rest)
    if (
        (org_id and not ORG_ID.fullmatch(org_id))
        or not _is_unambiguous(rest)
        or parts.query
        or parts.fragment
    ):
        msg = "must look like https://admin.example/path or org:https://admin.example/path"
        raise ValueError(msg)
    return ReturnTarget(origin=_origin(parts), path=parts.path or "/", org_id=org_id or None)


def check_return_url(url: str, *, org_id: str, targets: Sequence[ReturnTarget], public_url: str) -> str:
    """`url` itself, when the org may use it.

    An org with targets of its own has those, others the shared ones; the admin pages below `public_url` are
    always allowed.

    Raises:
        ReturnUrlError: It is not on the list, or parsers could disagree about where it leads.
    """
    own = tuple(target for target in targets if target.org_id == org_id)
    allowed = own or tuple(target for target in targets if target.org_id is None)
    allowed += (return_target(f"{public_url}/admin"),)
    if _is_unambiguous(url) and any(target.covers(urlsplit(url)) for target in allowed):
        return url
    msg = "the return URL is not on the organisation's list"  # the URL itself is not repeated
    raise ReturnUrlError(msg)


def _is_unambiguous(url: str) -> bool:
    """Whether every parser reads `url` alike, and no server walks out of its path."""
    if not web_url(url):
        return False
    path = urlsplit(url).path
    decoded = path
    for _ in range(4):  # a server behind another server may decode again
        decoded = unquote(decoded)
    hidden = decoded.count("/") != path.count("/") or "\\" in decoded or "%" in decoded
    controls = any(ord(character) < 0x20 or ord(character) == 0x7F for character in decoded)
    segments = [segment.partition(";")[0] for segment in decoded.split("/")]
    return not (hidden or controls or "//" in decoded or "." in segments or ".." in segments)


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return (parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme])
