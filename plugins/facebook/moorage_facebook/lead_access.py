"""Why a lead or a form cannot be read. Graph says "no such object" for everything.

Code 100, with subcode 33 or none, stands for: deleted, older than 90 days, a permission that was never given,
one given for other Pages only, Leads Access Manager, an app that is not live. Two questions tell which it is:
what the token covers, and what Graph thinks of the Page's leads. Each costs a call, so they are asked once
for however many leads.
https://developers.facebook.com/docs/graph-api/reference/has-lead-access
"""

from collections.abc import Mapping
from typing import Final

import attrs

from moorage_facebook.graph.client import GraphClient
from moorage_facebook.graph.values import record, truth
from moorage_facebook.lead_calls import lead_access
from moorage_facebook.scopes import LEADS
from moorage_facebook.token_facts import inspect_token
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.secret import Secret

CONNECT_AGAIN: Final = "Connect again and allow access to leads, for this Page, too."
APP_HAS_NO_ACCESS: Final = (
    "Leads access keeps this app out: in Meta Business Suite (Integrations, Leads access), choose the Page, "
    "then CRMs, and assign the app."
)
PERSON_HAS_NO_ACCESS: Final = (
    "Leads access keeps out the person who connected: in Meta Business Suite (Integrations, Leads access), "
    "choose the Page, then People, and assign that person; or let somebody connect who has access."
)
NO_ACCESS: Final = (
    "Leads access says no for this Page: in Meta Business Suite (Integrations, Leads access), give access "
    "to the app and to the person who connected."
)
GONE: Final = (
    "Leads access is in order, so it was deleted, by somebody or by Facebook after 90 days; an app that is "
    "still in development mode sees only leads of people with a role in it: set it to Live."
)
NOT_TOLD: Final = (
    "Give the app and the person who connected access to this Page's leads in Meta Business Suite "
    "(Integrations, Leads access), and set the app to Live; if the lead is older than 90 days, Facebook has "
    "deleted it."
)


@attrs.frozen(kw_only=True)
class Why:
    """Which error is the true one, and what a person can do about it."""

    kind: type[VendorError]
    remedy: str
    hits: Hits | None = None  # None: as Graph's own error said

    def said_of(self, refused: VendorError) -> VendorError:
        """`refused` with its codes, as what it is."""
        return self.kind(
            str(refused),
            vendor=refused.vendor,
            vendor_code=refused.vendor_code,
            vendor_subcode=refused.vendor_subcode,
            trace_id=refused.trace_id,
            hits=self.hits or refused.hits,
            remedy=self.remedy,
        )


def says_no_such_object(refused: VendorError, *, writes: bool = False) -> bool:
    """Graph says so, with code 100 and subcode 33 or none, also for what may only not be seen.

    To a write, code 100 alone says that something in it is wrong.
    """
    is_bare = refused.vendor_code == "100" and not refused.vendor_subcode and not writes
    return is_bare or isinstance(refused, VendorNotFoundError)


async def why_hidden(client: GraphClient, page_id: str, token: Secret) -> Why:
    """What keeps leads of a Page from being read.

    Raises:
        VendorError: Graph does not say what the token covers.
    """
    facts = await inspect_token(client, token)
    if facts.is_valid and facts.missing_for(page_id, (LEADS,)):
        return Why(kind=MissingScopeError, remedy=CONNECT_AGAIN, hits=Hits.CHANNEL)
    try:
        body = await client.send(lead_access(page_id, token))
    except (RateLimitError, ReauthorizationError):
        raise
    except VendorError:
        return Why(kind=VendorNotFoundError, remedy=NOT_TOLD)
    return _why(record(body.get("has_lead_access")))


def _why(access: Mapping[str, object]) -> Why:
    """What `has_lead_access` says. Where it says nothing, every way out is named."""
    can_read = truth(access.get("can_access_lead"))
    if can_read is None:
        return Why(kind=VendorNotFoundError, remedy=NOT_TOLD)
    if can_read:
        return Why(kind=VendorNotFoundError, remedy=GONE)
    remedy = NO_ACCESS
    if truth(access.get("app_has_leads_permission")) is False:
        remedy = APP_HAS_NO_ACCESS
    elif truth(access.get("user_has_leads_permission")) is False:
        remedy = PERSON_HAS_NO_ACCESS
    return Why(kind=MissingScopeError, remedy=remedy, hits=Hits.CHANNEL)
