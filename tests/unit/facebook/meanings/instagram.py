"""Comments, mentions, stories and messages of Instagram."""

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    CommentSeen,
    ContactMoment,
    ContactMoved,
    DeliveryState,
    Event,
    Mentioned,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    ReactionSet,
    Target,
)
from tests.unit.facebook.fixtures import ACCOUNT, DAY, after, at

NOOR = Person(external_id="5614879045270", realm=ACCOUNT)
NOOR_IN_COMMENTS = Person(external_id="5614879045270", realm=ACCOUNT, handle="noor.bakes")
COMMENT = CommentSeen(
    channel_external_id=ACCOUNT,
    comment_external_id="17900000000000001",
    at=at(5),
    surface="instagram",
    post_external_id="17900000000000009",
    author=NOOR_IN_COMMENTS,
)
SAID = MessageSeen(
    channel_external_id=ACCOUNT,
    message_external_id="aWdf_1",
    person=NOOR,
    at=at(1.25),
    surface="instagram",
    reply_until=at(1.25) + DAY,
)
NAMED = Mentioned(
    channel_external_id=ACCOUNT,
    mention_external_id="17900000000000019",
    at=at(5),
    surface="instagram",
    post_external_id="17900000000000019",
)

MEANINGS: Final[Mapping[str, tuple[Event, ...]]] = {
    "instagram__comment": (evolve(COMMENT, text="Recipe?"),),
    "instagram__comment_in_reply": (
        evolve(
            COMMENT,
            comment_external_id="17900000000000002",
            parent_external_id="17900000000000001",
            author=Person(external_id="5614879045271", realm=ACCOUNT, handle="lee"),
            text="Yes please",
        ),
    ),
    "instagram__comment_in_the_entry_itself": (evolve(COMMENT, text="Recipe?"),),
    "instagram__comment_of_ours": (
        evolve(
            COMMENT,
            comment_external_id="17900000000000003",
            parent_external_id="17900000000000001",
            author=None,
            is_ours=True,
            text="Soon!",
        ),
    ),
    "instagram__echo": (
        evolve(SAID, message_external_id="aWdf_7", is_ours=True, text="Until six.", reply_until=None),
    ),
    "instagram__edited": (
        MessageEdited(
            channel_external_id=ACCOUNT,
            message_external_id="aWdf_1",
            at=after(at(61.25)),
            text="Open on Sunday?",
        ),
    ),
    "instagram__live_comment_of_nobody": (
        evolve(
            COMMENT,
            comment_external_id="17900000000000004",
            post_external_id="",
            author=None,
            text="hello from the couch",
        ),
    ),
    "instagram__mention_in_a_caption": (NAMED,),
    "instagram__mention_in_a_comment": (evolve(NAMED, mention_external_id="17900000000000018"),),
    "instagram__message": (evolve(SAID, text="Open today?"),),
    "instagram__message_with_a_written_time": (
        evolve(
            SAID,
            message_external_id="aWdf_2",
            at=at(1),
            attachments=(
                Attachment(
                    type=AttachmentType.VIDEO,
                    url="https://cdn.example/reel",
                    external_id="17900000000000039",
                    title="Bread",
                ),
                Attachment(type=AttachmentType.LINK, url="https://cdn.example/post"),
            ),
            reply_until=at(1) + DAY,
        ),
    ),
    "instagram__overheard": (evolve(SAID, message_external_id="aWdf_9", text="to the other app"),),
    "instagram__postback": (
        evolve(SAID, message_external_id="aWdf_8", kind=MessageKind.CHOICE, text="Hours?", payload="HOURS"),
    ),
    "instagram__reaction": (
        ReactionSet(
            channel_external_id=ACCOUNT,
            target=Target.MESSAGE,
            target_external_id="aWdf_7",
            person=NOOR,
            reaction="❤",
            at=at(1.25),
        ),
    ),
    "instagram__read": (
        MessageDelivery(
            channel_external_id=ACCOUNT, message_external_id="aWdf_7", state=DeliveryState.READ, at=at(1.25)
        ),
    ),
    "instagram__referral": (
        ContactMoved(
            channel_external_id=ACCOUNT,
            person=NOOR,
            moment=ContactMoment.REFERRAL,
            moment_external_id="#",
            at=at(1.25),
            surface="instagram",
            text="bio",
        ),
    ),
    "instagram__story_insights": (
        ChannelNotice(
            channel_external_id=ACCOUNT,
            kind="story_insights",
            notice_external_id="#",
            at=at(5),
            details={
                "media_id": "17900000000000029",
                "impressions": "44",
                "reach": "40",
                "exits": "0",
                "taps_forward": "12",
            },
        ),
    ),
    "instagram__story_mention": (
        evolve(
            SAID,
            message_external_id="aWdf_3",
            attachments=(Attachment(type=AttachmentType.STORY, url="https://cdn.example/story.jpg"),),
        ),
        evolve(NAMED, mention_external_id="aWdf_3", at=at(1.25), person=NOOR, post_external_id=""),
    ),
    "instagram__story_reply": (
        evolve(
            SAID,
            message_external_id="aWdf_4",
            text="So good",
            attachments=(
                Attachment(
                    type=AttachmentType.STORY,
                    url="https://cdn.example/ours.jpg",
                    external_id="17900000000000029",
                ),
            ),
        ),
    ),
    "instagram__test_button": (
        evolve(
            SAID,
            channel_external_id="23245",
            message_external_id="random_mid",
            person=Person(external_id="12334", realm="23245"),
            at=at(1),
            text="random_text",
            reply_until=at(1) + DAY,
        ),
    ),
    "instagram__unsent": (
        MessageRemoved(channel_external_id=ACCOUNT, message_external_id="aWdf_1", at=at(1.25)),
    ),
    "instagram__unsupported": (evolve(SAID, message_external_id="aWdf_5", kind=MessageKind.UNSUPPORTED),),
    "instagram__unsupported_attachment": (
        evolve(
            SAID,
            message_external_id="aWdf_6",
            kind=MessageKind.UNSUPPORTED,
            attachments=(Attachment(type=AttachmentType.OTHER, url="https://cdn.example/x"),),
        ),
    ),
}
