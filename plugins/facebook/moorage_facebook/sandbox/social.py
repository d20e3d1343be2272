"""What people do on Pages and Instagram accounts, and what they write to them, as frozen values.

Times are unix seconds on the sandbox clock. Each channel knows a person by another id, as at Meta.
"""

from typing import Literal

import attrs

Channel = Literal["messenger", "instagram", "whatsapp"]
Direction = Literal["in", "out"]


@attrs.frozen(kw_only=True)
class Person:
    """Somebody out there, by the name that everybody sees."""

    id: str
    name: str
    username: str
    phone: str  # digits, with the country code


@attrs.frozen(kw_only=True)
class Face:
    """A person as one channel knows them: `id` is page-scoped, Instagram-scoped, or a phone number."""

    id: str
    person_id: str
    channel_id: str  # a Page, an Instagram account, or a phone number's id
    name: str
    username: str = ""
    user_id: str = ""  # WhatsApp's other name for the same person
    is_hidden: bool = False  # whether the channel may look up who this is no more


@attrs.frozen(kw_only=True)
class Comment:
    """A comment on a Page's post, or (with `parent_id`) what answers one; `id` is `<post number>_<number>`.

    `author_id` is the Page itself or the page-scoped id of a person.
    """

    id: str
    page_id: str
    post_id: str
    parent_id: str = ""
    author_id: str
    text: str = ""
    photo_url: str = ""
    video_url: str = ""
    sticker_url: str = ""
    is_hidden: bool = False
    app_id: str = ""
    created_at: int
    edited_at: int = 0
    answered_privately: bool = False


@attrs.frozen(kw_only=True)
class Reaction:
    """What one person thinks of a post or a comment; there is one per person and target."""

    id: str
    page_id: str
    post_id: str
    target_id: str
    author_id: str
    type: str
    created_at: int


@attrs.frozen(kw_only=True)
class Reactor:
    """A reaction as Graph lists it: the person, and how they reacted."""

    id: str
    name: str
    type: str


@attrs.frozen(kw_only=True)
class Share:
    """A person put a post on their own wall."""

    id: str
    page_id: str
    post_id: str
    author_id: str
    text: str = ""
    created_at: int


@attrs.frozen(kw_only=True)
class InstagramAccount:
    """A professional Instagram account, linked to a Page."""

    id: str
    page_id: str
    username: str
    name: str
    biography: str = ""


@attrs.frozen(kw_only=True)
class InstagramMedia:
    """A picture or video on an Instagram account."""

    id: str
    page_id: str
    account_id: str
    caption: str = ""
    type: Literal["IMAGE", "VIDEO", "CAROUSEL_ALBUM"] = "IMAGE"
    url: str = ""
    created_at: int


@attrs.frozen(kw_only=True)
class InstagramComment:
    """A comment on Instagram, or a reply to one; replies have no replies of their own."""

    id: str
    page_id: str
    account_id: str
    media_id: str
    parent_id: str = ""
    author_id: str
    username: str
    text: str
    is_hidden: bool = False
    created_at: int
    answered_privately: bool = False


@attrs.frozen(kw_only=True)
class Thread:
    """A conversation between one channel and one person.

    Moments are milliseconds; 0 where there was none. `page_id` is empty on WhatsApp.
    """

    id: str
    channel: Channel
    channel_id: str
    page_id: str = ""
    person_id: str
    last_in_at: int = 0
    delivered_at: int = 0  # everything up to then reached the person's phone
    read_at: int = 0  # and was read by them
    seen_at: int = 0  # the business has read up to here
    updated_at: int = 0
    is_blocked: bool = False


@attrs.frozen(kw_only=True)
class Part:
    """Something attached to a message."""

    type: str  # image, video, audio, file, sticker, location, template
    url: str = ""
    name: str = ""


@attrs.frozen(kw_only=True)
class Message:
    """One message between a channel (a phone number, a Page, an Instagram account) and a person."""

    id: str
    channel: Channel
    channel_id: str
    page_id: str = ""
    thread_id: str = ""
    person_id: str
    direction: Direction
    text: str
    parts: tuple[Part, ...] = ()
    payload: str = ""  # of a quick reply or a button
    reply_to: str = ""
    app_id: str = ""
    tag: str = ""
    mark: str = ""  # what the app sent along, to have it back: `metadata`, `biz_opaque_callback_data`
    created_at: int
    created_ms: int = 0
    edits: int = 0
    is_removed: bool = False
    reaction: str = ""  # of the person, to this message
