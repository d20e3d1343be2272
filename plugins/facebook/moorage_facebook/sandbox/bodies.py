"""What the control routes take: camelCase JSON, unknown keys refused."""

from typing import Annotated, Literal

import msgspec

Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,25}$")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=100_000_000_000)]
Delivery = Literal["send", "lose", "double", "late", "shuffle"]


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A control body."""


class ConsentBody(Body):
    """`POST /_sandbox/consent`."""

    auth_url: Text
    decision: Literal["grant", "deny"] = "grant"
    pages: list[Id] | None = None
    scopes: list[Text] | None = None
    user_id: Id | None = None


class LeadsBody(Body):
    """`POST /_sandbox/leads`. `{n}` in an answer becomes the number of the lead, from 1."""

    form_id: Id
    page_id: Id | None = None
    answers: dict[Text, Text | list[Text]] = {}
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    delivery: Delivery = "send"
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


class QuestionBody(Body):
    """One question of a form; `options` makes it a multiple choice."""

    key: Text
    label: Text = ""
    type: Text = "CUSTOM"
    required: bool = True
    options: list[Text] = []


class FormBody(Body):
    """One lead form; without questions it asks for name, e-mail and phone number."""

    id: Id | None = None
    name: Text = ""
    locale: Text = "en_US"
    questions: list[QuestionBody] = []


class PageBody(Body):
    """One Page; an existing id is claimed: renamed if named, its forms added, the rest stays."""

    id: Id | None = None
    name: Text = ""
    category: Text = ""
    forms: list[FormBody] = []
    tasks: list[Text] | None = None


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


class ClockBody(Body):
    """`POST /_sandbox/clock`."""

    advance_seconds: Annotated[float, msgspec.Meta(ge=0, le=10_000_000_000)]


class EmptyBody(Body):
    """`POST /_sandbox/reset`."""
