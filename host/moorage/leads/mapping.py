"""Leads as their forms' mappings make them: the versions that are current are read once for many leads."""

from collections.abc import Collection
from datetime import datetime

import attrs

from moorage.crm.mapping import crm_lead
from moorage.leads.hearing import HeardLead
from moorage.services import Services
from moorage_ports.lead_source import Lead


@attrs.frozen
class Mapper:
    """Maps the leads of one call."""

    services: Services

    @classmethod
    async def of(cls, services: Services, org_id: str, vendor: str, leads: Collection[Lead]) -> "Mapper":
        """For these leads of a vendor.

        Raises:
            UnavailableError: The database is out of reach.
        """
        del org_id, vendor, leads
        return cls(services)

    def heard(self, heard: HeardLead, lead: Lead, *, lead_id: str, fetched_at: datetime) -> HeardLead:
        """What was heard of, with the lead that was fetched, mapped."""
        now = self.services.clock.now()
        mapped = crm_lead(lead, lead_id=lead_id, vendor=heard.vendor, now=now)
        return attrs.evolve(
            heard,
            lead=attrs.evolve(
                mapped,
                answers=lead.answers,
                consents=lead.consents,
                campaign_name=lead.campaign_name,
                ad_set_name=lead.ad_set_name,
                ad_name=lead.ad_name,
                is_test=lead.is_test is True,
            ),
            fetched_at=fetched_at,
            mapped_at=now,
        )
