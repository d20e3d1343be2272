"""What an answer means, whatever a stranger's server writes into it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.handover.outcomes import (
    DISABLED_AFTER,
    LONGEST_ASKED,
    LONGEST_HOLD,
    MOST_TRIES,
    REMEDIES,
    RETRIES,
    SUSPECT_AFTER,
    Told,
    attempt_of,
    enabled,
    health_after,
    remedy_for,
    retry_after,
    told_by,
    told_by_failure,
)
from moorage.handover.signing import new_secret
from moorage_ports.http import (
    AddressRefusedError,
    HttpAnswer,
    HttpError,
    NeverSentError,
    NoAnswerError,
    TimedOutError,
)
from moorage_ports.outgoing import Endpoint, EndpointState, EventType, Handover, HandoverState, SigningSecret

NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
FINE, FAILED = Told(status=200), Told(status=500, error="endpoint_failed")
ENDPOINT = Endpoint(
    id="e1",
    url="https://crm.example/",
    secrets=(SigningSecret(value=new_secret()),),
    created_at=NOON,
    updated_at=NOON,
)


def handover(tries: int) -> Handover:
    return Handover(
        endpoint_id="e1",
        message_id="msg_1",
        event_type=EventType.LEAD_CREATED,
        subject_id="lead-1",
        state=HandoverState.PENDING,
        tries=tries,
        created_at=NOON,
    )


@given(st.integers(100, 599), st.text(st.characters(max_codepoint=255), max_size=40))
def test_every_answer_means_something_and_only_2xx_is_success(status: int, asked: str) -> None:
    told = told_by(HttpAnswer(status=status, headers={"retry-after": asked}), NOON)
    assert told.is_delivered == (200 <= status <= 299)
    assert told.error in {"", *REMEDIES}
    assert told.retry_after is None or timedelta() <= told.retry_after <= LONGEST_ASKED


@given(st.text(max_size=60))
@example("9" * 400)
@example("-1")
@example("²")
@example("Mon, 01 Jan 0000 00:00:00 GMT")
@example("Mon, 01 Jan 99999 00:00:00 GMT")
@example("Mon, 99 Jan 2030 99:99:99 +9999")
@example("Sat, 01 Jun 2030 12:00:00 +99999999999")
@example("Mon, 01 Jan 99999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 2030 99999999999999:00:00 GMT")
@example("Mon, 99999999999999999999 Jan 2030 00:00:00 GMT")
@example("Mon, 01 Jan 2030 00:00:00 +99999999999999999999")
def test_nonsense_in_retry_after_is_no_wish(value: str) -> None:
    found = retry_after(value, NOON)
    assert found is None or timedelta() <= found <= LONGEST_ASKED


@given(st.integers(0, 86400))
def test_retry_after_is_read_in_seconds_and_as_a_date(seconds: int) -> None:
    wanted = timedelta(seconds=seconds)
    assert retry_after(str(seconds), NOON) == wanted
    assert retry_after(format_datetime(NOON + wanted, usegmt=True), NOON) == wanted


def test_a_date_that_is_over_asks_for_nothing() -> None:
    assert retry_after(format_datetime(NOON - timedelta(days=1), usegmt=True), NOON) == timedelta()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (AddressRefusedError(), "address_refused"),
        (NeverSentError(), "unreachable"),
        (TimedOutError(), "timed_out"),
        (NoAnswerError(), "no_answer"),
    ],
)
def test_every_failure_has_a_code_and_a_remedy(failure: HttpError, code: str) -> None:
    assert told_by_failure(failure).error == code
    assert REMEDIES[code].endswith(".")


@pytest.mark.parametrize("code", sorted(REMEDIES))
@pytest.mark.parametrize("event_type", [EventType.LEAD_CREATED, EventType.PING])
def test_only_what_is_tried_again_says_so(code: str, event_type: EventType) -> None:
    waiting = attrs.evolve(handover(1), error=code, event_type=event_type)
    given_up = attrs.evolve(waiting, state=HandoverState.DEAD)
    assert "tried again" not in remedy_for(given_up)
    assert "Nothing to do" not in remedy_for(given_up)
    wants = "test it again" if event_type is EventType.PING else "replay"
    assert wants in remedy_for(given_up) or "replay" in REMEDIES[code]
    assert "given up" not in remedy_for(waiting) or "replay" in REMEDIES[code]
    assert remedy_for(attrs.evolve(waiting, error="")) == ""


def test_the_schedule_is_the_specifications_example() -> None:
    waits = []
    for tries in range(1, MOST_TRIES):
        attempt = attempt_of(handover(tries), FAILED, NOON)
        assert attempt.state is HandoverState.PENDING
        assert attempt.retry_at is not None
        waits.append((attempt.retry_at - NOON) / RETRIES[tries - 1])
    assert all(0.9 <= wait <= 1.1 for wait in waits)
    assert len(set(waits)) > 1, "not all come back at once"
    assert sum(RETRIES, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert attempt_of(handover(MOST_TRIES), FAILED, NOON).state is HandoverState.DEAD


def test_who_asks_for_longer_than_the_schedule_gets_it_and_never_for_shorter() -> None:
    longer = attrs.evolve(FAILED, retry_after=timedelta(hours=3))
    assert attempt_of(handover(1), longer, NOON).retry_at == NOON + timedelta(hours=3)
    shorter = attempt_of(handover(4), attrs.evolve(FAILED, retry_after=timedelta(seconds=1)), NOON)
    assert shorter.retry_at is not None
    assert shorter.retry_at >= NOON + 0.9 * RETRIES[3]


@given(st.lists(st.sampled_from([FINE, FAILED]), min_size=1, max_size=8), st.integers(0, 50))
def test_health_counts_failures_in_a_row(results: list[Told], failures: int) -> None:
    before = attrs.evolve(ENDPOINT, failures=failures, failing_since=NOON if failures else None)
    after = health_after(before, results, NOON)
    if FINE in results:
        assert (after.failures, after.failing_since, after.held_until) == (0, None, None)
        return
    assert (after.failures, after.failing_since) == (failures + len(results), NOON)
    if after.failures < SUSPECT_AFTER:
        assert after.held_until is None
    else:
        assert after.held_until is not None
        assert NOON < after.held_until <= NOON + LONGEST_HOLD


def test_it_is_disabled_after_five_days_without_a_success_and_enabled_it_is_as_new() -> None:
    failing = attrs.evolve(ENDPOINT, failures=9, failing_since=NOON)
    just_before = health_after(failing, [FAILED], NOON + DISABLED_AFTER - timedelta(seconds=1))
    assert just_before.state is EndpointState.ACTIVE
    after = health_after(failing, [FAILED], NOON + DISABLED_AFTER)
    assert (after.state, after.reason) == (EndpointState.DISABLED, "failing")
    assert enabled(attrs.evolve(after, updated_at=NOON)) == ENDPOINT
