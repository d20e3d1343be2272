"""What one org tells others: its endpoints, its messages, and how far each is on its way."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import attrs
import msgspec
from sqlalchemy import Connection, RowMapping, delete, exists, literal, select

from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.nudges import SqlNudges
from moorage_adapters.sqlmodel.outgoing_tables import ENDPOINT, HANDOVER, IS_PENDING, OUTGOING_MESSAGE
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, fields_of, value_of
from moorage_ports.clock import Clock
from moorage_ports.errors import NotFoundError
from moorage_ports.listing import Listing
from moorage_ports.outgoing import (
    DEAD_KEPT,
    DELIVERED_KEPT,
    Attempt,
    Endpoint,
    EndpointState,
    EventType,
    Handover,
    HandoverState,
    Parcel,
    SigningSecret,
    outgoing_nudge,
)
from moorage_ports.secret import Secret

_KEY: Final = ("org_id", "id")
_MAX_PAGE: Final = 500
_FORGET_ROWS: Final = 200  # others must not wait behind a big clean-up
_DISABLED: Final = "endpoint_disabled"


class _Secret(msgspec.Struct):
    value: str
    until: datetime | None


class _Access(msgspec.Struct):
    """What is sealed of an endpoint."""

    url: str
    secrets: list[_Secret]


class SqlOutgoing:
    """`moorage_ports.outgoing.Outgoing` over one unit of work."""

    def __init__(self, gate: OrgGate, nudges: SqlNudges, clock: Clock) -> None:
        self._gate = gate
        self._nudges = nudges
        self._clock = clock
        self._listening: Sequence[tuple[str, frozenset[str]]] | None = None

    async def announce(self, event_type: EventType, subject_id: str, payload: Mapping[str, object]) -> int:
        """Have every endpoint that listens told of this once the transaction commits; answers how many."""
        to = await self._listeners(event_type)
        if to:
            await self._send(event_type, subject_id, payload, to, next_at=self._clock.now())
            await self._nudges.nudge(*(outgoing_nudge(self._gate.org_id, one) for one in to))
        return len(to)

    async def listens(self, event_type: EventType) -> bool:
        """Whether anybody would be told."""
        return bool(await self._listeners(event_type))

    async def ping(self, endpoint_id: str, payload: Mapping[str, object], *, lease_until: datetime) -> Parcel:
        """A message for one endpoint only, claimed by the caller until `lease_until`.

        Raises:
            NotFoundError: There is no such endpoint.
        """
        if await self.endpoint(endpoint_id) is None:
            msg = "no such endpoint"
            raise NotFoundError(msg)
        return await self._send(EventType.PING, "", payload, [endpoint_id], next_at=lease_until, tries=1)

    async def forget_about(self, subject_ids: Collection[str]) -> int:
        """Delete all messages about these, also those on their way; answers how many that were."""

        def work(org: Tenant) -> int:
            org.delete(HANDOVER, HANDOVER.c.message_id.in_(_about(org, subject_ids)))
            return org.delete(OUTGOING_MESSAGE, OUTGOING_MESSAGE.c.subject_id.in_(subject_ids))

        return await self._gate.run(work) if subject_ids else 0

    async def _listeners(self, event_type: EventType) -> list[str]:
        if self._listening is None:
            self._listening = await self._gate.run(_listening)
        return [id_ for id_, wanted in self._listening if not wanted or event_type.value in wanted]

    async def _send(
        self,
        event_type: EventType,
        subject_id: str,
        payload: Mapping[str, object],
        to: Sequence[str],
        *,
        next_at: datetime,
        tries: int = 0,
    ) -> Parcel:
        """Write a message and its handovers; answers the first one's parcel."""
        now = self._clock.now()
        message_id = _new_id(now)
        body = msgspec.json.encode(payload)
        first = Handover(
            endpoint_id=to[0],
            message_id=message_id,
            event_type=event_type,
            subject_id=subject_id or message_id,
            state=HandoverState.PENDING,
            tries=tries,
            lease=tries,
            created_at=now,
            next_at=next_at,
            tried_at=now if tries else None,
        )

        def work(org: Tenant) -> None:
            message = {
                "id": message_id,
                "event_type": event_type,
                "subject_id": first.subject_id,
                "created_at": now,
                "payload_sealed": org.seal(body, *_payload_context(message_id)),
            }
            org.insert(OUTGOING_MESSAGE, message)
            for endpoint_id in to:
                row = fields_of(attrs.evolve(first, endpoint_id=endpoint_id))
                org.insert(HANDOVER, {**row, "forget_at": now + DEAD_KEPT})

        await self._gate.run(work)
        return Parcel(handover=first, payload=body)

    # Endpoints -------------------------------------------------------------------------------

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint of the org, the oldest first."""
        order = (ENDPOINT.c.created_at, ENDPOINT.c.id)
        return await self._gate.run(
            lambda org: tuple(_endpoint(org, row) for row in org.rows(ENDPOINT, order_by=order))
        )

    async def endpoint(self, endpoint_id: str, *, for_update: bool = False) -> Endpoint | None:
        """One by our id; `for_update` until the transaction ends."""

        def work(org: Tenant) -> Endpoint | None:
            row = org.one(ENDPOINT, ENDPOINT.c.id == endpoint_id, for_update=for_update)
            return None if row is None else _endpoint(org, row)

        return await self._gate.run(work)

    async def save_endpoint(self, endpoint: Endpoint) -> None:
        """Insert or replace. What is pending for one that is disabled is given up."""
        self._listening = None
        values = fields_of(endpoint, without=("url", "secrets", "event_types"))
        values["event_types"] = tuple(one.value for one in endpoint.event_types)
        access = _Access(
            url=endpoint.url,
            secrets=[_Secret(one.value.reveal(), one.until) for one in endpoint.secrets],
        )
        now = self._clock.now()

        def work(org: Tenant) -> None:
            sealed = org.seal(msgspec.json.encode(access), *_access_context(endpoint.id))
            org.upsert(ENDPOINT, {**values, "access_sealed": sealed}, _KEY)
            if endpoint.state is EndpointState.DISABLED:
                ended = _ended(HandoverState.DEAD, now)
                org.update(HANDOVER, {**ended, "error": _DISABLED}, *_pending_of(endpoint.id))

        await self._gate.run(work)

    async def delete_endpoint(self, endpoint_id: str) -> bool:
        """Delete it with all that was on its way to it; false if there is none."""
        self._listening = None

        def work(org: Tenant) -> bool:
            org.delete(HANDOVER, HANDOVER.c.endpoint_id == endpoint_id)
            org.delete(OUTGOING_MESSAGE, ~_has_handovers(org))
            return org.delete(ENDPOINT, ENDPOINT.c.id == endpoint_id) == 1

        return await self._gate.run(work)

    # Handovers -------------------------------------------------------------------------------

    async def claim(
        self, endpoint_id: str, *, limit: int, now: datetime, lease_until: datetime
    ) -> tuple[Parcel, ...]:
        """What is due for an endpoint, longest first, nobody else's until `lease_until`."""

        def work(org: Tenant) -> tuple[Parcel, ...]:
            if not org.count(ENDPOINT, ENDPOINT.c.id == endpoint_id, *_IS_ACTIVE):
                return ()
            due = (*_pending_of(endpoint_id), HANDOVER.c.next_at <= now)
            found = org.rows(HANDOVER, *due, ~_is_behind_another(org), order_by=_LONGEST, limit=limit)
            taken = {
                "next_at": lease_until,
                "tried_at": now,
                "tries": HANDOVER.c.tries + 1,
                "lease": HANDOVER.c.lease + 1,
            }
            wanted = HANDOVER.c.message_id.in_([row["message_id"] for row in found])
            mine = {row["message_id"]: row for row in org.update_returning(HANDOVER, taken, *due, wanted)}
            return _parcels(org, [mine[row["message_id"]] for row in found if row["message_id"] in mine])

        return await self._gate.run(work)

    async def settle(self, attempts: Sequence[Attempt], *, now: datetime) -> tuple[bool, ...]:
        """Record outcomes; for each in turn, false (and nothing changed) if its lease was lost meanwhile."""
        return await self._gate.run(lambda org: tuple(_settle(org, one, now) for one in attempts))

    async def next_due(self, endpoint_id: str) -> datetime | None:
        """When the next claim could find something; `None` if nothing is pending."""

        def work(org: Tenant) -> datetime | None:
            of_it = (*_pending_of(endpoint_id), ~_is_behind_another(org))
            row = next(iter(org.rows(HANDOVER, *of_it, order_by=_LONGEST, limit=1)), None)
            return None if row is None else row["next_at"]

        return await self._gate.run(work)

    async def handovers(
        self, endpoint_id: str, *, page: int, page_size: int, state: HandoverState | None = None
    ) -> Listing[Handover]:
        """What was or is on its way to an endpoint, the newest first."""
        size, number = min(max(page_size, 1), _MAX_PAGE), max(page, 1)
        where = [HANDOVER.c.endpoint_id == endpoint_id]
        if state is not None:
            where.append(HANDOVER.c.state == state)

        def work(org: Tenant) -> Listing[Handover]:
            order, offset = (HANDOVER.c.message_id.desc(),), (number - 1) * size
            rows = org.rows(HANDOVER, *where, order_by=order, limit=size, offset=offset)
            items = tuple(value_of(Handover, row) for row in rows)
            return Listing(items=items, total=org.count(HANDOVER, *where), page=number, page_size=size)

        return await self._gate.run(work)

    async def replay(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        message_ids: Collection[str] = (),
        since: datetime | None = None,
        states: Collection[HandoverState] = (),
        limit: int = 1000,
    ) -> int:
        """Make what fits pending again, as if it were new; answers how many."""
        where = [HANDOVER.c.endpoint_id == endpoint_id, ~IS_PENDING]
        if message_ids:
            where.append(HANDOVER.c.message_id.in_(message_ids))
        else:
            where.append(HANDOVER.c.event_type != EventType.PING)
        if since is not None:
            where.append(HANDOVER.c.created_at >= since)
        if states:
            where.append(HANDOVER.c.state.in_(states))
        again = {
            "state": HandoverState.PENDING,
            "tries": 0,
            "lease": HANDOVER.c.lease + 1,
            "next_at": now,
            "settled_at": None,
            "status": 0,
            "error": "",
            "forget_at": now + DEAD_KEPT,
        }

        def work(org: Tenant) -> int:
            rows = org.rows(HANDOVER, *where, order_by=(HANDOVER.c.message_id,), limit=limit)
            ids = HANDOVER.c.message_id.in_([row["message_id"] for row in rows])
            return org.update(HANDOVER, again, *where, ids) if rows else 0

        replayed = await self._gate.run(work)
        if replayed:
            await self._nudges.nudge(outgoing_nudge(self._gate.org_id, endpoint_id))
        return replayed


_last_moment = 0


def _new_id(now: datetime) -> str:
    """A message's id: later ones are greater, in one process also those of one moment."""
    global _last_moment  # noqa: PLW0603 - one line per process, as in `nudges`
    _last_moment = max(_last_moment + 1, int(now.timestamp() * 1_000_000))
    return f"msg_{_last_moment:014x}{secrets.token_hex(8)}"


_IS_ACTIVE: Final = (ENDPOINT.c.state == EndpointState.ACTIVE,)
_LONGEST: Final = (HANDOVER.c.next_at, HANDOVER.c.message_id)


def _listening(org: Tenant) -> Sequence[tuple[str, frozenset[str]]]:
    rows = org.rows(ENDPOINT, ENDPOINT.c.state != EndpointState.DISABLED, order_by=(ENDPOINT.c.id,))
    return [(row["id"], frozenset(row["event_types"])) for row in rows]


def _endpoint(org: Tenant, row: RowMapping) -> Endpoint:
    opened = org.open(row["access_sealed"], *_access_context(row["id"]))
    access = msgspec.json.decode(opened, type=_Access)
    return value_of(
        Endpoint,
        row,
        url=access.url,
        secrets=tuple(SigningSecret(value=Secret(one.value), until=one.until) for one in access.secrets),
        event_types=tuple(EventType(one) for one in row["event_types"]),
    )


def _access_context(endpoint_id: str) -> tuple[str, ...]:
    return ("outgoing_endpoint", endpoint_id, "access")


def _payload_context(message_id: str) -> tuple[str, ...]:
    return ("outgoing_message", message_id, "payload")


def _pending_of(endpoint_id: str) -> tuple[Condition, Condition]:
    return (HANDOVER.c.endpoint_id == endpoint_id, IS_PENDING)


def _is_behind_another(org: Tenant) -> Condition:
    """Whether an older message about the same thing has not arrived yet."""
    older = HANDOVER.alias()
    return exists(
        select(literal(1)).where(
            older.c.org_id == org.org_id,
            older.c.endpoint_id == HANDOVER.c.endpoint_id,
            older.c.subject_id == HANDOVER.c.subject_id,
            older.c.message_id < HANDOVER.c.message_id,
            older.c.state == IS_PENDING.right,
        )
    )


def _has_handovers(org: Tenant) -> Condition:
    of_it = (HANDOVER.c.org_id == org.org_id, HANDOVER.c.message_id == OUTGOING_MESSAGE.c.id)
    return exists(select(literal(1)).where(*of_it))


def _about(org: Tenant, subject_ids: Collection[str]) -> Sequence[str]:
    return org.ids(OUTGOING_MESSAGE, OUTGOING_MESSAGE.c.subject_id.in_(subject_ids))


def _parcels(org: Tenant, rows: Sequence[RowMapping]) -> tuple[Parcel, ...]:
    ids = [row["message_id"] for row in rows]
    messages = org.rows(OUTGOING_MESSAGE, OUTGOING_MESSAGE.c.id.in_(ids)) if ids else ()
    sealed = {row["id"]: row["payload_sealed"] for row in messages}
    return tuple(
        Parcel(
            handover=value_of(Handover, row),
            payload=org.open(sealed[row["message_id"]], *_payload_context(row["message_id"])),
        )
        for row in rows
    )


def _settle(org: Tenant, attempt: Attempt, now: datetime) -> bool:
    values: dict[str, object] = {"status": attempt.status, "error": attempt.error}
    if not attempt.is_tried:
        values = {"tries": HANDOVER.c.tries - 1}
    if attempt.state is HandoverState.PENDING:
        values["next_at"] = attempt.retry_at or now
    else:
        values |= _ended(attempt.state, now)
    given = attempt.handover
    return bool(
        org.update(
            HANDOVER,
            values,
            *_pending_of(given.endpoint_id),
            HANDOVER.c.message_id == given.message_id,
            HANDOVER.c.lease == given.lease,
        )
    )


def _ended(state: HandoverState, now: datetime) -> dict[str, object]:
    kept = DELIVERED_KEPT if state is HandoverState.DELIVERED else DEAD_KEPT
    return {"state": state, "next_at": None, "settled_at": now, "forget_at": now + kept}


class SqlHandovers:
    """`moorage_ports.outgoing.Handovers`: what is on its way, over all orgs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due_endpoints(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, endpoint) that something is due for."""
        return await self._database.read_at_once(partial(_due_endpoints, now=now))

    async def forget_expired(self, now: datetime) -> int:
        """Delete what has been settled, or has waited, for its days, a transaction's worth at a time.

        Raises:
            UnavailableError: The database is out of reach; what is left is deleted the next time.
        """
        forgotten = 0
        while True:
            some = await self._database.write_at_once(partial(_forget, now=now))
            forgotten += some
            if some < _FORGET_ROWS:
                return forgotten


def _due_endpoints(connection: Connection, *, now: datetime) -> Sequence[tuple[str, str]]:
    is_due = exists(
        select(literal(1)).where(
            HANDOVER.c.org_id == ENDPOINT.c.org_id,
            HANDOVER.c.endpoint_id == ENDPOINT.c.id,
            IS_PENDING,
            HANDOVER.c.next_at <= now,
        )
    )
    is_held = ENDPOINT.c.held_until > now
    rows = connection.execute(
        select(ENDPOINT.c.org_id, ENDPOINT.c.id)
        .where(*_IS_ACTIVE, is_held.is_not(True), is_due)
        .order_by(ENDPOINT.c.org_id, ENDPOINT.c.id)
    )
    return [(row[0], row[1]) for row in rows]


def _forget(connection: Connection, *, now: datetime) -> int:
    """The oldest that ran out, and messages that nobody waits for any more; answers how many handovers."""
    key = (HANDOVER.c.org_id, HANDOVER.c.endpoint_id, HANDOVER.c.message_id)
    oldest = select(*key).where(HANDOVER.c.forget_at <= now).order_by(HANDOVER.c.forget_at)
    rows = connection.execute(oldest.limit(_FORGET_ROWS).with_for_update(skip_locked=True)).all()
    for org_id, endpoint_id, message_id in rows:
        of_it = (HANDOVER.c.org_id == org_id, HANDOVER.c.message_id == message_id)
        connection.execute(delete(HANDOVER).where(*of_it, HANDOVER.c.endpoint_id == endpoint_id))
        is_wanted = exists(select(literal(1)).select_from(HANDOVER).where(*of_it))
        message = (OUTGOING_MESSAGE.c.org_id == org_id, OUTGOING_MESSAGE.c.id == message_id)
        connection.execute(delete(OUTGOING_MESSAGE).where(*message, ~is_wanted))
    return len(rows)
