"""Which limits a call counts on, what an answer says about them, and who pauses after a refusal."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.call import LEADGEN, PAGES, GraphCall
from moorage_facebook.graph.error_table import BY_CODE, BY_SUBCODE, Parks
from moorage_facebook.graph.errors import error_from_graph
from moorage_facebook.graph.meters import APP, INSIGHTS_OF_APP, PLATFORM, meters_of, readings_of
from moorage_ports.errors import Hits, RateLimitError, VendorError
from moorage_ports.governor import Meter, MeterScope, Reading
from moorage_ports.http import HttpAnswer
from moorage_ports.secret import Secret
from tests.unit.facebook.graph.support import TOKEN, answer, bench, refusal

SECRET = Secret("app-secret-of-32-characters-long")
AS_A_PERSON = GraphCall(path=("me", "accounts"), token=TOKEN)
AS_THE_APP = GraphCall(path=("debug_token",), is_app_call=True)
READ = GraphCall(path=("7",), token=TOKEN, owner="7", use_case=PAGES)
POST = GraphCall(method="POST", path=("7", "feed"), token=TOKEN, owner="7", use_case=PAGES, publishes=True)
LEAD = GraphCall(path=("99",), token=TOKEN, owner="7", use_case=LEADGEN)
PERSON_ON_PAGE = GraphCall(path=("7",), token=TOKEN, owner="7")
ADS = GraphCall(path=("act_5", "campaigns"), token=TOKEN, owner="act_5", use_case="ads_management")
INSIGHTS = GraphCall(path=("act_5", "insights"), token=TOKEN, owner="act_5", use_case="ads_insights")
CALLS = (AS_A_PERSON, AS_THE_APP, READ, POST, LEAD, PERSON_ON_PAGE, ADS, INSIGHTS)
MINUTES_19 = timedelta(minutes=19)


def page(use_case: str = "") -> Meter:
    return Meter(scope=MeterScope.CHANNEL, owner_id="7", use_case=use_case)


def account(use_case: str = "") -> Meter:
    return Meter(scope=MeterScope.AD_ACCOUNT, owner_id="5", use_case=use_case)


def said(call: GraphCall, headers: Mapping[str, object]) -> dict[Meter, Reading]:
    encoded = {name: msgspec.json.encode(value).decode() for name, value in headers.items()}
    return {reading.meter: reading for reading in readings_of(call, encoded, None, SECRET)}


def refused_by(
    call: GraphCall, code: int | None, subcode: int | None = None, status: int = 400
) -> tuple[Meter, VendorError]:
    """The one meter that a refusal parks."""
    body = None if code is None else {"error": {"code": code, "error_subcode": subcode}}
    error = error_from_graph(status, body, {}, writes=call.writes)
    (reading,) = readings_of(call, {}, error, SECRET)
    assert reading.is_refused
    return reading.meter, error


# What a call counts on ------------------------------------------------------------------------


def test_a_page_counts_for_itself_and_people_count_for_the_app() -> None:
    """Whose token it is decides: Graph's platform limits, or a business use case."""
    assert meters_of(READ, SECRET) == (APP, page(), page("pages"))
    assert meters_of(POST, SECRET) == (APP, page(), page("pages"), page("publishing"))
    assert meters_of(LEAD, SECRET) == (APP, page(), page("leadgen"))
    assert meters_of(ADS, SECRET) == (APP, account(), account("ads_management"))
    assert meters_of(INSIGHTS, SECRET) == (APP, account(), account("ads_insights"), INSIGHTS_OF_APP)
    assert meters_of(AS_THE_APP, SECRET) == (APP, PLATFORM)
    assert [meter.scope for meter in meters_of(AS_A_PERSON, SECRET)] == [
        MeterScope.APP,
        MeterScope.APP,
        MeterScope.PERSON,
    ]


def test_a_person_is_named_by_a_digest() -> None:
    """Meters are kept in the clear: no token, no part of one, and not the same under another app."""
    (person,) = [meter for meter in meters_of(AS_A_PERSON, SECRET) if meter.scope is MeterScope.PERSON]
    (elsewhere,) = [
        meter for meter in meters_of(AS_A_PERSON, Secret("x" * 32)) if meter.scope is MeterScope.PERSON
    ]

    assert len(person.owner_id) == 24
    assert int(person.owner_id, 16)
    assert person != elsewhere


# What an answer says --------------------------------------------------------------------------


def test_every_header_finds_its_meter() -> None:
    usage = {"call_count": 40, "total_time": 80, "total_cputime": 20}
    business = {"7": [{"type": "pages", **usage}, {"type": "leadgen", "call_count": 5}]}

    on_page = said(READ, {"x-app-usage": usage, "x-business-use-case-usage": business})
    on_account = said(
        INSIGHTS,
        {
            "x-ad-account-usage": {"acc_id_util_pct": 100, "reset_time_duration": 90},
            "x-fb-ads-insights-throttle": {"app_id_util_pct": 71, "acc_id_util_pct": 9},
        },
    )
    on_person = said(PERSON_ON_PAGE, {"x-page-usage": usage})

    assert {meter: reading.used for meter, reading in on_page.items()} == {
        PLATFORM: 0.8,
        page("pages"): 0.8,
        page("leadgen"): 0.05,
    }
    assert {meter: reading.used for meter, reading in on_account.items()} == {
        account(): 1.0,
        INSIGHTS_OF_APP: 0.71,
        account("ads_insights"): 0.09,
    }
    assert on_account[account()].regain_after == timedelta(seconds=90)
    assert {meter: reading.used for meter, reading in on_person.items()} == {page("platform"): 0.8}


def test_minutes_to_regain_access_are_minutes() -> None:
    usage = {"7": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 19}]}

    assert said(READ, {"x-business-use-case-usage": usage})[page("pages")].regain_after == MINUTES_19


def test_a_use_case_under_another_objects_id_is_the_calls_own() -> None:
    """Graph also reports under a business's id: this call is slowed by it all the same."""
    usage = {"31337": [{"type": "pages", "call_count": 90, "estimated_time_to_regain_access": 19}]}

    readings = said(READ, {"x-business-use-case-usage": usage})

    assert readings[page("pages")].used == 0.9
    assert readings[page("pages")].regain_after == MINUTES_19


def test_act_is_no_part_of_an_accounts_id() -> None:
    """Paths have it, headers do not."""
    usage = {"5": [{"type": "ads_management", "call_count": 60}]}

    assert list(said(ADS, {"x-business-use-case-usage": usage})) == [account("ads_management")]


# Who pauses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "code", "subcode", "meter"),
    [
        (READ, 80001, None, page("pages")),
        (POST, 80001, None, page("pages")),
        (LEAD, 80005, None, page("leadgen")),
        (ADS, 80004, 2446079, account("ads_management")),
        (ADS, 17, 2446079, account()),
        (INSIGHTS, 80000, 2446079, account("ads_insights")),
        (ADS, 613, 1487742, account()),
        (READ, 80004, None, page()),
        (LEAD, 80001, None, page()),
        (READ, 80012, None, page()),
        (READ, 32, None, page()),
        (PERSON_ON_PAGE, 32, None, page("platform")),
        (READ, 17, None, page()),
        (POST, 368, None, page("publishing")),
        (POST, 100, 1390008, page("publishing")),
        (READ, 368, None, page("pages")),
        (READ, 4, None, APP),
        (AS_A_PERSON, 4, None, APP),
        (ADS, 4, 1504022, APP),
        (AS_A_PERSON, 341, None, APP),
        (AS_THE_APP, 613, None, APP),
        (AS_THE_APP, 17, None, APP),
    ],
)
def test_a_limit_parks_what_it_is_about(
    call: GraphCall, code: int, subcode: int | None, meter: Meter
) -> None:
    """A use case if it is the call's own; where Graph names another, everything of the same owner."""
    assert refused_by(call, code, subcode)[0] == meter


@pytest.mark.parametrize("code", [17, 32, 613])
def test_a_persons_limit_is_that_persons(code: int) -> None:
    meter, _ = refused_by(AS_A_PERSON, code)

    assert meter.scope is MeterScope.PERSON


@pytest.mark.parametrize("call", CALLS)
def test_429_without_a_word_of_graph_stops_the_app(call: GraphCall) -> None:
    """Edge servers turn machines away, not Pages."""
    assert refused_by(call, None, status=429)[0] == APP


LIMITS = [(code, None) for code, row in BY_CODE.items() if row.parks is not Parks.NOBODY] + [
    key for key, row in BY_SUBCODE.items() if row.parks is not Parks.NOBODY
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("code", "subcode"), LIMITS)
async def test_whatever_limit_it_was_the_same_call_is_not_sent_again(
    call: GraphCall, code: int, subcode: int | None
) -> None:
    """The parked meter is always one that the call counts on: during the pause nothing leaves."""
    there = bench(refusal(code, subcode))

    with pytest.raises(RateLimitError) as first:
        await there.client.send(call)
    for _ in range(3):
        with pytest.raises(RateLimitError):
            await there.client.send(call)

    assert len(there.graph.sent) == 1
    assert first.value.retry_after is not None
    there.clock.advance(first.value.retry_after)
    with pytest.raises(RateLimitError):
        await there.client.send(call)
    assert len(there.graph.sent) == 2, "and after it, it is tried again"


async def test_other_pages_go_on() -> None:
    there = bench(refusal(80001), answer({"id": "1"}))

    with pytest.raises(RateLimitError):
        await there.client.send(READ)
    other = GraphCall(path=("8",), token=TOKEN, owner="8", use_case=PAGES)

    assert await there.client.send(other) == {"id": "1"}
    assert await there.client.send(LEAD) == {"id": "1"}, "the same Page's leads have a limit of their own"


async def test_the_pause_is_what_the_caller_is_told() -> None:
    """`retry_after` of the error, of the refusals after it, and the parked time are one."""
    usage = {"7": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 5}]}
    headers = {"x-business-use-case-usage": msgspec.json.encode(usage).decode()}
    limited = HttpAnswer(status=400, headers=headers, body=refusal(80001).body)
    there = bench(limited)

    with pytest.raises(RateLimitError) as first:
        await there.client.send(POST)
    there.clock.advance(timedelta(minutes=2))
    with pytest.raises(RateLimitError) as second:
        await there.client.send(POST)

    assert first.value.retry_after == timedelta(minutes=5)
    assert second.value.retry_after == timedelta(minutes=3)
    assert first.value.hits is Hits.CHANNEL


async def test_calls_count_on_what_they_are_admitted_on() -> None:
    there = bench(answer({"id": "1"}))

    await there.client.send(POST)

    assert there.governor.admitted == [meters_of(POST, SECRET)]


@given(
    headers=st.dictionaries(
        st.sampled_from(["x-app-usage", "x-page-usage", "x-business-use-case-usage", "x-ad-account-usage"]),
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=300),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["7", "type", "call_count", "estimated_time_to_regain_access", "acc_id_util_pct"]
                    )
                    | st.text(max_size=300),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=10,
        ),
    ),
    call=st.sampled_from(CALLS),
)
def test_no_header_makes_a_reading_that_is_none(headers: dict[str, object], call: GraphCall) -> None:
    """A reading that can't be made would raise where an answer is understood."""
    encoded = {name: msgspec.json.encode(value).decode() for name, value in headers.items()}

    readings_of(call, encoded, None, SECRET)
