"""What a browser posts: only from our own pages, only with the session's own token, only as much as fits."""

import hmac
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from moorage.auth import ForbiddenError
from moorage_ports.accounts import Session
from moorage_ports.errors import InvalidRequestError

MAX_FORM_BYTES: Final = 1_000_000  # the longest post there is, percent-encoded
TOKEN_FIELD: Final = "csrf"  # noqa: S105 - the field's name
MOST_FIELDS: Final = 4_500
_FIRST, _LAST = 1970, 9998  # years of which every day has a next one, in whatever unit vendors count


class ForeignFormError(ForbiddenError):
    """A form that none of our pages, or none of this session's, has sent."""

    default_remedy = "Open the page again and send the form from there."


@attrs.frozen
class Form:
    """A form's fields. A name may come several times (checkboxes)."""

    fields: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)

    def text(self, name: str) -> str:
        """The field's last value without blanks around it; empty when absent."""
        return self.fields.get(name, ("",))[-1].strip()

    def exact(self, name: str) -> str:
        """The field's last value as it was typed (a password)."""
        return self.fields.get(name, ("",))[-1]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of the field, empty ones left out."""
        return tuple(stripped for value in self.fields.get(name, ()) if (stripped := value.strip()))


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """A urlencoded body; multipart is refused, none of our forms uploads anything.

    Raises:
        InvalidRequestError: It is none, not UTF-8, or has more fields than any of our pages.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind != "application/x-www-form-urlencoded":
            raise ValueError
        body = (await request.body()).decode("ascii")
        fields = parse_qs(body, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        msg = "this is not a form of ours"
        raise InvalidRequestError(msg) from None
    # A browser sends line ends as CRLF; a NUL has no meaning in any of our fields.
    cleaned = {
        name: tuple(value.replace("\r\n", "\n").replace("\0", "") for value in values)
        for name, values in fields.items()
    }
    return Form(cleaned)


def check_token(form: Form, session: Session) -> None:
    """The form was made for this very session.

    Raises:
        ForeignFormError: It carries no token, or another session's.
    """
    sent = form.exact(TOKEN_FIELD).encode()
    if not hmac.compare_digest(sent, session.csrf_token.encode()):
        msg = "this form belongs to another session"
        raise ForeignFormError(msg)


async def only_from_our_pages(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: whatever changes something comes from a page of this origin, as the browser itself says.

    `Sec-Fetch-Site` is sent to https and to loopback; `Origin` with every POST. No script can forge either.

    Raises:
        ForeignFormError: It comes from elsewhere, or the browser does not say.
    """
    if connection.scope.get("method") in {"GET", "HEAD", "OPTIONS"}:
        return
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    is_ours = site is None or site == "same-origin"
    if origin is not None:
        is_ours = is_ours and _is_this_origin(connection, origin)
    if not is_ours or (site is None and origin is None):
        msg = "this form was not sent from a page of ours"
        raise ForeignFormError(msg)


def _is_this_origin(connection: ASGIConnection[Any, Any, Any, Any], origin: str) -> bool:
    public_url: str = connection.route_handler.opt["public_url"]
    if origin == origin_of(public_url):
        return True
    # Reached under another name (a tunnel, localhost for 127.0.0.1): then under the one it was asked by.
    scheme = urlsplit(public_url).scheme
    return origin == f"{scheme}://{connection.headers.get('host', '')}"


def origin_of(url: str) -> str:
    """`https://host[:port]` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def day_of(text: str) -> datetime | None:
    """The beginning of a day in UTC, as fields for days send it; `None` for what is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    is_usual = len(text) == len("2026-01-01") and _FIRST <= day.year <= _LAST
    return datetime.combine(day, time(), UTC) if is_usual else None
