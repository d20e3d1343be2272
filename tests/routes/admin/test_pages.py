"""What every page says and never says (BAR U1, U2): headers, escaping, nothing from elsewhere."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import attrs
import httpx
import pytest

import moorage.admin
from moorage.admin.pages import STATIC, templates
from moorage.admin.sessions import PROOF_LASTS
from moorage.crm.apply import apply_events
from moorage_adapters.memory.world import CAFE
from moorage_ports.conversations import ConversationFilter
from moorage_ports.crm import CrmLead
from moorage_ports.crm_records import Ledger
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    CrmEvent,
    DeliveryState,
    MessageDelivery,
    Person,
    PostSeen,
    ReactionSet,
    Target,
)
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.lead_source import Consent
from moorage_ports.operations import PublicationStatus, Step
from moorage_ports.outgoing import Endpoint, SigningSecret
from moorage_ports.publications import Publication
from moorage_ports.publisher import PublishPost
from moorage_ports.secret import Secret
from moorage_ports.storage import UnitOfWork
from tests.support import crm
from tests.support.harbour import NOON, Harbour
from tests.support.ownership import bring
from tests.support.visitor import Browser, Page

ADMIN = Path(moorage.admin.__file__).parent
PICTURE = Attachment(type=AttachmentType.IMAGE)
SIGNED_IN = [
    "/admin",
    "/admin/inbox",
    "/admin/inbox?status=all&kind=comment&tag=<script>alert(1)</script>&q=<script>alert(1)</script>&channel=x",
    "/admin/contacts",
    "/admin/contacts?q=<script>alert(1)</script>&sort=name",
    "/admin/leads",
    "/admin/leads?q=<script>alert(1)</script>",
    "/admin/leads?status=lost&form=<script>alert(1)</script>&tests=only&since=2030-05-01&until=x",
    "/admin/leads/ledger",
    "/admin/leads/ledger?outcome=dead&form=<script>alert(1)</script>&way=webhook&tests=x&replayed=<b>",
    "/admin/leads/ledger/replay?form=<script>alert(1)</script>",
    "/admin/operations",
    "/admin/operations?state=parked&replayed=3",
    "/admin/operations/replay?state=dead&error=x&kind=y",
    "/admin/operations/handover",
    "/admin/operations/privacy",
    "/admin/operations/privacy/retention?leadDays=1&personDays=&deliveryDays=0&waitingDays=1",
    "/admin/operations/privacy/erase?lead=<script>alert(1)</script>",
    "/admin/posts",
    "/admin/integrations",
    "/admin/integrations/memory",
    "/admin/integrations/memory?integration=error&code=<script>alert(1)</script>",
    "/admin/integrations/memory?fresh=1",
]
PAYLOADS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "</textarea><svg/onload=alert(1)>",
    "</option></select><iframe src=javascript:alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--><img src onerror=alert(1)>'>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example><button>Sign in</button>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "\u2028\u2029\u202e<b>x</b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "＜script＞alert(1)＜/script＞",
    "`${alert(1)}`",
    "x\r\nSet-Cookie: a=b",
]


def _directives(answer: httpx.Response) -> Mapping[str, list[str]]:
    policy = answer.headers["content-security-policy"]
    return {words[0]: words[1:] for words in (part.split() for part in policy.split(";"))}


def _check_headers(answer: httpx.Response) -> None:
    directives = _directives(answer)
    assert directives["default-src"] == ["'none'"]
    assert directives["object-src"] == directives["base-uri"] == directives["frame-ancestors"] == ["'none'"]
    assert directives["form-action"] == ["'self'"]
    for name in ("script-src", "style-src"):
        (source,) = directives[name]
        assert re.fullmatch(r"'nonce-[A-Za-z0-9_-]{24}'|'none'", source)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


def _check_html(answer: httpx.Response) -> Page:
    """Scripts and styles are ours and bear the answer's nonce; no handler, no foreign address, no style."""
    page = Page(answer.text)
    (nonce,) = (value[7:-1] for value in _directives(answer)["script-src"])
    assert [each.get("nonce") for each in page.all("script")] == [nonce]
    assert all(each["src"].startswith("/admin/assets/admin.js?v=") for each in page.all("script"))
    links = {each["rel"]: each["href"].partition("?")[0] for each in page.all("link")}
    assert links == {"icon": "/admin/assets/icon.svg", "stylesheet": "/admin/assets/admin.css"}
    for tag, attributes in page.tags:
        assert tag not in {"style", "iframe", "object", "embed", "base", "img", "math", "animate", "b"}, tag
        assert not any(name.startswith("on") or name in {"style", "srcdoc"} for name in attributes), (
            attributes
        )
        assert re.match(r"/admin|\?|#|https?://", attributes.get("href", "#")), attributes
        assert attributes.get("action", "/admin").startswith("/admin"), attributes
    assert not [each for each in page.all("meta") if each.get("http-equiv")]
    return page


@pytest.mark.parametrize("path", SIGNED_IN)
async def test_every_page_has_the_headers_and_only_our_own_parts_u1(
    host: Harbour, admin: Browser, path: str
) -> None:
    await host.connect()
    answer = await admin.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    _check_headers(answer)
    _check_html(answer)


@pytest.mark.parametrize(
    "path", ["/admin/sign-in", "/admin/nothing/here", "/admin/leads/nobody", "/admin/posts/x"]
)
async def test_so_have_the_pages_outside_the_frame_u1(admin: Browser, stranger: Browser, path: str) -> None:
    browser = stranger if path == "/admin/sign-in" else admin
    answer = await browser.get(path)

    assert answer.status_code == (200 if path == "/admin/sign-in" else 404)
    _check_headers(answer)
    _check_html(answer)


async def test_so_has_the_page_that_asks_for_the_password_again_u1(host: Harbour, admin: Browser) -> None:
    host.clock.advance(PROOF_LASTS)
    answer = await admin.get("/admin/confirm?act=erase&next=/admin/x?lead=<script>alert(1)</script>")

    assert answer.status_code == 200
    _check_headers(answer)
    assert "alert(1)" not in answer.text
    assert _check_html(answer).field("next") == "/admin/operations/privacy"


async def test_redirects_and_refusals_have_the_headers_too_u1(admin: Browser, stranger: Browser) -> None:
    for answer in [
        await stranger.get("/admin"),
        await admin.post("/admin/posts", {}),
        await admin.submit("/admin/sign-out", {}),
        await admin.get("/admin/leads", **{"x-moorage-live": "1"}),
    ]:
        _check_headers(answer)


async def test_a_nonce_is_never_used_twice_u1(admin: Browser) -> None:
    nonces = {(await admin.get("/admin")).headers["content-security-policy"] for _ in range(20)}

    assert len(nonces) == 20


async def test_the_page_that_leaves_for_the_vendor_goes_to_the_authorization_url(
    host: Harbour, admin: Browser
) -> None:
    """Not by a redirect, along which `form-action` would be checked; and not past `href` rules."""
    answer = await admin.submit("/admin/integrations/memory/connect", {})
    _check_headers(answer)
    page = Page(answer.text)
    (refresh,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "refresh"]

    assert refresh.startswith("0; url=https://memory.invalid/consent?")
    assert refresh.removeprefix("0; url=") in [each["href"] for each in page.all("a")]


async def test_assets_are_three_files_and_may_be_kept(stranger: Browser) -> None:
    for name, kind in [("admin.css", "text/css"), ("admin.js", "text/javascript"), ("icon.svg", "image/svg")]:
        answer = await stranger.get(f"/admin/assets/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]
    for name in ["..%2frouter.py", "%2e%2e%2frouter.py", "admin.js.map", "%00", "ADMIN.CSS"]:
        assert (await stranger.get(f"/admin/assets/{name}")).status_code == 404


async def test_the_front_door_leads_to_the_admin_ui(stranger: Browser) -> None:
    answer = await stranger.get("/")

    assert answer.status_code in {302, 303, 307}
    assert answer.headers["location"] == "/admin"


# Escaping ------------------------------------------------------------------------------------


def test_everything_is_escaped_whatever_a_template_forgets_u2() -> None:
    assert templates().from_string("{{ x }}").render(x="<b>\"'&") == "&lt;b&gt;&#34;&#39;&amp;"


@pytest.mark.parametrize("path", sorted(ADMIN.rglob("*")), ids=lambda path: path.name)
def test_no_template_or_script_has_a_way_around_escaping_u2(path: Path) -> None:
    if path.suffix not in {".html", ".js", ".py", ".css"}:
        return
    text = path.read_text()
    for way in ["|safe", "| safe", "Markup(", "autoescape=False", "innerHTML", "insertAdjacentHTML", "eval("]:
        assert way not in text, way
    if path.suffix == ".html":
        assert "{% autoescape" not in text
        assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=|<style", text)
        unquoted = re.search(r"<[^>]*\s[a-z-]+=\{\{", re.sub(r'"[^"]*"', "", text))
        assert not unquoted, "an attribute without quotes"


def test_nothing_static_is_loaded_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text), path.name


async def _poison(host: Harbour, payload: str) -> tuple[str, str]:
    """The payload in every field that somebody else fills: channels, leads, posts, scopes, ids, reasons."""
    await host.connect()
    await host.select("board-1")
    async with host.storage.unit_of_work("org-a") as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.save(
            attrs.evolve(integration, granted_scopes=(payload,), missing_scopes=(payload,), app_id=payload)
        )
        (good, other, *_) = await uow.integrations.channels(integration.id)
        poisoned = [
            attrs.evolve(each, name=payload, type=payload, reason=payload, missing_scopes=(payload,))
            for each in (good, other)
        ]
        poisoned[0] = attrs.evolve(poisoned[0], reason="", missing_scopes=())
        poisoned[1] = attrs.evolve(poisoned[1], selectable=False)
        await uow.integrations.save_channels(poisoned)
        lead = CrmLead(
            id="lead-1",
            external_id=payload,
            vendor="memory",
            channel_external_id="board-1",
            email=f"{payload}@x.example",
            first_name=payload,
            last_name=payload,
            phone=payload,
            company=payload,
            status=payload,
            stage=payload,
            source=payload,
            form_id=payload,
            campaign_id=payload,
            campaign_name=payload,
            platform=payload,
            consents=(Consent(key=payload, text=payload),),
            properties={payload: (payload, payload)},
            created_at=NOON,
        )
        assert await uow.leads.add(lead)
        publication = Publication(
            id="pub-1",
            integration_id=integration.id,
            vendor="memory",
            post=PublishPost(channel_external_id="board-1", text=payload),
            status=PublicationStatus.PUBLISHED,
            external_id=payload,
            permalink=payload,
            notes=(payload,),
            steps=(Step(name=payload, at=NOON, outcome=payload),),
            created_by="x",
            created_at=NOON,
            updated_at=NOON,
        )
        await uow.publications.save(publication)
        failed = attrs.evolve(
            publication, id="pub-2", status=PublicationStatus.FAILED, error_code=payload, permalink=None
        )
        await uow.publications.save(failed)
        await apply_events(uow.crm_records, [("memory", event) for event in _said(payload)])
        await _tag(uow, payload)
        await _keep(uow, payload)
    return "lead-1", "pub-1"


def _said(payload: str) -> list[CrmEvent]:
    """The payload in every field that somebody writes at a vendor; one message is our own and failed."""
    web = attrs.evolve(PICTURE, url=payload, title=payload, mime_type=payload, details={payload: payload})
    who = Person(external_id="7", realm="town", name=payload, handle=payload)
    return [
        PostSeen(channel_external_id="board-1", post_external_id="note-1", at=NOON, text=payload),
        crm.comment(1, 1, author=who, text=payload, permalink=payload, attachments=(web,)),
        crm.letter(1, 1, person=who, text=payload, payload=payload, attachments=(web,)),
        crm.letter(2, 2, person=who, text=payload, is_ours=True, reply_to_external_id="letter-1"),
        MessageDelivery(
            channel_external_id="board-1",
            message_external_id="letter-2",
            state=DeliveryState.FAILED,
            at=NOON,
            error_code=payload,
            error=payload,
        ),
        ReactionSet(
            channel_external_id="board-1",
            target=Target.MESSAGE,
            target_external_id="letter-1",
            person=who,
            reaction=payload,
            at=NOON,
        ),
    ]


async def _keep(uow: UnitOfWork, payload: str) -> None:
    """And in what the ledger and an endpoint say."""
    entry = LeadEntry(
        vendor="memory",
        external_id=payload,
        channel_external_id="board-1",
        form_external_id=payload,
        outcome=LeadOutcome.DEAD,
        arrived_at=NOON,
        updated_at=NOON,
        error=payload,
        remedy=payload,
        attribution={payload: payload},
        item_id="ab",
    )
    await uow.lead_ledger.write([entry])
    endpoint = Endpoint(
        id="endpoint-1",
        url="https://crm.example/hook?" + quote(payload),
        description=payload,
        reason=payload,
        secrets=(SigningSecret(value=Secret("not shown")),),
        created_at=NOON,
        updated_at=NOON,
    )
    await uow.outgoing.save_endpoint(endpoint)


async def _tag(uow: UnitOfWork, payload: str) -> None:
    """And in what people here write about a conversation."""
    for one in (await uow.conversations.page(ConversationFilter(), page=1, page_size=9, now=NOON)).items:
        record = attrs.evolve(one.record, tags=(payload,), assignee=payload)
        await uow.crm_records.save(Ledger(conversations={record.id: record}))


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_what_others_write_stays_text_on_every_page_u1(
    host: Harbour, admin: Browser, payload: str
) -> None:
    """The page as `html.parser` reads it has the text, and not one tag or attribute more."""
    lead_id, publication_id = await _poison(host, payload)
    shown = " ".join(payload.replace("\0", "").split())
    talks = (await crm.read(host, "/crm/inbox/conversations"))["items"]
    [contact] = (await crm.read(host, "/crm/contacts"))["items"]
    for path in [
        "/admin",
        "/admin/inbox",
        *(f"/admin/inbox/{talk['id']}" for talk in talks),
        "/admin/contacts",
        f"/admin/contacts/{contact['id']}",
        "/admin/leads",
        f"/admin/leads/{lead_id}",
        "/admin/leads/ledger",
        f"/admin/operations/privacy/erase?lead={lead_id}",
        "/admin/operations/handover",
        "/admin/operations/handover/endpoint-1",
        "/admin/posts",
        f"/admin/posts/{publication_id}",
        "/admin/posts/pub-2",
        "/admin/posts?again=pub-2",
        "/admin/integrations",
        "/admin/integrations/memory",
    ]:
        answer = await admin.get(path)
        assert answer.status_code == 200, answer.text
        page = _check_html(answer)
        text = page.text + " ".join(" ".join(each.values()) for _, each in page.tags)
        assert shown[:40] in " ".join(text.replace("\0", "").replace("\ufffd", "").split()), path
        assert not re.search(r"\b49\b", page.text) or "{{" not in payload  # 7 * 7, had somebody done it


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_what_is_typed_comes_back_as_text_u1(host: Harbour, admin: Browser, payload: str) -> None:
    """A form that is refused shows what was typed; a search shows what was searched for."""
    await host.connect()
    await host.select("board-1")
    refused = await admin.submit("/admin/posts", {"text": payload, "link": payload, "images": payload})
    assert refused.status_code == 422
    _check_html(refused)
    searched = await admin.http.get("/admin/leads", params={"q": payload})
    assert searched.status_code == 200
    _check_html(searched)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "vbscript:x"])
async def test_only_web_addresses_become_links_u2(host: Harbour, admin: Browser, link: str) -> None:
    _, publication_id = await _poison(host, link)
    page = await admin.page(f"/admin/posts/{publication_id}")

    assert link not in {each.get("href") for each in page.all("a")}


# Every state is a page -------------------------------------------------------------------------


async def test_a_database_out_of_reach_is_a_page_with_a_remedy(
    host: Harbour, admin: Browser, tmp_path: Path
) -> None:
    host.clock.advance(timedelta(minutes=2))
    await host.storage.aclose()
    answer = await admin.get("/admin")

    assert answer.status_code in {500, 503}
    _check_headers(answer)
    assert "Try again" in Page(answer.text).text


async def test_an_ended_connection_is_reconnected_in_place_wherever_it_matters(
    host: Harbour, admin: Browser
) -> None:
    await host.connect()
    await host.select("board-1")
    async with host.storage.unit_of_work("org-a") as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.save(attrs.evolve(integration, status=IntegrationStatus.EXPIRED))
    for path in [
        "/admin",
        "/admin/leads",
        "/admin/posts",
        "/admin/integrations",
        "/admin/integrations/memory",
    ]:
        page = await admin.page(path)
        assert "/admin/integrations/memory/connect" in {each["action"] for each in page.all("form")}, path
        assert "Reconnect" in page.text


async def test_a_page_says_whose_app_serves_and_why_to_connect_again(host: Harbour, admin: Browser) -> None:
    await host.connect()
    await host.select(CAFE.id)
    shared = (await admin.get("/admin/integrations/memory")).text
    assert "own app" not in shared

    await bring(host, "org-a", host.world.register_app("acme-app"))

    moved = (await admin.get("/admin/integrations/memory")).text
    assert "own app speaks" in moved
    assert "acme-app" in moved
    assert "Another app serves this organisation now" in moved
    await host.connect()
    again = (await admin.get("/admin/integrations/memory")).text
    assert "own app speaks" in again
    assert "Another app" not in again
