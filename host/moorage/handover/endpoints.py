"""Endpoints as the API shows them: where an org's own CRM hears of leads, and what became of each message."""

from datetime import datetime, timedelta
from typing import Final, Literal

import attrs
import structlog
from attrs.validators import deep_iterable, ge, in_, le, matches_re, max_len, min_len, optional

from moorage.handover.delivering import LEASE, send
from moorage.handover.outcomes import attempt_of, enabled, remedy_for, remedy_of
from moorage.handover.signing import new_secret
from moorage.ids import new_id
from moorage.services import Caller, Services
from moorage_ports.errors import ConflictError, InvalidRequestError, NotFoundError
from moorage_ports.http import AddressRefusedError
from moorage_ports.outgoing import (
    MOST_ENDPOINTS,
    Endpoint,
    EndpointState,
    EventType,
    Handover,
    HandoverState,
    SigningSecret,
    outgoing_nudge,
)
from moorage_ports.storage import UnitOfWork
from moorage_ports.values import is_aware

log = structlog.get_logger(__name__)

MOST_SECRETS: Final = 4  # that sign at once: the newest, and those whose time is not over
MOST_IDS: Final = 500
MOST_REPLAYED: Final = 1000
_STATES: Final = tuple(one.value for one in HandoverState)
_MESSAGE_ID: Final = matches_re(r"msg_[0-9a-f]{1,64}")

AnnouncedType = Literal["lead.created", "lead.updated", "lead.deleted"]


@attrs.frozen(kw_only=True)
class NewEndpoint:
    """Where to tell of what; no event types means all of them."""

    url: str = attrs.field(repr=False, validator=[min_len(1), max_len(2048)])
    event_types: tuple[AnnouncedType, ...] = attrs.field(default=(), validator=max_len(16))
    description: str = attrs.field(default="", validator=max_len(500))


@attrs.frozen(kw_only=True)
class EndpointChange:
    """What is to be different; what is left out stays as it is."""

    url: str | None = attrs.field(default=None, repr=False, validator=optional([min_len(1), max_len(2048)]))
    event_types: tuple[AnnouncedType, ...] | None = attrs.field(default=None, validator=optional(max_len(16)))
    description: str | None = attrs.field(default=None, validator=optional(max_len(500)))
    state: Literal["active", "paused", "disabled"] | None = None


@attrs.frozen(kw_only=True)
class Rotation:
    """For how long the secret before goes on signing beside the new one."""

    keep_hours: int = attrs.field(default=24, validator=[ge(0), le(168)])


@attrs.frozen(kw_only=True)
class EndpointView:
    """An endpoint, without its secrets. `remedy` says what to do about a disabled one."""

    id: str
    url: str = attrs.field(repr=False)
    event_types: tuple[str, ...]
    description: str
    state: str
    reason: str = ""
    remedy: str = ""
    failures: int
    failing_since: datetime | None = attrs.field(validator=is_aware)
    held_until: datetime | None = attrs.field(validator=is_aware)
    live_secrets: int
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)
    rotated_at: datetime | None = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class EndpointList:
    """Every endpoint of an org, the oldest first."""

    items: tuple[EndpointView, ...]


@attrs.frozen(kw_only=True)
class SecretShown:
    """An endpoint with its new secret, which is shown this once."""

    endpoint: EndpointView
    secret: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class HandoverQuery:
    """Which messages: a page of them, in one state or in any."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    state: str = attrs.field(default="", validator=in_(("", *_STATES)))


@attrs.frozen(kw_only=True)
class HandoverView:
    """One message on its way to an endpoint; what it tells is not shown here."""

    id: str
    type: str
    subject_id: str
    state: str
    tries: int
    created_at: datetime = attrs.field(validator=is_aware)
    next_at: datetime | None = attrs.field(validator=is_aware)
    tried_at: datetime | None = attrs.field(validator=is_aware)
    settled_at: datetime | None = attrs.field(validator=is_aware)
    status: int | None
    error: str = ""
    remedy: str = ""


@attrs.frozen(kw_only=True)
class HandoverList:
    """One page of messages, the newest first."""

    items: tuple[HandoverView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class HandoverReplay:
    """What to send again: these, or all since a moment, in one state. Nothing given: what is dead.

    Of what is not named by its id, test messages are no part.
    """

    ids: tuple[str, ...] = attrs.field(default=(), validator=[max_len(MOST_IDS), deep_iterable(_MESSAGE_ID)])
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    state: Literal["delivered", "dead"] | None = None


@attrs.frozen(kw_only=True)
class HandoversReplayed:
    """How many messages are sent again, and whether there may be more that fit."""

    replayed: int
    has_more: bool


# Reading --------------------------------------------------------------------------------------


async def list_endpoints(services: Services, org_id: str) -> EndpointList:
    """Every endpoint of the org."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        found = await uow.outgoing.endpoints()
    return EndpointList(items=tuple(_view(one, services.clock.now()) for one in found))


async def get_endpoint(services: Services, org_id: str, endpoint_id: str) -> EndpointView:
    """One of the org's endpoints.

    Raises:
        NotFoundError: It has none of that id.
    """
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        return _view(await _endpoint(uow, endpoint_id), services.clock.now())


async def list_handovers(
    services: Services, org_id: str, endpoint_id: str, query: HandoverQuery
) -> HandoverList:
    """One page of what was or is on its way to an endpoint.

    Raises:
        NotFoundError: There is no such endpoint.
    """
    state = HandoverState(query.state) if query.state else None
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        await _endpoint(uow, endpoint_id)
        page = await uow.outgoing.handovers(endpoint_id, page=query.p, page_size=query.ps, state=state)
    return HandoverList(
        items=tuple(map(handover_view, page.items)),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


# Changing -------------------------------------------------------------------------------------


async def create_endpoint(services: Services, caller: Caller, asked: NewEndpoint) -> SecretShown:
    """Tell this endpoint from now on.

    Raises:
        InvalidRequestError: Its URL is none that may be called.
        ConflictError: The org has as many endpoints as it may have.
    """
    await _refuse_unsafe(services, asked.url)
    now, secret = services.clock.now(), new_secret()
    endpoint = Endpoint(
        id=new_id(),
        url=asked.url,
        event_types=_event_types(asked.event_types),
        description=asked.description,
        secrets=(SigningSecret(value=secret),),
        created_at=now,
        updated_at=now,
    )
    async with services.storage.unit_of_work(caller.org_id) as uow:
        if len(await uow.outgoing.endpoints()) >= MOST_ENDPOINTS:
            msg = f"there are {MOST_ENDPOINTS} endpoints already"
            raise ConflictError(msg, remedy="Delete an endpoint that is not needed any more.")
        await uow.outgoing.save_endpoint(endpoint)
    _note("endpoint_created", caller, endpoint)
    return SecretShown(endpoint=_view(endpoint, now), secret=secret.reveal())


async def change_endpoint(
    services: Services, caller: Caller, endpoint_id: str, change: EndpointChange
) -> EndpointView:
    """Change what is given. Setting one active that was disabled begins as if nothing had gone wrong.

    Raises:
        NotFoundError: There is no such endpoint.
        InvalidRequestError: The URL is none that may be called.
    """
    if change.url is not None:
        await _refuse_unsafe(services, change.url)
    async with services.storage.unit_of_work(caller.org_id) as uow:
        endpoint = _changed(await _endpoint(uow, endpoint_id, for_update=True), change)
        endpoint = attrs.evolve(endpoint, updated_at=services.clock.now())
        await uow.outgoing.save_endpoint(endpoint)
        await uow.jobs.nudge(outgoing_nudge(caller.org_id, endpoint_id))
    _note("endpoint_changed", caller, endpoint)
    return _view(endpoint, services.clock.now())


def _changed(endpoint: Endpoint, change: EndpointChange) -> Endpoint:
    if change.url is not None:
        endpoint = attrs.evolve(endpoint, url=change.url)
    if change.event_types is not None:
        endpoint = attrs.evolve(endpoint, event_types=_event_types(change.event_types))
    if change.description is not None:
        endpoint = attrs.evolve(endpoint, description=change.description)
    match change.state:
        case None:
            return endpoint
        case "active":
            return enabled(endpoint)
        case state:
            return attrs.evolve(endpoint, state=EndpointState(state), reason="")


async def rotate_secret(services: Services, caller: Caller, endpoint_id: str, asked: Rotation) -> SecretShown:
    """Sign with a new secret, and for a while with the one before, too.

    Raises:
        NotFoundError: There is no such endpoint.
    """
    now, secret = services.clock.now(), new_secret()
    until = now + timedelta(hours=asked.keep_hours)
    async with services.storage.unit_of_work(caller.org_id) as uow:
        endpoint = await _endpoint(uow, endpoint_id, for_update=True)
        before = (attrs.evolve(one, until=min(one.until or until, until)) for one in endpoint.secrets)
        live = [one for one in before if one.until is None or one.until > now]
        endpoint = attrs.evolve(
            endpoint,
            secrets=(SigningSecret(value=secret), *live[: MOST_SECRETS - 1]),
            rotated_at=now,
            updated_at=now,
        )
        await uow.outgoing.save_endpoint(endpoint)
    _note("endpoint_secret_rotated", caller, endpoint)
    return SecretShown(endpoint=_view(endpoint, now), secret=secret.reveal())


async def delete_endpoint(services: Services, caller: Caller, endpoint_id: str) -> None:
    """Tell it nothing any more, not even what is on its way.

    Raises:
        NotFoundError: There is no such endpoint.
    """
    async with services.storage.unit_of_work(caller.org_id) as uow:
        endpoint = await _endpoint(uow, endpoint_id)
        await uow.outgoing.delete_endpoint(endpoint_id)
    _note("endpoint_deleted", caller, endpoint)


async def send_ping(services: Services, caller: Caller, endpoint_id: str) -> HandoverView:
    """Send a test message at once, also to one that is paused, and say what came of it. It is tried once.

    Raises:
        NotFoundError: There is no such endpoint.
    """
    now = services.clock.now()
    async with services.storage.unit_of_work(caller.org_id) as uow:
        endpoint = await _endpoint(uow, endpoint_id)
        parcel = await uow.outgoing.ping(endpoint_id, {"endpointId": endpoint_id}, lease_until=now + LEASE)
    told = await send(services, endpoint, parcel)
    attempt = attempt_of(parcel.handover, told, services.clock.now())
    if attempt.state is HandoverState.PENDING:
        attempt = attrs.evolve(attempt, state=HandoverState.DEAD, retry_at=None)
    settled_at = services.clock.now()
    async with services.storage.unit_of_work(caller.org_id) as uow:
        await uow.outgoing.settle([attempt], now=settled_at)
    return handover_view(
        attrs.evolve(
            parcel.handover,
            state=attempt.state,
            status=attempt.status,
            error=attempt.error,
            next_at=None,
            settled_at=settled_at,
        )
    )


async def replay_handovers(
    services: Services, caller: Caller, endpoint_id: str, asked: HandoverReplay
) -> HandoversReplayed:
    """Send messages again, under the ids that they have: who knows an id has the message already.

    Raises:
        NotFoundError: There is no such endpoint.
        ConflictError: It is disabled.
    """
    states: tuple[HandoverState, ...] = (HandoverState(asked.state),) if asked.state else ()
    if not states and not asked.ids:
        states = (HandoverState.DEAD,)
    async with services.storage.unit_of_work(caller.org_id) as uow:
        if (await _endpoint(uow, endpoint_id)).state is EndpointState.DISABLED:
            msg = "the endpoint is disabled"
            raise ConflictError(msg, remedy="Set the endpoint's state to active first.")
        replayed = await uow.outgoing.replay(
            endpoint_id,
            now=services.clock.now(),
            message_ids=asked.ids,
            since=asked.since,
            states=states,
            limit=MOST_REPLAYED,
        )
    log.info("handovers_replayed", org=caller.org_id, endpoint=endpoint_id, by=caller.user_id, count=replayed)
    return HandoversReplayed(replayed=replayed, has_more=replayed == MOST_REPLAYED)


# Parts ----------------------------------------------------------------------------------------


async def _endpoint(uow: UnitOfWork, endpoint_id: str, *, for_update: bool = False) -> Endpoint:
    found = await uow.outgoing.endpoint(endpoint_id, for_update=for_update)
    if found is None:
        msg = "no such endpoint"
        raise NotFoundError(msg)
    return found


async def _refuse_unsafe(services: Services, url: str) -> None:
    try:
        await services.door.check(url)
    except AddressRefusedError as refused:
        why = str(refused)
    else:
        return
    raise InvalidRequestError(why, fields={"url": "cannot be called"}, remedy=remedy_of("address_refused"))


def _event_types(names: tuple[AnnouncedType, ...]) -> tuple[EventType, ...]:
    return tuple(EventType(name) for name in dict.fromkeys(names))


def _note(event: str, caller: Caller, endpoint: Endpoint) -> None:
    """Who did what to which; not the URL, which may be a secret."""
    log.info(event, org=caller.org_id, endpoint=endpoint.id, by=caller.user_id, state=endpoint.state.value)


def _view(endpoint: Endpoint, now: datetime) -> EndpointView:
    return EndpointView(
        id=endpoint.id,
        url=endpoint.url,
        event_types=tuple(one.value for one in endpoint.event_types),
        description=endpoint.description,
        state=endpoint.state.value,
        reason=endpoint.reason,
        remedy=remedy_of(endpoint.reason),
        failures=endpoint.failures,
        failing_since=endpoint.failing_since,
        held_until=endpoint.held_until,
        live_secrets=len(endpoint.signing(now)),
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
        rotated_at=endpoint.rotated_at,
    )


def handover_view(handover: Handover) -> HandoverView:
    """A message's row."""
    return HandoverView(
        id=handover.message_id,
        type=handover.event_type.value,
        subject_id=handover.subject_id,
        state=handover.state.value,
        tries=handover.tries,
        created_at=handover.created_at,
        next_at=handover.next_at,
        tried_at=handover.tried_at,
        settled_at=handover.settled_at,
        status=handover.status or None,
        error=handover.error,
        remedy=remedy_for(handover),
    )
