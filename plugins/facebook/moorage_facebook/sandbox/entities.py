"""Everything the sandbox holds, as frozen values: changing one means putting a new one into its table.

Times are unix seconds on the sandbox clock, ids are strings of digits as Graph's are.
"""

from collections.abc import Mapping
from typing import Literal

import attrs

from moorage_facebook.sandbox.social import (
    Comment,
    Face,
    InstagramAccount,
    InstagramComment,
    InstagramMedia,
    Message,
    Reactor,
    Thread,
)

TokenKind = Literal["USER", "PAGE", "APP"]
DeliveryState = Literal["queued", "delivered", "lost", "refused", "given_up"]
Signing = Literal["valid", "wrong", "none"]

ALL_TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")


@attrs.frozen(kw_only=True)
class Setting:
    """One remembered value of the sandbox itself (the clock's offset, a random secret)."""

    id: str
    value: str


@attrs.frozen(kw_only=True)
class App:
    """The developer's app as the App Dashboard knows it."""

    id: str
    name: str
    secret: str = attrs.field(repr=False)
    verify_token: str = attrs.field(repr=False)
    require_proof: bool = True
    deauthorize_url: str = ""
    data_deletion_url: str = ""
    callback_url: str = ""


@attrs.frozen(kw_only=True)
class User:
    """A person with a Facebook login."""

    id: str
    name: str
    email: str
    first_name: str = ""
    last_name: str = ""


@attrs.frozen(kw_only=True)
class Business:
    """A Business Manager; `user_ids` are the people in it."""

    id: str
    name: str
    user_ids: tuple[str, ...] = ()
    created_at: int = 0


@attrs.frozen(kw_only=True)
class Page:
    """A Facebook Page; `tasks` says who may do what on it."""

    id: str
    name: str
    category: str = "Local business"
    category_id: str = "2500"
    about: str = ""
    business_id: str = ""
    tasks: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    leads_closed_to: Literal["", "app", "person"] = ""  # whom Leads Access Manager keeps out


@attrs.frozen(kw_only=True)
class Post:
    """A post on a Page; `id` is `<page>_<number>`. `scheduled_at` is 0 unless it waits for its time."""

    id: str
    page_id: str
    app_id: str
    message: str = ""
    link: str = ""
    photo_ids: tuple[str, ...] = ()
    published: bool = True
    scheduled_at: int = 0
    created_at: int
    updated_at: int

    @property
    def number(self) -> str:
        """The half of the id that comments carry, too."""
        return self.id.rpartition("_")[2]


@attrs.frozen(kw_only=True)
class Photo:
    """A picture by address: nothing is ever fetched. Unpublished ones wait to be attached to a post."""

    id: str
    page_id: str
    url: str = ""
    caption: str = ""
    published: bool = True
    temporary: bool = False
    post_id: str = ""
    byte_count: int = 0
    created_at: int


@attrs.frozen(kw_only=True)
class Option:
    """One answer of a multiple choice."""

    key: str
    value: str


@attrs.frozen(kw_only=True)
class Question:
    """A question on a lead form; `key` is the `name` that `field_data` carries."""

    id: str
    key: str
    label: str
    type: str = "CUSTOM"
    required: bool = True
    options: tuple[Option, ...] = ()


@attrs.frozen(kw_only=True)
class Checkbox:
    """A box of a form's custom disclaimer, to be ticked by whoever agrees."""

    id: str
    key: str
    text: str
    required: bool = True
    checked_by_default: bool = False


@attrs.frozen(kw_only=True)
class LeadForm:
    """A lead form (Instant Form) of a Page."""

    id: str
    page_id: str
    name: str
    locale: str = "en_US"
    status: str = "ACTIVE"
    intro: str = ""
    questions: tuple[Question, ...] = ()
    checkboxes: tuple[Checkbox, ...] = ()
    created_at: int = 0


@attrs.frozen(kw_only=True)
class Attribution:
    """Which ad brought a lead; all empty when nobody paid for it."""

    ad_id: str = ""
    ad_name: str = ""
    adset_id: str = ""
    adset_name: str = ""
    campaign_id: str = ""
    campaign_name: str = ""
    platform: str = "fb"


@attrs.frozen(kw_only=True)
class Lead:
    """One submitted form. `answers` keeps the order of the form and Graph's list of values."""

    id: str
    form_id: str
    page_id: str
    created_at: int
    answers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    attribution: Attribution = Attribution()
    is_organic: bool = True
    consents: tuple[tuple[str, bool], ...] = ()
    is_test: bool = False


@attrs.frozen(kw_only=True)
class WhatsAppAccount:
    """A WhatsApp business account; `app_ids` are the apps that hear of it."""

    id: str
    business_id: str
    name: str
    timezone_id: str = "1"
    template_namespace: str = ""
    currency: str = "EUR"
    country: str = "DE"
    app_ids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PhoneNumber:
    """A business's phone number on WhatsApp; `display` is how people write it."""

    id: str
    account_id: str
    name: str
    display: str

    @property
    def digits(self) -> str:
        """As WhatsApp names it: country code and number, nothing between."""
        return "".join(filter(str.isdigit, self.display))


@attrs.frozen(kw_only=True)
class Consent:
    """What a person allowed an app.

    `serial` goes up when the app is added again, which kills older tokens.
    """

    id: str
    user_id: str
    app_id: str
    scopes: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    page_ids: tuple[str, ...] = ()
    data_access_expires_at: int = 0
    serial: int = 1
    removed: bool = False


@attrs.frozen(kw_only=True)
class Code:
    """An authorization code; good once, for ten minutes, with the same redirect URI."""

    id: str = attrs.field(repr=False)
    app_id: str
    user_id: str
    redirect_uri: str
    serial: int
    expires_at: int
    used: bool = False


@attrs.frozen(kw_only=True)
class Token:
    """An access token; `id` is the string itself. `expires_at` 0 means that it bears no date."""

    id: str = attrs.field(repr=False)
    kind: TokenKind
    app_id: str
    user_id: str
    page_id: str = ""
    serial: int
    issued_at: int
    expires_at: int
    long_lived: bool = False


@attrs.frozen(kw_only=True)
class AppSubscription:
    """Where the app wants the webhooks of one object (`page`, `instagram`, ...) and which fields."""

    id: str
    app_id: str
    object: str
    callback_url: str
    fields: tuple[str, ...]
    active: bool = True


@attrs.frozen(kw_only=True)
class PageSubscription:
    """The app is installed on a Page and hears these fields."""

    id: str
    page_id: str
    app_id: str
    fields: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Attempt:
    """One try at delivering a webhook; `status` is 0 when no answer came, and `error` says why."""

    at: float
    status: int = 0
    millis: int = 0
    answer: str = ""
    error: str = ""


@attrs.frozen(kw_only=True)
class Delivery:
    """One signed request to an app (none named: the first one), with every answer it got."""

    id: str
    app_id: str = ""
    url: str
    topic: str
    body: str = attrs.field(repr=False)
    content_type: str = "application/json"
    signing: Signing = "valid"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    state: DeliveryState = "queued"
    retry: bool = True
    created_at: float
    due_at: float
    attempts: tuple[Attempt, ...] = ()


@attrs.frozen(kw_only=True)
class CallCount:
    """How often one method and path template was called."""

    id: str
    count: int


@attrs.frozen(kw_only=True)
class Fault:
    """A rule to misbehave by, in that share of the cases. `times` is what is left; None never runs out."""

    id: str
    method: str = ""
    path: str = ""
    page_id: str = ""
    times: int | None = None
    share: float = 1.0
    status: int | None = None
    code: int | None = None
    subcode: int | None = None
    body: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    delay_ms: int = 0
    drop: Literal["", "before", "after"] = ""


Node = (
    App
    | User
    | Business
    | Page
    | Post
    | Photo
    | LeadForm
    | Lead
    | WhatsAppAccount
    | PhoneNumber
    | Comment
    | Reactor
    | InstagramAccount
    | InstagramMedia
    | InstagramComment
    | Thread
    | Message
    | Face
)
"""What a Graph path can name, or an edge list."""
