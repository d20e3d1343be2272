"""Sources of leads that are wrong in one place each."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_ports.errors import (
    OutcomeUnknownError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.lead_source import Lead, LeadCounts, LeadForm
from moorage_ports.paging import Page


class FirstPageOnly(MemoryLeadSource):
    """Never asks for the second page."""

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        page = await super().leads_since(channel_external_id, form_external_id, since, cursor, until)
        return Page(items=page.items)


class FirstValueOnly(MemoryLeadSource):
    """One question, one answer."""

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        lead = await super().lead(channel_external_id, lead_external_id)
        return attrs.evolve(
            lead, answers=tuple(attrs.evolve(one, values=one.values[:1]) for one in lead.answers)
        )


class AllLeadsEver(MemoryLeadSource):
    """Ignores `since`."""

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        ever = datetime.min.replace(tzinfo=since.tzinfo)
        return await super().leads_since(channel_external_id, form_external_id, ever, cursor, until)


class OneForAll(MemoryLeadSource):
    """One lead that cannot be read costs all the others."""

    async def leads(
        self, channel_external_id: str, lead_external_ids: Sequence[str]
    ) -> Mapping[str, Lead | VendorError]:
        return {one: await self.lead(channel_external_id, one) for one in lead_external_ids}


class NeverStops(MemoryLeadSource):
    """Ignores `until`."""

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        return await super().leads_since(channel_external_id, form_external_id, since, cursor)


class CountsAnything(MemoryLeadSource):
    """Its count has nothing to do with its leads."""

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        forms = await super().forms(channel_external_id)
        return tuple(attrs.evolve(form, counts=LeadCounts(total=7)) for form in forms)


class TriesUntilThereIsATest(MemoryLeadSource):
    """Takes silence for failure, so that there are tests nobody knows of."""

    async def create_test_lead(
        self,
        channel_external_id: str,
        form_external_id: str,
        *,
        answers: Mapping[str, tuple[str, ...]] | None = None,
    ) -> str:
        try:
            return await super().create_test_lead(channel_external_id, form_external_id, answers=answers)
        except OutcomeUnknownError as lost:
            msg = "it failed"
            raise VendorUnavailableError(msg, vendor="memory") from lost
