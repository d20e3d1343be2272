"""Words for leads: what became of one, how it got here, why it is stuck, where its form's name is known."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from moorage.admin import words
from moorage.admin.inbox import NAMELESS
from moorage.admin.lead_form_words import target_words
from moorage.admin.words import Badge, Trouble
from moorage.leads.ledger import DONE, EntryView, StepView
from moorage.leads.mappings import MappedView
from moorage_ports.crm import CrmLead
from moorage_ports.erasure import WAITED_TOO_LONG
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.storage import UnitOfWork

OUTCOMES: Final[Mapping[str, Badge]] = {
    LeadOutcome.STORED.value: Badge("Stored", "good"),
    LeadOutcome.MERGED.value: Badge("Merged", "good"),
    LeadOutcome.LINKED.value: Badge("Linked", "good"),
    LeadOutcome.PARKED.value: Badge("Parked", "wait"),
    LeadOutcome.PENDING.value: Badge("On its way", "wait"),
    LeadOutcome.DEAD.value: Badge("Given up", "bad"),
    LeadOutcome.EXPIRED.value: Badge("Expired", "calm"),
    LeadOutcome.ERASED.value: Badge("Erased", "calm"),
}
MEANINGS: Final[Mapping[str, str]] = {
    LeadOutcome.STORED.value: "Each is a lead of its own.",
    LeadOutcome.MERGED.value: "What they said went into older leads of the same people.",
    LeadOutcome.LINKED.value: "Each is a lead of its own and says which older one it repeats.",
    LeadOutcome.PARKED.value: "They wait until somebody does what is said here, then go on by themselves.",
    LeadOutcome.PENDING.value: "They are tried again by themselves.",
    LeadOutcome.DEAD.value: "They were given up. Once the cause is gone, replay them.",
    LeadOutcome.EXPIRED.value: "The vendor keeps leads for so long only: nobody can read these any more.",
    LeadOutcome.ERASED.value: "They were erased here, so they do not come in again.",
}
WAYS: Final[Mapping[str, str]] = {
    HeardBy.WEBHOOK.value: "The vendor sent word of it",
    HeardBy.RECONCILE.value: "Found missing, and looked for",
    HeardBy.BACKFILL.value: "Read by a backfill",
    HeardBy.TEST.value: "A test",
    HeardBy.HAND.value: "Written down by somebody here",
    HeardBy.UNKNOWN.value: "Not noted",
}
_STATUS_TONES: Final = {"new": "accent", "qualified": "good", "converted": "good"}

_STEPS: Final[Mapping[tuple[str, str], str]] = {
    ("arrived", "done"): "Arrived",
    ("fetched", "done"): "Fetched from the vendor",
    ("fetched", "failed"): "Not fetched",
    ("fetched", "waits"): "Not fetched yet",
    ("mapped", "done"): "Mapped",
    ("mapped", "failed"): "Not mapped",
    ("mapped", "waits"): "Not mapped yet",
    ("stored", "done"): "Stored in the CRM",
    ("stored", "failed"): "Not stored",
    ("stored", "waits"): "Not stored yet",
}
_ENDS: Final = {
    LeadOutcome.MERGED.value: "Went into an older lead",
    LeadOutcome.LINKED.value: "Stored, and linked to the older one",
}
_TONES: Final = {"done": "good", "failed": "bad", "waits": "wait"}


@attrs.frozen(kw_only=True)
class FormName:
    """A form as people know it."""

    vendor: str
    id: str
    name: str


async def form_names(uow: UnitOfWork, more: Iterable[tuple[str, str]] = ()) -> tuple[FormName, ...]:
    """The forms that were ever read or compared, with those of `more` (vendor, id), by name."""
    named = {(check.vendor, check.form_external_id): check.name for check in await uow.form_checks.all()}
    named |= await uow.lead_forms.names()
    known = {form_id for _, form_id in named}
    every = named | {key: "" for key in more if key[1] and key[1] not in known}
    found = [
        FormName(vendor=vendor, id=id_, name=name or f"Form {id_}") for (vendor, id_), name in every.items()
    ]
    return tuple(sorted(found, key=lambda form: (form.name.casefold(), form.id)))


def by_key(names: Iterable[FormName]) -> dict[tuple[str, str], str]:
    """(vendor, the vendor's id) -> the form's name."""
    return {(form.vendor, form.id): form.name for form in names}


def name_of(lead: CrmLead | MappedView) -> str:
    """How to call somebody; a lead without a name still is one."""
    return " ".join(part for part in (lead.first_name, lead.last_name) if part) or NAMELESS


def status_badge(status: str) -> Badge:
    """A lead's status; new ones stand out."""
    return Badge(status.replace("_", " ").capitalize(), _STATUS_TONES.get(status, "calm"))


@attrs.frozen(kw_only=True)
class StepRow:
    """One step of a lead's way in words."""

    step: StepView
    text: str
    tone: str


@attrs.frozen(kw_only=True)
class EntryRow:
    """An entry of the ledger in words. `trouble`: what stopped it; `can_replay`: alone, as it is now."""

    entry: EntryView
    form: str
    channel: str
    vendor_title: str
    badge: Badge
    way: str
    steps: tuple[StepRow, ...]
    problems: tuple[str, ...]  # what mapping it had trouble with
    trouble: Trouble | None
    needs_connection: bool
    can_replay: bool


REPLAYED: Final = frozenset({LeadOutcome.DEAD.value, LeadOutcome.EXPIRED.value})
_CONNECTION: Final = frozenset({"reconnect_required", "missing_scope", "not_connected"})


def entry_row(
    entry: EntryView,
    forms: Mapping[tuple[str, str], str],
    channels: Mapping[tuple[str, str], str],
    titles: Mapping[str, str],
) -> EntryRow:
    """An entry as pages show it."""
    form = forms.get((entry.vendor, entry.form_id)) or (entry.form_id and f"Form {entry.form_id}")
    return EntryRow(
        entry=entry,
        form=form or ("Written by hand" if not entry.vendor else "A form that nobody named"),
        channel=channels.get((entry.vendor, entry.channel_external_id), ""),
        vendor_title=titles.get(entry.vendor, entry.vendor),
        badge=OUTCOMES[entry.outcome],
        way=WAYS[entry.heard_by],
        steps=tuple(
            _step_row(step, entry.outcome, has_problems=bool(entry.problems)) for step in entry.steps
        ),
        problems=tuple(f"{target_words(to)}: {text}" for to, text in entry.problems.items()),
        trouble=_trouble(entry),
        needs_connection=entry.error in _CONNECTION,
        can_replay=bool(entry.delivery_id) and entry.outcome in REPLAYED,
    )


def _step_row(step: StepView, outcome: str, *, has_problems: bool) -> StepRow:
    text = _STEPS.get((step.name, step.outcome), step.name.capitalize())
    if (step.name, step.outcome) == ("stored", DONE):
        text = _ENDS.get(outcome, text)
    tone = _TONES.get(step.outcome, "calm")
    return StepRow(step=step, text=text, tone="wait" if has_problems and step.name == "mapped" else tone)


def _trouble(entry: EntryView) -> Trouble | None:
    if not entry.error or any(step.name == "stored" and step.outcome == DONE for step in entry.steps):
        return None
    return stopped_by(entry.error, entry.remedy)


def stopped_by(code: str, remedy: str = "") -> Trouble:
    """Why something that a vendor sent is not worked on, and what to do; what is known better is `remedy`."""
    told = attrs.evolve(words.trouble_from_code(code), code=code)
    title, known = _WHY.get(code, (told.title, told.remedy))
    return attrs.evolve(told, title=title, remedy=remedy or known or told.remedy)


_WHY: Final[Mapping[str, tuple[str, str]]] = {
    "not_found": ("The vendor does not have it", ""),
    "internal": (
        "Something broke here",
        "Tell your operator the id of the delivery: the host's log says what broke. Then replay it.",
    ),
    "unsupported": ("Nothing here can work on it", "Replay it once the host has learnt that."),
    WAITED_TOO_LONG: ("It waited too long", "Do what it waited for, then replay it."),
}
