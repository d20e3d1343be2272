"""`LeadSource`: the forms people fill in, and what they answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

import attrs
from attrs.validators import ge, min_len

from moorage_ports.errors import VendorError
from moorage_ports.paging import Page
from moorage_ports.values import is_aware


class Meaning(Enum):
    """What a question asks for, where the vendor says so. Custom questions have none."""

    EMAIL = "email"
    FULL_NAME = "full_name"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    PHONE = "phone"
    COMPANY = "company"
    JOB_TITLE = "job_title"
    STREET = "street"
    CITY = "city"
    REGION = "region"
    POSTAL_CODE = "postal_code"
    COUNTRY = "country"
    BIRTH_DATE = "birth_date"
    GENDER = "gender"
    MARITAL_STATUS = "marital_status"
    WEBSITE = "website"


@attrs.frozen(kw_only=True)
class Answer:
    """What a person wrote below one question; some questions take several values."""

    name: str
    values: tuple[str, ...] = attrs.field(repr=False)
    meaning: Meaning | None = None


@attrs.frozen(kw_only=True)
class Consent:
    """What a person was asked to agree to, and whether they did.

    `text` is what the form says now; empty where only the answer is known. `is_given` is `None` in a form,
    where nobody answered yet, and where the vendor does not say.
    """

    key: str
    text: str = ""
    is_given: bool | None = None
    is_required: bool | None = None


@attrs.frozen(kw_only=True)
class Lead:
    """One submitted form, in words of no vendor. Ids and names of ads are empty for an organic lead.

    `is_test`: made to try things out, and nobody's; `None` where the vendor does not say.
    """

    external_id: str = attrs.field(validator=min_len(1))
    channel_external_id: str
    form_external_id: str
    answers: tuple[Answer, ...]
    submitted_at: datetime | None = attrs.field(default=None, validator=is_aware)
    campaign_external_id: str = ""
    ad_set_external_id: str = ""
    ad_external_id: str = ""
    campaign_name: str = ""
    ad_set_name: str = ""
    ad_name: str = ""
    is_organic: bool | None = None  # None: the vendor did not say
    platform: str = ""  # where the form was shown, in the vendor's word
    consents: tuple[Consent, ...] = ()
    is_test: bool | None = None


@attrs.frozen(kw_only=True)
class Option:
    """One thing that may be chosen: what an answer may bear, and what the person read."""

    key: str
    label: str


@attrs.frozen(kw_only=True)
class Question:
    """One question of a form; `options` are what may be chosen, if it is a choice.

    An answer to a choice bears an option's key or its label: vendors differ, also by form.
    """

    key: str
    label: str
    meaning: Meaning | None = None
    options: tuple[Option, ...] = ()


@attrs.frozen(kw_only=True)
class LeadCounts:
    """How many leads the vendor counts for a form.

    `total` holds the `expired` ones, which nobody can read any more. `None`: the vendor does not say.
    """

    total: int = attrs.field(validator=ge(0))
    expired: int = attrs.field(default=0, validator=ge(0))
    organic: int | None = None


@attrs.frozen(kw_only=True)
class LeadForm:
    """A form as it stands at the vendor; `counts` is `None` where it does not count.

    Without `knows_consents` the vendor did not say what the form asks consent for.
    """

    external_id: str
    channel_external_id: str
    name: str
    status: str
    locale: str = ""
    questions: tuple[Question, ...] = ()
    consents: tuple[Consent, ...] = ()  # what it asks consent for
    counts: LeadCounts | None = None
    knows_consents: bool = True


class LeadSource(Protocol):
    """Reads forms and leads of the org's channels, and makes leads that are tests."""

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        """The channel's forms.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
            RateLimitError: Too much just now.
            VendorUnavailableError: No answer. Asking again does no harm.
        """
        ...

    async def form(self, channel_external_id: str, form_external_id: str) -> LeadForm:
        """One form, with its questions and counts.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
            VendorNotFoundError: The channel has no such form, or this grant may not see it.
            RateLimitError: Too much just now.
            VendorUnavailableError: No answer. Asking again does no harm.
        """
        ...

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        """One lead with its answers, read with the channel's own token.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
            VendorNotFoundError: No such lead, or this grant may not see it.
            RateLimitError: Too much just now.
            VendorUnavailableError: No answer. Asking again does no harm.
        """
        ...

    async def leads(
        self, channel_external_id: str, lead_external_ids: Sequence[str]
    ) -> Mapping[str, Lead | VendorError]:
        """What became of each id: the lead, or what `lead` would raise for it. In few calls, where it can be.

        One lead that cannot be read costs no other; an error that hits all of them stands beside each.

        Raises:
            ReauthorizationError: The channel's token is gone, so that nothing was asked.
        """
        ...

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        """Leads of one form submitted at or after `since` and before `until`, a page at a time.

        A vendor that counts in whole seconds may hand out leads of the second of `until`, too.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
            VendorNotFoundError: The channel has no such form, or this grant may not see it.
            InvalidRequestError: The cursor is none that was handed out, where the vendor can tell.
            RateLimitError: Too much just now.
            VendorUnavailableError: No answer. Asking again does no harm.
        """
        ...

    async def create_test_lead(
        self,
        channel_external_id: str,
        form_external_id: str,
        *,
        answers: Mapping[str, tuple[str, ...]] | None = None,
    ) -> str:
        """Have the vendor make a lead that is a test, and tell of it as of any other; answers its id.

        `answers` by question key; questions left out get the vendor's dummy text. A vendor that keeps one
        test lead per form replaces the one before.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
            VendorNotFoundError: The channel has no such form, or this grant may not see it.
            RejectedError: The vendor wants no such test lead: the form asks no such question, say.
            RateLimitError: Too much just now.
            OutcomeUnknownError: The request left and no answer came: there may be a test lead now.
            VendorUnavailableError: It never left.
        """
        ...
