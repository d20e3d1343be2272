"""Counts that differ for a moment are no gap; leads that stay away are, whatever else moves."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import attrs
from hypothesis import given
from hypothesis import strategies as st

from moorage.leads.form_counts import REREAD_EVERY, WATCHED, first_check, next_check, wants_rereading
from moorage_ports.form_checks import FormCheck
from moorage_ports.lead_source import LeadCounts, LeadForm

NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def form(theirs: int | None, expired: int = 0) -> LeadForm:
    counts = None if theirs is None else LeadCounts(total=theirs, expired=expired)
    return LeadForm(external_id="7", channel_external_id="1", name="Offers", status="active", counts=counts)


def watched(theirs: int | None, ours: int) -> FormCheck:
    """A form that was watched for its first day."""
    first = first_check("memory", form(theirs), ours, listens_since=NOON, now=NOON)
    return next_check(first, form(theirs), ours, now=NOON + WATCHED - QUARTER)


def checked(start: FormCheck, *counts: tuple[int | None, int], every: timedelta = QUARTER) -> list[FormCheck]:
    """One check after the other, of (theirs, ours)."""
    checks = [start]
    for theirs, ours in counts:
        now = checks[-1].checked_at + every
        checks.append(next_check(checks[-1], form(theirs), ours, now=now))
    return checks


def alarms(checks: Iterable[FormCheck]) -> list[bool]:
    return [check.is_alarming for check in checks]


def test_leads_from_before_the_org_listened_are_no_gap() -> None:
    check = checked(watched(1000, 0), (1000, 0), (1003, 3))[-1]

    assert (check.before, check.gap) == (1000, 0)


def test_a_count_that_lags_on_the_first_day_is_not_taken_for_what_was_before() -> None:
    """Otherwise it would look as if leads were missing once it has caught up."""
    first = first_check("memory", form(10), 4, listens_since=NOON, now=NOON)
    checks = checked(first, (10, 4), (10, 4), (12, 4), (12, 4), every=timedelta(hours=6))

    assert (checks[-1].before, checks[-1].gap) == (8, 0)
    assert not any(alarms(checks))


def test_a_count_that_lags_later_is_waited_for() -> None:
    """More are here than it counts, for hours; then it has them all."""
    late = [(10, 3), (10, 3), (10, 3), (11, 3), (11, 3), (11, 3), (11, 3)]
    checks = checked(watched(10, 2), *late, every=timedelta(hours=5))

    assert [check.gap for check in checks] == [0, -1, -1, -1, 0, 0, 0, 0]


def test_a_gap_that_is_there_again_has_everything_read_and_then_alarms() -> None:
    checks = checked(watched(10, 2), (12, 3), (12, 3), (12, 3), (12, 3))

    assert [check.gap for check in checks] == [0, 1, 1, 1, 1]
    assert [wants_rereading(*two) for two in pairwise(checks)] == [False, True, False, False]
    assert alarms(checks) == [False, False, False, True, True]
    assert checks[-1].gap_since == checks[1].checked_at
    assert checks[-1].alarmed_at == checks[-2].alarmed_at, "it is told once"


def test_a_gap_that_closes_is_over() -> None:
    checks = checked(watched(10, 2), (12, 3), (12, 3), (12, 3), (12, 4))

    assert alarms(checks)[-2:] == [True, False]
    assert (checks[-1].gap, checks[-1].gap_since, checks[-1].reread_at) == (0, None, None)


def test_a_gap_that_stays_or_grows_is_read_again_later() -> None:
    checks = checked(watched(10, 2), *((12 + n // 2, 3) for n in range(40)))

    assert checks[3].is_alarming
    rereads = [two[1].checked_at for two in pairwise(checks) if wants_rereading(*two)]
    assert len(rereads) == 2
    assert rereads[1] - rereads[0] >= REREAD_EVERY


def test_what_the_vendor_forgets_is_taken_for_granted_after_a_day() -> None:
    """It counts fewer: leads were deleted there, or what expired is no longer counted."""
    checks = checked(watched(10, 2), (6, 2), (6, 2), (6, 2), (7, 3), every=timedelta(hours=13))

    assert [check.before for check in checks] == [8, 8, 8, 4, 4]
    assert checks[-1].gap == 0


def test_a_backfill_of_older_leads_is_no_gap_afterwards() -> None:
    checks = checked(watched(10, 2), (10, 9), (10, 9), (10, 9), (11, 10), every=timedelta(hours=13))

    assert (checks[-1].before, checks[-1].gap) == (1, 0)


def test_a_vendor_that_does_not_count_has_no_gaps() -> None:
    check = checked(watched(None, 0), (None, 4), (None, 9))[-1]

    assert (check.theirs, check.before, check.gap) == (None, None, 0)


def test_a_vendor_that_stops_counting_ends_an_alarm() -> None:
    checks = checked(watched(10, 2), (12, 3), (12, 3), (12, 3), (None, 3))

    assert alarms(checks)[-2:] == [True, False]


@given(
    before=st.integers(0, 10_000),
    moves=st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 5), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=80,  # in less than a day: a lag that stays for longer is none
    ),
)
def test_leads_that_are_all_heard_of_never_alarm(
    before: int, moves: list[tuple[int, int, bool, int]]
) -> None:
    """Whatever comes in, is deleted at the vendor or is a test that one side counts; and counts may lag."""
    true, ours = before, 0
    counts: list[tuple[int | None, int]] = []
    for new, deleted, is_test, lag in moves:
        true = max(true + new - deleted, 0)
        ours += new + is_test
        counts += [(max(true - lag, 0), ours)] if deleted == 0 and not is_test else [(true, ours)]
    assert not any(alarms(checked(watched(before, 0), *counts)))


@given(lost=st.integers(1, 500), flow=st.lists(st.integers(0, 9), min_size=3))
def test_leads_that_nobody_heard_of_are_told(lost: int, flow: list[int]) -> None:
    """However many others come meanwhile."""
    theirs, ours, counts = 100 + lost, 0, list[tuple[int | None, int]]()
    for new in flow:
        theirs, ours = theirs + new, ours + new
        counts.append((theirs, ours))
    check = checked(watched(100, 0), *counts)[-1]

    assert check.is_alarming
    assert check.gap == lost


def test_a_name_is_kept_current() -> None:
    renamed = next_check(watched(1, 1), attrs.evolve(form(1), name="Spring"), 1, now=NOON + WATCHED)

    assert renamed.name == "Spring"
