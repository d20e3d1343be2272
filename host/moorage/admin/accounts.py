"""Accounts of the admin UI: making one, and checking a password without keeping anybody else waiting."""

import asyncio
from functools import cache
from typing import Final
from uuid import uuid4

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from moorage_ports.accounts import Account
from moorage_ports.errors import InvalidRequestError
from moorage_ports.operations import Role
from moorage_ports.storage import Storage

MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 256  # a longer one only costs time

_HASHER: Final = PasswordHasher()  # argon2id with the second recommended set of RFC 9106: 64 MiB, 3 passes
_AT_ONCE: Final = 2  # each takes 64 MiB and a core


@cache
def _nobodys_hash() -> str:
    """Checked when there is no such account, so that the answer takes as long as for a wrong password.

    Made at the first sign-in, whoever it is of: making it takes a good part of a process's start.
    """
    return _HASHER.hash(uuid4().hex)


class Passwords:
    """Hashes and checks passwords in threads, a few at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """What to keep of `password`."""
        async with self._turn:
            return await asyncio.to_thread(_HASHER.hash, password)

    async def check(self, account: Account | None, password: str) -> bool:
        """Whether `password` is the account's; takes the same time when there is no account."""
        kept = None if account is None else account.password_hash
        async with self._turn:
            is_right = await asyncio.to_thread(_matches, kept, password[:MAX_PASSWORD])
        return is_right and account is not None and len(password) <= MAX_PASSWORD

    def is_outdated(self, account: Account) -> bool:
        """Whether its hash was made with weaker parameters than today's."""
        return _HASHER.check_needs_rehash(account.password_hash)


def _matches(kept: str | None, password: str) -> bool:
    nobodys = _nobodys_hash()
    try:
        return _HASHER.verify(nobodys if kept is None else kept, password)
    except (VerificationError, InvalidHashError):
        return False


async def create_account(
    storage: Storage, *, org_id: str, email: str, password: str, role: Role = Role.ADMIN
) -> Account:
    """Let somebody sign in for `org_id`; an account of that e-mail gets the new password, org and role.

    Raises:
        InvalidRequestError: No e-mail address, or a password that is too short or too long.
    """
    email = email.strip()
    name, at, domain = email.partition("@")
    if not (name and at and domain) or len(email) > 320 or any(character.isspace() for character in email):
        msg = "this is not an e-mail address"
        raise InvalidRequestError(msg, fields={"email": "must be an e-mail address"})
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        msg = "the password is too short or too long"
        raise InvalidRequestError(
            msg, fields={"password": f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters"}
        )
    known = await storage.accounts.by_email(email)
    account = Account(
        id=known.id if known else uuid4().hex,
        org_id=org_id,
        email=email,
        password_hash=await Passwords().hash(password),
        role=role,
    )
    await storage.accounts.save(account)
    return account
