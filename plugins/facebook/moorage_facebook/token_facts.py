"""What Graph says about a token: `debug_token`, and what follows from it for one Page.

https://developers.facebook.com/docs/graph-api/reference/debug_token
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient
from moorage_facebook.graph.values import expiry, items, node_id, record, records, text, truth
from moorage_ports.secret import Secret


@attrs.frozen(kw_only=True)
class TokenFacts:
    """A token as Graph describes it. `targets`: scopes that are good for some objects only, and which."""

    is_valid: bool
    app_id: str
    user_id: str = ""
    profile_id: str = ""  # the Page, if it is a Page's token
    scopes: tuple[str, ...] = ()
    targets: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    expires_at: datetime | None = None  # None: does not expire
    data_access_expires_at: datetime | None = None

    def missing_for(self, external_id: str, needed: Iterable[str]) -> tuple[str, ...]:
        """Which of `needed` this token does not have, or not for this object."""
        return tuple(
            scope
            for scope in needed
            if scope not in self.scopes or external_id not in self.targets.get(scope, {external_id})
        )


def debug_token(token: Secret) -> GraphCall:
    """`GET /debug_token`, asked as the app. The one call with a token in its query: Graph wants it there."""
    return GraphCall(
        path=("debug_token",),
        query={"input_token": token.reveal()},
        expects=frozenset({"data"}),
        is_app_call=True,
    )


def token_facts(body: Mapping[str, object]) -> TokenFacts:
    """Read a `debug_token` answer; ids are numbers in old ones, and lists may be missing."""
    data = record(body.get("data"))
    granular = records(data.get("granular_scopes"))
    return TokenFacts(
        is_valid=truth(data.get("is_valid")) is True,
        app_id=text(data.get("app_id")),
        user_id=node_id(data.get("user_id")),
        profile_id=node_id(data.get("profile_id")),
        scopes=tuple(filter(None, map(text, items(data.get("scopes"))))),
        targets={
            text(entry.get("scope")): frozenset(map(text, items(entry["target_ids"])))
            for entry in granular
            if isinstance(entry.get("target_ids"), list)
        },
        expires_at=expiry(data.get("expires_at")),
        data_access_expires_at=expiry(data.get("data_access_expires_at")),
    )


async def inspect_token(client: GraphClient, token: Secret) -> TokenFacts:
    """Ask Graph about `token`.

    Raises:
        VendorError: Graph did not say.
    """
    return token_facts(await client.send(debug_token(token)))
