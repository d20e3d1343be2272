"""`LeadSource`: the forms people fill in, and what they answered."""

from datetime import datetime
from enum import Enum
from typing import Protocol

import attrs
from attrs.validators import min_len

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


@attrs.frozen(kw_only=True)
class Answer:
    """What a person wrote below one question; some questions take several values."""

    name: str
    values: tuple[str, ...] = attrs.field(repr=False)
    meaning: Meaning | None = None


@attrs.frozen(kw_only=True)
class Lead:
    """One submitted form, in words of no vendor. Attribution ids are empty for an organic lead."""

    external_id: str = attrs.field(validator=min_len(1))
    channel_external_id: str
    form_external_id: str
    answers: tuple[Answer, ...]
    submitted_at: datetime | None = attrs.field(default=None, validator=is_aware)
    campaign_external_id: str = ""
    ad_set_external_id: str = ""
    ad_external_id: str = ""
    is_organic: bool | None = None  # None: the vendor did not say
    platform: str = ""  # where the form was shown, in the vendor's word


@attrs.frozen(kw_only=True)
class Question:
    """One question of a form; `options` are what may be chosen, if it is a choice."""

    key: str
    label: str
    meaning: Meaning | None = None
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class LeadForm:
    """A form as it stands at the vendor."""

    external_id: str
    channel_external_id: str
    name: str
    status: str
    questions: tuple[Question, ...] = ()


class LeadSource(Protocol):
    """Reads forms and leads of the org's channels."""

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        """The channel's forms.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
        """
        ...

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        """One lead with its answers, read with the channel's own token.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover leads.
            VendorNotFoundError: No such lead, or this grant may not see it.
            RateLimitError: Too much just now.
        """
        ...

    async def leads_since(
        self, channel_external_id: str, form_external_id: str, since: datetime, cursor: str | None = None
    ) -> Page[Lead]:
        """Leads of one form submitted at or after `since`, a page at a time."""
        ...
