"""What went wrong, as HTTP: one table from error to status, and RFC 9457 problem documents.

The table is complete over `moorage_ports.errors` (a test says so). What nobody foresaw is a 500 with a
generic text, logged once under the request's id, without locals and without the foreign message.
"""

import math
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap, Scope

from moorage import auth
from moorage_ports import errors
from moorage_ports.errors import MoorageError

log = structlog.get_logger(__name__)

PROBLEM_JSON: Final = "application/problem+json"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_STATE_KEY: Final = "moorage_request_id"
_COME_BACK: Final = timedelta(seconds=5)  # when an error asks to come back and does not say when


class TooLargeError(MoorageError):
    """The body is larger than this route takes."""

    code = "too_large"
    title = "The request is too large"
    default_remedy = "Send a smaller body."


class RequestTimeoutError(MoorageError):
    """The body came too slowly."""

    code = "request_timeout"
    title = "The request came too slowly"
    default_remedy = "Send the whole body at once."


class UnsupportedEncodingError(MoorageError):
    """The body is compressed; nothing here inflates what a stranger sends."""

    code = "unsupported_encoding"
    title = "The request is compressed"
    default_remedy = "Send the body without a Content-Encoding."


class MethodNotAllowedError(MoorageError):
    """The route is there, but not for this method."""

    code = "method_not_allowed"
    title = "This address does not take that method"
    default_remedy = "Use one of the methods in the Allow header."

    def __init__(self, message: str, *, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow


STATUS: Final[Mapping[type[MoorageError], int]] = {
    MoorageError: 500,
    errors.InvalidRequestError: 422,
    errors.MalformedError: 400,
    errors.NotFoundError: 404,
    errors.UnknownVendorError: 404,
    errors.UnknownOperationError: 404,
    errors.ConflictError: 409,
    errors.IdempotencyMismatchError: 409,
    errors.InvalidStateError: 400,
    errors.InvalidCodeError: 400,
    errors.ReturnUrlError: 400,
    errors.SignatureError: 403,
    errors.NotConnectedError: 412,
    errors.UnsupportedError: 501,
    errors.UnavailableError: 503,
    errors.CommitUnknownError: 504,
    errors.VendorError: 502,
    errors.ReauthorizationError: 412,
    errors.MissingScopeError: 403,
    errors.RateLimitError: 429,
    errors.RejectedError: 422,
    errors.VendorNotFoundError: 404,
    errors.VendorUnavailableError: 503,
    errors.OutcomeUnknownError: 504,
    auth.AuthError: 401,
    auth.MissingAuthorizationError: 401,
    auth.InvalidTokenError: 401,
    auth.TokenExpiredError: 401,
    auth.MissingOrgIdError: 400,
    auth.InvalidOrgIdError: 400,
    auth.OrgMismatchError: 403,
    auth.ForbiddenError: 403,
    RequestTimeoutError: 408,
    TooLargeError: 413,
    UnsupportedEncodingError: 415,
    MethodNotAllowedError: 405,
}

# What Litestar itself refuses, before any handler of ours, told as the error of ours that means the same and
# in a sentence of ours. Everything else of it below 500 is a bad request.
OF_FRAMEWORK: Final[Mapping[int, tuple[type[MoorageError], str]]] = {
    400: (errors.InvalidRequestError, "The request can't be read."),
    401: (auth.InvalidTokenError, "The request is not authenticated."),
    403: (auth.ForbiddenError, "The request is not allowed."),
    404: (errors.NotFoundError, "There is nothing at this address."),
    405: (MethodNotAllowedError, "This address does not take that method."),
    413: (TooLargeError, "The body is larger than this address takes."),
    415: (UnsupportedEncodingError, "The body can't be read in that encoding."),
    429: (errors.RateLimitError, "Too many requests just now."),
    503: (errors.UnavailableError, "Not available just now."),
}
_NO_SUCH_ADDRESS: Final = "Check the address; the HTTP reference lists those that are served."


def status_of(error: MoorageError) -> int:
    """The status of the nearest ancestor in the table; a plugin's own subclass inherits one."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def request_id_of(scope: Scope) -> str:
    """This request's id, the same for all of it: the one a proxy gave (if it fits), or a new one."""
    state = scope["state"]
    known = state.get(_STATE_KEY)
    if known is None:
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        text = given[0].decode("latin-1") if len(given) == 1 else ""
        known = text if _REQUEST_ID.fullmatch(text) else secrets.token_hex(12)
        state[_STATE_KEY] = known
    return str(known)


def problem_document(error: MoorageError, request_id: str) -> dict[str, object]:
    """The problem document of `error`, without anything that does not apply to it."""
    document = _document(type(error), str(error), request_id, status=status_of(error), remedy=error.remedy)
    if isinstance(error, errors.VendorError):
        said = {"code": error.vendor_code, "subcode": error.vendor_subcode, "traceId": error.trace_id}
        if any(said.values()):
            document["vendor"] = {name: value for name, value in said.items() if value}
    wait = retry_after_of(error)
    if wait is not None:
        document["retryAfter"] = wait
    fields = getattr(error, "fields", None)
    if fields:
        document["fields"] = dict(fields)
    return document


def _document(
    kind: type[MoorageError], detail: str, request_id: str, *, status: int, remedy: str
) -> dict[str, object]:
    """What every problem document has: what `kind` stands for, and what is to be said about this one."""
    document: dict[str, object] = {
        "type": f"urn:moorage:problem:{kind.code}",
        "title": kind.title,
        "status": status,
        "detail": detail,
        "code": kind.code,
        "requestId": request_id,
    }
    return {**document, "remedy": remedy} if remedy else document


def _response(document: Mapping[str, object], status: int, headers: dict[str, str]) -> Response[bytes]:
    body = msgspec.json.encode(document)
    return Response(body, status_code=status, headers=headers, media_type=PROBLEM_JSON)


def retry_after_of(error: MoorageError) -> int | None:
    """Whole seconds to wait, when coming back unchanged makes sense."""
    given = getattr(error, "retry_after", None)
    if isinstance(given, timedelta):
        return max(1, math.ceil(given.total_seconds()))
    if status_of(error) in {429, 503}:
        return int(_COME_BACK.total_seconds())
    return None


def problem_response(error: MoorageError, scope: Scope) -> Response[bytes]:
    """The answer to a request that ended in `error`."""
    document = problem_document(error, request_id_of(scope))
    headers: dict[str, str] = {}
    if "retryAfter" in document:
        headers["Retry-After"] = str(document["retryAfter"])
    if status_of(error) == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowedError) and error.allow:
        headers["Allow"] = error.allow
    return _response(document, status_of(error), headers)


def on_moorage_error(request: Request[Any, Any, Any], error: MoorageError) -> Response[bytes]:
    """What we know how to explain; only a fault of our own is worth a line in the log."""
    if status_of(error) == 500:
        return on_unforeseen(request, error)
    return problem_response(error, request.scope)


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework refused. Its own texts and extras are not shown: they may repeat what was sent."""
    status = error.status_code
    if status not in OF_FRAMEWORK and status >= 500:
        return on_unforeseen(request, error)
    kind, detail = OF_FRAMEWORK.get(status, (errors.InvalidRequestError, "The request can't be served."))
    remedy = _NO_SUCH_ADDRESS if kind is errors.NotFoundError else kind.default_remedy
    document = _document(kind, detail, request_id_of(request.scope), status=status, remedy=remedy)
    kept = {"allow", "retry-after", "www-authenticate"}
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() in kept}
    return _response(document, status, headers)


def on_unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A mistake of ours: the caller gets an id to tell us, the log gets the place, once."""
    request_id = request_id_of(request.scope)
    log.error("unforeseen_error", request_id=request_id, path=request.scope["path"], exc_info=error)
    detail = "Something went wrong here; it is logged under this request's id."
    return _response(_document(MoorageError, detail, request_id, status=500, remedy=""), 500, {})


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    MoorageError: on_moorage_error,
    HTTPException: on_http_exception,
    Exception: on_unforeseen,
}
