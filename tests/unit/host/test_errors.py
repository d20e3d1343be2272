"""Errors as HTTP: the table is complete, the document is the one that was promised."""

from datetime import timedelta
from typing import Any

import pytest

from moorage import auth, dispatch, errors
from moorage.errors import STATUS, problem_document, retry_after_of, status_of
from moorage_ports import errors as ports
from moorage_ports.errors import (
    Hits,
    InvalidRequestError,
    MissingScopeError,
    MoorageError,
    NotFoundError,
    RateLimitError,
    ReauthorizationError,
    UnavailableError,
    VendorError,
)

# The contract's own table: what a program may branch on.
CONTRACT = {
    400: {
        "missing_orgid",
        "invalid_orgid",
        "malformed_json",
        "return_url_not_allowed",
        "invalid_state",
        "invalid_code",
    },
    401: {"missing_authorization_header", "invalid_token", "token_expired"},
    403: {"org_mismatch", "missing_scope", "invalid_signature", "forbidden"},
    404: {"unknown_vendor", "unknown_operation", "not_found"},
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    409: {"conflict", "idempotency_mismatch"},
    412: {"reconnect_required", "not_connected"},
    413: {"too_large"},
    415: {"unsupported_encoding"},
    422: {"invalid_request", "vendor_rejected"},
    429: {"rate_limited"},
    500: {"internal"},
    501: {"unsupported"},
    502: {"vendor_error"},
    503: {"unavailable"},
    504: {"outcome_unknown"},
}


def _all(kind: type[MoorageError]) -> set[type[MoorageError]]:
    return {kind}.union(*(_all(each) for each in kind.__subclasses__()))


def _declared(module: Any) -> set[type[MoorageError]]:
    return {each for each in _all(MoorageError) if each.__module__ == module.__name__}


def test_every_error_of_the_ports_has_a_status_of_its_own() -> None:
    """A new error without a line in the table is found here, not by a customer."""
    assert _declared(ports) <= set(STATUS)
    assert _declared(auth) | _declared(errors) <= set(STATUS)


def test_the_codes_and_statuses_are_the_contracts() -> None:
    found: dict[int, set[str]] = {}
    for kind in _declared(ports) | _declared(auth) | _declared(errors):
        found.setdefault(STATUS[kind], set()).add(kind.code)

    assert found == CONTRACT


def test_an_error_of_a_plugin_inherits_the_status_of_its_kind() -> None:
    class BoardIsFullError(RateLimitError):
        """A plugin's own."""

    assert status_of(BoardIsFullError("x", vendor="shop")) == 429
    assert status_of(dispatch.StillRunningError()) == 409


def test_a_vendors_refusal_is_told_whole() -> None:
    error = ReauthorizationError(
        "the session was ended",
        vendor="shop",
        vendor_code="190",
        vendor_subcode="460",
        trace_id="AbC",
        hits=Hits.INTEGRATION,
    )

    assert problem_document(error, "req-12345678") == {
        "type": "urn:moorage:problem:reconnect_required",
        "title": "The connection has ended",
        "status": 412,
        "detail": "the session was ended",
        "code": "reconnect_required",
        "requestId": "req-12345678",
        "vendor": {"code": "190", "subcode": "460", "traceId": "AbC"},
        "remedy": "Connect the vendor again; channels, mappings and schedules are kept.",
    }


def test_only_what_applies_is_in_the_document() -> None:
    document = problem_document(NotFoundError("gone"), "req-12345678")

    assert set(document) == {"type", "title", "status", "detail", "code", "requestId", "remedy"}
    assert "vendor" not in problem_document(VendorError("x", vendor="shop"), "r")
    assert problem_document(InvalidRequestError("x", fields={"a": "b"}), "r")["fields"] == {"a": "b"}


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimitError("x", vendor="v", retry_after=timedelta(seconds=90.2)), 91),
        (RateLimitError("x", vendor="v", retry_after=timedelta(milliseconds=1)), 1),
        (RateLimitError("x", vendor="v"), 5),
        (UnavailableError("x"), 5),
        (dispatch.StillRunningError(), 2),
        (MissingScopeError("x", vendor="v"), None),
        (NotFoundError("x"), None),
    ],
)
def test_retry_after_is_whole_seconds_where_coming_back_makes_sense(
    error: MoorageError, seconds: int | None
) -> None:
    assert retry_after_of(error) == seconds
    assert problem_document(error, "r").get("retryAfter") == seconds


def test_every_code_has_a_title_for_people() -> None:
    """A title is what the code means, not the code with blanks; who changes the code changes the title."""
    ours = {kind for kind in _all(MoorageError) if kind.__module__.startswith("moorage")}
    titles: dict[str, set[str]] = {}
    for kind in ours:
        assert ("code" in vars(kind)) <= ("title" in vars(kind)), kind
        titles.setdefault(kind.code, set()).add(kind.title)
        assert kind.title.lower() != kind.code.replace("_", " ")
        assert kind.title[:1].isupper()
        assert not kind.title.endswith(".")


@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 429, 503])
def test_what_the_framework_refuses_helps_a_person_too(status: int) -> None:
    kind, detail = errors.OF_FRAMEWORK[status]

    assert STATUS[kind] in {status, 422}
    assert detail
    assert kind.default_remedy
