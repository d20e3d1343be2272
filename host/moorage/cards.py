"""An org's integrations as the platform's routes show them: never a secret, never who connected."""

from collections.abc import Iterable
from typing import Final

from moorage import catalogue, codec
from moorage.operations.connecting import redirect_uri
from moorage.operations.views import integration_view
from moorage.services import Services
from moorage_ports.apps import CallCount, OwnApp
from moorage_ports.integrations import Channel, Integration
from moorage_ports.plugin import Vendor
from moorage_ports.storage import UnitOfWork

Card = dict[str, object]

_SET: Final = "set"  # all that is ever told about a secret


async def integration_card(services: Services, uow: UnitOfWork, integration: Integration) -> Card:
    """An integration without its operations: those are the vendor's."""
    channels = await uow.integrations.channels(integration.id)
    own = await uow.own_apps.of_vendor(integration.vendor)
    count = await uow.call_counts.of_vendor(integration.vendor)
    count = count.plus(services.calls.unwritten(uow.org_id, integration.vendor))
    vendor = services.vendors.by_slug.get(integration.vendor)
    seen = codec.to_plain(integration_view(integration, channels))
    assert isinstance(seen, dict)  # noqa: S101 - an attrs value always is one
    return {
        **seen,
        "type": catalogue.type_of(vendor) if vendor else "other",
        "provider": f"{integration.vendor}-provider",
        "name": integration.name or (vendor.title if vendor else integration.vendor),
        "description": integration.description,
        "isInstalled": vendor is not None,
        "createdAt": codec.to_plain(integration.created_at),
        "updatedAt": codec.to_plain(integration.updated_at),
        "lastUsed": codec.to_plain(count.last_used_at),
        "app": _app(services, uow.org_id, vendor, own),
        "metrics": {**_calls(count), **_channels(channels)},
    }


async def detailed_card(services: Services, uow: UnitOfWork, integration: Integration) -> Card:
    """The same with what the org has decided about it."""
    chosen = integration.capabilities
    own = await uow.own_apps.of_vendor(integration.vendor)
    return {
        **await integration_card(services, uow, integration),
        "config": _config(own),
        "notifyEmails": list(integration.notify_emails),
        "requireTicket": integration.require_ticket,
        "capabilities": None if chosen is None else [each.value for each in chosen],
    }


def _app(services: Services, org_id: str, vendor: Vendor | None, own: OwnApp | None) -> Card | None:
    """The app that serves the org now; with one of its own, the addresses to enter in its dashboard."""
    if own is not None and vendor is not None:
        host = services.settings.public_url.rstrip("/")
        return {
            "kind": "own",
            "id": own.app_id,
            "redirectUri": redirect_uri(services, vendor),
            "webhookUrl": f"{host}/connect/webhook/{vendor.slug}?orgid={org_id}",
            "secretSince": codec.to_plain(own.secret_since),
            "previousSecretUntil": codec.to_plain(own.previous_secret_until),
        }
    shared = services.apps.settings(vendor).app() if vendor else None
    return {"kind": "shared", "id": shared.app_id} if shared else None


def _config(own: OwnApp | None) -> Card:
    return {} if own is None else {"appId": own.app_id, "appSecret": _SET, "verifyToken": _SET}


def _calls(count: CallCount) -> Card:
    return {
        "totalCalls": count.total,
        "successfulCalls": count.total - count.failed,
        "failedCalls": count.failed,
        "averageResponseTime": round(count.milliseconds / count.total) if count.total else 0,
    }


def _channels(channels: Iterable[Channel]) -> Card:
    rows = tuple(channels)
    return {
        "channels": len(rows),
        "selectedChannels": sum(channel.selected for channel in rows),
        "subscribedChannels": sum(channel.subscribed for channel in rows),
    }
