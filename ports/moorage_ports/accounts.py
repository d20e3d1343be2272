"""People who sign in to the admin UI, and their sessions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import optional

from moorage_ports.operations import Role
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class Account:
    """Somebody who may sign in for one org."""

    id: str
    org_id: str
    email: str = attrs.field(repr=False)
    password_hash: str = attrs.field(repr=False)
    role: Role


@attrs.frozen(kw_only=True)
class Session:
    """A signed-in browser. `token_hash` is what the store keeps of its cookie.

    `proved_at`: when its person last gave their password; `None` for sessions older than that question.
    """

    id: str
    token_hash: str = attrs.field(repr=False)
    csrf_token: str = attrs.field(repr=False)
    account_id: str
    org_id: str
    email: str = attrs.field(repr=False)
    role: Role
    created_at: datetime = attrs.field(validator=is_aware)
    last_seen_at: datetime = attrs.field(validator=is_aware)
    proved_at: datetime | None = attrs.field(default=None, validator=optional(is_aware))


class Accounts(Protocol):
    """Accounts and sessions. Not bound to an org: a sign-in does not know one before it looks here."""

    async def save(self, account: Account) -> None:
        """Insert or replace (one per e-mail). Ends its sessions: password and role may be others now."""
        ...

    async def by_email(self, email: str) -> Account | None:
        """The account, whatever the case of `email`."""
        ...

    async def emails(self, org_id: str) -> Mapping[str, str]:
        """The e-mail address of everybody who may sign in for an org, by their account's id."""
        ...

    async def open_session(self, session: Session) -> None:
        """Keep a new session."""
        ...

    async def session(self, token_hash: str) -> Session | None:
        """The session of a cookie, if any."""
        ...

    async def touch(self, session_id: str, at: datetime) -> None:
        """Record that the session was used."""
        ...

    async def prove(self, session_id: str, at: datetime, *, token_hash: str) -> bool:
        """Record that its person gave their password again: from then on another cookie opens the session.

        Answers whether there is such a session still.
        """
        ...

    async def close_session(self, session_id: str) -> None:
        """Sign out."""
        ...

    async def forget_sessions(self, unused_since: datetime) -> int:
        """Delete sessions that were last used before that moment; answers how many."""
        ...
