"""Errors are chosen by code and subcode, say what they hit, and tell a person what to do."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.error_table import (
    BY_CODE,
    BY_SUBCODE,
    BY_SUBCODE_ALONE,
    RANGES,
    Parks,
    find_row,
)
from moorage_facebook.graph.errors import error_from_graph, read_graph_error
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
from tests.unit.facebook.graph.support import TRACE_ID

TOKENISH = "EAA" + "Gm0PX4ZCpsBAKZC" * 3
ROWS = [*BY_CODE.values(), *BY_SUBCODE.values(), *BY_SUBCODE_ALONE.values(), *(row for _, row in RANGES)]


def error(
    code: object, subcode: object = None, *, status: int = 400, writes: bool = False, **more: object
) -> VendorError:
    body = {"error": {"code": code, "error_subcode": subcode, "fbtrace_id": TRACE_ID, **more}}
    return error_from_graph(status, body, {}, writes=writes)


@pytest.mark.parametrize(
    ("code", "subcode", "kind", "hits"),
    [
        (190, None, ReauthorizationError, Hits.INTEGRATION),
        (190, 460, ReauthorizationError, Hits.INTEGRATION),
        (190, 463, ReauthorizationError, Hits.INTEGRATION),
        (190, 492, ReauthorizationError, Hits.CHANNEL),
        (190, 999_999, ReauthorizationError, Hits.INTEGRATION),
        (102, None, ReauthorizationError, Hits.INTEGRATION),
        (10, None, MissingScopeError, Hits.CALL),
        (10, 2018065, RejectedError, Hits.CALL),
        (10, 2018278, RejectedError, Hits.CALL),
        (200, None, MissingScopeError, Hits.CALL),
        (294, None, MissingScopeError, Hits.CALL),
        (299, None, MissingScopeError, Hits.CALL),
        (4, None, RateLimitError, Hits.INTEGRATION),
        (17, None, RateLimitError, Hits.INTEGRATION),
        (17, 2446079, RateLimitError, Hits.CHANNEL),
        (32, None, RateLimitError, Hits.CHANNEL),
        (341, None, RateLimitError, Hits.INTEGRATION),
        (613, None, RateLimitError, Hits.CHANNEL),
        (80001, None, RateLimitError, Hits.CHANNEL),
        (80005, None, RateLimitError, Hits.CHANNEL),
        (80012, None, RateLimitError, Hits.CHANNEL),
        (368, None, RateLimitError, Hits.CHANNEL),
        (100, None, RejectedError, Hits.CALL),
        (100, 33, VendorNotFoundError, Hits.CALL),
        (100, 1885272, RejectedError, Hits.CALL),
        (100, 2018218, VendorNotFoundError, Hits.CALL),
        (100, 2018247, VendorNotFoundError, Hits.CALL),
        (100, 2534014, VendorNotFoundError, Hits.CALL),
        (9010, None, VendorNotFoundError, Hits.CALL),
        (230, None, MissingScopeError, Hits.CALL),
        (803, None, VendorNotFoundError, Hits.CALL),
        (506, None, RejectedError, Hits.CALL),
        (36000, 2207004, RejectedError, Hits.CALL),
        (2, None, VendorUnavailableError, Hits.CALL),
        (424_242, None, RejectedError, Hits.CALL),
        (None, None, RejectedError, Hits.CALL),
    ],
)
def test_code_and_subcode_decide(
    code: int | None, subcode: int | None, kind: type[VendorError], hits: Hits
) -> None:
    found = error(code, subcode)

    assert (type(found), found.hits) == (kind, hits)
    assert found.vendor_code == ("" if code is None else str(code))
    assert found.trace_id == TRACE_ID
    assert found.remedy


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
def test_the_status_does_not_decide_where_a_code_does(status: int) -> None:
    """An expired token has come with 401, a missing permission with 403, everything with 400."""
    assert type(error(190, 463, status=status)) is ReauthorizationError
    assert type(error(294, status=status, writes=True)) is MissingScopeError


def test_codes_sent_as_text_count() -> None:
    assert type(error("190", "492")) is ReauthorizationError
    assert error("190", "492").hits is Hits.CHANNEL


@pytest.mark.parametrize("code", [1, 2, 1200, 424_242])
def test_what_graph_does_not_know_itself_may_have_happened(code: int) -> None:
    """After a write, "try later" means to look first; after a read it means to try later."""
    assert type(error(code, status=500, writes=True)) is OutcomeUnknownError
    assert type(error(code, status=500)) is VendorUnavailableError


def test_an_unknown_error_that_will_stay_is_a_refusal() -> None:
    """Graph uses code 1 for refusals that have no code of their own, and says that they are not transient."""
    assert type(error(1, 1965014, writes=True, is_transient=False)) is RejectedError
    assert type(error(1, is_transient=False)) is RejectedError


@pytest.mark.parametrize(("subcode", "status"), [(None, 400), (None, 500), (1965014, 500), (99, 503)])
def test_an_unknown_error_without_a_reason_may_come_after_the_write(subcode: int | None, status: int) -> None:
    """Told as a refusal, it would be sent again: twice on the wall, or twice paid for."""
    told = error(1, subcode, status=status, writes=True, is_transient=False)

    assert type(told) is OutcomeUnknownError


def test_only_what_ends_a_grant_disconnects() -> None:
    """The column of the table and the kind of error must not drift apart."""
    assert all(row.disconnects == (row.kind is ReauthorizationError) for row in ROWS)
    assert all(row.hits is not Hits.CALL for row in ROWS if row.disconnects)


def test_every_row_helps_a_person() -> None:
    """A sentence of its own, or the kind's."""
    assert all(row.remedy or row.kind.default_remedy for row in ROWS)
    assert all(row.remedy == "" or row.remedy.endswith(".") for row in ROWS)


def test_a_limit_and_only_a_limit_has_somebody_pause() -> None:
    assert all((row.parks is not Parks.NOBODY) == (row.kind is RateLimitError) for row in ROWS)
    assert all(row.kind is RateLimitError for row in ROWS if row.retry_after or row.use_case)


def test_graphs_own_wait_is_honoured() -> None:
    """Minutes per business, seconds by HTTP; the longest one counts, and none is longer than two days."""
    usage = {
        "1": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 19}],
        "2": [{"type": "leadgen", "call_count": 100, "estimated_time_to_regain_access": 3}],
    }
    body = {"error": {"code": 80001}}

    def wait(headers: dict[str, str]) -> timedelta | None:
        return error_from_graph(400, body, headers, writes=False).retry_after

    assert wait({"x-business-use-case-usage": msgspec.json.encode(usage).decode()}) == timedelta(minutes=19)
    assert wait({"retry-after": "30"}) == timedelta(seconds=30)
    assert wait({"retry-after": "99999999999999"}) == timedelta(days=2)
    assert wait({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None, "the governor knows how long"


def test_429_without_a_word_of_graph_is_a_limit() -> None:
    """Edge servers send it without a body: nothing happened, also after a write."""
    found = error_from_graph(429, None, {"retry-after": "7"}, writes=True)

    assert type(found) is RateLimitError
    assert found.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("code", [2, 999_999, None])
def test_429_is_a_limit_whatever_graph_says_beside_it(code: int | None) -> None:
    assert type(error(code, status=429, writes=True)) is RateLimitError


def test_the_blamed_fields_are_named() -> None:
    """`error_data` is an object, or the same as JSON in a string."""
    data = {"blame_field_specs": [["message"], ["targeting", "geo_locations"], [], "odd"]}

    for error_data in (data, msgspec.json.encode(data).decode()):
        assert set(error(100, error_data=error_data).fields) == {"message", "targeting.geo_locations"}


def test_what_graph_quotes_is_not_passed_on() -> None:
    """Its messages contain tokens and ids; its advice to people is worth passing on, without them."""
    found = error(
        100,
        message=f"Malformed access token {TOKENISH}",
        error_user_title="Too\nlong",
        error_user_msg="Shorten it. \u202eX",
    )
    silent = error(190, message=f"Malformed access token {TOKENISH}")

    assert "Too long: Shorten it." in str(found)
    assert "Gm0PX" not in str(found) + str(silent)
    assert "\u202e" not in str(found)


@pytest.mark.parametrize(
    "said",
    [
        "(#200) The permission(s) pages_manage_metadata,pages_read_engagement are not available.",
        "Requires whatsapp_business_management.",
        "(#10) leads_retrieval",
    ],
)
def test_a_missing_permission_is_named(said: str) -> None:
    """The one thing that the person has to know must not be taken for a token."""
    assert said in str(error(200, message=said))


@given(st.from_regex(r"[A-Za-z0-9|_.%-]{20,80}", fullmatch=True))
def test_what_could_be_a_token_is_left_out(tokenish: str) -> None:
    """Capitals, digits or other marks, and long: no permission is called that."""
    is_named = all(part.isalpha() and part.islower() for part in tokenish.removesuffix(".").split("_"))

    assert (tokenish in str(error(100, message=f"Bad {tokenish}!"))) <= is_named


@pytest.mark.parametrize(
    "given_id", ["", None, 7, "a" * 65, "<script>", "two words", "line\nbreak", "Ünfug", ["A"]]
)
def test_a_trace_id_is_one_or_none(given_id: object) -> None:
    """It is shown as it is, so it has to look like one."""
    assert error(100, fbtrace_id=given_id).trace_id == ("7" if given_id == 7 else "")


FIELDS = ("code", "error_subcode", "message", "is_transient", "error_user_msg", "error_data", "fbtrace_id")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    status=st.integers(),
    error=json_values
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            [
                "code",
                "error_subcode",
                "message",
                "is_transient",
                "error_user_msg",
                "error_user_title",
                "error_data",
                "fbtrace_id",
            ],
            json_values,
        ),
    ),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "x-app-usage", "x-business-use-case-usage", "x-ad-account-usage"]),
        st.text(alphabet=st.characters(codec=None), max_size=40),
    ),
    writes=st.booleans(),
)
def test_any_answer_becomes_one_error(
    status: int, error: object, headers: dict[str, str], writes: bool
) -> None:
    """Total: an error parser that raises would hide the error."""
    found = error_from_graph(status, {"error": error}, headers, writes=writes)

    assert isinstance(found, VendorError)
    assert len(str(found)) < 600
    str(found).encode()  # what is logged can be written
    read_graph_error(error)


@given(code=st.none() | st.integers(), subcode=st.none() | st.integers())
def test_a_subcode_never_turns_an_ended_grant_into_something_else(
    code: int | None, subcode: int | None
) -> None:
    """190 ends something, whatever subcode Meta invents for it next, unless the table says otherwise."""
    row = find_row(code, subcode)

    if code == 190 and subcode not in BY_SUBCODE_ALONE:
        assert row is not None
        assert row.disconnects
