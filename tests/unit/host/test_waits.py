"""How long to wait: as long as the vendor says, else longer from try to try, and never all at once."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from moorage.waits import FIRST_RETRY, LONGEST_RETRY, SHORTEST_WAIT, asked_by, doubled
from moorage_ports.errors import RateLimitError


@given(st.one_of(st.none(), st.timedeltas(timedelta(), timedelta(days=2))))
def test_after_a_limit_as_long_as_the_vendor_asks_and_a_little_more(asked: timedelta | None) -> None:
    least = max(asked or SHORTEST_WAIT, SHORTEST_WAIT)

    assert least <= asked_by(RateLimitError("so", vendor="memory", retry_after=asked)) <= least * 1.2


@given(st.integers(0, 10_000))
def test_longer_from_try_to_try_up_to_a_quarter_of_an_hour(tries: int) -> None:
    most = min(FIRST_RETRY * 2 ** min(max(tries - 1, 0), 20), LONGEST_RETRY)

    assert most / 2 <= doubled(tries) <= most
