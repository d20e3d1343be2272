"""The world of the sandbox: its tables, its clock and its ids."""

import secrets
import time
from collections.abc import Callable

import attrs

from moorage_facebook.sandbox import entities as e
from moorage_facebook.sandbox import social as so
from moorage_facebook.sandbox.store import StateFile, Table
from moorage_ports.plugin import SandboxPlan

_CLOCK = "clock_offset"
LATENCY = "latency_millis"
LEAD_RETENTION = 90 * 86_400
"""Seconds for which Graph hands out a lead."""


@attrs.define(kw_only=True)
class World:
    """Everything there is. Handlers read and put rows; `flush` makes changes outlive the process."""

    plan: SandboxPlan
    file: StateFile
    settings: Table[e.Setting] = attrs.field(factory=lambda: Table("setting", e.Setting))
    apps: Table[e.App] = attrs.field(factory=lambda: Table("app", e.App))
    users: Table[e.User] = attrs.field(factory=lambda: Table("user", e.User))
    businesses: Table[e.Business] = attrs.field(factory=lambda: Table("business", e.Business))
    pages: Table[e.Page] = attrs.field(factory=lambda: Table("page", e.Page))
    posts: Table[e.Post] = attrs.field(factory=lambda: Table("post", e.Post, lambda row: (row.page_id,)))
    photos: Table[e.Photo] = attrs.field(factory=lambda: Table("photo", e.Photo, lambda row: (row.page_id,)))
    forms: Table[e.LeadForm] = attrs.field(
        factory=lambda: Table("form", e.LeadForm, lambda row: (row.page_id,))
    )
    leads: Table[e.Lead] = attrs.field(factory=lambda: Table("lead", e.Lead, lambda row: (row.form_id,)))
    whatsapp_accounts: Table[e.WhatsAppAccount] = attrs.field(
        factory=lambda: Table("whatsapp_account", e.WhatsAppAccount, lambda row: (row.business_id,))
    )
    phone_numbers: Table[e.PhoneNumber] = attrs.field(
        factory=lambda: Table("phone_number", e.PhoneNumber, lambda row: (row.account_id,))
    )
    persons: Table[so.Person] = attrs.field(
        factory=lambda: Table("person", so.Person, lambda row: (row.name,))
    )
    faces: Table[so.Face] = attrs.field(
        factory=lambda: Table("face", so.Face, lambda row: (f"{row.person_id}:{row.channel_id}",))
    )
    comments: Table[so.Comment] = attrs.field(
        factory=lambda: Table(
            "comment", so.Comment, lambda row: (row.post_id, row.parent_id or f"{row.post_id}/top")
        )
    )
    reactions: Table[so.Reaction] = attrs.field(
        factory=lambda: Table("reaction", so.Reaction, lambda row: (row.target_id,))
    )
    shares: Table[so.Share] = attrs.field(
        factory=lambda: Table("share", so.Share, lambda row: (row.post_id,))
    )
    instagram_accounts: Table[so.InstagramAccount] = attrs.field(
        factory=lambda: Table("instagram_account", so.InstagramAccount, lambda row: (row.page_id,))
    )
    instagram_media: Table[so.InstagramMedia] = attrs.field(
        factory=lambda: Table("instagram_media", so.InstagramMedia, lambda row: (row.account_id,))
    )
    instagram_comments: Table[so.InstagramComment] = attrs.field(
        factory=lambda: Table(
            "instagram_comment",
            so.InstagramComment,
            lambda row: (row.media_id, row.parent_id or f"{row.media_id}/top"),
        )
    )
    threads: Table[so.Thread] = attrs.field(
        factory=lambda: Table(
            "thread", so.Thread, lambda row: (row.channel_id, f"{row.channel_id}:{row.person_id}")
        )
    )
    messages: Table[so.Message] = attrs.field(
        factory=lambda: Table("message", so.Message, lambda row: (row.thread_id,))
    )
    consents: Table[e.Consent] = attrs.field(factory=lambda: Table("consent", e.Consent))
    codes: Table[e.Code] = attrs.field(factory=lambda: Table("code", e.Code))
    tokens: Table[e.Token] = attrs.field(factory=lambda: Table("token", e.Token, lambda row: (row.user_id,)))
    app_subscriptions: Table[e.AppSubscription] = attrs.field(
        factory=lambda: Table("app_subscription", e.AppSubscription, lambda row: (row.app_id,))
    )
    page_subscriptions: Table[e.PageSubscription] = attrs.field(
        factory=lambda: Table("page_subscription", e.PageSubscription, lambda row: (row.page_id,))
    )
    deliveries: Table[e.Delivery] = attrs.field(factory=lambda: Table("delivery", e.Delivery))
    calls: Table[e.CallCount] = attrs.field(factory=lambda: Table("call", e.CallCount))
    faults: Table[e.Fault] = attrs.field(factory=lambda: Table("fault", e.Fault))
    moved: Callable[[], None] | None = None  # called when the clock jumps

    def __attrs_post_init__(self) -> None:
        for table in self.tables():
            table.load(self.file.read(table.kind))

    def tables(self) -> list[Table[e.Setting]]:
        """All tables; of what they hold only the id is used here."""
        return [
            row
            for row in (getattr(self, field.name) for field in attrs.fields(World))
            if isinstance(row, Table)
        ]

    def flush(self) -> None:
        """Write what changed since the last time."""
        self.file.write([(table.kind, table.changes()) for table in self.tables()])

    def clear(self) -> None:
        """Forget everything but the apps: their secrets are what the host was told."""
        for table in self.tables():
            if table.kind != "app":
                table.clear()

    def now(self) -> float:
        """Seconds since 1970 on the sandbox clock."""
        setting = self.settings.get(_CLOCK)
        return time.time() + (float(setting.value) if setting else 0.0)

    def seconds(self) -> int:
        return int(self.now())

    def millis(self) -> int:
        """As messages are dated."""
        return int(self.now() * 1000)

    def latency(self) -> float:
        """Seconds that every request to Graph is on its way."""
        setting = self.settings.get(LATENCY)
        return int(setting.value) / 1_000 if setting else 0.0

    def advance(self, seconds: float) -> None:
        setting = self.settings.get(_CLOCK)
        offset = (float(setting.value) if setting else 0.0) + seconds
        self.settings.put(e.Setting(id=_CLOCK, value=str(offset)))
        if self.moved:
            self.moved()

    def node(self, node_id: str) -> e.Node | None:
        """What Graph would find under this id."""
        for find in (
            self.pages.get,
            self.posts.get,
            self.comments.get,
            self.leads.get,
            self.forms.get,
            self.photos.get,
            self.users.get,
            self.businesses.get,
            self.apps.get,
            self.whatsapp_accounts.get,
            self.phone_numbers.get,
            self.instagram_accounts.get,
            self.instagram_media.get,
            self.instagram_comments.get,
            self.threads.get,
            self.messages.get,
            self.faces.get,
        ):
            found = find(node_id)
            if found is not None:
                return found
        return None

    def new_id(self) -> str:
        """15 to 17 digits as on Graph: a good part of them do not fit a JavaScript number."""
        while True:
            digits = 14 + secrets.randbelow(3)
            candidate = str(10**digits + secrets.randbelow(9 * 10**digits))
            if self.node(candidate) is None:
                return candidate

    def app(self) -> e.App:
        """The app that the plan's host uses."""
        return next(iter(self.apps))

    def page_of(self, node: e.Node) -> e.Page | None:
        """The Page that a node belongs to, if it belongs to one."""
        if isinstance(node, e.Page):
            return node
        if isinstance(node, _ON_A_PAGE):
            return self.pages.get(node.page_id)
        if isinstance(node, so.Face):
            account = self.instagram_accounts.get(node.channel_id)
            return self.pages.get(account.page_id if account else node.channel_id)
        return None

    def is_live(self, post: e.Post) -> bool:
        """Published, or scheduled for a time that has come."""
        return post.published or bool(post.scheduled_at and post.scheduled_at <= self.now())

    def instagram_of(self, page: e.Page) -> so.InstagramAccount | None:
        """The Instagram account that is linked to a Page."""
        return next(iter(self.instagram_accounts.of(page.id)), None)

    def posts_on(self, page: e.Page) -> list[e.Post]:
        """Live posts, newest first."""
        live = [post for post in reversed(self.posts.of(page.id)) if self.is_live(post)]
        return sorted(live, key=posted_at, reverse=True)

    def leads_of(self, form: e.LeadForm) -> list[e.Lead]:
        """Leads that Graph still hands out, newest first; tests have a list of their own."""
        oldest = self.now() - LEAD_RETENTION
        kept = [lead for lead in reversed(self.submitted(form)) if lead.created_at >= oldest]
        return sorted(kept, key=lambda lead: lead.created_at, reverse=True)

    def submitted(self, form: e.LeadForm) -> list[e.Lead]:
        """Leads that people made, also those that are too old to be read."""
        return [lead for lead in self.leads.of(form.id) if not lead.is_test]

    def test_leads_of(self, form: e.LeadForm) -> list[e.Lead]:
        """Leads that were made to try things out and can be read."""
        oldest = self.now() - LEAD_RETENTION
        return [lead for lead in self.leads.of(form.id) if lead.is_test and lead.created_at >= oldest]


_ON_A_PAGE = (
    e.Post,
    e.Photo,
    e.LeadForm,
    e.Lead,
    so.Comment,
    so.InstagramAccount,
    so.InstagramMedia,
    so.InstagramComment,
    so.Thread,
    so.Message,
)


def posted_at(post: e.Post) -> int:
    """A scheduled post is dated by its schedule."""
    return post.scheduled_at or post.created_at


def open_world(plan: SandboxPlan) -> World:
    """The world as the state file remembers it, or an empty one."""
    return World(plan=plan, file=StateFile(plan.state_file))
