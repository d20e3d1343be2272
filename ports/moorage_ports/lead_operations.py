"""Operations on lead forms and leads: what a caller may ask by name."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final

import attrs
from attrs.validators import max_len, min_len

from moorage_ports.lead_orders import OrderState
from moorage_ports.operations import Effect, Operation, Role
from moorage_ports.values import is_aware

_LONGEST_ID: Final = 255
_MOST_ANSWERS: Final = 200


# Forms ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ListLeadForms:
    """The forms of one channel (our id or the vendor's), as they stand at the vendor."""

    channel: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])


@attrs.frozen(kw_only=True)
class GetLeadForm:
    """One form by the vendor's id; without `channel` it is looked for on all that are selected."""

    form: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    channel: str = attrs.field(default="", validator=max_len(_LONGEST_ID))


@attrs.frozen(kw_only=True)
class OptionView:
    """One thing that may be chosen: what an answer bears, and what the person read."""

    key: str
    label: str


@attrs.frozen(kw_only=True)
class QuestionView:
    """One question; `meaning` is empty where the vendor does not say what it asks for."""

    key: str
    label: str
    meaning: str = ""
    options: tuple[OptionView, ...] = ()


@attrs.frozen(kw_only=True)
class ConsentView:
    """What a form asks consent for; of a lead, whether it was given (`null`: not said)."""

    key: str
    text: str = ""
    required: bool | None = None
    given: bool | None = None


@attrs.frozen(kw_only=True)
class FormCountsView:
    """The vendor's count of a form's leads and ours.

    `theirs` is `null` where the vendor does not count. `expired` of them nobody can read any more. `ours`
    were heard of here, in the CRM (`stored`), `waiting` or `dead`; `tests` are in none of these.
    `withProblems` of ours could not be mapped quite as the form's mapping says. `before`
    are those that nobody here was to have, from before the organisation listened: watched for a day before
    anything is concluded from it. `missing` is what is left, since `missingSince`; `alarming` once it stays.
    """

    theirs: int | None = None
    expired: int = 0
    organic: int | None = None
    ours: int = 0
    stored: int = 0
    waiting: int = 0
    dead: int = 0
    tests: int = 0
    with_problems: int = 0
    before: int | None = None
    missing: int = 0
    missing_since: datetime | None = attrs.field(default=None, validator=is_aware)
    alarming: bool = False
    checked_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class BackfillView:
    """How a backfill goes. `fetched` leads were read, `already_there` of them were here before."""

    id: str
    state: OrderState
    form_id: str
    channel_id: str
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)
    fetched: int
    already_there: int
    counts: FormCountsView | None = None
    error: str = ""
    remedy: str = ""
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)
    ordered_at: datetime = attrs.field(validator=is_aware)
    finished_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class LeadFormView:
    """A form as it stands at the vendor, with its newest backfill. `channel_id` is the vendor's id."""

    id: str
    channel_id: str
    name: str
    status: str
    locale: str
    questions: tuple[QuestionView, ...]
    consents: tuple[ConsentView, ...]
    counts: FormCountsView
    backfill: BackfillView | None = None


@attrs.frozen(kw_only=True)
class LeadFormList:
    """The forms of one channel."""

    forms: tuple[LeadFormView, ...]


LIST_LEAD_FORMS: Final = Operation(
    name="list_lead_forms",
    request=ListLeadForms,
    result=LeadFormList,
    effect=Effect.READS,
    role=Role.VIEWER,
    summary="List a channel's lead forms with their questions, and the vendor's counts beside ours.",
)
GET_LEAD_FORM: Final = Operation(
    name="get_lead_form",
    request=GetLeadForm,
    result=LeadFormView,
    effect=Effect.READS,
    role=Role.VIEWER,
    summary="Read one lead form: questions, consents, counts, and how its newest backfill goes.",
)


# Leads ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class GetLead:
    """One lead as it stands at the vendor: the vendor's id, or ours of one that the CRM has."""

    lead: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    channel: str = attrs.field(default="", validator=max_len(_LONGEST_ID))


@attrs.frozen(kw_only=True)
class AnswerView:
    """What a person wrote below one question."""

    name: str
    values: tuple[str, ...] = attrs.field(repr=False)
    meaning: str = ""


@attrs.frozen(kw_only=True)
class LeadView:
    """A lead as the vendor has it; `crm_lead_id` is the lead that it became here, if it did."""

    id: str
    form_id: str
    channel_id: str
    submitted_at: datetime | None = attrs.field(default=None, validator=is_aware)
    answers: tuple[AnswerView, ...] = attrs.field(repr=False)
    consents: tuple[ConsentView, ...] = ()
    campaign_id: str = ""
    campaign_name: str = ""
    ad_set_id: str = ""
    ad_set_name: str = ""
    ad_id: str = ""
    ad_name: str = ""
    platform: str = ""
    organic: bool | None = None
    test: bool | None = None
    crm_lead_id: str | None = None


GET_LEAD: Final = Operation(
    name="get_lead",
    request=GetLead,
    result=LeadView,
    effect=Effect.READS,
    role=Role.AGENT,
    summary="Read one lead at the vendor, whatever became of it here.",
)


# Backfills -----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class BackfillLeads:
    """Read a form's leads submitted at or after `since` and before `until`, and keep those that are missing.

    While one of the same stretch runs, it is what is answered: nothing begins twice.
    """

    form: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    channel: str = attrs.field(default="", validator=max_len(_LONGEST_ID))
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)

    def __attrs_post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            msg = "until must be later than since"
            raise ValueError(msg)


@attrs.frozen(kw_only=True)
class GetBackfill:
    """One backfill by its id."""

    id: str = attrs.field(validator=[min_len(1), max_len(64)])


BACKFILL_LEADS: Final = Operation(
    name="backfill_leads",
    request=BackfillLeads,
    result=BackfillView,
    effect=Effect.CONFIGURES,
    role=Role.AGENT,
    summary="Fetch a form's leads of any stretch of time; those that are here already stay as they are.",
)
GET_BACKFILL: Final = Operation(
    name="get_backfill",
    request=GetBackfill,
    result=BackfillView,
    effect=Effect.READS,
    role=Role.VIEWER,
    summary="Read how far a backfill has come.",
)


# Test leads ----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class CreateTestLead:
    """Have the vendor make a lead that is a test; `answers` by question, one value or several."""

    form: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    channel: str = attrs.field(default="", validator=max_len(_LONGEST_ID))
    answers: Mapping[str, tuple[str, ...]] = attrs.field(
        factory=dict, validator=max_len(_MOST_ANSWERS), repr=False
    )


@attrs.frozen(kw_only=True)
class GetTestLead:
    """One test by its id."""

    id: str = attrs.field(validator=[min_len(1), max_len(64)])


class StepOutcome(Enum):
    """How one step went; `skipped`: the lead came without it."""

    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class TestStep:
    """One step of a test lead's way, in the order in which it goes."""

    name: str
    outcome: StepOutcome
    at: datetime | None = attrs.field(default=None, validator=is_aware)
    error: str = ""
    remedy: str = ""


@attrs.frozen(kw_only=True)
class TestLeadView:
    """A test lead and how far it came: `done` once it is stored, `failed` once it cannot be any more."""

    id: str
    state: OrderState
    form_id: str
    channel_id: str
    lead_id: str
    crm_lead_id: str | None = None
    steps: tuple[TestStep, ...]
    ordered_at: datetime = attrs.field(validator=is_aware)


CREATE_TEST_LEAD: Final = Operation(
    name="create_test_lead",
    request=CreateTestLead,
    result=TestLeadView,
    effect=Effect.CONFIGURES,
    role=Role.AGENT,
    summary="Make a test lead at the vendor and follow it here, step by step.",
)
GET_TEST_LEAD: Final = Operation(
    name="get_test_lead",
    request=GetTestLead,
    result=TestLeadView,
    effect=Effect.READS,
    role=Role.VIEWER,
    summary="Read how far a test lead has come.",
)
