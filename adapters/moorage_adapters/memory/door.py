"""The one place where the vendor's troubles become the ports' errors, chosen by the caller's next move."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from moorage_adapters.memory.weather import Trouble, TroubleError
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)

SLUG = "memory"

_MEANING: Mapping[Trouble, tuple[type[VendorError], str, Hits]] = {
    Trouble.CLOSED: (VendorUnavailableError, "the vendor is out of reach", Hits.CALL),
    Trouble.SILENCE: (OutcomeUnknownError, "the vendor did not answer", Hits.CALL),
    Trouble.TOO_MUCH: (RateLimitError, "the vendor asks to come back later", Hits.CALL),
    Trouble.PERMIT_GONE: (ReauthorizationError, "the permit is gone", Hits.INTEGRATION),
    Trouble.BOARD_TAKEN: (ReauthorizationError, "this board is no longer shared with us", Hits.CHANNEL),
    Trouble.NOT_ALLOWED: (MissingScopeError, "the permit does not cover this", Hits.CALL),
    Trouble.NOT_WANTED: (RejectedError, "the vendor does not want this note", Hits.CALL),
    Trouble.NO_SUCH_THING: (VendorNotFoundError, "the vendor knows no such thing", Hits.CALL),
}


@contextmanager
def reading() -> Iterator[None]:
    """Ask for something: without an answer nothing has happened, so it may be asked again."""
    try:
        yield
    except TroubleError as failure:
        silent = failure.trouble is Trouble.SILENCE
        raise _explained(Trouble.CLOSED if silent else failure.trouble, failure) from failure


@contextmanager
def writing() -> Iterator[None]:
    """Change something: without an answer nobody knows whether it happened."""
    try:
        yield
    except TroubleError as failure:
        raise _explained(failure.trouble, failure) from failure


def _explained(trouble: Trouble, failure: TroubleError) -> VendorError:
    kind, message, hits = _MEANING[trouble]
    return kind(message, vendor=SLUG, vendor_code=failure.trouble.value, hits=hits, retry_after=failure.wait)
