"""How far a test lead came: each step says so, and the first red one is the last that is told."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from moorage.leads.testing import PATIENCE, view_of_test
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.lead_operations import StepOutcome
from moorage_ports.lead_orders import LeadTest, OrderState

NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
SOON = NOON + timedelta(seconds=5)
ORDERED = LeadTest(id="t1", vendor="m", channel_external_id="1", form_external_id="7", ordered_at=NOON)
MADE = attrs.evolve(ORDERED, lead_external_id="x1", state=OrderState.DONE, created_at=NOON)
HEARD = LeadEntry(vendor="m", external_id="x1", outcome=LeadOutcome.PENDING, arrived_at=SOON, updated_at=SOON)
FETCHED = attrs.evolve(HEARD, fetched_at=SOON, mapped_at=SOON)
STORED = attrs.evolve(FETCHED, outcome=LeadOutcome.STORED, stored_at=SOON, lead_id="l1")
RUNNING, DONE, FAILED = OrderState.RUNNING, OrderState.DONE, OrderState.FAILED


@pytest.mark.parametrize(
    ("test", "entry", "after", "state", "outcomes"),
    [
        (ORDERED, None, timedelta(0), RUNNING, "waiting waiting waiting waiting waiting waiting"),
        (ORDERED, None, timedelta(minutes=3), FAILED, "failed"),
        (MADE, None, timedelta(minutes=3), RUNNING, "done waiting waiting waiting waiting waiting"),
        (MADE, None, PATIENCE * 2, FAILED, "done failed"),
        (MADE, HEARD, PATIENCE * 2, RUNNING, "done done done waiting waiting waiting"),
        (MADE, STORED, timedelta(0), DONE, "done done done done done done"),
        (
            MADE,
            attrs.evolve(STORED, heard_by=HeardBy.RECONCILE),
            timedelta(0),
            DONE,
            "done skipped skipped done done done",
        ),
        (
            MADE,
            attrs.evolve(HEARD, outcome=LeadOutcome.PARKED, error="missing_scope", remedy="Allow it."),
            timedelta(0),
            FAILED,
            "done done done failed",
        ),
        (
            MADE,
            attrs.evolve(FETCHED, outcome=LeadOutcome.DEAD, error="internal"),
            timedelta(0),
            FAILED,
            "done done done done done failed",
        ),
        (attrs.evolve(ORDERED, state=FAILED, error="no"), STORED, timedelta(0), FAILED, None),
    ],
)
def test_each_step_says_how_it_went(
    test: LeadTest, entry: LeadEntry | None, after: timedelta, state: OrderState, outcomes: str | None
) -> None:
    view = view_of_test(test, entry, NOON + after)

    assert view.state is state
    if outcomes is not None:
        assert " ".join(step.outcome.value for step in view.steps) == outcomes


def test_a_red_step_says_what_to_do() -> None:
    parked = attrs.evolve(HEARD, outcome=LeadOutcome.PARKED, error="missing_scope", remedy="Allow it.")
    for test, entry, after in (
        (ORDERED, None, PATIENCE),
        (MADE, None, PATIENCE * 2),
        (MADE, parked, PATIENCE),
    ):
        *_, last = view_of_test(test, entry, NOON + after).steps

        assert last.outcome is StepOutcome.FAILED
        assert last.error
        assert last.remedy


def test_what_it_waits_for_is_said_while_it_waits() -> None:
    limited = attrs.evolve(HEARD, error="rate_limited", remedy="It is tried again.")

    steps = {step.name: step for step in view_of_test(MADE, limited, SOON).steps}

    assert (steps["fetched"].outcome, steps["fetched"].error) == (StepOutcome.WAITING, "rate_limited")
