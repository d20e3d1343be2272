"""Which translator reads which change: by object, field, item and verb. The docs page is made from this.

A key's parts: the delivery's object; the change's field (for messages the list of the entry that they stand
in); the item of a wall change, the type of a message, what a messaging event is about; the verb, or a status.
`ANY` stands for whatever no other row names: fields, items and verbs that make no difference.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Final, TypeAlias

import attrs

from moorage_facebook.translate import (
    account,
    feed,
    instagram,
    leads,
    messaging,
    thread,
    whatsapp,
    whatsapp_history,
)
from moorage_facebook.translate.happening import Events, Happening
from moorage_facebook.translate.whatsapp_content import CONTENTS
from moorage_ports.events import (
    ChannelNotice,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    ContactMoved,
    DeliveryMark,
    Event,
    GrantChanged,
    LeadArrived,
    Mentioned,
    MentionRemoved,
    MessageDelivery,
    MessageEdited,
    MessageRemoved,
    MessageSeen,
    PersonLinked,
    PersonNamed,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    ThreadHandedOver,
)

ANY: Final = "*"

Words: TypeAlias = tuple[str, ...]
Key: TypeAlias = tuple[str, str, str, str]


@attrs.frozen
class Row:
    """Some kinds of changes, what translates them, and which events can come of it.

    `is_guess`: of what no other row names something can be told all the same; it is counted as unmapped, too.
    """

    topic: str
    fields: Words
    items: Words
    verbs: Words
    translate: Callable[[Happening], Events]
    events: tuple[type[Event], ...]
    is_guess: bool = False

    @property
    def keys(self) -> Iterator[Key]:
        """Every key that this is the row of."""
        return product((self.topic,), self.fields, self.items, self.verbs)


# The Page's wall, and its reviews ------------------------------------------------------------------

PAGE: Final = "page"
_WRITTEN: Final = ("add", "edited")
_WALLS: Final = ("feed", "ratings")
_POSTS: Final = (
    *("post", "status", "photo", "video", "link", "album", "event", "note", "milestone", "reel", "story"),
    *("offer", "coupon", "question", "poll", "live_video", "photo-album", "platform-story"),
)
_OF_THE_PAGE: Final = (
    *("about", "affiliation", "attire", "awards", "bio", "birthday", "category", "company_overview"),
    *("culinary_team", "current_location", "description", "email", "founded", "general_info"),
    *("general_manager", "hometown", "hours", "live_videos", "location", "members", "mission", "name"),
    *("page_about_story", "page_change_proposal", "page_upcoming_change", "parking", "payment_options"),
    *("personal_info", "personal_interests", "phone", "picture", "price_range", "products"),
    *("public_transit", "username", "videos", "website"),
)

_WALL: Final = (
    Row(PAGE, _WALLS, ("comment",), _WRITTEN, feed.comment_seen, (CommentSeen,)),
    Row(PAGE, _WALLS, ("comment",), ("hide", "unhide"), feed.comment_hidden, (CommentHidden,)),
    Row(PAGE, _WALLS, ("comment",), ("remove",), feed.comment_removed, (CommentRemoved,)),
    Row(PAGE, _WALLS, ("like", "reaction"), _WRITTEN, feed.reaction_set, (ReactionSet,)),
    Row(PAGE, _WALLS, ("like", "reaction"), ("remove",), feed.reaction_removed, (ReactionRemoved,)),
    Row(PAGE, ("feed",), _POSTS, (*_WRITTEN, "hide", "unhide"), feed.post_seen, (PostSeen, Mentioned)),
    Row(PAGE, ("feed",), _POSTS, ("remove",), feed.post_removed, (PostRemoved, MentionRemoved)),
    Row(PAGE, ("feed",), ("share",), _WRITTEN, feed.post_shared, (PostShared, PostSeen)),
    Row(PAGE, ("feed",), ("share",), ("hide", "unhide"), feed.share_hidden, (PostSeen,)),
    Row(PAGE, ("feed",), ("share",), ("remove",), feed.share_removed, (PostRemoved, MentionRemoved)),
    Row(PAGE, ("feed",), ("video",), ("block", "unblock", "mute", "unmute"), feed.video_flagged,
        (ChannelNotice,)),
    Row(PAGE, ("mention",), (ANY,), _WRITTEN, feed.mentioned, (Mentioned,)),
    Row(PAGE, ("mention",), (ANY,), ("remove",), feed.mention_removed, (MentionRemoved,)),
    Row(PAGE, ("ratings",), ("rating",), _WRITTEN, feed.reviewed, (Mentioned,)),
    Row(PAGE, ("ratings",), ("rating",), ("remove",), feed.review_removed, (MentionRemoved,)),
    Row(PAGE, ("leadgen", "leadgen_fat"), (ANY,), (ANY,), leads.lead_arrived, (LeadArrived,)),
    Row(PAGE, ("leadgen_update",), (ANY,), (ANY,), leads.lead_changed, (ChannelNotice,)),
    Row(PAGE, _OF_THE_PAGE, (ANY,), (ANY,), account.page_changed, (ChannelNotice,)),
)  # fmt: skip


# Messenger and Instagram --------------------------------------------------------------------------

INSTAGRAM: Final = "instagram"


def _talk(*items: str, by: Callable[[Happening], Events], to: tuple[type[Event], ...]) -> Iterator[Row]:
    for topic in (PAGE, INSTAGRAM):
        yield Row(topic, ("messaging", "standby"), items, (ANY,), by, to)


_TALKS: Final = (
    *_talk("message", by=messaging.message,
           to=(MessageSeen, MessageRemoved, ContactMoved, Mentioned, PersonLinked)),
    *_talk("message_edit", by=messaging.message_edited, to=(MessageEdited,)),
    *_talk("postback", by=messaging.postback, to=(MessageSeen, ContactMoved)),
    *_talk("reaction", by=messaging.reaction, to=(ReactionSet, ReactionRemoved)),
    *_talk("read", by=messaging.read, to=(DeliveryMark, MessageDelivery)),
    *_talk("delivery", by=messaging.delivery, to=(DeliveryMark, MessageDelivery)),
    *_talk("optin", "optout", by=thread.opted, to=(ContactMoved, PersonLinked)),
    *_talk("referral", by=thread.referral, to=(ContactMoved,)),
    *_talk("account_linking", by=thread.account_linked, to=(ContactMoved,)),
    *_talk("payment", "order", by=thread.paid, to=(ContactMoved,)),
    *_talk("messaging_feedback", "messaging_customer_information", by=messaging.answered, to=(MessageSeen,)),
    *_talk("response_feedback", by=messaging.rated, to=(ReactionSet,)),
    *_talk("pass_thread_control", "take_thread_control", by=thread.handed_over, to=(ThreadHandedOver,)),
    *_talk(*thread.NOTICES, by=thread.told_owner, to=(ChannelNotice,)),
    *_talk(*thread.POLICY, by=thread.policy_enforced, to=(ChannelNotice,)),
)  # fmt: skip

_INSTAGRAM: Final = (
    Row(INSTAGRAM, ("comments", "live_comments"), (ANY,), (ANY,), instagram.comment_seen, (CommentSeen,)),
    Row(INSTAGRAM, ("mentions", "story_mentions"), (ANY,), (ANY,), instagram.mentioned, (Mentioned,)),
    Row(INSTAGRAM, ("story_insights",), (ANY,), (ANY,), instagram.story_counted, (ChannelNotice,)),
)


# WhatsApp -----------------------------------------------------------------------------------------

WHATSAPP: Final = "whatsapp_business_account"
_CHATS: Final = ("messages", "smb_message_echoes")
_TYPES: Final = tuple(name for name in CONTENTS if name != "system")
_SEEN: Final = (MessageSeen, ContactMoved, PersonLinked)
_ABOUT_ACCOUNTS: Final = (
    *("account_alerts", "account_offboarded", "account_reconnected", "account_review_update"),
    *("account_settings_update", "account_update", "flows"),
    *("business_capability_update", "business_status_update", "partner_solutions"),
    *("payment_configuration_update", "security"),
)
_ABOUT_TEMPLATES: Final = (
    *("message_template_components_update", "message_template_quality_update"),
    *("message_template_status_update", "template_category_update", "template_correct_category_detection"),
)
_ABOUT_NUMBERS: Final = ("phone_number_name_update", "phone_number_quality_update")
_ABOUT_GROUPS: Final = (
    *("group_lifecycle_update", "group_participants_update"),
    *("group_settings_update", "group_status_update"),
)


def _whatsapp(
    fields: Words, items: Words, by: Callable[[Happening], Events], *to: type[Event], verbs: Words = (ANY,)
) -> Row:
    return Row(WHATSAPP, fields, items, verbs, by, to)


_WHATSAPP: Final = (
    _whatsapp(_CHATS, _TYPES, whatsapp.message, *_SEEN),
    _whatsapp(_CHATS, ("system",), whatsapp.renumbered, MessageSeen, PersonLinked),
    _whatsapp(_CHATS, ("reaction",), whatsapp.reaction, ReactionSet, ReactionRemoved, PersonLinked),
    _whatsapp(_CHATS, ("edit",), whatsapp.edited, MessageEdited),
    _whatsapp(_CHATS, ("revoke",), whatsapp.revoked, MessageRemoved),
    _whatsapp(_CHATS, ("status",), whatsapp.status, MessageDelivery, verbs=tuple(whatsapp.STATES)),
    _whatsapp(_CHATS, ("status",), whatsapp.status_deleted, MessageRemoved, verbs=("deleted",)),
    _whatsapp(_CHATS, ("errors",), whatsapp.failed, ChannelNotice),
    Row(WHATSAPP, _CHATS, (ANY,), (ANY,), whatsapp.message, _SEEN, is_guess=True),
    _whatsapp(
        ("history",),
        (ANY,),
        whatsapp_history.told,
        *_SEEN,
        MessageDelivery,
        MessageEdited,
        MessageRemoved,
        ReactionSet,
        ReactionRemoved,
    ),
    _whatsapp(("history",), ("errors",), whatsapp_history.declined, ChannelNotice),
    _whatsapp(
        ("smb_app_state_sync",),
        ("contact",),
        whatsapp.saved,
        PersonNamed,
        verbs=("add", "edited", "remove"),
    ),
    _whatsapp(("calls",), (ANY,), whatsapp.called, ContactMoved, PersonLinked),
    _whatsapp(("user_preferences",), (ANY,), whatsapp.preferred, ContactMoved, PersonLinked),
    _whatsapp(("user_id_update",), (ANY,), whatsapp.user_id_updated, PersonLinked),
    _whatsapp(_ABOUT_ACCOUNTS, (ANY,), account.business_notice, ChannelNotice, GrantChanged),
    _whatsapp((*_ABOUT_TEMPLATES, *_ABOUT_NUMBERS), (ANY,), account.business_notice, ChannelNotice),
    _whatsapp(_ABOUT_GROUPS, (ANY,), account.group_notice, ChannelNotice),
)


# Accounts, grants, and what comes without values --------------------------------------------------

_ACCOUNTS: Final = (
    Row("ad_account", (ANY,), (ANY,), (ANY,), account.ad_notice, (ChannelNotice,)),
    Row("permissions", (ANY,), (ANY,), (ANY,), account.permission_changed, (GrantChanged,)),
    Row("user", (ANY,), (ANY,), (ANY,), account.person_changed, (GrantChanged,)),
    *(
        Row(topic, ("changed_fields",), (ANY,), (ANY,), account.names_only, (ChannelNotice,))
        for topic in (PAGE, INSTAGRAM, WHATSAPP, "ad_account")
    ),
)

ROWS: Final[tuple[Row, ...]] = (*_WALL, *_TALKS, *_INSTAGRAM, *_WHATSAPP, *_ACCOUNTS)

EFFECTS: Final[Mapping[type[Event], str]] = {
    PostSeen: "the post that comments stand below",
    PostRemoved: "the post's content is deleted",
    CommentSeen: "message in the thread of its top-level comment; its author's activity and score",
    CommentHidden: "the message is hidden from others, or shown",
    CommentRemoved: "the message's content is deleted, for good; so is the activity",
    ReactionSet: "the person's reaction on the post, comment or message, the latest word; score",
    ReactionRemoved: "the reaction is gone, and what it added to the score",
    PostShared: "share, where Meta names the person; score",
    Mentioned: "mention with its words, where Meta says them; score",
    MentionRemoved: "the mention is gone",
    MessageSeen: "message in the conversation of person and channel, which may be answered for a day; score",
    MessageEdited: "the message's text",
    MessageRemoved: "the message's content is deleted, for good",
    MessageDelivery: "how far our message got, with its error",
    DeliveryMark: "how far all of our messages up to a moment got",
    ContactMoved: "activity of the contact: referral, opt-in, opt-out, account, purchase, call; score",
    ThreadHandedOver: "who answers the conversation",
    PersonNamed: "what the contact is called, until a later word; a contact, if there was none",
    PersonLinked: "two contacts become one",
    ChannelNotice: "notice to the channel's owner",
    GrantChanged: "none: it is logged; of a person's own data nothing is kept",
    LeadArrived: "the lead is fetched, mapped and stored",
}
"""What becomes of each event in the CRM."""

OF_NO_CHANNEL: Final[Mapping[str, Words]] = {
    WHATSAPP: (*_ABOUT_ACCOUNTS, *_ABOUT_TEMPLATES, *_ABOUT_NUMBERS, "changed_fields"),
    "ad_account": (ANY, "changed_fields"),
}
"""Fields that name an account only, which no organisation has as a channel: so nobody owns them."""

UNMAPPED: Final[Mapping[str, str]] = {
    "an entry with neither changes nor messages": "there is nothing in it to read",
    "a field, item or verb that is not in this table": "nobody knows what it means until somebody looks",
    "a change that names nothing (no comment, no person, no message)": "there is nothing to tell it of",
    "a lead or a purchase that WhatsApp thinks it sees in a chat (`automatic_events`)": "it names no person",
    "a message of a history without an id, or in no thread": "nothing says where it belongs",
}
"""What no translator reads, and why. It is kept, counted and listed."""

_BY_KEY: Final[Mapping[Key, Row]] = {key: row for row in ROWS for key in row.keys}


def row_of(happening: Happening) -> Row | None:
    """The row that reads this change, if there is one."""
    return next(filter(None, map(_BY_KEY.get, keys_of(happening))), None)


def keys_of(happening: Happening) -> Iterator[Key]:
    """The keys under which its row may stand, the most special first."""
    # Meta leaves the object out of some updates of WhatsApp accounts.
    topic, field = happening.topic or WHATSAPP, happening.field
    if field in {"messaging", "standby"}:
        yield from ((topic, field, name, ANY) for name in happening.change)
        return
    item, verb = happening.item, happening.verb
    for what, done in ((item, verb), (item, ANY), (ANY, verb), (ANY, ANY)):
        yield topic, field, what, done
    yield topic, ANY, ANY, ANY
