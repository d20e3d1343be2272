"""The whole error tree, named for the caller's next move.

`code` is stable and what programs branch on; texts may change. `remedy` is one sentence that tells
a person what to do. The host's table of HTTP statuses is complete over this file (a test says so).
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import ClassVar


class Hits(Enum):
    """What a failure says something about."""

    INTEGRATION = "integration"  # every call of this grant will fail alike
    CHANNEL = "channel"  # this channel only; the others of the same grant still work
    CALL = "call"  # this one request


class MoorageError(Exception):
    """Anything that we know how to explain. `title` is what `code` means, in a person's words."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong here"
    default_remedy: ClassVar[str] = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy or self.default_remedy


# What the caller got wrong -------------------------------------------------------------------


class InvalidRequestError(MoorageError):
    """The request does not fit: change `fields`, then send it again."""

    code = "invalid_request"
    title = "The request does not fit"
    default_remedy = "Correct the fields named here and send the request again."

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.fields = dict(fields or {})


class MalformedError(MoorageError):
    """The bytes are not the JSON that was expected (or nest too deep)."""

    code = "malformed_json"
    title = "This is not JSON"
    default_remedy = "Send one JSON object, encoded as UTF-8."


class NotFoundError(MoorageError):
    """There is no such thing, or it is not yours to know about."""

    code = "not_found"
    title = "There is nothing here"
    default_remedy = "Check the id; it may belong to another organisation or be gone."


class UnknownVendorError(NotFoundError):
    """No installed plugin answers to that slug."""

    code = "unknown_vendor"
    title = "No such vendor is installed"
    default_remedy = "See GET /upstream/integration-types for the vendors that are installed."


class UnknownOperationError(NotFoundError):
    """The vendor is there, but has no operation of that name."""

    code = "unknown_operation"
    title = "The vendor has no such operation"
    default_remedy = "See GET /upstream/integration-types/{vendor} for the operations it has."


class ConflictError(MoorageError):
    """Something else is in the way right now: read the state, then decide."""

    code = "conflict"
    title = "Something else is in the way"
    default_remedy = "Read the current state, then decide whether to send the request again."


class IdempotencyMismatchError(ConflictError):
    """The idempotency key was used before, for another body."""

    code = "idempotency_mismatch"
    title = "This Idempotency-Key was used for another request"
    default_remedy = "Use a new Idempotency-Key for a new request."


class InvalidStateError(MoorageError):
    """An OAuth state (or ticket) that we did not hand out, or that was used or ran out."""

    code = "invalid_state"
    title = "This link was used already, or has run out"
    default_remedy = "Start connecting again; a connect link works once and for ten minutes."


class ReturnUrlError(MoorageError):
    """The return target is not on the organisation's list."""

    code = "return_url_not_allowed"
    title = "The return address is not allowed"
    default_remedy = "Ask the operator to allow this return URL for your organisation."


class SignatureError(MoorageError):
    """Nobody who holds the app's secret signed exactly these bytes."""

    code = "invalid_signature"
    title = "The signature does not match"
    default_remedy = "Check that the app secret configured here is the app's current one."


class NotConnectedError(MoorageError):
    """The organisation has no integration with this vendor yet."""

    code = "not_connected"
    title = "Not connected yet"
    default_remedy = "Connect the vendor first."


class UnsupportedError(MoorageError):
    """The vendor cannot do this, or we have not written it; asking again will not help."""

    code = "unsupported"
    title = "This is not possible here"
    default_remedy = "See the vendor's capabilities in GET /upstream/integration-types."


class UnavailableError(MoorageError):
    """Nothing happened: our side or the vendor is out of reach; the same request may be sent again."""

    code = "unavailable"
    title = "Out of reach just now"
    default_remedy = "Try again in a moment."


class CommitUnknownError(UnavailableError):
    """The database went away while it was told to keep something: that is written, or it is not.

    Whoever does not mind which treats it as any `UnavailableError`; whoever does has to look.
    """

    code = "outcome_unknown"
    title = "Nobody knows yet whether it happened"
    default_remedy = "Look here whether it happened before sending it again."


# What the vendor said ------------------------------------------------------------------------


class VendorError(MoorageError):
    """The vendor refused or failed; `trace_id` is what their support will ask for.

    `symptom` is how it showed, as a short code (`timed_out`, `vendor_answered_500`), where the kind of error
    does not say it.
    """

    code = "vendor_error"
    title = "The vendor answered with an error"
    default_remedy = "Try again later; if it stays, give the trace id to the vendor's support."

    def __init__(
        self,
        message: str,
        *,
        vendor: str,
        vendor_code: str = "",
        vendor_subcode: str = "",
        trace_id: str = "",
        hits: Hits = Hits.CALL,
        retry_after: timedelta | None = None,
        fields: Mapping[str, str] | None = None,
        remedy: str = "",
        symptom: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.symptom = symptom
        self.vendor = vendor
        self.vendor_code = vendor_code
        self.vendor_subcode = vendor_subcode
        self.trace_id = trace_id
        self.hits = hits
        self.retry_after = retry_after
        self.fields = dict(fields or {})


class ReauthorizationError(VendorError):
    """The grant is gone (`hits` says for all of it or for one channel): connect again."""

    code = "reconnect_required"
    title = "The connection has ended"
    default_remedy = "Connect the vendor again; channels, mappings and schedules are kept."


class InvalidCodeError(VendorError):
    """The sign-in came to nothing: its code is used, too old or another's, or its token is not ours."""

    code = "invalid_code"
    title = "The vendor did not take the sign-in"
    default_remedy = "Begin connecting again: what the vendor sends back works once and for a few minutes."


class MissingScopeError(VendorError):
    """The grant stands, but was given without what this call needs."""

    code = "missing_scope"
    title = "A permission is missing"
    default_remedy = "Connect again and allow the missing permission."


class RateLimitError(VendorError):
    """Nothing happened: wait `retry_after`, then send the same request."""

    code = "rate_limited"
    title = "Too many calls at once"
    default_remedy = "Wait, then send the same request again."


class RejectedError(VendorError):
    """The vendor understood and said no: change the content before trying again."""

    code = "vendor_rejected"
    title = "The vendor said no"
    default_remedy = "Change what the vendor objects to, then send it again."


class VendorNotFoundError(VendorError):
    """The vendor knows no such object, or this grant may not see it (some vendors say only that)."""

    code = "not_found"
    title = "There is nothing here"
    default_remedy = "Check that it still exists and that the person who connected may see it."


class VendorUnavailableError(VendorError):
    """Nothing happened: the vendor is out of reach or asks to come back later."""

    code = "unavailable"
    title = "Out of reach just now"
    default_remedy = "Try again in a moment."


class OutcomeUnknownError(VendorError):
    """A write left us and no answer came back: look before writing again."""

    code = "outcome_unknown"
    title = "Nobody knows yet whether it happened"
    default_remedy = "Look at the vendor whether it happened before sending it again."
