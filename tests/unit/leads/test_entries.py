"""What the ledger tells of a delivery: how far its lead came, why no further, and what a person can do."""

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from moorage.leads.entries import KEPT_BY_VENDORS, Told, entry_of
from moorage.leads.hearing import HeardLead, Placed
from moorage.leads.ledger import StepView, steps_of
from moorage_ports.inbox import HeardBy, ItemState
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from tests.unit.adapters.conftest import NOON
from tests.unit.leads.telling import heard, item_of

REMEDY = "Connect again."
READ = heard(1, campaign_id="c", ad_id="ad", mapping_version=3, form_id="form-9", submitted_at=NOON)
UNREAD = attrs.evolve(READ, lead=None, fetched_at=None, mapped_at=None)
STORED = Placed(outcome=LeadOutcome.STORED, lead_id="ours")


def told(
    state: ItemState,
    one: HeardLead = UNREAD,
    *,
    placed: Placed | None = None,
    now: datetime = NOON,
    **changes: Any,
) -> LeadEntry | None:
    return entry_of(
        item_of(tries=4, heard_by=HeardBy.RECONCILE), one, Told(state=state, **changes), placed, now
    )


def steps(entry: LeadEntry) -> dict[str, str]:
    return {step.name: step.outcome for step in steps_of(entry)}


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (ItemState.PARKED, LeadOutcome.PARKED),
        (ItemState.PENDING, LeadOutcome.PENDING),
        (ItemState.DEAD, LeadOutcome.DEAD),
    ],
)
def test_a_lead_that_could_not_be_read_says_why_and_what_to_do(
    state: ItemState, outcome: LeadOutcome
) -> None:
    entry = told(state, error="missing_scope", remedy=REMEDY)
    assert entry is not None
    assert (entry.outcome, entry.error, entry.remedy, entry.tries) == (outcome, "missing_scope", REMEDY, 4)
    assert (entry.form_external_id, entry.heard_by, entry.item_id) == ("form-1", HeardBy.RECONCILE, "0001")
    assert (entry.fetched_at, entry.mapped_at, entry.stored_at) == (None, None, None)
    waits = "failed" if outcome is LeadOutcome.DEAD else "waits"
    assert steps(entry) == {"arrived": "done", "fetched": waits, "mapped": waits, "stored": waits}


def test_a_lead_that_was_read_and_could_not_be_stored_says_how_far_it_came() -> None:
    entry = told(ItemState.PENDING, READ, error="internal")
    assert entry is not None
    assert (entry.outcome, entry.mapping_version, entry.form_external_id) == (
        LeadOutcome.PENDING,
        3,
        "form-9",
    )
    assert entry.attribution == {"campaignId": "c", "adId": "ad"}
    assert steps(entry) == {"arrived": "done", "fetched": "done", "mapped": "done", "stored": "waits"}


@pytest.mark.parametrize("outcome", [LeadOutcome.STORED, LeadOutcome.MERGED, LeadOutcome.LINKED])
def test_a_lead_that_was_stored_says_where(outcome: LeadOutcome) -> None:
    entry = told(ItemState.DONE, READ, placed=Placed(outcome=outcome, lead_id="ours", into="older"))
    assert entry is not None
    assert (entry.outcome, entry.lead_id, entry.into, entry.stored_at) == (outcome, "ours", "older", NOON)
    assert set(steps(entry).values()) == {"done"}


def test_a_lead_from_before_there_was_a_ledger_has_no_step_that_nobody_saw() -> None:
    entry = told(ItemState.DONE, UNREAD, placed=STORED)
    assert entry is not None
    assert list(steps_of(entry)) == [
        StepView(name="arrived", at=NOON, outcome="done"),
        StepView(name="stored", at=NOON, outcome="done"),
    ]


@pytest.mark.parametrize(
    ("error", "age", "outcome"),
    [
        ("not_found", KEPT_BY_VENDORS + timedelta(seconds=1), LeadOutcome.EXPIRED),
        ("not_found", KEPT_BY_VENDORS, LeadOutcome.DEAD),
        ("internal", 2 * KEPT_BY_VENDORS, LeadOutcome.DEAD),
    ],
)
def test_what_the_vendor_keeps_no_more_expired(error: str, age: timedelta, outcome: LeadOutcome) -> None:
    entry = told(ItemState.DEAD, error=error, now=NOON + age)
    assert entry is not None
    assert entry.outcome is outcome


def test_what_was_not_tried_or_has_an_entry_already_says_nothing() -> None:
    assert told(ItemState.PENDING) is None, "given back"
    assert told(ItemState.DONE) is None, "somebody else was faster, or it was here before"
