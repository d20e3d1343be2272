"""What the plugin asked Graph for, in the words of Meta's specification: kinds of nodes, edges, names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec

from moorage_facebook.sandbox.fields import Field, parse_fields
from moorage_ports.http import HttpAnswer, HttpClient, HttpRequest
from tests.oracles.graph_spec import SdkSpec, Spec

# Neither the SDK nor the tables know these: they are documented apart from Graph's nodes.
# https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
# https://developers.facebook.com/docs/graph-api/reference/debug_token
# https://developers.facebook.com/docs/graph-api/batch-requests
# https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
OUTSIDE: Final = frozenset(
    {
        "POST oauth/access_token",
        "GET debug_token",
        "GET dialog/oauth",
        "POST /",
        "POST phone-number/messages",
    }
)
NUMBER: Final = "phone-number"  # a kind of node that they do not know

# Names that any call may carry.
# https://developers.facebook.com/docs/graph-api/securing-requests
# https://developers.facebook.com/docs/graph-api/guides/field-expansion
# https://developers.facebook.com/docs/graph-api/results (cursors)
EVERYWHERE: Final = frozenset(
    {"access_token", "appsecret_proof", "appsecret_time", "fields", "limit", "after", "before"}
)

# What Meta documents and its specification leaves out, each with the page that has it.
GAPS: Mapping[tuple[str, str], frozenset[str]] = {
    # https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving
    ("LeadgenForm", "GET leads"): frozenset({"filtering"}),
    # https://developers.facebook.com/docs/graph-api/results (time-based pagination)
    # https://developers.facebook.com/docs/graph-api/reference/page/feed (summary)
    ("Page", "GET published_posts"): frozenset({"since", "summary"}),
    # https://developers.facebook.com/docs/graph-api/reference/user/accounts
    ("Page", "fields"): frozenset({"tasks"}),
    # https://developers.facebook.com/docs/graph-api/reference/object/reactions
    ("Profile", "fields"): frozenset({"type"}),
}

# Nodes that the SDK has no class for, with the fields of their page.
# https://developers.facebook.com/docs/graph-api/reference/story-attachment
UNCLASSED: Mapping[tuple[str, str], frozenset[str]] = {
    ("PagePost", "GET attachments"): frozenset(
        {
            "description",
            "media",
            "media_type",
            "subattachments",
            "target",
            "title",
            "type",
            "unshimmed_url",
            "url",
        }
    ),
    # https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/phone_numbers
    ("WhatsAppBusinessAccount", "GET phone_numbers"): frozenset(
        {"code_verification_status", "display_phone_number", "quality_rating", "verified_name"}
    ),
}


@attrs.define
class RecordingHttp:
    """An `HttpClient` that lets everything through and remembers it."""

    inner: HttpClient
    sent: list[HttpRequest] = attrs.field(factory=list)
    statuses: list[int] = attrs.field(factory=list)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send it on."""
        self.sent.append(request)
        answer = await self.inner.send(request)
        self.statuses.append(answer.status)
        return answer


@attrs.frozen(kw_only=True, order=True)
class Asked:
    """One call, without its ids. `node` is empty for what lies outside the specification."""

    node: str
    edge: str  # `GET feed`, `GET /`
    params: frozenset[str]
    fields: str = ""

    def complaints(self, spec: Spec) -> Iterator[str]:
        """What `spec` does not know of it."""
        if not self.node:
            if self.edge not in OUTSIDE:
                yield f"{self.edge} is no node that we know"
            return
        known = spec.params(self.node, self.edge)
        if known is None:
            yield f"{self.node} has no {self.edge}"
            return
        allowed = known | EVERYWHERE | GAPS.get((self.node, self.edge), frozenset())
        for name in sorted(self.params - allowed):
            yield f"{self.node} {self.edge} takes no {name}"
        yield from _unknown_fields(spec, self.node, self.edge, parse_fields(self.fields))


def _unknown_fields(spec: Spec, node: str, edge: str, fields: Sequence[Field]) -> Iterator[str]:
    """Fields of what an edge lists, or of the node itself; a field may be an edge with fields of its own."""
    if not fields:
        return
    kind = node if edge == "GET /" else SdkSpec().listed(node, edge)
    known = UNCLASSED.get((node, edge)) or (
        spec.fields(kind) | GAPS.get((kind, "fields"), frozenset()) if kind else frozenset()
    )
    for field in fields:
        inner = f"GET {field.name}"
        if kind and spec.params(kind, inner) is not None:
            yield from _unknown_fields(spec, kind, inner, field.sub)
        elif field.name not in known | {"id"}:
            yield f"{node} {edge} has no field {field.name}"


def unbatched(request: HttpRequest) -> Iterator[HttpRequest]:
    """The calls within a request: itself, or what it carries as a batch."""
    sent = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    if "batch" not in sent:
        yield request
        return
    for item in msgspec.json.decode(sent["batch"], type=list[dict[str, str]]):
        inside = dict(parse_qsl(urlsplit(item["relative_url"]).query))
        inside |= dict(parse_qsl(item.get("body", "")))
        yield HttpRequest(
            method=item["method"],
            url=f"{request.url.rstrip('/')}/{item['relative_url']}",
            headers={"authorization": f"Bearer {inside['access_token']}"},
            body=item.get("body", "").encode(),
        )


def asked(request: HttpRequest, kinds: Mapping[str, str], me: str) -> Asked:
    """Read a request back. `kinds` says what each id is, `me` what the token's owner is."""
    url = urlsplit(request.url)
    _, version, *path = url.path.split("/")
    assert version.startswith("v"), url.path
    sent = dict(parse_qsl(url.query, keep_blank_values=True))
    sent |= dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    names, fields = frozenset(sent), sent.get("fields", "")
    head, *rest = path
    node = me if head == "me" else kinds.get(head, "PagePost" if "_" in head and head[:1].isdigit() else "")
    if not node or node == NUMBER:
        where = "/".join([node or head, *rest])
        return Asked(node="", edge=f"{request.method} {where}", params=names)
    edge = "/".join(rest) or "/"
    return Asked(node=node, edge=f"{request.method} {edge}", params=names, fields=fields)
