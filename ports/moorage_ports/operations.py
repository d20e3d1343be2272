"""Operations: what a caller may ask by name.

A port declares neutral operations (`Operation`); a plugin binds a name and a body of its own to each
(`bind`). The host makes dispatch, JSON Schema, OpenAPI entry, docs and dry run out of that one
declaration. JSON is camelCase, Python snake_case.
"""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar, cast

import attrs
from attrs.validators import deep_iterable, in_, matches_re, max_len, min_len

from moorage_ports.publisher import PublishPost
from moorage_ports.values import is_aware

Q = TypeVar("Q")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")


class Effect(Enum):
    """What an operation does to the world; decides method, role, idempotency and dry run."""

    READS = "reads"  # GET is allowed
    CONFIGURES = "configures"  # changes our settings or the vendor's, no one outside sees it
    PUBLISHES = "publishes"  # people outside see it, or it costs money: takes an Idempotency-Key


class Role(Enum):
    """What a caller may do, each including the one before."""

    VIEWER = "viewer"
    AGENT = "agent"
    ADMIN = "admin"


@attrs.frozen(kw_only=True)
class Operation(Generic[Q, A]):
    """A neutral operation: `request` and `result` are attrs classes of no vendor."""

    name: str
    request: type[Q]
    result: type[A]
    effect: Effect
    role: Role
    summary: str


@attrs.frozen(kw_only=True)
class Binding:
    """A vendor's own name and body for a neutral operation. Made by `bind`, which checks the types."""

    name: str = attrs.field(validator=matches_re(r"[a-z][a-z0-9]*(-[a-z0-9]+)*"))
    operation: Operation[Any, Any]
    request: type[object]
    result: type[object]
    to_neutral: Callable[[Any], object]  # Raises ValueError or InvalidRequestError
    from_neutral: Callable[[Any], object]
    summary: str


def _same(value: object) -> object:
    return value


def bind(
    name: str,
    operation: Operation[Q, A],
    *,
    request: type[B] | None = None,
    to_neutral: Callable[[B], Q] | None = None,
    result: type[R] | None = None,
    from_neutral: Callable[[A], R] | None = None,
    summary: str = "",
) -> Binding:
    """Bind `name` to `operation`; a body type of the vendor's own needs the function that translates it."""
    if (request is None) != (to_neutral is None) or (result is None) != (from_neutral is None):
        msg = f"{name}: a type of its own and the function that translates it come together"
        raise TypeError(msg)
    return Binding(
        name=name,
        operation=operation,
        request=cast("type[object]", request or operation.request),
        result=cast("type[object]", result or operation.result),
        to_neutral=to_neutral or _same,
        from_neutral=from_neutral or _same,
        summary=summary or operation.summary,
    )


# Connecting ----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class BeginConnect:
    """Ask for a link that a person follows to the vendor's consent page."""

    return_url: str = attrs.field(validator=[min_len(1), max_len(2048)])
    scopes: tuple[str, ...] | None = attrs.field(default=None)
    complete: str = attrs.field(default="callback", validator=in_(("callback", "ticket")))
    rerequest: bool = False


@attrs.frozen(kw_only=True)
class ConnectBegun:
    """Where to send the person; `added_scopes` are those that the caller left out and capabilities need."""

    auth_url: str
    state: str
    scopes: tuple[str, ...]
    added_scopes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class CompleteConnect:
    """Finish what `BeginConnect` with `complete: "ticket"` began; only the user who began it can."""

    ticket: str = attrs.field(validator=[min_len(1), max_len(512)])


@attrs.frozen(kw_only=True)
class ChannelView:
    """A channel as an org sees it."""

    id: str
    external_id: str
    vendor: str
    type: str
    name: str
    selected: bool
    selectable: bool
    subscribed: bool = False
    reason: str | None = None
    missing_scopes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class IntegrationView:
    """An integration as an org sees it: never a secret, never the connecting person."""

    id: str
    vendor: str
    status: str
    channels: tuple[ChannelView, ...]
    granted_scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    data_access_expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    gained: tuple[str, ...] = ()  # external ids of channels that a re-connection brought
    lost: tuple[str, ...] = ()  # and of those it no longer covers


BEGIN_CONNECT = Operation(
    name="begin_connect",
    request=BeginConnect,
    result=ConnectBegun,
    effect=Effect.CONFIGURES,
    role=Role.ADMIN,
    summary="Get the link that connects the organisation.",
)
COMPLETE_CONNECT = Operation(
    name="complete_connect",
    request=CompleteConnect,
    result=IntegrationView,
    effect=Effect.CONFIGURES,
    role=Role.ADMIN,
    summary="Finish a connection that was begun in ticket mode.",
)


# Channels ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ListChannels:
    """All channels the grants cover, or one business's."""

    business_id: str | None = attrs.field(default=None)


@attrs.frozen(kw_only=True)
class ChannelList:
    """What can be chosen, what is, and why not."""

    channels: tuple[ChannelView, ...]


@attrs.frozen(kw_only=True)
class SelectChannels:
    """Replace the set of managed channels; our ids or the vendor's."""

    channels: tuple[str, ...] = attrs.field(validator=[max_len(1000), deep_iterable(min_len(1))])


@attrs.frozen(kw_only=True)
class ChannelProblem:
    """Why one channel of a selection did not work out, and what to do."""

    id: str
    code: str
    detail: str
    remedy: str


@attrs.frozen(kw_only=True)
class Selection:
    """What is selected now, what of it sends its news, and what went wrong; ids are ours."""

    selected: tuple[str, ...]
    subscribed: tuple[str, ...]
    problems: tuple[ChannelProblem, ...]


LIST_CHANNELS = Operation(
    name="list_channels",
    request=ListChannels,
    result=ChannelList,
    effect=Effect.READS,
    role=Role.VIEWER,
    summary="List the channels that the grants cover.",
)
SELECT_CHANNELS = Operation(
    name="select_channels",
    request=SelectChannels,
    result=Selection,
    effect=Effect.CONFIGURES,
    role=Role.ADMIN,
    summary="Choose the channels to manage, and have their news sent here.",
)


# Publishing ----------------------------------------------------------------------------------


class PublicationStatus(Enum):
    """How far a post has come. `unconfirmed`: it left us, no answer came; looked for, never re-sent."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PENDING = "pending"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    WITHDRAWN = "withdrawn"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in {
            PublicationStatus.DRAFT,
            PublicationStatus.PUBLISHED,
            PublicationStatus.FAILED,
            PublicationStatus.WITHDRAWN,
        }


@attrs.frozen(kw_only=True)
class Step:
    """One thing that was done for a publication."""

    name: str
    at: datetime = attrs.field(validator=is_aware)
    outcome: str


@attrs.frozen(kw_only=True)
class PublicationView:
    """A publication as an org sees it."""

    id: str
    status: PublicationStatus
    external_id: str | None = None
    permalink: str | None = None
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...]


@attrs.frozen(kw_only=True)
class GetPublication:
    """One publication, by our id."""

    id: str = attrs.field(validator=[min_len(1), max_len(64)])


PUBLISH = Operation(
    name="publish",
    request=PublishPost,
    result=PublicationView,
    effect=Effect.PUBLISHES,
    role=Role.AGENT,
    summary="Publish a post on a channel.",
)
GET_PUBLICATION = Operation(
    name="get_publication",
    request=GetPublication,
    result=PublicationView,
    effect=Effect.READS,
    role=Role.VIEWER,
    summary="Read how far a publication has come.",
)


# Syncing -------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SyncActivity:
    """Read what people did on channels, now; on all selected ones if none is named (our ids or the vendor's).

    `since`: how far back a first run goes (everything, if not given). `force`: begin anew, as if nothing had
    been read.
    """

    channels: tuple[str, ...] = attrs.field(default=(), validator=[max_len(1000), deep_iterable(min_len(1))])
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    force: bool = False


@attrs.frozen(kw_only=True)
class SyncView:
    """How a channel's sync stands. `items` (comments and reactions) and `calls` are of its newest run."""

    channel: ChannelView
    running: bool
    paused: bool
    items: int
    calls: int
    progress: float
    started_at: datetime | None = attrs.field(default=None, validator=is_aware)
    last_success_at: datetime | None = attrs.field(default=None, validator=is_aware)
    last_error: str | None = None
    remedy: str | None = None
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class SyncReport:
    """The channels that were asked for."""

    channels: tuple[SyncView, ...]


SYNC_ACTIVITY = Operation(
    name="sync_activity",
    request=SyncActivity,
    result=SyncReport,
    effect=Effect.CONFIGURES,
    role=Role.AGENT,
    summary="Read comments and reactions on the organisation's channels now.",
)
