"""Whatever a lead, a message or an erasure may be called has words in the admin UI."""

from moorage.admin import handover, lead_words, operations, privacy, replaying
from moorage.handover.outcomes import REMEDIES
from moorage.leads.rehearsing import ALREADY_THERE, NOT_READ
from moorage_ports.erasure import Cause
from moorage_ports.inbox import HeardBy, ItemState
from moorage_ports.lead_ledger import SETTLED, LeadOutcome
from moorage_ports.outgoing import EndpointState, EventType, HandoverState


def test_every_outcome_and_way_of_a_lead_has_words() -> None:
    outcomes = {outcome.value for outcome in LeadOutcome}
    assert set(lead_words.OUTCOMES) == set(lead_words.MEANINGS) == outcomes
    assert set(lead_words.WAYS) == {way.value for way in HeardBy}
    assert set(replaying.FATES) == {outcome.value for outcome in SETTLED} | {ALREADY_THERE, NOT_READ}
    assert outcomes >= lead_words.REPLAYED


def test_everything_about_hand_over_and_privacy_has_words() -> None:
    assert set(handover.EVENTS) == {event.value for event in EventType}
    assert set(handover.ENDPOINTS) == {state.value for state in EndpointState}
    assert set(handover.HANDOVERS) == {state.value for state in HandoverState}
    assert all("_" not in handover.failure_words(code) for code in REMEDIES)
    assert set(privacy.CAUSES) == {cause.value for cause in Cause}
    assert set(operations.STATES) == {state.value for state in ItemState} - {ItemState.DONE.value}


def test_a_reason_has_words_also_where_nobody_foresaw_it() -> None:
    """What the entry itself says to do goes before what is known of the code."""
    foreseen = lead_words.stopped_by("not_found")
    assert foreseen.title == "The vendor does not have it"
    assert foreseen.remedy
    assert lead_words.stopped_by("not_found", "Look there.").remedy == "Look there."
    unforeseen = lead_words.stopped_by("never_seen")
    assert unforeseen.title
    assert unforeseen.remedy
    assert unforeseen.code == "never_seen"


def test_amounts_are_said_in_the_right_number() -> None:
    counts = {"leads": 1, "deliveries": 2, "contacts": 0, "new_things": 3}
    assert privacy.amounts(counts) == ["1 lead", "2 copies of what a vendor sent", "3 new things"]
