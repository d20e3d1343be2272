"""Leads as their forms' mappings make them: the versions that are current are read once for many leads."""

from collections.abc import Collection, Mapping
from datetime import datetime

import attrs

from moorage.codec import clean_text
from moorage.crm.mapping import mapped_lead
from moorage.leads.hearing import HeardLead
from moorage.services import Services
from moorage_ports.lead_mapping import FormMapping
from moorage_ports.lead_source import Lead


@attrs.frozen
class Mapper:
    """Maps the leads of one call; `mappings` by the forms that have one."""

    services: Services
    mappings: Mapping[str, FormMapping]

    @classmethod
    async def of(cls, services: Services, org_id: str, vendor: str, leads: Collection[Lead]) -> "Mapper":
        """For these leads of a vendor.

        Raises:
            UnavailableError: The database is out of reach.
        """
        forms = frozenset(_form_of(lead) for lead in leads) - {""}
        if not forms:
            return cls(services, {})
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            return cls(services, await uow.lead_mappings.of_forms(vendor, forms))

    def heard(self, heard: HeardLead, lead: Lead, *, lead_id: str, fetched_at: datetime) -> HeardLead:
        """What was heard of, with the lead that was fetched, mapped."""
        now = self.services.clock.now()
        mapping = self.mappings.get(_form_of(lead))
        mapped = mapped_lead(lead, mapping=mapping, lead_id=lead_id, vendor=heard.vendor, now=now)
        return attrs.evolve(
            heard,
            lead=mapped.lead,
            problems=mapped.problems,
            policy=mapping.dedupe if mapping else None,
            fetched_at=fetched_at,
            mapped_at=now,
        )


def _form_of(lead: Lead) -> str:
    return clean_text(lead.form_external_id)
