"""Leads that were read at a vendor, and the way in which they come to the CRM: that of deliveries.

They go into the inbox as the changes that their deliveries would have been, under the same business key: a
delivery that comes after all is a duplicate, and one that came before makes the lead that was read one.
"""

from collections.abc import Iterable

import attrs
import structlog

from moorage.services import Services
from moorage_ports.errors import NotConnectedError
from moorage_ports.inbox import Arrival, HeardBy, Kept, inbox_nudge
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.lead_source import Lead
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.webhooks import Change

log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class Subject:
    """The channel whose leads are read, and what it is asked with."""

    org_id: str
    vendor: Vendor
    integration: Integration
    channel: Channel
    context: VendorContext

    @property
    def external_id(self) -> str:
        """The vendor's id of the channel."""
        return self.channel.external_id


async def subject_of(services: Services, org_id: str, slug: str, external_id: str) -> Subject | None:
    """The org's channel, if it is still selected, usable and connected."""
    vendor = services.vendors.by_slug.get(slug)
    if vendor is None:
        return None
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        integration = await uow.integrations.of_vendor(slug)
        channel = await uow.integrations.channel(slug, external_id)
    if integration is None or integration.status is not IntegrationStatus.ACTIVE:
        return None
    if channel is None or not (channel.selected and channel.selectable):
        return None
    try:
        context = await services.context(vendor, org_id)
    except NotConnectedError:
        return None
    return Subject(org_id=org_id, vendor=vendor, integration=integration, channel=channel, context=context)


async def feed(services: Services, subject: Subject, leads: tuple[Lead, ...], *, heard_by: HeardBy) -> Kept:
    """Put leads where their deliveries would have put them."""
    webhooks = subject.vendor.webhooks
    if not leads or webhooks is None:
        return Kept()
    changes = tuple(map(webhooks.lead_change, leads))
    kept = await services.storage.intake.keep(
        Arrival(
            vendor=subject.vendor.slug,
            app_id=subject.integration.app_id,
            received_at=services.clock.now(),
            changes=changes,
            narrow_to=subject.org_id,
            heard_by=heard_by,
        )
    )
    if kept.duplicates:
        await _revive(services, subject, changes)
    return kept


async def _revive(services: Services, subject: Subject, changes: Iterable[Change]) -> None:
    """Have leads worked on anew that we gave up or that wait, although they can be read by now.

    Once that is so for one of them, whatever parked others may be over, too. What waits for a later try does
    not begin anew for others: where new leads come in that nobody may read, none would ever be given up.
    """
    now = services.clock.now()
    async with services.storage.unit_of_work(subject.org_id) as uow:
        keys = [change.business_key for change in changes]
        buckets = await uow.inbox.revive(subject.vendor.slug, keys, now=now)
        parked = await uow.inbox.unpark(subject.vendor.slug, now=now, with_waiting=False) if buckets else ()
        touched = {*buckets, *parked}
        await uow.jobs.nudge(*(inbox_nudge(subject.org_id, bucket) for bucket in sorted(touched)))
    if buckets:
        log.warning(
            "leads_revived",
            vendor=subject.vendor.slug,
            org=subject.org_id,
            channel=subject.channel.id,
        )
