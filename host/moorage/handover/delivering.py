"""Delivering: what is due for an endpoint is sent, and what came of it is written down.

The truth is in the handovers. A nudge makes a worker look at one endpoint: it claims a few messages, sends
them, and settles each with the endpoint's health in one transaction. Whoever dies in between leaves claims
that run out: then the messages are sent again, under the same ids.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs
import structlog

from moorage.handover.outcomes import (
    SUSPECT_AFTER,
    Told,
    attempt_of,
    health_after,
    told_by,
    told_by_failure,
)
from moorage.handover.signing import body_of, headers_of
from moorage.metrics import HANDOVERS
from moorage.nudging import nudge_all
from moorage.services import Services
from moorage_ports.failpoints import fail_point
from moorage_ports.http import HttpError, HttpRequest
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.outgoing import (
    Attempt,
    Endpoint,
    EndpointState,
    HandoverState,
    Parcel,
    outgoing_nudge,
)

log = structlog.get_logger(__name__)

ENDPOINTS_AT_ONCE: Final = 64  # most of a look is waiting; an org alone cannot fill these with such as hang
BATCH: Final = 32  # messages of one look
AT_ONCE: Final = 8  # of these, to one endpoint
DEADLINE: Final = timedelta(seconds=15)
LEASE: Final = timedelta(seconds=60)  # longer than a look may still be sending
SENDING: Final = timedelta(seconds=30)  # after that a look begins no more
SWEEP_EVERY: Final = timedelta(seconds=10)


async def sweep(services: Services) -> None:
    """Nudge every endpoint that something is due for: after a crash or a wait, or for a lost nudge."""
    due = await services.storage.handovers.due_endpoints(services.clock.now())
    await nudge_all(services.storage, (outgoing_nudge(org_id, endpoint_id) for org_id, endpoint_id in due))


async def send(services: Services, endpoint: Endpoint, parcel: Parcel) -> Told:
    """Send one message once. No transaction is open meanwhile. Never raises for what an endpoint does."""
    now = services.clock.now()
    body = body_of(parcel)
    request = HttpRequest(
        method="POST",
        url=endpoint.url,
        headers=headers_of(parcel.handover.message_id, body, endpoint.signing(now), now),
        body=body,
        deadline=DEADLINE,
    )
    try:
        return told_by(await services.door.send(request), services.clock.now())
    except HttpError as failure:
        return told_by_failure(failure)
    except Exception as broke:  # noqa: BLE001 - one message must not end the look that the others are in
        # Its kind alone: what it says may hold the URL.
        log.error("handover_broke", message=parcel.handover.message_id, kind=type(broke).__name__)
        return Told(error="internal")


@attrs.frozen
class Deliverer:
    """Works on one endpoint at a time, as often as it is told to look."""

    services: Services

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Send what is due for an endpoint; look again while there is more, or when something has to wait."""
        org_id, _, endpoint_id = nudge.group.partition(":")
        began_at = self.services.clock.now()
        async with self.services.storage.unit_of_work(org_id) as uow:
            endpoint = await uow.outgoing.endpoint(endpoint_id)
            if endpoint is None or endpoint.state is not EndpointState.ACTIVE:
                return None
            if endpoint.held_until is not None and endpoint.held_until > began_at:
                return LookAgain(at=endpoint.held_until)
            limit = 1 if endpoint.failures >= SUSPECT_AFTER else BATCH
            parcels = await uow.outgoing.claim(
                endpoint_id, limit=limit, now=began_at, lease_until=began_at + LEASE
            )
        fail_point("O1")
        is_stopped = False
        for begin in range(0, len(parcels), AT_ONCE):
            wave = parcels[begin : begin + AT_ONCE]
            if is_stopped or self.services.clock.now() - began_at >= SENDING:
                await self._give_back(org_id, parcels[begin:])
                break
            is_stopped = await self._deliver(org_id, endpoint, wave)
        return await self._next_look(org_id, endpoint_id)

    async def _deliver(self, org_id: str, endpoint: Endpoint, wave: Sequence[Parcel]) -> bool:
        """Send these at once and settle them; answers whether the endpoint is to be left alone for now."""
        results = await asyncio.gather(*(send(self.services, endpoint, parcel) for parcel in wave))
        fail_point("O2")
        now = self.services.clock.now()
        attempts = [attempt_of(one.handover, told, now) for one, told in zip(wave, results, strict=True)]
        async with self.services.storage.unit_of_work(org_id) as uow:
            await uow.outgoing.settle(attempts, now=now)
            current = await uow.outgoing.endpoint(endpoint.id, for_update=True)
            if current is None or current.state is not EndpointState.ACTIVE:
                return True
            after = health_after(current, results, now)
            if after != current:
                await uow.outgoing.save_endpoint(after)
        self._tell(org_id, endpoint.id, attempts)
        if after.state is EndpointState.DISABLED:
            log.warning("endpoint_disabled", org=org_id, endpoint=endpoint.id, reason=after.reason)
        return after.state is EndpointState.DISABLED or after.held_until is not None

    async def _give_back(self, org_id: str, parcels: Sequence[Parcel]) -> None:
        """What was claimed and not sent is as it was."""
        now = self.services.clock.now()
        back = [
            Attempt(handover=one.handover, state=HandoverState.PENDING, retry_at=now, is_tried=False)
            for one in parcels
        ]
        async with self.services.storage.unit_of_work(org_id) as uow:
            await uow.outgoing.settle(back, now=now)

    async def _next_look(self, org_id: str, endpoint_id: str) -> LookAgain | None:
        async with self.services.storage.unit_of_work(org_id, reads_only=True) as uow:
            endpoint = await uow.outgoing.endpoint(endpoint_id)
            due = await uow.outgoing.next_due(endpoint_id)
        if endpoint is None or endpoint.state is not EndpointState.ACTIVE or due is None:
            return None
        at = max(due, endpoint.held_until or due)
        return LookAgain() if at <= self.services.clock.now() else LookAgain(at=at)

    def _tell(self, org_id: str, endpoint_id: str, attempts: Sequence[Attempt]) -> None:
        """Only what nobody will try again is worth a line: ids and codes, nothing else."""
        for one in attempts:
            HANDOVERS.labels(one.error or "delivered").inc()
            if one.state is HandoverState.DEAD:
                log.error(
                    "handover_dead",
                    org=org_id,
                    endpoint=endpoint_id,
                    message=one.handover.message_id,
                    code=one.error,
                    status=one.status,
                )
