"""Logs: one JSON object a line, redacted, without locals, without what strangers could forge.

Every logger ends here, also those of libraries. HTTP clients and database drivers are held at WARNING:
they print URLs and parameters. An exception is its type and the places it passed; the message of a foreign
one is left out, because it may quote what was being worked on.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TextIO

import attrs
import structlog

from moorage_ports.errors import MoorageError

REQUEST_ID: Final[ContextVar[str]] = ContextVar("moorage_request_id", default="")

QUIET: Final = (
    "httpx",
    "httpcore",
    "hpack",
    "h2",
    "h11",
    "sqlalchemy",
    "asyncpg",
    "alembic",
    "asyncio",
    "uvicorn.access",
    "pgqueuer",
)
REDACTED: Final = "[redacted]"
_NAMES: Final = (
    r"[\w.\-]*(?:token|secret|password|passwd|proof|authorization|cookie|signature|signed_request|api_?key)"
    r"[\w.\-]*"
)
_PATTERNS: Final = (
    re.compile(r"(?i)(?P<keep>\b(?:bearer|basic|oauth)\s+)[A-Za-z0-9._~+/=|-]{8,}"),
    # name=value in a query, a form or a message; `code` and `state` are an OAuth return's
    re.compile(rf"(?i)(?P<keep>(?:^|[?&;\s\"'(,])(?:{_NAMES}|code|state|hub\.challenge)=)[^&\s\"'<>)]+"),
    re.compile(rf"(?i)(?P<keep>[\"'](?:{_NAMES})[\"']\s*:\s*[\"'])[^\"']+"),
    re.compile(r"(?P<keep>)\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"),
    re.compile(r"(?P<keep>)\bsha(?:1|256)=[0-9a-fA-F]{16,}"),
    re.compile(r"(?P<keep>)\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),  # people
)
_SECRET_KEY: Final = re.compile(rf"(?i)(?:{_NAMES}|body|email|phone)")
_AMBIGUOUS: Final = re.compile(r"code|state")  # an error's code is a word, an authorization code is not
_WORD: Final = re.compile(r"[a-z0-9_ ]{1,32}")
_HARMLESS_KEYS: Final = frozenset({"event", "level", "logger", "timestamp"})
_MARK: Final = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_LONGEST: Final = 2000


@attrs.frozen
class Redactor:
    """Takes out of texts and log events what looks like a token, a secret or a person's address.

    `token_shapes` are those of the installed vendors.
    """

    token_shapes: tuple[re.Pattern[str], ...] = ()

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Redact every value of a log event, however deep; by name where the name says enough."""
        for key in list(event):
            event[key] = self._item(key, event[key], 0)
        return event

    def text(self, text: str) -> str:
        """`text` without anything of that kind."""
        if len(text) > _LONGEST:
            text = text[:_LONGEST] + "…"
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<keep>{REDACTED}", text)
        for shape in self.token_shapes:
            text = shape.sub(REDACTED, text)
        return text

    def _item(self, key: str, value: object, depth: int) -> object:
        if key not in _HARMLESS_KEYS and _SECRET_KEY.fullmatch(key):
            return REDACTED
        if _AMBIGUOUS.fullmatch(key) and not _WORD.fullmatch(str(value)):
            return REDACTED
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth > 5:
            return "…"
        if isinstance(value, Mapping):
            return {str(key): self._item(str(key), item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth + 1) for item in value]
        return self.text(value if isinstance(value, str) else str(value))


def explain_exception(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace `exc_info` by types and places; only our own errors keep their sentence."""
    given = event.pop("exc_info", None)
    failure = sys.exc_info()[1] if given is True else given
    if isinstance(failure, tuple):
        failure = failure[1]
    if isinstance(failure, BaseException):
        event["error"] = list(_chain(failure))
    event.pop("stack_info", None)
    return event


def _chain(failure: BaseException) -> Iterator[dict[str, object]]:
    seen: set[int] = set()
    link: BaseException | None = failure
    while link is not None and id(link) not in seen and len(seen) < 8:
        seen.add(id(link))
        told: dict[str, object] = {"type": f"{type(link).__module__}.{type(link).__qualname__}"}
        if isinstance(link, MoorageError):
            told["text"] = str(link)
        told["at"] = _places(link.__traceback__)
        yield told
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-25:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _add_request_id(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request_id = REQUEST_ID.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def configure_logging(
    level: str, *, token_shapes: tuple[re.Pattern[str], ...] = (), stream: TextIO | None = None
) -> None:
    """Send every logger of this process through the processors here, to `stream` (standard error)."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                explain_exception,
                Redactor(token_shapes),
                # ASCII only: line breaks, escapes and marks that turn text around arrive as \uXXXX.
                structlog.processors.JSONRenderer(ensure_ascii=True, default=str),
                _escape_controls,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _escape_controls(_: object, __: str, line: Any) -> str:
    return _MARK.sub(lambda found: f"\\u{ord(found.group()):04x}", str(line))
