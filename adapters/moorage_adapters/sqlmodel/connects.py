"""Connections under way. The table tells neither the id that names one nor the e-mail address in it."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, RowMapping, delete, insert, update

from moorage_adapters.cipher import EnvelopeCipher
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.tables import CONNECT_ATTEMPT
from moorage_adapters.sqlmodel.tenant import fields_of, value_of
from moorage_ports.clock import Clock
from moorage_ports.integrations import ConnectAttempt

KEPT_AFTER_EXPIRY: Final = timedelta(days=1)


class SqlConnectAttempts:
    """`moorage_ports.integrations.ConnectAttempts`; each call is a transaction."""

    def __init__(self, database: Database, cipher: EnvelopeCipher, clock: Clock) -> None:
        self._database = database
        self._cipher = cipher
        self._clock = clock

    async def begin(self, attempt: ConnectAttempt) -> None:
        """Keep a new attempt; durable when this returns."""
        keys = TransactionKeys(self._cipher, self._clock)
        id_hash = _hash(attempt.id)

        def work(connection: Connection) -> None:
            org = keys.sealing(connection, attempt.org_id)
            values = fields_of(attempt, without=("id", "email"))
            values["id_hash"] = id_hash
            values["email_sealed"] = org.seal(attempt.email.encode(), *_email_context(id_hash))
            connection.execute(insert(CONNECT_ATTEMPT).values(values))

        await self._database.write_at_once(work)
        keys.publish()

    async def consume(self, attempt_id: str, *, vendor: str, now: datetime) -> ConnectAttempt | None:
        """Use it up atomically: of any number of callers at most one gets it.

        Raises:
            SealError: Its e-mail address does not open; the attempt is not used up.
        """
        keys = TransactionKeys(self._cipher, self._clock)
        id_hash = _hash(attempt_id)
        statement = (
            update(CONNECT_ATTEMPT)
            .where(
                CONNECT_ATTEMPT.c.id_hash == id_hash,
                CONNECT_ATTEMPT.c.vendor == vendor,
                CONNECT_ATTEMPT.c.used_at.is_(None),
                CONNECT_ATTEMPT.c.expires_at > now,
            )
            .values(used_at=now)
            .returning(CONNECT_ATTEMPT)
        )

        def work(connection: Connection) -> ConnectAttempt | None:
            row: RowMapping | None = connection.execute(statement).mappings().one_or_none()
            if row is None:
                return None
            email = keys.open(connection, row["org_id"], row["email_sealed"], *_email_context(id_hash))
            return value_of(ConnectAttempt, row, id=attempt_id, email=email.decode())

        return await self._database.write_at_once(work)

    async def forget_expired(self, now: datetime) -> int:
        """Delete attempts that ran out a day ago or earlier."""
        statement = delete(CONNECT_ATTEMPT).where(CONNECT_ATTEMPT.c.expires_at <= now - KEPT_AFTER_EXPIRY)
        return await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)


def _hash(attempt_id: str) -> bytes:
    """The id is long and random, so a plain hash keeps it: the table must not hold what a link proves."""
    return hashlib.sha256(attempt_id.encode("utf-8", "surrogatepass")).digest()


def _email_context(id_hash: bytes) -> tuple[str, ...]:
    return ("connect_attempt", id_hash.hex(), "email")
