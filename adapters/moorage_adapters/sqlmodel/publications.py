"""Publications of one org, and what its idempotency keys stand for."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, RowMapping, and_, or_, select

from moorage_adapters.sqlmodel.tables import PUBLICATION, REMEMBERED_CALL
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, fields_of, value_of
from moorage_adapters.sqlmodel.types import to_json
from moorage_ports.operations import PublicationStatus, Step
from moorage_ports.publications import Publication, RememberedCall
from moorage_ports.publisher import PublishPost

KEY_LIFETIME = timedelta(days=7)

_UNSETTLED = (PublicationStatus.PENDING, PublicationStatus.PUBLISHING, PublicationStatus.UNCONFIRMED)
_SCHEDULED_SWEEP = timedelta(days=1)  # what waits at the vendor has a nudge of its own; it is rarely lost
_NEWEST = (PUBLICATION.c.created_at.desc(), PUBLICATION.c.id.desc())


class SqlPublications:
    """`moorage_ports.publications.Publications` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def save(self, publication: Publication) -> None:
        """Insert or replace."""
        values = fields_of(publication, without=("post", "steps"))
        values["post_json"] = to_json(publication.post)
        values["steps_json"] = to_json(publication.steps)
        await self._gate.run(lambda org: org.upsert(PUBLICATION, values, ("org_id", "id")))

    async def get(self, publication_id: str) -> Publication | None:
        """One by our id."""

        def work(org: Tenant) -> Publication | None:
            row = org.one(PUBLICATION, PUBLICATION.c.id == publication_id)
            return None if row is None else _publication(row)

        return await self._gate.run(work)

    async def latest(self, *, limit: int) -> tuple[Publication, ...]:
        """The newest ones."""
        return await self._gate.run(
            lambda org: tuple(
                _publication(row) for row in org.rows(PUBLICATION, order_by=_NEWEST, limit=limit)
            )
        )

    async def unsettled(self, *, before: datetime) -> tuple[Publication, ...]:
        """Those `pending`, `publishing` or `unconfirmed` whose last step is older than `before`."""

        def work(org: Tenant) -> tuple[Publication, ...]:
            rows = org.rows(
                PUBLICATION,
                PUBLICATION.c.status.in_(_UNSETTLED),
                PUBLICATION.c.updated_at < before,
                order_by=(PUBLICATION.c.updated_at, PUBLICATION.c.id),
            )
            return tuple(_publication(row) for row in rows)

        return await self._gate.run(work)

    async def known_posts(self, vendor: str, channel_external_id: str, *, since: datetime) -> frozenset[str]:
        """External ids of the posts on a channel whose publication changed at or after `since`."""

        def work(org: Tenant) -> frozenset[str]:
            rows = org.rows(
                PUBLICATION,
                PUBLICATION.c.vendor == vendor,
                PUBLICATION.c.updated_at >= since,
                PUBLICATION.c.external_id.is_not(None),
            )
            return frozenset(
                row["external_id"]
                for row in rows
                if msgspec.json.decode(row["post_json"], type=_Where).channel_external_id
                == channel_external_id
            )

        return await self._gate.run(work)


class _Where(msgspec.Struct):
    """Of a post only the channel that it is on."""

    channel_external_id: str


def unsettled_everywhere(connection: Connection, before: datetime) -> Sequence[tuple[str, str]]:
    """Every (org, publication) on which something is due and nothing was done since `before`."""
    is_stuck = and_(PUBLICATION.c.status.in_(_UNSETTLED), PUBLICATION.c.updated_at < before)
    is_waiting = and_(
        PUBLICATION.c.status == PublicationStatus.SCHEDULED,
        PUBLICATION.c.updated_at < before - _SCHEDULED_SWEEP,
    )
    rows = connection.execute(
        select(PUBLICATION.c.org_id, PUBLICATION.c.id)
        .where(or_(is_stuck, is_waiting))
        .order_by(PUBLICATION.c.updated_at)
    )
    return [(row[0], row[1]) for row in rows]


def _publication(row: RowMapping) -> Publication:
    return value_of(
        Publication,
        row,
        post=msgspec.json.decode(row["post_json"], type=PublishPost),
        steps=msgspec.json.decode(row["steps_json"], type=tuple[Step, ...]),
    )


class SqlRememberedCalls:
    """`moorage_ports.publications.RememberedCalls` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def begin(
        self, operation: str, key: str, call: RememberedCall, *, now: datetime
    ) -> RememberedCall | None:
        """Claim `key`; `None` means it is new and now taken, else what it already stands for."""

        def work(org: Tenant) -> RememberedCall | None:
            digest = _digest(org, key)
            org.delete(REMEMBERED_CALL, REMEMBERED_CALL.c.created_at <= now - KEY_LIFETIME)
            values = fields_of(call, without=("response", "begun_at"))
            values |= {"operation": operation, "key_digest": digest, "created_at": now}
            values["response_sealed"] = org.seal(call.response, *answer_context(operation, digest))
            if org.insert(REMEMBERED_CALL, values):
                return None
            row = org.one(REMEMBERED_CALL, *_is(operation, digest))
            if row is None:
                return None
            response = org.open(row["response_sealed"], *answer_context(operation, digest))
            return value_of(RememberedCall, row, response=response, begun_at=row["created_at"])

        return await self._gate.run(work)

    async def finish(self, operation: str, key: str, *, status: int, response: bytes) -> None:
        """Record the first call's answer."""

        def work(org: Tenant) -> None:
            digest = _digest(org, key)
            sealed = org.seal(response, *answer_context(operation, digest))
            org.update(
                REMEMBERED_CALL, {"status": status, "response_sealed": sealed}, *_is(operation, digest)
            )

        await self._gate.run(work)

    async def forget(self, operation: str, key: str) -> None:
        """Free the key again: the first call did nothing at all."""
        await self._gate.run(lambda org: org.delete(REMEMBERED_CALL, *_is(operation, _digest(org, key))))

    async def forget_expired(self, now: datetime) -> int:
        """Delete those that lived their days; answers how many."""
        is_over = REMEMBERED_CALL.c.created_at <= now - KEY_LIFETIME
        return await self._gate.run(lambda org: org.delete(REMEMBERED_CALL, is_over))


def _digest(org: Tenant, key: str) -> bytes:
    return org.digest("idempotency key", key)


def answer_context(operation: str, digest: bytes) -> tuple[str, ...]:
    """What a sealed answer is: that to this operation's call under this key."""
    return ("remembered_call", operation, digest.hex(), "response")


def _is(operation: str, digest: bytes) -> tuple[Condition, Condition]:
    return (REMEMBERED_CALL.c.operation == operation, REMEMBERED_CALL.c.key_digest == digest)
