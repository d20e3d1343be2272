"""What the control routes take: camelCase JSON, unknown keys refused."""

from typing import Annotated, Literal, TypeVar

import msgspec

Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,25}$")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=100_000_000_000)]
Delivery = Literal["send", "lose", "double", "late", "shuffle"]


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A control body."""


B = TypeVar("B", bound=Body)


class ConsentBody(Body):
    """`POST /_sandbox/consent`."""

    auth_url: Text
    decision: Literal["grant", "deny"] = "grant"
    pages: list[Id] | None = None
    scopes: list[Text] | None = None
    user_id: Id | None = None


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class PortionsBody(Body):
    """What becomes of which share of the deliveries; the rest travels as it should."""

    lose: Share = 0.0
    double: Share = 0.0
    late: Share = 0.0
    shuffle: bool = False


class LeadsBody(Body):
    """`POST /_sandbox/leads`. `{n}` in an answer becomes the number of the lead, from 1."""

    form_id: Id
    page_id: Id | None = None
    answers: dict[Text, Text | list[Text]] = {}
    consents: dict[Text, bool] = {}
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    delivery: Delivery | PortionsBody = "send"
    per_delivery: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=10_000_000)] = 3.0
    id: Id | None = None
    created_time: Seconds | Text | None = None
    ad_id: Text = ""
    ad_name: Text = ""
    adset_id: Text = ""
    adset_name: Text = ""
    campaign_id: Text = ""
    campaign_name: Text = ""
    platform: Text = "fb"
    is_organic: bool | None = None


class OptionBody(Body):
    """One choice: the key that answers carry, and what people read."""

    key: Text
    value: Text


class CheckboxBody(Body):
    """One box of a form's custom disclaimer."""

    key: Text
    text: Text
    required: bool = True
    checked_by_default: bool = False


class QuestionBody(Body):
    """One question of a form; `options` makes it a multiple choice. An option alone is its own key."""

    key: Text
    label: Text = ""
    type: Text = "CUSTOM"
    required: bool = True
    options: list[Text | OptionBody] = []


class FormBody(Body):
    """One lead form; without questions it asks for name, e-mail and phone number."""

    id: Id | None = None
    name: Text = ""
    locale: Text = "en_US"
    status: Literal["", "ACTIVE", "ARCHIVED", "DELETED", "DRAFT"] = ""
    questions: list[QuestionBody] = []
    checkboxes: list[CheckboxBody] | None = None


class PageBody(Body):
    """One Page; an existing id is claimed: renamed if named, its forms added, the rest stays."""

    id: Id | None = None
    name: Text = ""
    category: Text = ""
    forms: list[FormBody] = []
    tasks: list[Text] | None = None
    leads_closed_to: Literal["", "app", "person"] | None = None


class PagesBody(Body):
    """`POST /_sandbox/pages`. `granted` adds the Pages to what people already allowed."""

    pages: Annotated[list[PageBody], msgspec.Meta(min_length=1, max_length=10_000)]
    granted: bool = False
    user_id: Id | None = None


class AppBody(Body):
    """`POST /_sandbox/apps`: another app, or a known one changed (a new `secret` is a reset one)."""

    id: Id | None = None
    name: Text = ""
    secret: Text = ""
    verify_token: Text = ""
    callback_url: Text = ""


class MatchBody(Body):
    """Which calls a fault hits; nothing given means all of them."""

    method: Text = ""
    path: Text = ""
    page_id: Text = ""


class FaultBody(Body):
    """`POST /_sandbox/faults`."""

    match: MatchBody = msgspec.field(default_factory=MatchBody)
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    share: Share = 1.0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    code: int | None = None
    subcode: int | None = None
    body: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    headers: dict[Text, Text] = {}
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0
    drop: Literal["before", "after"] | None = None


class WebhookBody(Body):
    """`POST /_sandbox/webhooks`: `body` as JSON (written as Meta writes it) or `raw`, byte for byte."""

    body: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    raw: str | None = None
    app_id: Id | None = None
    signature: Literal["valid", "wrong", "none"] = "valid"
    url: Text = ""
    headers: dict[Text, Text] = {}
    content_type: Text = "application/json"
    retry: bool = False


class RevokeBody(Body):
    """`POST /_sandbox/revoke`; `notify` sends the deauthorize callback, as Meta does."""

    user_id: Id | None = None
    notify: bool = True


class DataDeletionBody(Body):
    """`POST /_sandbox/data-deletion`: the person removes the app and wants their data deleted."""

    user_id: Id | None = None


class ClockBody(Body):
    """`POST /_sandbox/clock`."""

    advance_seconds: Annotated[float, msgspec.Meta(ge=0, le=10_000_000_000)]


class EmptyBody(Body):
    """`POST /_sandbox/reset`."""


class ActBody(Body):
    """What all acts of people share: who they are, and how the news of it travels.

    `person` is a name (the same name is the same person), `person_id` how a channel knows somebody.
    """

    person: Text = ""
    person_id: Id | None = None
    delivery: Delivery = "send"
    per_delivery: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=10_000_000)] = 3.0


class CommentsBody(ActBody):
    """`POST /_sandbox/comments`. `{n}` in the text becomes the number of the comment, from 1.

    `comment_id` is the comment that a new one answers, or that is edited, removed, hidden or shown.
    Without any id the newest post of `page_id` (or of the first Page) is meant. `as_page`: the Page writes.
    """

    action: Literal["add", "edit", "remove", "hide", "unhide"] = "add"
    page_id: Id | None = None
    post_id: Text | None = None
    media_id: Id | None = None
    comment_id: Text | None = None
    text: Text = ""
    photo: Text = ""
    video: Text = ""
    sticker: Text = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    created_time: Seconds | Text | None = None
    as_page: bool = False


class ReactionsBody(ActBody):
    """`POST /_sandbox/reactions`; with a `count`, that many different people react."""

    action: Literal["set", "remove"] = "set"
    page_id: Id | None = None
    post_id: Text | None = None
    comment_id: Text | None = None
    type: Text = "LIKE"
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1


class SharesBody(ActBody):
    """`POST /_sandbox/shares`."""

    page_id: Id | None = None
    post_id: Text | None = None
    text: Text = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1


class MentionsBody(ActBody):
    """`POST /_sandbox/mentions`: somebody names the Page, or its Instagram account, elsewhere."""

    channel: Literal["page", "instagram"] = "page"
    page_id: Id | None = None
    text: Text = "Look at this"
    in_comment: bool = False


class MediaBody(Body):
    """`POST /_sandbox/media`: the Instagram account of a Page shows something new."""

    page_id: Id | None = None
    caption: Text = ""
    type: Literal["IMAGE", "VIDEO", "CAROUSEL_ALBUM"] = "IMAGE"
    url: Text = ""


class PartBody(Body):
    """Something attached to a message."""

    type: Literal["image", "video", "audio", "file", "sticker", "location"] = "image"
    url: Text = ""
    name: Text = ""


class MessagesBody(ActBody):
    """`POST /_sandbox/messages`. `{n}` in the text becomes the number of the message, from 1.

    `message_id` is the message that is edited, unsent, reacted to or read; `reply_to` the answered one.
    `press`: a button of the business's with this `payload`, and `text` on it. `hide`: the business can not
    look up any more who the person is; `show` ends that.
    """

    channel: Literal["messenger", "instagram", "whatsapp"] = "messenger"
    action: Literal[
        "send", "press", "edit", "unsend", "react", "unreact", "read", "block", "unblock", "hide", "show"
    ] = "send"
    page_id: Id | None = None
    channel_id: Id | None = None
    phone: Annotated[str, msgspec.Meta(pattern=r"^\+?[0-9 ]{7,20}$")] | None = None
    text: Text = ""
    attachments: list[PartBody] = []
    payload: Text = ""
    reply_to: Text = ""
    message_id: Text | None = None
    emoji: Text = "\u2764\ufe0f"
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1


class BulkBody(Body):
    """`POST /_sandbox/bulk`: a history, without any webhook.

    Of each post's comments a fifth answers others. `people` is how many different ones there are.
    """

    posts: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10
    comments_per_post: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 10
    reactions_per_post: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 10
    page_id: Id | None = None
    channel: Literal["page", "instagram"] = "page"
    people: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 365


class LatencyBody(Body):
    """`POST /_sandbox/latency`: how long every request to Graph is on its way, batches as well."""

    millis: Annotated[int, msgspec.Meta(ge=0, le=600_000)]
