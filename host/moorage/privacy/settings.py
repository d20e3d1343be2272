"""An org's retention as the API shows and takes it, with what it would remove."""

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import attrs
from attrs.validators import ge, le, optional

from moorage.services import Caller, Services
from moorage_ports.retention import (
    LEAD_DAYS,
    MOST_DAYS,
    MOST_DELIVERY_DAYS,
    WAITING_DAYS,
    Retention,
    RetentionCheck,
)
from moorage_ports.storage import UnitOfWork
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class SetRetention:
    """For how many days to keep what; what is left out is the default, `null` is until somebody deletes it.

    With `dry_run` nothing is changed, and the answer says what would go at the next look.
    """

    lead_days: int | None = attrs.field(
        default=cast("int | None", LEAD_DAYS), validator=optional([ge(1), le(MOST_DAYS)])
    )
    person_days: int | None = attrs.field(default=None, validator=optional([ge(1), le(MOST_DAYS)]))
    delivery_days: int = attrs.field(default=MOST_DELIVERY_DAYS, validator=[ge(0), le(MOST_DELIVERY_DAYS)])
    waiting_days: int = attrs.field(default=WAITING_DAYS, validator=[ge(1), le(WAITING_DAYS)])
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class DueView:
    """What the job removes at its next look: how many leads, and contacts with all that is theirs."""

    leads: int
    people: int


@attrs.frozen(kw_only=True)
class CheckView:
    """When the job last looked, and how many of which kind it removed."""

    checked_at: datetime | None = attrs.field(validator=is_aware)
    removed: Mapping[str, int]


@attrs.frozen(kw_only=True)
class RetentionView:
    """What an org keeps for how many days; `null`: until somebody deletes it."""

    lead_days: int | None
    person_days: int | None
    delivery_days: int
    waiting_days: int
    changed_at: datetime | None = attrs.field(validator=is_aware)
    changed_by: str
    due: DueView
    last_check: CheckView


async def get_retention(services: Services, org_id: str) -> RetentionView:
    """What the org keeps for how long."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        return await _view(services, uow, await uow.retention.get())


async def set_retention(services: Services, caller: Caller, asked: SetRetention) -> RetentionView:
    """Change it; the job keeps to it from its next look on."""
    wanted = Retention(
        lead_days=asked.lead_days,
        person_days=asked.person_days,
        delivery_days=asked.delivery_days,
        waiting_days=asked.waiting_days,
        changed_at=services.clock.now(),
        changed_by=caller.user_id,
    )
    if not asked.dry_run:
        async with services.storage.unit_of_work(caller.org_id) as uow:
            await uow.retention.save(wanted)
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        if asked.dry_run:  # who changed it last, and when, is still so
            kept = await uow.retention.get()
            wanted = attrs.evolve(wanted, changed_at=kept.changed_at, changed_by=kept.changed_by)
        return await _view(services, uow, wanted)


async def _view(services: Services, uow: UnitOfWork, retention: Retention) -> RetentionView:
    now = services.clock.now()
    leads_before, people_before = retention.leads_before(now), retention.people_before(now)
    due = DueView(
        leads=0 if leads_before is None else await uow.erasures.count_leads_before(leads_before),
        people=0 if people_before is None else await uow.erasures.count_idle_contacts(people_before),
    )
    return RetentionView(
        lead_days=retention.lead_days,
        person_days=retention.person_days,
        delivery_days=retention.delivery_days,
        waiting_days=retention.waiting_days,
        changed_at=retention.changed_at,
        changed_by=retention.changed_by,
        due=due,
        last_check=_check(await uow.retention.last_check()),
    )


def _check(check: RetentionCheck) -> CheckView:
    return CheckView(checked_at=check.checked_at, removed=check.removed)
