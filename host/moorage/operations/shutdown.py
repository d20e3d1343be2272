"""Shutting an integration down: nothing is sent or taken in for it until somebody connects again."""

import attrs
import structlog

from moorage.operations.channels import stop_news
from moorage.operations.standing import known_integration
from moorage.services import Services
from moorage_ports.integrations import Integration, IntegrationStatus

log = structlog.get_logger(__name__)


async def shut_down(services: Services, org_id: str, integration_id: str) -> Integration:
    """Deactivate an integration and have the vendor stop sending the news of its channels.

    What was acknowledged before waits for the next connection; the channels' selection is kept for it.

    Raises:
        NotFoundError: The org has no such integration.
    """
    async with services.storage.unit_of_work(org_id) as uow:
        integration = await known_integration(uow, integration_id)
        channels = await uow.integrations.channels(integration.id)
        if integration.status is not IntegrationStatus.INACTIVE:
            integration = attrs.evolve(
                integration, status=IntegrationStatus.INACTIVE, updated_at=services.clock.now()
            )
            await uow.integrations.save(integration)
            log.info("shut_down", vendor=integration.vendor, org=org_id, integration=integration.id)
    vendor = services.vendors.by_slug.get(integration.vendor)
    if vendor is not None:
        heard = [channel for channel in channels if channel.subscribed]
        await stop_news(services, vendor, org_id, integration.app_id, heard)
    return integration
