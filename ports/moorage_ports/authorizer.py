"""`Authorizer`: a person's consent, from the link they click to the grant that comes of it (RFC 6749)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.apps import ProvenApp
from moorage_ports.capabilities import Capability
from moorage_ports.directory import ChannelOffer
from moorage_ports.secret import Secret
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class ScopePlan:
    """The scopes to ask for, and which of them the caller had left out."""

    scopes: tuple[str, ...]
    added: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class AuthorizationRequest:
    """One visit to the vendor's consent page."""

    state: str = attrs.field(repr=False)
    redirect_uri: str
    scopes: tuple[str, ...]
    rerequest: bool = False  # ask again for what was declined before


@attrs.frozen(kw_only=True)
class Consented:
    """The person said yes; `code` is good for one exchange."""

    code: Secret


@attrs.frozen(kw_only=True)
class Refused:
    """The person said no, or the vendor could not ask. `reason` is a short code, never the vendor's prose."""

    reason: str


@attrs.frozen(kw_only=True)
class ChannelGrant:
    """A channel that a grant covers, with the token that was proven against it (`None`: none was given).

    `parent_external_id` is the vendor's id of what it hangs on, if its vault has to know.
    """

    offer: ChannelOffer
    token: Secret | None = None
    parent_external_id: str = ""


@attrs.frozen(kw_only=True)
class RedeemedGrant:
    """What a code was worth. `subject` and `profile` are the person's own: they go nowhere but the vault.

    `unread_types` are types of channels that the vendor could not list just now: what an org has of them
    stays as it is.
    """

    subject: Secret  # the vendor's id of the person, as this app sees it
    profile: Mapping[str, str] = attrs.field(repr=False)
    token: Secret
    granted_scopes: tuple[str, ...]
    declined_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = attrs.field(default=None, validator=is_aware)  # None: does not expire
    data_access_expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    channels: tuple[ChannelGrant, ...] = ()
    unread_types: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class GrantState:
    """What the vendor says about a grant today."""

    is_valid: bool
    granted_scopes: tuple[str, ...]
    expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    data_access_expires_at: datetime | None = attrs.field(default=None, validator=is_aware)


class Authorizer(Protocol):
    """OAuth with one vendor, for one org."""

    async def prove_app(self) -> ProvenApp:
        """Have the vendor say whose the context's app id and secret are. Changes nothing.

        Raises:
            RejectedError: The vendor knows no such app, or this is not its secret.
            VendorUnavailableError: The vendor is out of reach.
        """
        ...

    def plan_scopes(self, requested: Sequence[str] | None, capabilities: Collection[Capability]) -> ScopePlan:
        """`requested` (default: none) plus what `capabilities` need and the caller left out.

        Raises:
            InvalidRequestError: A requested scope is not one this vendor knows.
        """
        ...

    def authorization_url(self, request: AuthorizationRequest) -> str:
        """Where to send the person's browser. Pure."""
        ...

    def read_return(self, query: Mapping[str, str]) -> Consented | Refused:
        """What the vendor's redirect back to us says. Total over any query. Pure."""
        ...

    async def redeem(self, code: Secret, redirect_uri: str) -> RedeemedGrant:
        """Exchange the code, extend the token, inspect it, and prove each channel's token on its channel.

        Raises:
            InvalidCodeError: The code is used, expired or not for this app; the token is not ours.
            VendorUnavailableError: The vendor is out of reach; the code may be tried again.
            OutcomeUnknownError: No answer to the exchange: the code may be spent.
        """
        ...

    async def inspect(self, grant_id: str) -> GrantState:
        """What the vendor says about a kept grant today.

        Raises:
            ReauthorizationError: Nothing is kept under `grant_id`.
        """
        ...

    async def revoke(self, grant_id: str) -> None:
        """Withdraw the grant at the vendor; one that is gone already is no error."""
        ...
