"""`GraphAuthorizer`: Facebook Login, from the dialog to a grant whose every token was proven.

https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
"""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import attrs

from moorage_facebook.channel_types import INSTAGRAM, PAGE
from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_all
from moorage_facebook.graph.values import node_id, text
from moorage_facebook.reach import Reached, reach
from moorage_facebook.scopes import plan_scopes
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_facts import TokenFacts, inspect_token
from moorage_facebook.token_vault import GraphTokenVault, token_vault
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
    Hits,
    InvalidCodeError,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

# A long-lived token is good for about 60 days; one that ends sooner is not the one that was asked for.
SHORTEST_LIFE = timedelta(days=50)
_PROOFS_AT_ONCE: Final = 5
_MAX_CODE: Final = 4_096
_REASON = re.compile(r"[a-z][a-z_]{0,63}")
_ERROR_CODE = re.compile(r"[0-9]{1,12}")

_BEGIN_AGAIN = "Begin connecting again: what Facebook sends back works once and for a few minutes."
_BEGIN_LATER = "Wait until Facebook takes calls again, then begin connecting anew."
_UNPROVEN = "Facebook did not confirm that the access it gave is this Page's: connect again."


def exchange_code(app_id: str, app_secret: Secret, code: Secret, redirect_uri: str) -> GraphCall:
    """`POST /oauth/access_token`: the code for a short-lived token. It works once, so it is sent once."""
    return GraphCall(
        method="POST",
        path=("oauth", "access_token"),
        data={
            "client_id": app_id,
            "client_secret": app_secret.reveal(),
            "redirect_uri": redirect_uri,
            "code": code.reveal(),
        },
        expects=frozenset({"access_token"}),
    )


def extend_token(app_id: str, app_secret: Secret, token: Secret) -> GraphCall:
    """The same endpoint: a short-lived token for one of about 60 days. May be asked twice.

    https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
    """
    return GraphCall(
        method="POST",
        path=("oauth", "access_token"),
        data={
            "grant_type": "fb_exchange_token",
            "client_id": app_id,
            "client_secret": app_secret.reveal(),
            "fb_exchange_token": token.reveal(),
        },
        expects=frozenset({"access_token"}),
        is_repeatable=True,
    )


def describe_app(app_id: str) -> GraphCall:
    """`GET /{app}` with the app's own token: Graph tells an app's id to whoever knows its secret."""
    return GraphCall(path=(app_id,), query={"fields": "id,name"}, is_app_call=True, expects=frozenset({"id"}))


def whoami(token: Secret, fields: str = "id") -> GraphCall:
    """`GET /me`: who the token stands for."""
    return GraphCall(path=("me",), query={"fields": fields}, token=token, expects=frozenset({"id"}))


def which_page(token: Secret, page_id: str) -> GraphCall:
    """`GET /me` with a Page's token, which should be that of `page_id`."""
    return attrs.evolve(whoami(token), owner=page_id, use_case=PAGES)


@attrs.frozen(kw_only=True)
class GraphAuthorizer:
    """An `Authorizer` for one org and the app that serves it."""

    client: GraphClient
    vault: GraphTokenVault

    async def prove_app(self) -> ProvenApp:
        """The app as Graph describes it to itself."""
        app_id = self.client.app.app_id
        try:
            node = await self.client.send(describe_app(app_id))
        except (ReauthorizationError, MissingScopeError, VendorNotFoundError, RejectedError) as refused:
            raise _not_your_app(refused) from refused
        if node_id(node.get("id")) != app_id:
            raise _not_your_app()
        return ProvenApp(app_id=app_id, name=text(node.get("name")))

    def plan_scopes(self, requested: Sequence[str] | None, capabilities: Collection[Capability]) -> ScopePlan:
        """See `scopes.plan_scopes`."""
        return plan_scopes(requested, capabilities)

    def authorization_url(self, request: AuthorizationRequest) -> str:
        """The consent dialog. `rerequest` makes it ask again for what was declined before."""
        settings = self.client.settings
        query = {
            "client_id": self.client.app.app_id,
            "redirect_uri": request.redirect_uri,
            "state": request.state,
            "scope": ",".join(request.scopes),
            "response_type": "code",
        }
        if request.rerequest:
            query["auth_type"] = "rerequest"
        return f"{settings.dialog_url}/{settings.api_version}/dialog/oauth?{urlencode(query)}"

    def read_return(self, query: Mapping[str, str]) -> Consented | Refused:
        """What the dialog sent back: a code, or one of its two ways to say no."""
        if query.get("error_reason") or query.get("error"):
            reasons = (query.get(name, "") for name in ("error_reason", "error"))
            return Refused(reason=next(filter(_REASON.fullmatch, reasons), "refused"))
        if query.get("error_code") or query.get("error_message"):
            code = query.get("error_code", "")
            return Refused(reason=f"vendor_error_{code}" if _ERROR_CODE.fullmatch(code) else "refused")
        code = query.get("code", "")
        return Consented(code=Secret(code)) if 0 < len(code) <= _MAX_CODE else Refused(reason="no_code")

    async def redeem(self, code: Secret, redirect_uri: str) -> RedeemedGrant:
        """Code -> short-lived token -> long-lived token -> who, what, until when -> proven channels."""
        short_lived = await self._exchange(code, redirect_uri)
        try:
            return await self._grant(short_lived)
        except VendorUnavailableError as unavailable:
            # The code is spent: to say "try it again" would be wrong.
            msg = "Facebook took the code and then could not be reached"
            raise OutcomeUnknownError(msg, vendor=VENDOR, remedy=_BEGIN_AGAIN) from unavailable
        except ReauthorizationError as gone:
            raise _begin_again("Facebook does not take the token that it gave", gone) from gone
        except RateLimitError as limited:
            limited.remedy = _BEGIN_LATER  # the code is spent here, too
            raise

    async def inspect(self, grant_id: str) -> GrantState:
        """Today's `debug_token` of a kept grant."""
        facts = await inspect_token(self.client, await self.vault.grant_token(grant_id))
        return GrantState(
            is_valid=facts.is_valid,
            granted_scopes=facts.scopes,
            expires_at=facts.expires_at,
            data_access_expires_at=facts.data_access_expires_at,
        )

    async def revoke(self, grant_id: str) -> None:
        """`DELETE /{user}/permissions`: the app disappears from the person's account."""
        try:
            subject = (await self.vault.subject(grant_id)).reveal()
            token = await self.vault.grant_token(grant_id)
            path = (subject or "me", "permissions")
            await self.client.send(GraphCall(method="DELETE", path=path, token=token, is_repeatable=True))
        except (ReauthorizationError, VendorNotFoundError):
            return

    async def _exchange(self, code: Secret, redirect_uri: str) -> Secret:
        app = self.client.app
        try:
            body = await self.client.send(exchange_code(app.app_id, app.secret, code, redirect_uri))
        except (RejectedError, VendorNotFoundError) as refused:
            raise _begin_again("Facebook does not take this code", refused) from refused
        return _token_in(body)

    async def _grant(self, short_lived: Secret) -> RedeemedGrant:
        app = self.client.app
        token = _token_in(await self.client.send(extend_token(app.app_id, app.secret, short_lived)))
        facts = await inspect_token(self.client, token)
        self._check(facts)
        fields = "id,name,email" if "email" in facts.scopes else "id,name"
        me = await self.client.send(whoami(token, fields))
        if node_id(me.get("id")) != facts.user_id:
            raise _begin_again("Facebook named two people for one token")
        reached = await reach(self.client, token, facts)
        return RedeemedGrant(
            subject=Secret(facts.user_id),
            profile={name: text(me.get(name)) for name in ("id", "name", "email") if me.get(name)},
            token=token,
            granted_scopes=facts.scopes,
            declined_scopes=await self._declined(token),
            expires_at=facts.expires_at,
            data_access_expires_at=facts.data_access_expires_at,
            channels=await self._proven(reached.channels),
            unread_types=reached.unread,
        )

    def _check(self, facts: TokenFacts) -> None:
        if not facts.is_valid or not facts.user_id:
            raise _begin_again("Facebook gave a token and calls it invalid")
        if facts.app_id != self.client.app.app_id:
            raise _begin_again("this token was made for another app")
        if facts.expires_at and facts.expires_at - self.client.clock.now() < SHORTEST_LIFE:
            raise _begin_again("Facebook gave a token that ends too soon")

    async def _declined(self, token: Secret) -> tuple[str, ...]:
        """What the person said no to; only told to people, so no reason to fail."""
        try:
            nodes = await fetch_all(self.client, GraphCall(path=("me", "permissions"), token=token))
        except VendorError:
            return ()
        declined = (text(node.get("permission")) for node in nodes if node.get("status") == "declined")
        return tuple(filter(None, declined))

    async def _proven(self, reached: Sequence[Reached]) -> tuple[ChannelGrant, ...]:
        """The channels with their tokens, as far as these prove to be what Graph gave them for.

        The person's own token is proven already; that of an Instagram account is its Page's.
        """
        turns = asyncio.Semaphore(_PROOFS_AT_ONCE)

        async def in_turn(page: Reached) -> ChannelGrant:
            async with turns:
                return await self._proven_page(page)

        asked = [each for each in reached if each.offer.type == PAGE]
        pages = dict(
            zip(
                [page.offer.external_id for page in asked],
                await asyncio.gather(*map(in_turn, asked)),
                strict=True,
            )
        )
        return tuple(pages.get(each.offer.external_id) or _hanging_on(pages, each) for each in reached)

    async def _proven_page(self, page: Reached) -> ChannelGrant:
        if page.token is None:
            return ChannelGrant(offer=page.offer)
        if not await self._is_token_of(page.token, page.offer.external_id):
            return ChannelGrant(offer=attrs.evolve(page.offer, selectable=False, reason=_UNPROVEN))
        return ChannelGrant(offer=page.offer, token=page.token)

    async def _is_token_of(self, token: Secret, page_id: str) -> bool:
        """Whether Graph confirms that the token is this app's and acts as this very Page.

        Raises:
            RateLimitError, VendorUnavailableError: Graph could not be asked, which says nothing about the
                token: nobody must lose a Page over that.
        """
        try:
            facts = await inspect_token(self.client, token)
            if not facts.is_valid or facts.app_id != self.client.app.app_id:
                return False
            if facts.profile_id:
                return facts.profile_id == page_id
            return node_id((await self.client.send(which_page(token, page_id))).get("id")) == page_id
        except VendorUnavailableError:
            raise
        except VendorError as failure:
            if isinstance(failure, RateLimitError) and failure.hits is not Hits.CHANNEL:
                raise
            return False


def _hanging_on(pages: Mapping[str, ChannelGrant], reached: Reached) -> ChannelGrant:
    """A channel that has its token from elsewhere: an Instagram account without a proven Page has none."""
    offer, token = reached.offer, reached.token
    if offer.type == INSTAGRAM:
        token = pages[reached.parent].token
        if token is None:
            offer = attrs.evolve(offer, selectable=False, reason=offer.reason or _UNPROVEN)
    return ChannelGrant(offer=offer, token=token, parent_external_id=reached.parent)


def _token_in(body: Mapping[str, object]) -> Secret:
    token = text(body.get("access_token"))
    if not token:
        raise _begin_again("Facebook sent no token")
    return Secret(token)


def _not_your_app(cause: VendorError | None = None) -> RejectedError:
    msg = "Facebook does not confirm that this is the app's secret"
    return RejectedError(
        msg,
        vendor=VENDOR,
        vendor_code=cause.vendor_code if cause else "",
        vendor_subcode=cause.vendor_subcode if cause else "",
        trace_id=cause.trace_id if cause else "",
        remedy="Copy app id and app secret from the app's dashboard, under App settings, Basic.",
    )


def _begin_again(message: str, cause: VendorError | None = None) -> InvalidCodeError:
    return InvalidCodeError(
        message,
        vendor=VENDOR,
        vendor_code=cause.vendor_code if cause else "",
        vendor_subcode=cause.vendor_subcode if cause else "",
        trace_id=cause.trace_id if cause else "",
        remedy=_BEGIN_AGAIN,
    )


def authorizer(context: VendorContext) -> GraphAuthorizer:
    """Facebook Login for one org."""
    return GraphAuthorizer(client=graph_client(context), vault=token_vault(context))
