"""`MemoryAuthorizer`: from the consent page's address to a grant, and back out of it."""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlencode

import attrs

from moorage_adapters.memory.directory import offer
from moorage_adapters.memory.door import SLUG, reading, writing
from moorage_adapters.memory.things import (
    READ_BOARDS,
    READ_FORMS,
    SCOPES,
    SEND_LETTERS,
    SEND_NEWS,
    WRITE_NOTES,
)
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import CONSENT_PAGE, MemoryWorld
from moorage_ports.apps import ProvenApp
from moorage_ports.authorizer import (
    AuthorizationRequest,
    ChannelGrant,
    Consented,
    GrantState,
    RedeemedGrant,
    Refused,
    ScopePlan,
)
from moorage_ports.capabilities import Capability
from moorage_ports.errors import (
    InvalidCodeError,
    InvalidRequestError,
    MissingScopeError,
    ReauthorizationError,
)
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp

NEEDED: Mapping[Capability, tuple[str, ...]] = {
    Capability.PUBLISH_POSTS: (READ_BOARDS, WRITE_NOTES),
    Capability.PUBLISH_IMAGES: (READ_BOARDS, WRITE_NOTES),
    Capability.RECEIVE_LEADS: (READ_BOARDS, READ_FORMS, SEND_NEWS),
    Capability.SYNC_ACTIVITY: (READ_BOARDS,),
    Capability.ANSWER_COMMENTS: (READ_BOARDS, WRITE_NOTES),
    Capability.DIRECT_MESSAGES: (READ_BOARDS, SEND_NEWS, SEND_LETTERS),
}


@attrs.frozen
class MemoryAuthorizer:
    """An `Authorizer` for one org and one app."""

    world: MemoryWorld
    app: VendorApp
    vault: MemoryTokenVault

    async def prove_app(self) -> ProvenApp:
        with reading():
            return ProvenApp(app_id=self.world.show_badge(self.app.app_id, self.app.secret))

    def plan_scopes(self, requested: Sequence[str] | None, capabilities: Collection[Capability]) -> ScopePlan:
        asked = tuple(dict.fromkeys(requested or ()))
        if unknown := [scope for scope in asked if scope not in SCOPES]:
            msg = "this vendor does not know some of the scopes"
            raise InvalidRequestError(msg, fields={"scopes": f"unknown: {', '.join(unknown)}"})
        needed = {scope for capability in capabilities for scope in NEEDED.get(capability, ())}
        added = tuple(scope for scope in SCOPES if scope in needed and scope not in asked)
        return ScopePlan(scopes=(*asked, *added), added=added)

    def authorization_url(self, request: AuthorizationRequest) -> str:
        query = {
            "app_id": self.app.app_id,
            "redirect_uri": request.redirect_uri,
            "state": request.state,
            "scopes": " ".join(request.scopes),
        }
        return f"{CONSENT_PAGE}?{urlencode(query)}"

    def read_return(self, query: Mapping[str, str]) -> Consented | Refused:
        if code := query.get("code"):
            return Consented(code=Secret(code))
        return Refused(reason="declined" if query.get("error") == "said_no" else "vendor_error")

    async def redeem(self, code: Secret, redirect_uri: str) -> RedeemedGrant:
        token = self._exchange(code, redirect_uri)
        with reading():
            person = self.world.person(token)
            permit = self.world.permit(token)
        return RedeemedGrant(
            subject=Secret(person.id),
            profile={"name": person.name},
            token=token,
            granted_scopes=tuple(scope for scope in SCOPES if scope in permit.scopes),
            expires_at=permit.expires_at,
            channels=self._channels(token, person.id),
        )

    def _exchange(self, code: Secret, redirect_uri: str) -> Secret:
        try:
            with writing():
                token = self.world.redeem(
                    code.reveal(),
                    app_id=self.app.app_id,
                    app_secret=self.app.secret,
                    redirect_uri=redirect_uri,
                )
        except ReauthorizationError as refused:
            raise InvalidCodeError(str(refused), vendor=SLUG, vendor_code=refused.vendor_code) from refused
        return Secret(token)

    async def inspect(self, grant_id: str) -> GrantState:
        token = await self.vault.grant_token(grant_id)
        try:
            with reading():
                permit = self.world.permit(token)
        except ReauthorizationError:
            return GrantState(is_valid=False, granted_scopes=())
        scopes = tuple(scope for scope in SCOPES if scope in permit.scopes)
        return GrantState(is_valid=True, granted_scopes=scopes, expires_at=permit.expires_at)

    async def revoke(self, grant_id: str) -> None:
        try:
            token = await self.vault.grant_token(grant_id)
            with writing():
                self.world.withdraw(token)
        except ReauthorizationError:
            return  # gone already

    def _channels(self, token: Secret, person_id: str) -> tuple[ChannelGrant, ...]:
        """Each board with the token that acts as it; none if the person did not let us read boards."""
        try:
            with reading():
                offers = [offer(board, person_id) for board in self.world.boards_of(token)]
                return tuple(
                    ChannelGrant(
                        offer=one,
                        token=Secret(self.world.board_token(token, one.external_id))
                        if one.selectable
                        else None,
                    )
                    for one in offers
                )
        except MissingScopeError:
            return ()
