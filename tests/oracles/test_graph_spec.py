"""Every request of the plugin, and every edge of the sandbox, is one that Meta's own specification knows."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import attrs
import msgspec
import pytest
from facebook_business.adobjects.page import Page as SdkPage

from moorage_facebook.plugin import moorage_vendor
from moorage_facebook.reach import reach
from moorage_facebook.sandbox.scopes import PAGE_FIELDS
from moorage_facebook.sandbox.seed import BUSINESS_ID, INSTAGRAM_ID, PHONE_NUMBER_ID
from moorage_facebook.sandbox.tables import ROUTES, SHAPES
from moorage_facebook.subscriptions import FIELDS
from moorage_facebook.token_facts import inspect_token
from moorage_ports.direct_messages import OutgoingMessage, PrivateReply
from moorage_ports.errors import MissingScopeError, VendorNotFoundError
from moorage_ports.events import Attachment, AttachmentType, Person
from moorage_ports.lead_source import Lead
from moorage_ports.publisher import PublishPost
from tests.oracles.asked import GAPS, NUMBER, Asked, RecordingHttp, asked, unbatched
from tests.oracles.graph_spec import KINDS, SdkSpec, Spec, table_spec
from tests.oracles.plugin import GRANT, ConnectedPlugin, connect, http_client, ports
from tests.oracles.sandbox import FORM, PAGE, ServedSandbox

WRITERS: Mapping[str, str] = {"messenger": "User", "instagram": "IGUser", "whatsapp": NUMBER}
"""Whoever writes there, in the words of the specification: it has no nodes of their own for such people."""

LISTS: Mapping[str, str] = {
    "apps": "Application",
    "users": "User",
    "businesses": "Business",
    "pages": "Page",
    "forms": "LeadgenForm",
    "leads": "Lead",
    "photos": "Photo",
    "posts": "PagePost",
    "comments": "Comment",
    "instagramAccounts": "IGUser",
    "instagramMedia": "IGMedia",
    "instagramComments": "IGComment",
    "whatsappAccounts": "WhatsAppBusinessAccount",
    "phoneNumbers": NUMBER,
}
"""What the sandbox's lists hold, in the words of the specification."""

PICTURES = ("https://shop.example/one.jpg", "https://shop.example/two.jpg")
GONE = "999999999999999"
UNREACHABLE = {"décrivez_la_coupe": ["courte"]}  # nothing to reach the person by: the form is asked, too


def specs() -> list[Spec]:
    """Every telling of the specification that this machine has."""
    tables = table_spec()
    return [SdkSpec(), tables] if tables else [SdkSpec()]


async def connecting(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    assert (await plugin.authorizer.prove_app()).name
    await connect(plugin, sandbox)
    assert (await plugin.authorizer.inspect(GRANT)).is_valid
    offers = await plugin.directory.channels()
    owned = await plugin.directory.channels(BUSINESS_ID)
    everywhere = {offer.external_id for offer in offers} & {offer.external_id for offer in owned}
    assert {PAGE, INSTAGRAM_ID, PHONE_NUMBER_ID} <= everywhere


async def finding_all_businesses(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """Whoever let the app see all WhatsApp accounts there are named none."""
    token = await plugin.token_vault.grant_token(GRANT)
    facts = attrs.evolve(await inspect_token(plugin.directory.client, token), targets={})
    reached = (await reach(plugin.directory.client, token, facts)).channels
    assert PHONE_NUMBER_ID in {each.offer.external_id for each in reached}


async def listening(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    for channel_id in (INSTAGRAM_ID, PAGE, PHONE_NUMBER_ID):
        await plugin.subscriptions.subscribe(channel_id)
        assert await plugin.subscriptions.is_subscribed(channel_id)
    assert await plugin.subscriptions.heard_with(PAGE) == (INSTAGRAM_ID,)
    assert await plugin.subscriptions.heard_with(PHONE_NUMBER_ID) == ()
    for channel_id in (PAGE, PHONE_NUMBER_ID):
        await plugin.subscriptions.unsubscribe(channel_id)


async def publishing(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    since = plugin.publisher.client.clock.now()
    for number, images in enumerate(((), PICTURES[:1], PICTURES)):
        link = "https://shop.example/" if number == 0 else None
        post = PublishPost(channel_external_id=PAGE, text=f"post {number}", link=link, images=images)
        assert not (await plugin.publisher.preflight(post)).problems
        made = await plugin.publisher.publish(post)
        found = await plugin.publisher.find(post, since=since - timedelta(seconds=1))
        assert found is not None
        assert found.external_id == made.external_id
        assert (await plugin.publisher.check(PAGE, made.external_id)).is_visible
        await plugin.publisher.withdraw(PAGE, made.external_id)


async def publishing_unseen(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """For later, and as a draft."""
    now = plugin.publisher.client.clock.now()
    later = PublishPost(
        channel_external_id=PAGE, text="later", images=PICTURES[:1], publish_at=now + timedelta(hours=1)
    )
    made = await plugin.publisher.publish(later)
    found = await plugin.publisher.find(later, since=now - timedelta(seconds=1))
    assert found is not None
    assert found.external_id == made.external_id
    await plugin.publisher.publish(PublishPost(channel_external_id=PAGE, text="never", is_draft=True))


async def reading_leads(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    leads = [sandbox.fill_in(UNREACHABLE, count=120)[0], *sandbox.fill_in({"email": ["a@b.example"]})]
    assert FORM in {form.external_id for form in await plugin.lead_source.forms(PAGE)}
    for lead_id in leads:
        assert (await plugin.lead_source.lead(PAGE, lead_id)).external_id == lead_id
    long_ago = plugin.publisher.client.clock.now() - timedelta(days=80)
    page = await plugin.lead_source.leads_since(PAGE, FORM, long_ago)
    assert page.next_cursor is not None
    rest = await plugin.lead_source.leads_since(PAGE, FORM, long_ago, page.next_cursor)
    assert len(page.items) + len(rest.items) == 121
    now = plugin.publisher.client.clock.now()
    assert (await plugin.lead_source.leads_since(PAGE, FORM, long_ago, until=now)).items
    counts = (await plugin.lead_source.form(PAGE, FORM)).counts
    assert counts is not None
    assert counts.total == 121
    many = [lead.external_id for lead in (*page.items, *rest.items)]
    found = await plugin.lead_source.leads(PAGE, [*many, GONE])
    assert all(isinstance(found[one], Lead) for one in many)
    assert isinstance(found[GONE], VendorNotFoundError)


async def trying_a_form(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    answers = {"email": ("trial@mail.example",)}
    assert await plugin.lead_source.create_test_lead(PAGE, FORM, answers=answers)


async def trying_it_again(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """The first test lead has to make room."""
    assert await plugin.lead_source.create_test_lead(PAGE, FORM)


async def syncing(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """Everything, then what changed, and an answer; of long lists, too, what does not fit inside a post."""
    sandbox.control("bulk", posts=1, commentsPerPost=130, reactionsPerPost=120)
    checkpoint = await _synced(plugin, PAGE, "")
    comment = said(sandbox, text="Do you open on Sunday?")
    sandbox.control("reactions")
    await _synced(plugin, PAGE, checkpoint)
    await plugin.activity_sync.reply(PAGE, comment, "From ten to four.")
    await plugin.activity_sync.hide(PAGE, comment, is_hidden=True)


async def syncing_instagram(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """The account hangs on its Page: the Page's token opens it."""
    media = str(sandbox.control("media", caption="New in")["id"])
    comment = said(sandbox, mediaId=media, text="Lovely")
    sandbox.control("comments", commentId=comment, text="number {n}", count=60)
    await _synced(plugin, INSTAGRAM_ID, "")
    await plugin.activity_sync.reply(INSTAGRAM_ID, comment, "Thank you")
    await plugin.activity_sync.hide(INSTAGRAM_ID, comment, is_hidden=True)


async def writing(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """On each channel an answer, in time and late, to somebody who has a name; a private one to a comment."""
    now = plugin.publisher.client.clock.now()
    for surface, channel_id, realm in (
        ("messenger", PAGE, PAGE),
        ("instagram", INSTAGRAM_ID, INSTAGRAM_ID),
        ("whatsapp", PHONE_NUMBER_ID, "whatsapp"),
    ):
        made = sandbox.control("messages", channel=surface, text="Do you open on Sunday?")
        (row,) = msgspec.convert(made["messages"], list[dict[str, object]])
        person = Person(external_id=str(row["personId"]), realm=realm)
        named = await plugin.profiles.person(channel_id, person)
        assert (named is None) == (surface == "whatsapp")
        answer = OutgoingMessage(
            channel_external_id=channel_id,
            person=person,
            surface=surface,
            text="From ten to four.",
            reply_to_external_id=str(row["id"]),
            last_received_at=now,
            reference="note-1",
        )
        await plugin.direct_messages.send(answer)
        picture = Attachment(type=AttachmentType.IMAGE, url=PICTURES[0])
        await plugin.direct_messages.send(attrs.evolve(answer, text="", attachments=(picture,)))
        if surface != "whatsapp":
            late = attrs.evolve(answer, last_received_at=now - timedelta(days=2))
            await plugin.direct_messages.send(late)
    comment = said(sandbox, text="How much is it?")
    await plugin.direct_messages.reply_privately(
        PrivateReply(channel_external_id=PAGE, comment_external_id=comment, text="20 euros")
    )


def said(sandbox: ServedSandbox, **comment: object) -> str:
    """Somebody comments."""
    (made,) = msgspec.convert(sandbox.control("comments", **comment)["comments"], list[dict[str, object]])
    return str(made["id"])


async def _synced(plugin: ConnectedPlugin, channel_id: str, checkpoint: str) -> str:
    while True:
        piece = await plugin.activity_sync.activity(channel_id, checkpoint=checkpoint)
        checkpoint = piece.checkpoint
        if piece.is_complete:
            return checkpoint


async def being_refused(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    """The second thoughts that errors lead to are calls as well."""
    with pytest.raises(VendorNotFoundError):
        await plugin.lead_source.lead(PAGE, GONE)
    (lead_id,) = sandbox.fill_in({"email": ["a@b.example"]})
    for path in ("/{lead}", "/{form}/leads"):
        sandbox.control("faults", times=1, match={"method": "GET", "path": path}, code=200)
    long_ago = plugin.publisher.client.clock.now() - timedelta(days=80)
    await plugin.lead_source.lead(PAGE, lead_id)
    await plugin.lead_source.leads_since(PAGE, FORM, long_ago)


async def leaving(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    await plugin.authorizer.revoke(GRANT)


async def lacking_scopes(plugin: ConnectedPlugin, sandbox: ServedSandbox) -> None:
    await connect(plugin, sandbox, without=("leads_retrieval",))
    with pytest.raises(MissingScopeError):
        await plugin.lead_source.forms(PAGE)


STORY = (
    connecting,
    finding_all_businesses,
    listening,
    publishing,
    publishing_unseen,
    reading_leads,
    trying_a_form,
    trying_it_again,
    syncing,
    syncing_instagram,
    writing,
    being_refused,
    leaving,
    lacking_scopes,
)


@attrs.frozen(kw_only=True)
class Told:
    """All that the plugin asked for in its whole life, and how many calls that were."""

    calls: int
    distinct: frozenset[Asked]


@pytest.fixture
async def told(sandbox: ServedSandbox) -> AsyncIterator[Told]:
    async with http_client() as inner:
        http = RecordingHttp(inner)
        plugin = ports(sandbox, http)
        kinds = {GONE: "Lead"}
        for chapter in STORY:
            await chapter(plugin, sandbox)
            kinds |= {str(row["id"]): kind for name, kind in LISTS.items() for row in sandbox.state(name)}
        kinds |= {str(row["personId"]): WRITERS[str(row["channel"])] for row in sandbox.state("messages")}
        pages = {str(row["id"]) for row in sandbox.state("tokens") if row["kind"] == "PAGE"}
        yield Told(
            calls=len(http.sent),
            distinct=frozenset(
                asked(request, kinds, me="Page" if _token(request.headers) in pages else "User")
                for sent in http.sent
                for request in unbatched(sent)
            ),
        )


def _token(headers: Mapping[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


async def test_the_plugin_asks_for_nothing_that_meta_does_not_have(told: Told) -> None:
    assert [text for spec in specs() for call in told.distinct for text in call.complaints(spec)] == []


async def test_the_story_is_the_whole_of_the_plugin(told: Told) -> None:
    """A port or a call that the story leaves out would be one that nobody checks."""
    vendor = moorage_vendor()
    given = {name for name in attrs.asdict(vendor, recurse=False) if callable(getattr(vendor, name))}
    driven = {field.name for field in attrs.fields(ConnectedPlugin)}
    outside = {call.edge for call in told.distinct if not call.node}
    inside = {(call.node, call.edge) for call in told.distinct if call.node}

    assert given - {"own_app", "settings", "sandbox", "support"} == driven
    assert outside == {"POST oauth/access_token", "GET debug_token", "POST phone-number/messages"}
    assert inside == {
        ("Application", "GET /"),
        ("Business", "GET client_pages"),
        ("Business", "GET client_whatsapp_business_accounts"),
        ("Business", "GET owned_pages"),
        ("Business", "GET owned_whatsapp_business_accounts"),
        ("Comment", "POST /"),
        ("Comment", "POST comments"),
        ("IGComment", "GET replies"),
        ("IGComment", "POST /"),
        ("IGComment", "POST replies"),
        ("IGMedia", "GET comments"),
        ("IGUser", "GET /"),
        ("IGUser", "GET media"),
        ("Lead", "DELETE /"),
        ("Lead", "GET /"),
        ("LeadgenForm", "GET /"),
        ("LeadgenForm", "GET leads"),
        ("LeadgenForm", "GET test_leads"),
        ("LeadgenForm", "POST test_leads"),
        ("Page", "DELETE subscribed_apps"),
        ("Page", "GET /"),
        ("Page", "GET feed"),
        ("Page", "GET leadgen_forms"),
        ("Page", "GET published_posts"),
        ("Page", "GET scheduled_posts"),
        ("Page", "GET subscribed_apps"),
        ("Page", "POST feed"),
        ("Page", "POST messages"),
        ("Page", "POST photos"),
        ("Page", "POST subscribed_apps"),
        ("PagePost", "DELETE /"),
        ("PagePost", "GET /"),
        ("PagePost", "GET comments"),
        ("PagePost", "GET reactions"),
        ("User", "DELETE permissions"),
        ("User", "GET /"),
        ("User", "GET accounts"),
        ("User", "GET businesses"),
        ("User", "GET permissions"),
        ("WhatsAppBusinessAccount", "DELETE subscribed_apps"),
        ("WhatsAppBusinessAccount", "GET phone_numbers"),
        ("WhatsAppBusinessAccount", "GET subscribed_apps"),
        ("WhatsAppBusinessAccount", "POST subscribed_apps"),
    }


def test_a_call_that_meta_does_not_have_is_noticed() -> None:
    """The check can fail: over an edge, a parameter, a field, a field's own field, and a node."""
    none, fields = frozenset[str](), frozenset({"fields"})
    wrong = {
        Asked(node="Page", edge="GET wall", params=none): "Page has no GET wall",
        Asked(node="Page", edge="POST feed", params=frozenset({"mesage"})): "Page POST feed takes no mesage",
        Asked(node="Page", edge="GET /", params=fields, fields="id,colour"): "Page GET / has no field colour",
        Asked(
            node="Page", edge="GET published_posts", params=fields, fields="attachments{colour}"
        ): "PagePost GET attachments has no field colour",
        Asked(node="", edge="GET wall/of", params=none): "GET wall/of is no node that we know",
    }
    for spec in specs():
        for call, complaint in wrong.items():
            assert list(call.complaints(spec)) == [complaint]


def test_what_the_plugin_subscribes_to_is_what_meta_sends() -> None:
    known = {value for key, value in vars(SdkPage.SubscribedFields).items() if not key.startswith("_")}

    assert set(FIELDS) <= known
    assert set(PAGE_FIELDS) <= known


def test_the_tables_say_what_the_sdk_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the tables do not lie beside the project, the installed SDK is the whole specification."""
    tables, sdk = table_spec(), SdkSpec()
    if tables is None:
        with capsys.disabled():
            print("\nno ../shared/graph/spec here: requests were checked against the installed SDK alone")
        return
    for kind in KINDS:
        assert tables.fields(kind) == sdk.fields(kind)
        for edge in tables.edges[kind]:
            assert tables.params(kind, edge) == sdk.params(kind, edge), f"{kind} {edge}"


KIND_OF = {
    "App": "Application",
    "InstagramAccount": "IGUser",
    "InstagramComment": "IGComment",
    "InstagramMedia": "IGMedia",
    "LeadForm": "LeadgenForm",
    "Post": "PagePost",
    "Thread": "UnifiedThread",
    "WhatsAppAccount": "WhatsAppBusinessAccount",
}


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: type(spec).__name__)
def test_the_sandbox_invents_no_edge_and_no_field(spec: Spec) -> None:
    invented = []
    for route in ROUTES:
        kind = KIND_OF.get(route.node.__name__, route.node.__name__)
        if kind in KINDS and spec.params(kind, f"{route.method} {route.edge or '/'}") is None:
            invented.append(f"{route.method} {kind} {route.edge}")
    for shape in SHAPES:
        kind = KIND_OF.get(shape.node.__name__, shape.node.__name__)
        known = spec.fields(kind) | GAPS.get((kind, "fields"), frozenset()) if kind in KINDS else None
        names = [name for name in shape.names if known is not None and name not in known]
        invented += [f"{kind}.{name}" for name in names if spec.params(kind, f"GET {name}") is None]

    assert invented == []
