"""People who sign in to the admin UI, and their sessions; e-mail addresses are sealed and found by hash."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from moorage_adapters.cipher import HOST, EnvelopeCipher
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.tables import ACCOUNT, SESSION
from moorage_adapters.sqlmodel.tenant import fields_of, insert_into, value_of
from moorage_ports.accounts import Account, Session
from moorage_ports.clock import Clock
from moorage_ports.secret_store import SealError


class SqlAccounts:
    """`moorage_ports.accounts.Accounts`; each call is a transaction."""

    def __init__(self, database: Database, cipher: EnvelopeCipher, clock: Clock) -> None:
        self._database = database
        self._cipher = cipher
        self._clock = clock

    async def save(self, account: Account) -> None:
        """Insert or replace (one per e-mail). Ends its sessions: password and role may be others now."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> None:
            digest = keys.sealing(connection, HOST).digest("account email", _folded(account.email))
            org = keys.sealing(connection, account.org_id)
            values = fields_of(account, without=("email",))
            values["email_digest"] = digest
            values["email_sealed"] = org.seal(account.email.encode(), "account", account.id, "email")
            others = (ACCOUNT.c.email_digest == digest, ACCOUNT.c.id != account.id)
            theirs = SESSION.c.account_id.in_(select(ACCOUNT.c.id).where(*others))
            connection.execute(delete(SESSION).where(theirs | (SESSION.c.account_id == account.id)))
            connection.execute(delete(ACCOUNT).where(*others))
            statement = insert_into(connection, ACCOUNT).values(values)
            replaced = {name: statement.excluded[name] for name in values if name != "id"}
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=replaced))

        await self._database.write_at_once(work)
        keys.publish()

    async def by_email(self, email: str) -> Account | None:
        """The account, whatever the case of `email`."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> Account | None:
            try:
                digest = keys.opening(connection, HOST).digest("account email", _folded(email))
            except SealError:
                return None  # the host has sealed nothing yet, so there is no account
            row = (
                connection.execute(select(ACCOUNT).where(ACCOUNT.c.email_digest == digest))
                .mappings()
                .one_or_none()
            )
            if row is None:
                return None
            opened = keys.open(connection, row["org_id"], row["email_sealed"], "account", row["id"], "email")
            return value_of(Account, row, email=opened.decode())

        return await self._database.read_at_once(work)

    async def emails(self, org_id: str) -> Mapping[str, str]:
        """The e-mail address of everybody who may sign in for an org, by their account's id."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> dict[str, str]:
            found = select(ACCOUNT.c.id, ACCOUNT.c.email_sealed).where(ACCOUNT.c.org_id == org_id)
            return {
                key: keys.open(connection, org_id, sealed, "account", key, "email").decode()
                for key, sealed in connection.execute(found).all()
            }

        return await self._database.read_at_once(work)

    async def open_session(self, session: Session) -> None:
        """Keep a new session."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> None:
            org = keys.sealing(connection, session.org_id)
            values = fields_of(session, without=("email", "csrf_token"))
            values["email_sealed"] = org.seal(session.email.encode(), "session", session.id, "email")
            values["csrf_token_sealed"] = org.seal(
                session.csrf_token.encode(), "session", session.id, "csrf_token"
            )
            connection.execute(SESSION.insert().values(values))

        await self._database.write_at_once(work)
        keys.publish()

    async def session(self, token_hash: str) -> Session | None:
        """The session of a cookie, if any."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> Session | None:
            row = (
                connection.execute(select(SESSION).where(SESSION.c.token_hash == token_hash))
                .mappings()
                .one_or_none()
            )
            if row is None:
                return None

            def opened(name: str) -> str:
                sealed = row[f"{name}_sealed"]
                return keys.open(connection, row["org_id"], sealed, "session", row["id"], name).decode()

            return value_of(
                Session,
                row,
                email=opened("email"),
                csrf_token=opened("csrf_token"),
            )

        found = await self._database.read_at_once(work)
        keys.publish()
        return found

    async def touch(self, session_id: str, at: datetime) -> None:
        """Record that the session was used."""
        statement = update(SESSION).where(SESSION.c.id == session_id).values(last_seen_at=at)
        await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)

    async def prove(self, session_id: str, at: datetime, *, token_hash: str) -> bool:
        """Record that its person gave their password again: from then on another cookie opens the session."""
        mine = update(SESSION).where(SESSION.c.id == session_id)
        statement = mine.values(proved_at=at, last_seen_at=at, token_hash=token_hash)
        count = await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)
        return count > 0

    async def close_session(self, session_id: str) -> None:
        """Sign out."""
        statement = delete(SESSION).where(SESSION.c.id == session_id)
        await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)

    async def forget_sessions(self, unused_since: datetime) -> int:
        """Delete sessions that were last used before that moment; answers how many."""
        statement = delete(SESSION).where(SESSION.c.last_seen_at < unused_since)
        return await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)


def _folded(email: str) -> str:
    return email.strip().casefold()
