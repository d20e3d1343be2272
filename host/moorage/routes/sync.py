"""The sync jobs over HTTP: start one, see how they go, hold them back."""

from datetime import datetime
from typing import Any, Final, TypeVar

import attrs
from attrs.validators import deep_iterable, max_len, min_len
from litestar import MediaType, Request, Response, get, post
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import read_body
from moorage.operations.syncing import hold_syncs, sync_activity, sync_status
from moorage.services import Caller, OperationCall, Services
from moorage_ports.errors import InvalidRequestError
from moorage_ports.operations import Role, SyncActivity, SyncReport, SyncView
from moorage_ports.values import is_aware

T = TypeVar("T", bound="TriggerPlatform")

SYNC_TYPES: Final = ("activity",)
# Callers know it by what it reads, too: all of that is one sync.
_ALIASES: Final = frozenset({*SYNC_TYPES, "posts", "comments", "reactions", "engagement"})


@attrs.frozen(kw_only=True)
class SyncOptions:
    """How far back, and whether to begin anew."""

    start_date: datetime | None = attrs.field(default=None, validator=is_aware)
    force: bool = False


@attrs.frozen(kw_only=True)
class TriggerPlatform:
    """What to sync of one platform; everything that can be, if nothing is named."""

    sync_type: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(100), deep_iterable([min_len(1), max_len(64)])]
    )
    channels: tuple[str, ...] = attrs.field(default=(), validator=[max_len(1000), deep_iterable(min_len(1))])
    options: SyncOptions = attrs.field(factory=SyncOptions)


@attrs.frozen(kw_only=True)
class TriggerSync(TriggerPlatform):
    """The same, with the platform (a vendor's slug) in the body."""

    platform: str = attrs.field(validator=[min_len(1), max_len(64)])


@attrs.frozen(kw_only=True)
class Triggered:
    """The channels that were asked for, and what was asked for of them that nobody syncs."""

    channels: tuple[SyncView, ...]
    skipped: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Platform:
    """A vendor whose activity can be synced."""

    name: str
    title: str
    sync_types: tuple[str, ...]
    channels: int
    running: int
    paused: int


@attrs.frozen(kw_only=True)
class PlatformList:
    """All of them."""

    platforms: tuple[Platform, ...]


@attrs.frozen(kw_only=True)
class SyncStatus:
    """How all syncs of the org stand."""

    running: int
    paused: int
    failing: int
    channels: tuple[SyncView, ...]


def sync_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes below `/sync`."""
    return [*_triggers(services), *_looks(services), *_holds(services)]


def _triggers(services: Services) -> list[BaseRouteHandler]:
    @post("/sync/trigger", status_code=202, request_max_body_size=None, name="trigger_sync")
    async def trigger(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Sync a platform's channels now."""
        caller = _agent(request)
        asked = await _asked(request, TriggerSync)
        return _json(await _trigger(services, caller, asked.platform, asked), 202)

    @post("/sync/trigger/{platform:str}", status_code=202, request_max_body_size=None)
    async def trigger_platform(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Sync the channels of the platform in the path now."""
        caller = _agent(request)
        asked = await _asked(request, TriggerPlatform)
        return _json(await _trigger(services, caller, request.path_params["platform"], asked), 202)

    @post("/sync/trigger/{platform:str}/{sync_type:str}", status_code=202, request_max_body_size=None)
    async def trigger_type(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Sync one kind of what the platform in the path has, now."""
        caller = _agent(request)
        path = request.path_params
        asked = await _asked(request, TriggerPlatform)
        if asked.sync_type not in {(), (path["sync_type"],)}:
            msg = "the path and the body name different kinds"
            raise InvalidRequestError(msg, fields={"syncType": "leave it out, as the path says it"})
        asked = attrs.evolve(asked, sync_type=(path["sync_type"],))
        return _json(await _trigger(services, caller, path["platform"], asked), 202)

    return [trigger, trigger_platform, trigger_type]


def _looks(services: Services) -> list[BaseRouteHandler]:
    @get("/sync/status", name="sync_status")
    async def status(request: Request[Any, Any, Any]) -> Response[bytes]:
        """How each channel's sync stands; while one runs, how far it is."""
        views = await sync_status(services, caller_of(request).org_id)
        found = SyncStatus(
            running=sum(view.running and not view.paused for view in views),
            paused=sum(view.paused for view in views),
            failing=sum(view.last_error is not None for view in views),
            channels=views,
        )
        return _json(found)

    @get("/sync/platforms", name="sync_platforms")
    async def platforms(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The vendors whose activity can be synced."""
        views = await sync_status(services, caller_of(request).org_id)
        found = []
        for vendor in services.vendors:
            if vendor.activity_sync is None:
                continue
            own = [view for view in views if view.channel.vendor == vendor.slug]
            found.append(
                Platform(
                    name=vendor.slug,
                    title=vendor.title,
                    sync_types=SYNC_TYPES,
                    channels=len(own),
                    running=sum(view.running and not view.paused for view in own),
                    paused=sum(view.paused for view in own),
                )
            )
        return _json(PlatformList(platforms=tuple(found)))

    return [status, platforms]


def _holds(services: Services) -> list[BaseRouteHandler]:
    @post("/sync/pause/{name:str}", status_code=200)
    async def pause(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Sync no more of a platform, or of one channel, until resumed."""
        return await held(request, is_paused=True)

    @post("/sync/resume/{name:str}", status_code=200)
    async def resume(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Go on with a platform's syncs, or one channel's, where they stood."""
        return await held(request, is_paused=False)

    async def held(request: Request[Any, Any, Any], *, is_paused: bool) -> Response[bytes]:
        caller = caller_of(request)
        require_role(caller, Role.ADMIN)
        name = request.path_params["name"]
        views = await hold_syncs(services, caller.org_id, name, is_paused=is_paused)
        return _json(SyncReport(channels=views))

    return [pause, resume]


def _agent(request: Request[Any, Any, Any]) -> Caller:
    caller = caller_of(request)
    require_role(caller, Role.AGENT)
    return caller


async def _asked(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body; `syncType` may be one word or a list of them.

    Raises:
        InvalidRequestError: It does not fit.
    """
    body = codec.parse_object(await read_body(request, limit=dispatch.MAX_BODY))
    named = body.get("syncType")
    return codec.structure({**body, "syncType": [named]} if isinstance(named, str) else body, kind)


async def _trigger(services: Services, caller: Caller, platform: str, asked: TriggerPlatform) -> Triggered:
    """Sync what is known of what was asked for.

    Raises:
        InvalidRequestError: Nothing of it is.
    """
    skipped = tuple(name for name in asked.sync_type if name not in _ALIASES)
    if asked.sync_type and len(skipped) == len(asked.sync_type):
        msg = "nothing of that kind is synced"
        raise InvalidRequestError(msg, fields={"syncType": f"one or more of {', '.join(sorted(_ALIASES))}"})
    request = SyncActivity(channels=asked.channels, since=asked.options.start_date, force=asked.options.force)
    vendor = services.vendors.get(platform)
    report = await sync_activity(OperationCall(services=services, caller=caller, vendor=vendor), request)
    return Triggered(channels=report.channels, skipped=skipped)


def _json(value: object, status: int = 200) -> Response[bytes]:
    return Response(codec.encode(value), status_code=status, media_type=MediaType.JSON)
