"""An org that holds a channel: what the promises of the host's own stores begin with."""

from datetime import timedelta
from typing import Final

import attrs

from moorage_ports.inbox import Arrival
from moorage_ports.integrations import Channel, GrantRecord, Integration, IntegrationStatus
from moorage_ports.storage import Storage
from moorage_ports.testing.lent import BEGINNING
from moorage_ports.webhooks import Change

VENDOR: Final = "memory"
APP: Final = "app-1"
BOARD: Final = "board-1"
SOON: Final = timedelta(seconds=1)


async def hold(
    storage: Storage,
    org_id: str,
    *channels: str,
    vendor: str = VENDOR,
    app_id: str = APP,
    status: IntegrationStatus = IntegrationStatus.ACTIVE,
) -> None:
    """Have `org_id` connected, with these channels selected."""
    integration = Integration(
        id=f"{org_id}-{vendor}",
        vendor=vendor,
        status=status,
        app_id=app_id,
        created_at=BEGINNING,
        updated_at=BEGINNING,
    )
    grant = GrantRecord(
        id=f"{org_id}-{vendor}-grant",
        integration_id=integration.id,
        subject_index="index",
        connected_by="user-1",
        scopes=(),
        created_at=BEGINNING,
    )
    rows = [
        Channel(
            id=f"{org_id}-{vendor}-{external_id}",
            integration_id=integration.id,
            grant_id=grant.id,
            vendor=vendor,
            external_id=external_id,
            type="board",
            name=external_id,
            selected=True,
        )
        for external_id in channels
    ]
    async with storage.unit_of_work(org_id) as work:
        await work.integrations.save(integration)
        await work.integrations.save_grant(grant)
        await work.integrations.save_channels(rows)


def change(key: str, *owners: str, partition: str = "", kind: str = "slip") -> Change:
    """One change; of `BOARD` unless `owners` say otherwise."""
    owner_keys = owners or (BOARD,)
    return Change(
        kind=kind,
        owner_keys=owner_keys,
        business_key=key,
        partition=partition or owner_keys[0],
        body=f'{{"key": "{key}"}}'.encode(),
    )


def arrival(
    *changes: Change, narrow_to: str | None = None, app_id: str = APP, vendor: str = VENDOR
) -> Arrival:
    """One delivery, split."""
    return Arrival(vendor=vendor, app_id=app_id, received_at=BEGINNING, changes=changes, narrow_to=narrow_to)


def later(item: Change, by: timedelta) -> Arrival:
    """The same, received later."""
    return attrs.evolve(arrival(item), received_at=BEGINNING + by)
