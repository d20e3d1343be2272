"""How far a test lead has come, step by step: from what the ledger says of it. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from moorage_ports.errors import MoorageError
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.lead_operations import StepOutcome, TestLeadView, TestStep
from moorage_ports.lead_orders import LeadTest, OrderState

PATIENCE: Final = timedelta(minutes=10)  # a delivery takes seconds
_ANSWERS_WITHIN: Final = timedelta(minutes=2)  # whoever ordered it waits no longer

_IN_THE_CRM: Final = frozenset({LeadOutcome.STORED, LeadOutcome.MERGED, LeadOutcome.LINKED})
_OVER: Final = frozenset({LeadOutcome.PARKED, LeadOutcome.DEAD, LeadOutcome.EXPIRED, LeadOutcome.ERASED})

NO_ANSWER: Final = "no_answer"
NOT_HEARD: Final = "not_heard"
_MAKE_ANOTHER: Final = "Make another test lead; it takes the place of this one."
_LOOK_AT_NEWS: Final = (
    "No delivery came: see that the channel's news is sent here (channels, subscribed), that the vendor can "
    "reach this host, and that it does not answer 403, which means that the app's secret is not the one kept "
    "here."
)


def view_of_test(test: LeadTest, entry: LeadEntry | None, now: datetime) -> TestLeadView:
    """A test lead as far as it has come."""
    steps = tuple(_steps(test, entry, now))
    return TestLeadView(
        id=test.id,
        state=_state(steps),
        form_id=test.form_external_id,
        channel_id=test.channel_external_id,
        lead_id=test.lead_external_id,
        crm_lead_id=(entry.lead_id or None) if entry else None,
        steps=steps,
        ordered_at=test.ordered_at,
    )


def _state(steps: tuple[TestStep, ...]) -> OrderState:
    outcomes = {step.outcome for step in steps}
    if StepOutcome.FAILED in outcomes:
        return OrderState.FAILED
    return OrderState.RUNNING if StepOutcome.WAITING in outcomes else OrderState.DONE


def _steps(test: LeadTest, entry: LeadEntry | None, now: datetime) -> Iterator[TestStep]:
    """Each in its turn; behind one that failed, the others wait for nothing and are not told."""
    created = _created(test, now)
    yield created
    if created.outcome is StepOutcome.FAILED and entry is None:
        return
    arrived = _arrived(test, entry, now)
    yield arrived
    if arrived.outcome is StepOutcome.FAILED:
        return
    yield _verified(arrived)
    is_red = False
    for name, at in (
        ("fetched", entry.fetched_at if entry else None),
        ("mapped", entry.mapped_at if entry else None),
        ("stored", entry.stored_at if entry and entry.outcome in _IN_THE_CRM else None),
    ):
        if is_red:
            return
        step = _worked_on(name, at, entry)
        is_red = step.outcome is StepOutcome.FAILED
        yield step


def _created(test: LeadTest, now: datetime) -> TestStep:
    if test.created_at is not None:
        return TestStep(name="created", outcome=StepOutcome.DONE, at=test.created_at)
    if test.state is OrderState.FAILED:
        return _red("created", test.error, test.remedy)
    if now - test.ordered_at > _ANSWERS_WITHIN:
        return _red("created", NO_ANSWER, _MAKE_ANOTHER)
    return TestStep(name="created", outcome=StepOutcome.WAITING)


def _arrived(test: LeadTest, entry: LeadEntry | None, now: datetime) -> TestStep:
    if entry is not None and entry.heard_by in {HeardBy.WEBHOOK, HeardBy.TEST, HeardBy.UNKNOWN}:
        return TestStep(name="arrived", outcome=StepOutcome.DONE, at=entry.arrived_at)
    if entry is not None:  # it was looked for, and found, before any delivery told of it
        return TestStep(
            name="arrived", outcome=StepOutcome.SKIPPED, at=entry.arrived_at, remedy=_LOOK_AT_NEWS
        )
    if test.created_at is not None and now - test.created_at > PATIENCE:
        return _red("arrived", NOT_HEARD, _LOOK_AT_NEWS)
    return TestStep(name="arrived", outcome=StepOutcome.WAITING)


def _verified(arrived: TestStep) -> TestStep:
    """Only what bears a signature that holds is kept at all."""
    return TestStep(name="verified", outcome=arrived.outcome, at=arrived.at)


def _worked_on(name: str, at: datetime | None, entry: LeadEntry | None) -> TestStep:
    if at is not None:
        return TestStep(name=name, outcome=StepOutcome.DONE, at=at)
    if entry is not None and entry.outcome in _OVER:
        return _red(name, entry.error or entry.outcome.value, entry.remedy)
    if entry is not None and entry.outcome in _IN_THE_CRM:
        return TestStep(name=name, outcome=StepOutcome.SKIPPED)
    error, remedy = (entry.error, entry.remedy) if entry else ("", "")
    return TestStep(name=name, outcome=StepOutcome.WAITING, error=error, remedy=remedy)


def _red(name: str, error: str, remedy: str) -> TestStep:
    known = remedy or MoorageError.default_remedy
    return TestStep(name=name, outcome=StepOutcome.FAILED, error=error, remedy=known)
