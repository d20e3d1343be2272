"""Mapping a form's past leads anew as a job: ordered over HTTP, carried out some leads at a look.

The order's row says how far it is, and is written with the leads that were mapped: whatever dies, the next
look goes on behind the last of them. A version that is saved meanwhile has all of it begin anew.
"""

from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.ids import new_id
from moorage.leads.mappings import FormQuery, form_of, vendor_of_form
from moorage.leads.remapping import (
    RemapOrder,
    Versions,
    count_leads,
    remap_some,
    versions_of,
)
from moorage.nudging import nudge_all
from moorage.services import Caller, Services
from moorage_ports.errors import ConflictError, MoorageError, NotFoundError
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.lead_orders import OrderState, Remap
from moorage_ports.values import is_aware

log = structlog.get_logger(__name__)

QUEUE: Final = "remaps"
AT_ONCE: Final = 2
PIECES_A_LOOK: Final = 25  # then back to the end of the line: a big form must not keep others waiting
SWEEP_EVERY: Final = timedelta(minutes=1)
_REMEDY: Final = "Order it again; if it ends like this again, tell whoever runs this host."


@attrs.frozen(kw_only=True)
class OrderRemap:
    """Which of the form's leads: all, or those that came at `since` or later; a dry run only counts."""

    since: datetime | None = attrs.field(default=None, validator=is_aware)
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class RemapView:
    """A re-mapping as far as it has come, in leads; `changed` of a dry run would be."""

    id: str
    vendor: str
    form_id: str
    state: OrderState
    version: int
    dry_run: bool
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    total: int
    seen: int
    changed: int
    without_answers: int
    error: str = ""
    remedy: str = ""
    ordered_by: str
    ordered_at: datetime = attrs.field(validator=is_aware)
    finished_at: datetime | None = attrs.field(default=None, validator=is_aware)


async def order_remap(
    services: Services, caller: Caller, form_id: str, query: FormQuery, asked: OrderRemap
) -> RemapView:
    """Have the form's past leads mapped by its current mapping; the same order twice is one while it runs.

    Raises:
        InvalidRequestError, UnknownVendorError, UnsupportedError: See `vendor_of_form`.
        NotFoundError: The form has no mapping, or no form can have this id.
        ConflictError: Another order for this form runs.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    wanted = RemapOrder(
        org_id=caller.org_id,
        by=caller.user_id,
        vendor=vendor.slug,
        form_id=form_id,
        since=asked.since,
        dry_run=asked.dry_run,
    )
    async with services.storage.unit_of_work(caller.org_id) as uow:
        versions = await versions_of(uow, wanted)
        remap = await uow.remaps.newest(vendor.slug, form_id)
        if remap is None or remap.state is not OrderState.RUNNING:
            total = await count_leads(uow, wanted)
            remap = _begun(wanted, max(versions), total, services.clock.now())
            await uow.remaps.save(remap)
        elif (remap.since, remap.dry_run) != (asked.since, asked.dry_run):
            msg = "other leads of this form are being mapped anew"
            raise ConflictError(msg, remedy="Wait until that is over, then send the request again.")
        await uow.jobs.nudge(remap_nudge(caller.org_id, remap.id))
    log.info("remap_ordered", org=caller.org_id, by=caller.user_id, remap=remap.id)
    return _view(remap)


async def newest_remap(services: Services, org_id: str, form_id: str, query: FormQuery) -> RemapView:
    """The form's last re-mapping.

    Raises:
        InvalidRequestError, UnknownVendorError, UnsupportedError: See `vendor_of_form`.
        NotFoundError: None was ordered, or no form can have this id.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        return _view(_found(await uow.remaps.newest(vendor.slug, form_id)))


async def one_remap(
    services: Services, org_id: str, form_id: str, remap_id: str, query: FormQuery
) -> RemapView:
    """One of the form's re-mappings.

    Raises:
        InvalidRequestError, UnknownVendorError, UnsupportedError: See `vendor_of_form`.
        NotFoundError: There is none of this id.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        remap = _found(await uow.remaps.get(remap_id))
    if (remap.vendor, remap.form_external_id) != (vendor.slug, form_id):
        remap = _found(None)
    return _view(remap)


def remap_nudge(org_id: str, remap_id: str) -> Nudge:
    """Look at one re-mapping."""
    return Nudge(queue=QUEUE, group=f"{org_id}:{remap_id}", org_id=org_id)


async def nudge_remaps(services: Services) -> None:
    """Have every re-mapping looked at that is not over: a lost nudge costs a minute."""
    running = await services.storage.backlog.running_remaps()
    await nudge_all(services.storage, (remap_nudge(org_id, remap_id) for org_id, remap_id in running))


@attrs.frozen
class Remapper:
    """Works on one re-mapping at a time."""

    services: Services

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Map on; look again while there is more.

        Raises:
            UnavailableError: The database is out of reach; the next look goes on where this one stood.
        """
        org_id, _, remap_id = nudge.group.rpartition(":")
        async with self.services.storage.unit_of_work(org_id, reads_only=True) as uow:
            remap = await uow.remaps.get(remap_id)
            if remap is None or remap.state is not OrderState.RUNNING:
                return None
            order = _order(org_id, remap)
            versions = await versions_of(uow, order)
        try:
            for _ in range(PIECES_A_LOOK):
                remap = await self._some(order, remap_id, versions)
                if remap is None or remap.state is not OrderState.RUNNING:
                    return None
        except MoorageError:
            raise
        except Exception:  # it would break again at the same lead, for ever
            log.exception("remap_broke", org=org_id, remap=remap_id)
            await self._give_up(org_id, remap_id)
            return None
        return LookAgain()

    async def _some(self, order: RemapOrder, remap_id: str, versions: Versions) -> Remap | None:
        """One piece and how far that is, in one transaction."""
        now = self.services.clock.now()
        async with self.services.storage.unit_of_work(order.org_id) as uow:
            remap = await uow.remaps.get(remap_id)
            if remap is None or remap.state is not OrderState.RUNNING:
                return remap
            current = await uow.lead_mappings.current(order.vendor, order.form_id)
            if current is not None and current.version not in versions:  # saved since this look began
                versions = await versions_of(uow, order)
            newest = max(versions)
            if remap.version != newest:
                remap = _anew(remap, newest, await count_leads(uow, order))
            piece = await remap_some(uow, order, versions, remap.last_lead_id, now)
            remap = attrs.evolve(
                remap,
                last_lead_id=piece.last_lead_id,
                seen=remap.seen + piece.seen,
                changed=remap.changed + piece.changed,
                without_answers=remap.without_answers + piece.without_answers,
                state=OrderState.DONE if piece.is_last else OrderState.RUNNING,
                finished_at=now if piece.is_last else None,
            )
            await uow.remaps.save(remap)
        return remap

    async def _give_up(self, org_id: str, remap_id: str) -> None:
        async with self.services.storage.unit_of_work(org_id) as uow:
            remap = await uow.remaps.get(remap_id)
            if remap is not None:
                await uow.remaps.save(
                    attrs.evolve(
                        remap,
                        state=OrderState.FAILED,
                        error=MoorageError.code,
                        remedy=_REMEDY,
                        finished_at=self.services.clock.now(),
                    )
                )


def _begun(order: RemapOrder, version: int, total: int, now: datetime) -> Remap:
    return Remap(
        id=new_id(),
        vendor=order.vendor,
        form_external_id=order.form_id,
        since=order.since,
        dry_run=order.dry_run,
        version=version,
        total=total,
        ordered_by=order.by,
        ordered_at=now,
    )


def _anew(remap: Remap, version: int, total: int) -> Remap:
    """From the beginning, by another version."""
    return attrs.evolve(
        remap, version=version, total=total, last_lead_id="", seen=0, changed=0, without_answers=0
    )


def _order(org_id: str, remap: Remap) -> RemapOrder:
    return RemapOrder(
        org_id=org_id,
        by=remap.ordered_by,
        vendor=remap.vendor,
        form_id=remap.form_external_id,
        since=remap.since,
        dry_run=remap.dry_run,
    )


def _found(remap: Remap | None) -> Remap:
    if remap is None:
        msg = "the organisation ordered no such re-mapping"
        raise NotFoundError(msg)
    return remap


def _view(remap: Remap) -> RemapView:
    return RemapView(
        id=remap.id,
        vendor=remap.vendor,
        form_id=remap.form_external_id,
        state=remap.state,
        version=remap.version,
        dry_run=remap.dry_run,
        since=remap.since,
        total=remap.total,
        seen=remap.seen,
        changed=remap.changed,
        without_answers=remap.without_answers,
        error=remap.error,
        remedy=remap.remedy,
        ordered_by=remap.ordered_by,
        ordered_at=remap.ordered_at,
        finished_at=remap.finished_at,
    )
