"""Apps that orgs bring: their own registration with a vendor, used instead of the operator's."""

from datetime import datetime
from typing import Any, Protocol

import attrs
from attrs.validators import matches_re, optional

from moorage_ports.secret import Secret
from moorage_ports.values import is_aware

SHORTEST_SECRET, LONGEST_SECRET = 8, 512


def is_secret_text(_: object, attribute: "attrs.Attribute[Any]", value: Secret) -> None:
    """Printable ASCII characters without blanks: whatever a vendor's dashboard shows."""
    text = value.reveal()
    has_length = SHORTEST_SECRET <= len(text) <= LONGEST_SECRET
    if not has_length or not all("!" <= character <= "~" for character in text):
        msg = (
            f"{attribute.name} must have {SHORTEST_SECRET} to {LONGEST_SECRET} characters, none of them blank"
        )
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class AppCredentials:
    """A registration with a vendor as the org that brings it writes it down.

    A plugin may narrow the fields or add its own in a subclass, which its calling card names.
    `previous_app_secret` is the one that was in force before, if the vendor still signs with it.
    """

    app_id: str = attrs.field(validator=matches_re(r"[A-Za-z0-9._-]{1,64}"))
    app_secret: Secret = attrs.field(validator=is_secret_text)
    verify_token: Secret = attrs.field(validator=is_secret_text)
    previous_app_secret: Secret | None = attrs.field(default=None, validator=optional(is_secret_text))


@attrs.frozen(kw_only=True)
class ProvenApp:
    """What the vendor says about an app whose secret was shown to it."""

    app_id: str
    name: str = ""


@attrs.frozen(kw_only=True)
class OwnApp:
    """That an org brought an app; its secrets lie in the org's secret store.

    `revision` is another one after every change, so that a copy in memory can be recognised as old.
    """

    vendor: str
    app_id: str
    revision: str
    secret_since: datetime = attrs.field(validator=is_aware)
    previous_secret_until: datetime | None = attrs.field(default=None, validator=is_aware)


class OwnApps(Protocol):
    """The apps that one org brought, one per vendor. Lives in a unit of work."""

    async def of_vendor(self, vendor: str) -> OwnApp | None:
        """The org's app at `vendor`, if it brought one."""
        ...

    async def save(self, app: OwnApp) -> None:
        """Insert or replace.

        Raises:
            ConflictError: Another org brought this very app; it stays unsaid which.
        """
        ...

    async def remove(self, vendor: str) -> bool:
        """Forget it; false if there was none."""
        ...


@attrs.frozen(kw_only=True)
class CallCount:
    """How often an org called operations of a vendor, how often that failed, and how long it took in all."""

    total: int = 0
    failed: int = 0
    milliseconds: int = 0
    last_used_at: datetime | None = attrs.field(default=None, validator=is_aware)

    def plus(self, other: "CallCount") -> "CallCount":
        """Both together."""
        moments = [at for at in (self.last_used_at, other.last_used_at) if at is not None]
        return CallCount(
            total=self.total + other.total,
            failed=self.failed + other.failed,
            milliseconds=self.milliseconds + other.milliseconds,
            last_used_at=max(moments, default=None),
        )


class CallCounts(Protocol):
    """What one org's calls add up to, per vendor. Lives in a unit of work."""

    async def of_vendor(self, vendor: str) -> CallCount:
        """All calls so far; zeros if there was none."""
        ...

    async def add(self, vendor: str, count: CallCount) -> None:
        """Add to what is counted already."""
        ...
