"""What these tests put into a database."""

from datetime import datetime
from typing import Any

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.crm import CrmLead
from moorage_ports.inbox import Arrival
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.webhooks import Change
from tests.unit.adapters.conftest import NOON

VENDOR = "memory"
APP = "app-1"


def integration(org_id: str = "a", **changes: Any) -> Integration:
    fields: dict[str, Any] = {
        "id": f"integration-{org_id}",
        "vendor": VENDOR,
        "status": IntegrationStatus.ACTIVE,
        "app_id": APP,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Integration(**(fields | changes))


def channel(external_id: str = "page-1", org_id: str = "a", **changes: Any) -> Channel:
    fields: dict[str, Any] = {
        "id": f"{org_id}-{external_id}",
        "integration_id": f"integration-{org_id}",
        "grant_id": "grant-1",
        "vendor": VENDOR,
        "external_id": external_id,
        "type": "page",
        "name": f"Page {external_id}",
        "selected": True,
    }
    return Channel(**(fields | changes))


async def connect(storage: SqlStorage, org_id: str, *external_ids: str, **changes: Any) -> None:
    """Give the org an integration with these channels selected; `changes` are the integration's."""
    async with storage.unit_of_work(org_id) as uow:
        await uow.integrations.save(integration(org_id, **changes))
        await uow.integrations.save_channels([channel(one, org_id) for one in external_ids])


def change(key: str = "lead-1", *owner_keys: str, partition: str = "p", body: bytes = b"{}") -> Change:
    return Change(
        kind="lead", owner_keys=owner_keys or ("page-1",), business_key=key, partition=partition, body=body
    )


def arrival(
    *changes: Change, narrow_to: str | None = None, app_id: str = APP, at: datetime = NOON
) -> Arrival:
    return Arrival(vendor=VENDOR, app_id=app_id, received_at=at, changes=changes, narrow_to=narrow_to)


def lead(number: int = 1, **changes: Any) -> CrmLead:
    fields: dict[str, Any] = {
        "id": f"lead-{number}",
        "external_id": f"external-{number}",
        "vendor": VENDOR,
        "channel_external_id": "page-1",
        "source": VENDOR,
        "created_at": NOON,
    }
    return CrmLead(**(fields | changes))
