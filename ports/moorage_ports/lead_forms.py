"""Forms as they were last read at their vendor: for when it cannot be asked what they ask, or need not be."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import instance_of, min_len

from moorage_ports.lead_source import LeadForm
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class KnownForm:
    """A form as it stood at `vendor` when it was read. Nobody's answers are in it."""

    vendor: str = attrs.field(validator=min_len(1))
    form: LeadForm = attrs.field(validator=instance_of(LeadForm))
    read_at: datetime = attrs.field(validator=is_aware)


class LeadForms(Protocol):
    """The org's forms as they were last read, in a unit of work."""

    async def save_all(self, forms: Sequence[KnownForm]) -> None:
        """Insert or replace (one per channel and form); what was read later stays."""
        ...

    async def get(self, vendor: str, form_external_id: str) -> KnownForm | None:
        """One form; if several channels have it, as it was read last."""
        ...

    async def all(self) -> tuple[KnownForm, ...]:
        """Every form, by vendor, channel and the vendor's id."""
        ...

    async def names(self) -> Mapping[tuple[str, str], str]:
        """What forms are called, by (vendor, the vendor's id); if several channels have one, as read last."""
        ...

    async def keep_only(
        self, vendor: str, channel_external_id: str, form_external_ids: Collection[str]
    ) -> None:
        """The channel has these forms and no others: those that are gone are forgotten."""
        ...
