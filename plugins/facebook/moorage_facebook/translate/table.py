"""Which translator reads which change: by object, field, item and verb. The docs page is made from this.

A key's parts: the delivery's object; the change's field (for messages `messaging`, with what happened as
the item); the item of a wall change; its verb. `*` stands for every verb, or every item.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import attrs

from moorage_facebook.graph.values import record, text
from moorage_facebook.translate import account, feed, instagram, leads, messaging, whatsapp
from moorage_facebook.translate.happening import Happening
from moorage_ports.events import Event

ANY: Final = "*"
_FRAME: Final = frozenset({"sender", "recipient", "timestamp", "prior_message", "hop_context"})


@attrs.frozen
class Row:
    """Some kinds of changes, what they are translated by, and what that does to the CRM."""

    topic: str
    fields: tuple[str, ...]
    items: tuple[str, ...]
    verbs: tuple[str, ...]
    translate: Callable[[Happening], tuple[Event, ...]]
    events: str
    effect: str


_ADDED = ("add", "")
_EDITED = ("edit", "edited", "update")
_REMOVED = ("remove", "delete", "deleted")
_POSTS = ("post", "status", "photo", "video", "link", "album", "event", "note", "milestone", "reel", "story")
_THREAD = "message in the thread of its top-level comment; activity and score of its author"
_LATEST = "the latest word counts; the author's score follows"


def _wall(field: str) -> tuple[Row, ...]:
    """What the wall and the reviews have in common."""
    comment, likes = ("comment",), ("like", "reaction")
    return (
        Row("page", (field,), comment, (*_ADDED, *_EDITED), feed.comment_seen, "CommentSeen", _THREAD),
        Row(
            "page",
            (field,),
            comment,
            ("hide", "unhide"),
            feed.comment_hidden,
            "CommentHidden",
            "the message is hidden from others, or shown",
        ),
        Row(
            "page",
            (field,),
            comment,
            _REMOVED,
            feed.comment_removed,
            "CommentRemoved",
            "the message's content is deleted, for good",
        ),
        Row(
            "page",
            (field,),
            likes,
            (*_ADDED, *_EDITED),
            feed.reaction_set,
            "ReactionSet",
            f"a reaction of the person on the post or comment; {_LATEST}",
        ),
        Row(
            "page",
            (field,),
            likes,
            _REMOVED,
            feed.reaction_removed,
            "ReactionRemoved",
            "the reaction is gone, and what it added to the score",
        ),
    )


def _talks(topic: str) -> tuple[Row, ...]:
    """What Messenger and Instagram have in common."""

    def row(
        items: tuple[str, ...], translate: Callable[[Happening], tuple[Event, ...]], events: str, effect: str
    ) -> Row:
        return Row(topic, ("messaging", "standby"), items, (ANY,), translate, events, effect)

    return (
        row(
            ("message",),
            messaging.message,
            "MessageSeen, MessageRemoved, ContactMoved, PersonLinked",
            "message in the person's conversation; taken back: its content is deleted",
        ),
        row(("message_edit",), messaging.message_edited, "MessageEdited", "the message's text"),
        row(("postback",), messaging.postback, "MessageSeen, ContactMoved", "message: what was chosen"),
        row(("reaction",), messaging.reaction, "ReactionSet, ReactionRemoved", "shown on the message"),
        row(("read",), messaging.read, "DeliveryMark, MessageDelivery", "our messages so far are read"),
        row(
            ("delivery",), messaging.delivery, "MessageDelivery, DeliveryMark", "our messages so far arrived"
        ),
        row(
            ("optin", "optout"),
            messaging.opted,
            "ContactMoved, PersonLinked",
            "signal opt_in or opt_out; a reference joins two contacts",
        ),
        row(("referral",), messaging.referral, "ContactMoved", "signal referral, with its ad"),
        row(("account_linking",), messaging.account_linked, "ContactMoved", "signal account_linked"),
        row(("payment", "order"), messaging.paid, "ContactMoved", "signal purchase"),
        row(
            ("pass_thread_control", "take_thread_control"),
            messaging.handed_over,
            "ThreadHandedOver",
            "who answers the conversation",
        ),
        row(("request_thread_control",), messaging.told_owner, "ChannelNotice", "notice"),
        row(
            ("policy-enforcement", "policy_enforcement"),
            messaging.policy_enforced,
            "ChannelNotice",
            "notice: a problem until it is unblocked",
        ),
        row(("checkout_update",), messaging.told_owner, "ChannelNotice", "notice, without the address"),
    )


def _business(fields: Iterable[str], what: str) -> Row:
    return Row(
        "whatsapp_business_account",
        tuple(fields),
        (ANY,),
        (ANY,),
        account.business_notice,
        "ChannelNotice",
        f"notice: {what}",
    )


def _whatsapp(
    field: str, translate: Callable[[Happening], tuple[Event, ...]], events: str, effect: str
) -> Row:
    return Row("whatsapp_business_account", (field,), (ANY,), (ANY,), translate, events, effect)


ROWS: Final[tuple[Row, ...]] = (
    Row("page", ("leadgen",), (ANY,), (ANY,), leads.lead_arrived, "LeadArrived",
        "the lead is fetched, mapped and stored"),
    *_wall("feed"),
    Row("page", ("feed",), _POSTS, (*_ADDED, *_EDITED, "hide", "unhide"), feed.post_seen,
        "PostSeen, Mentioned", "the post that comments stand below; a stranger's post names us"),
    Row("page", ("feed",), (*_POSTS, "share"), _REMOVED, feed.post_removed, "PostRemoved",
        "the post's content is deleted"),
    Row("page", ("feed",), ("share",), (*_ADDED, *_EDITED), feed.post_shared, "PostShared, PostSeen",
        "share of a person, where Meta names one"),
    Row("page", ("feed",), ("share",), ("hide", "unhide"), feed.post_seen, "PostSeen",
        "the post is hidden, or shown"),
    Row("page", ("feed",), ("video",), ("block", "unblock", "mute", "unmute"), feed.video_flagged,
        "ChannelNotice", "notice: a video is blocked or muted"),
    Row("page", ("mention",), (ANY,), (*_ADDED, *_EDITED), feed.mentioned, "Mentioned",
        "mention; activity and score of its author"),
    Row("page", ("mention",), (ANY,), _REMOVED, feed.mention_removed, "MentionRemoved", "the mention is gone"),
    *_wall("ratings"),
    Row("page", ("ratings",), ("rating",), (*_ADDED, *_EDITED), feed.reviewed, "Mentioned",
        "mention with the verdict and its words"),
    Row("page", ("ratings",), ("rating",), _REMOVED, feed.review_removed, "MentionRemoved",
        "the review is gone"),
    Row("page", ("parking", "payment_options", "hours", "phone", "website", "location", "name", "about",
                 "category", "description", "picture", "email", "price_range", "live_videos", "videos",
                 "page_upcoming_change", "page_about_story", "page_change_proposal"),
        (ANY,), (ANY,), account.page_changed, "ChannelNotice", "notice: the Page itself changed"),
    *_talks("page"),
    *_talks("instagram"),
    Row("instagram", ("comments", "live_comments"), (ANY,), (ANY,), instagram.comment_seen, "CommentSeen",
        _THREAD),
    Row("instagram", ("mentions", "story_mentions"), (ANY,), (ANY,), instagram.mentioned, "Mentioned",
        "mention; who it was, Meta does not say"),
    Row("instagram", ("story_insights",), (ANY,), (ANY,), instagram.story_counted, "ChannelNotice",
        "notice: a story's figures"),
    _whatsapp("messages", whatsapp.messages,
              "MessageSeen, MessageEdited, MessageRemoved, ReactionSet, ReactionRemoved, MessageDelivery,"
              " PersonLinked, ContactMoved, ChannelNotice",
              "message in the person's conversation, how far ours got, joined contacts"),
    _whatsapp("smb_message_echoes", whatsapp.messages,
              "MessageSeen, MessageEdited, MessageRemoved, ReactionSet, ReactionRemoved, PersonLinked",
              "what was sent from the business's own phone"),
    _whatsapp("calls", whatsapp.calls, "ContactMoved", "signal call"),
    _whatsapp("user_preferences", whatsapp.preferences, "ContactMoved", "signal opt_in or opt_out"),
    _whatsapp("user_id_update", whatsapp.user_id_updated, "PersonLinked", "contacts joined"),
    _business(("account_update", "account_review_update", "account_alerts", "account_settings_update",
               "business_capability_update", "business_status_update", "security",
               "payment_configuration_update", "partner_solutions"), "the account"),
    _business(("message_template_status_update", "message_template_quality_update",
               "message_template_components_update", "template_category_update",
               "template_correct_category_detection"), "a template"),
    _business(("phone_number_name_update", "phone_number_quality_update"), "a number"),
    _business(("group_lifecycle_update", "group_participants_update", "group_settings_update",
               "group_status_update"), "a group"),
    Row("ad_account", (ANY,), (ANY,), (ANY,), account.ad_notice, "ChannelNotice", "notice: an ad"),
    Row("permissions", (ANY,), (ANY,), (ANY,), account.permission_changed, "GrantChanged",
        "none: logged, and the grant is looked at"),
    Row("user", (ANY,), (ANY,), (ANY,), account.person_changed, "GrantChanged",
        "none: the connecting person's own data stays out of the CRM"),
)  # fmt: skip

UNMAPPED: Final = {
    "page.entry": "an entry with neither changes nor messages: there is nothing to read",
    "page.foo.bar.remove": "a field that Meta does not document",
    "changed_fields": "the app is subscribed without values: only names of fields come",
}
"""Kinds known to have no translator, and why."""

_Key = tuple[str, str, str, str]
_BY_KEY: Final[Mapping[_Key, Row]] = {
    (row.topic, field, item, verb): row
    for row in ROWS
    for field in row.fields
    for item in row.items
    for verb in row.verbs
}


def row_of(happening: Happening, source: str) -> Row | None:
    """The row that reads this change, if there is one."""
    change, topic = happening.change, happening.topic
    if source in {"messaging", "standby"}:
        item = next((name for name in change if name not in _FRAME), "")
        return _BY_KEY.get((topic, source, item, ANY))
    field = text(change.get("field"))
    value = record(change.get("value"))
    item, verb = text(value.get("item")), text(value.get("verb"))
    candidates = (
        (field, item, verb),
        (field, item, ANY),
        (field, ANY, verb),
        (field, ANY, ANY),
        (ANY, ANY, ANY),
    )
    return next(filter(None, (_BY_KEY.get((topic, *key)) for key in candidates)), None)
