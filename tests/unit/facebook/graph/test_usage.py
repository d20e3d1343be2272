"""Usage headers are read for what they say, and garbage in them says nothing."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.usage import Usage, longest_wait, usage_from_headers

NAMES = (
    "x-app-usage",
    "x-page-usage",
    "x-business-use-case-usage",
    "x-ad-account-usage",
    "x-fb-ads-insights-throttle",
)


def test_the_highest_of_each_counts() -> None:
    readings = usage_from_headers(
        {
            "x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":61.5}',
            "x-ad-account-usage": '{"acc_id_util_pct":9.67,"reset_time_duration":100}',
            "x-fb-ads-insights-throttle": '{"app_id_util_pct":71,"acc_id_util_pct":"9"}',
        }
    )

    assert readings == (
        Usage(limit="app", percent=61.5),
        Usage(limit="ad account", percent=9.67),
        Usage(limit="ads insights of the app", percent=71.0),
        Usage(limit="ads insights", percent=9.0),
    )


def test_each_use_case_of_each_business_is_its_own_limit() -> None:
    header = (
        '{"104400110022":[{"type":"leadgen","call_count":100,"total_time":3,"estimated_time_to_regain_access":19},'
        '{"type":"pages","call_count":4}],"9":{"type":"messenger","total_cputime":50},"8":[],"7":"odd"}'
    )

    readings = usage_from_headers({"x-business-use-case-usage": header})

    assert [(r.limit, r.owner, r.percent) for r in readings] == [
        ("leadgen", "104400110022", 100.0),
        ("pages", "104400110022", 4.0),
        ("messenger", "9", 50.0),
    ]
    assert longest_wait(readings) == timedelta(minutes=19)


def test_an_ad_account_waits_only_at_its_limit() -> None:
    """The time to its reset runs all the time."""
    (reading,) = usage_from_headers(
        {"x-ad-account-usage": '{"acc_id_util_pct":100,"reset_time_duration":90}'}
    )

    assert reading.regain_after == timedelta(seconds=90)


@given(st.dictionaries(st.sampled_from(NAMES), st.text(alphabet=st.characters(codec=None), max_size=60)))
def test_garbage_says_nothing(headers: dict[str, str]) -> None:
    usage_from_headers(headers)


def test_comments_doubles_and_absurd_numbers_do_not_crash() -> None:
    """Meta's own sample has comments and a key twice."""
    for value in (
        '{ // a comment\n "1": [] }',
        '{"1":[{"call_count":1e999}],"1":[{"call_count":true}]}',
        '{"1":[{"call_count":"nan","estimated_time_to_regain_access":1e30}]}',
        "[" * 60_000,
    ):
        for name in NAMES:
            assert all(0 <= reading.percent < 1e9 for reading in usage_from_headers({name: value}))
