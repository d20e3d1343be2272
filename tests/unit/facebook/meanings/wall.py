"""What happens on a Page's wall, in its mentions and reviews."""

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    Event,
    Mentioned,
    MentionRemoved,
    Person,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
)
from tests.unit.facebook.fixtures import PAGE, after, at

POST = f"{PAGE}_8800"
VISITORS = f"{PAGE}_8811"
MIA = Person(external_id="7733001122", realm=PAGE, name="Mia Berg")
TOM = Person(external_id="7733004455", realm=PAGE, name="Tom Okoye")
ANA = Person(external_id="10206266332119368", realm=PAGE, name="Ana Ruiz")
COMMENT = CommentSeen(
    channel_external_id=PAGE,
    comment_external_id="8800_9900",
    at=at(0),
    surface="facebook",
    post_external_id=POST,
    author=MIA,
    created_at=at(0),
)
POSTED = PostSeen(channel_external_id=PAGE, post_external_id=POST, at=at(0), created_at=at(0))
NAMED = Mentioned(
    channel_external_id=PAGE,
    mention_external_id="44001_55",
    at=at(0),
    surface="facebook",
    person=Person(external_id="44001", realm=PAGE, name="Kiel Weekly"),
    post_external_id="44001_55",
)
LIKED = ReactionSet(
    channel_external_id=PAGE,
    target=Target.POST,
    target_external_id=POST,
    person=MIA,
    reaction="like",
    at=at(0),
    post_external_id=POST,
)

MEANINGS: Final[Mapping[str, tuple[Event, ...]]] = {
    "feed__album_edited_without_a_post": (
        evolve(POSTED, post_external_id="9007199254740993", at=after(at(60)), created_at=None),
    ),
    "feed__comment_added": (
        evolve(COMMENT, text="Do you deliver?", permalink="https://www.facebook.com/8800/posts/9900"),
    ),
    "feed__comment_added_before_v3": (evolve(COMMENT, author=ANA, text="hola"),),
    "feed__comment_added_by_nobody": (evolve(COMMENT, author=None, text="anonymous"),),
    "feed__comment_added_by_the_page": (
        evolve(
            COMMENT,
            comment_external_id="8800_9902",
            at=at(2),
            parent_external_id="8800_9900",
            author=None,
            is_ours=True,
            created_at=at(2),
            text="We do!",
        ),
    ),
    "feed__comment_added_in_reply": (
        evolve(
            COMMENT,
            comment_external_id="8800_9901",
            at=at(1),
            parent_external_id="8800_9900",
            author=TOM,
            created_at=at(1),
            text="They do.",
        ),
    ),
    "feed__comment_added_on_a_photo": (
        evolve(COMMENT, comment_external_id="7700_9903", text="which one?", is_hidden=True),
    ),
    "feed__comment_added_with_a_photo_only": (
        evolve(
            COMMENT,
            attachments=(
                Attachment(
                    type=AttachmentType.IMAGE, url="https://cdn.example/sticker.png", external_id="44550001"
                ),
            ),
        ),
    ),
    "feed__comment_added_with_a_video": (
        evolve(
            COMMENT,
            text="look",
            attachments=(Attachment(type=AttachmentType.VIDEO, url="https://cdn.example/look.mp4"),),
        ),
    ),
    "feed__comment_edited": (
        evolve(COMMENT, at=after(at(60)), created_at=None, is_edit=True, text="Do you deliver to Kiel?"),
    ),
    "feed__comment_edited_odd_text": (
        evolve(
            COMMENT,
            at=after(at(50)),
            author=Person(external_id="10206266332119368", realm=PAGE, name="Zoë 😀"),
            created_at=None,
            is_edit=True,
            text="half an emoji: �, a line\u2028end and \x00",
        ),
    ),
    "feed__comment_hidden": (
        CommentHidden(channel_external_id=PAGE, comment_external_id="8800_9900", at=at(70)),
    ),
    "feed__comment_removed": (
        CommentRemoved(channel_external_id=PAGE, comment_external_id="8800_9900", at=at(90)),
    ),
    "feed__comment_shown": (
        CommentHidden(channel_external_id=PAGE, comment_external_id="8800_9900", at=at(80), is_hidden=False),
    ),
    "feed__event_added": (
        evolve(POSTED, post_external_id="1944041199140", text="Corner Bakery added an event."),
    ),
    "feed__like_added_before_v3": (evolve(LIKED, person=ANA),),
    "feed__like_of_the_page": (evolve(LIKED, target_external_id=PAGE, post_external_id=""),),
    "feed__like_removed": (
        ReactionRemoved(
            channel_external_id=PAGE,
            target=Target.COMMENT,
            target_external_id="8800_9900",
            person=MIA,
            at=after(at(30)),
            post_external_id=POST,
        ),
    ),
    "feed__photo_added": (
        evolve(
            POSTED,
            text="Rye",
            attachments=(
                Attachment(
                    type=AttachmentType.IMAGE,
                    url="https://cdn.example/rye.jpg",
                    external_id="900767076685784",
                ),
            ),
        ),
    ),
    "feed__post_added_by_a_visitor": (
        evolve(POSTED, post_external_id=VISITORS, author=TOM, text="Lost my umbrella at your place"),
        evolve(
            NAMED,
            mention_external_id=VISITORS,
            person=TOM,
            text="Lost my umbrella at your place",
            post_external_id=VISITORS,
        ),
    ),
    "feed__post_edited_by_a_visitor": (
        evolve(
            POSTED,
            post_external_id=VISITORS,
            at=after(at(60)),
            created_at=None,
            author=TOM,
            text="Found it, thanks",
        ),
        evolve(
            NAMED,
            mention_external_id=VISITORS,
            at=after(at(60)),
            person=TOM,
            text="Found it, thanks",
            post_external_id=VISITORS,
        ),
    ),
    "feed__post_hidden": (
        evolve(
            POSTED,
            post_external_id=VISITORS,
            at=after(at(70)),
            created_at=None,
            author=TOM,
            text="Found it, thanks",
            is_hidden=True,
        ),
    ),
    "feed__post_removed": (PostRemoved(channel_external_id=PAGE, post_external_id=POST, at=at(90)),),
    "feed__post_removed_of_a_visitor": (
        PostRemoved(channel_external_id=PAGE, post_external_id=VISITORS, at=at(90)),
        MentionRemoved(channel_external_id=PAGE, mention_external_id=VISITORS, at=at(90)),
    ),
    "feed__post_shown": (
        evolve(
            POSTED,
            post_external_id=VISITORS,
            at=after(at(80)),
            created_at=None,
            author=TOM,
            text="Found it, thanks",
            is_hidden=False,
        ),
    ),
    "feed__reaction_added": (evolve(LIKED, reaction="love"),),
    "feed__reaction_added_by_nobody": (),
    "feed__reaction_added_to_a_comment": (
        evolve(LIKED, target=Target.COMMENT, target_external_id="8800_9900", reaction="haha"),
    ),
    "feed__reaction_changed": (evolve(LIKED, reaction="wow", at=after(at(9))),),
    "feed__reaction_removed": (
        ReactionRemoved(
            channel_external_id=PAGE,
            target=Target.POST,
            target_external_id=POST,
            person=MIA,
            at=after(at(19)),
            post_external_id=POST,
        ),
    ),
    "feed__share_added": (
        PostShared(
            channel_external_id=PAGE,
            post_external_id=POST,
            share_external_id="91001",
            at=at(0),
            person=TOM,
            text="worth it",
        ),
    ),
    "feed__share_added_by_nobody": (
        PostShared(channel_external_id=PAGE, post_external_id=POST, share_external_id="#", at=at(0)),
    ),
    "feed__share_added_by_the_page": (
        evolve(
            POSTED,
            post_external_id="6103920011774455_91002",
            text="New hours",
            attachments=(Attachment(type=AttachmentType.LINK, url="https://bakery.example/spring"),),
        ),
    ),
    "feed__share_hidden": (
        evolve(
            POSTED,
            post_external_id="6103920011774455_91002",
            at=after(at(40)),
            created_at=None,
            text="New hours",
            attachments=(Attachment(type=AttachmentType.LINK, url="https://bakery.example/spring"),),
            is_hidden=True,
        ),
    ),
    "feed__share_hidden_of_somebody": (),  # `post_id` is our post, which everybody still sees
    "feed__share_removed_by_somebody": (),
    "feed__share_removed_from_the_wall": (
        PostRemoved(channel_external_id=PAGE, post_external_id="6103920011774455_91003", at=at(50)),
        MentionRemoved(channel_external_id=PAGE, mention_external_id="6103920011774455_91003", at=at(50)),
    ),
    "feed__share_removed": (
        PostRemoved(channel_external_id=PAGE, post_external_id="6103920011774455_91002", at=at(50)),
    ),
    "feed__status_added": (
        evolve(
            POSTED,
            text="Fresh rye",
            attachments=(
                Attachment(type=AttachmentType.IMAGE, url="https://cdn.example/1.jpg"),
                Attachment(type=AttachmentType.IMAGE, url="https://cdn.example/2.jpg"),
            ),
            permalink="https://www.facebook.com/p/8800",
        ),
    ),
    "feed__video_added": (
        evolve(
            POSTED,
            text="The oven",
            attachments=(
                Attachment(type=AttachmentType.VIDEO, url="https://cdn.example/oven.mp4", external_id="9011"),
            ),
        ),
    ),
    "feed__video_blocked": (
        ChannelNotice(
            channel_external_id=PAGE,
            kind="video.block",
            notice_external_id="#",
            at=at(100),
            severity=Severity.PROBLEM,
            text="The oven",
            details={
                "item": "video",
                "verb": "block",
                "video_id": "9011",
                "video_flag_reason": "1",
                "link": "https://cdn.example/oven.mp4",
                "message": "The oven",
            },
        ),
    ),
    "feed__video_unmuted": (
        ChannelNotice(
            channel_external_id=PAGE,
            kind="video.unmute",
            notice_external_id="#",
            at=at(110),
            details={"item": "video", "verb": "unmute", "video_id": "9011", "video_flag_reason": "1"},
        ),
    ),
    "mention__edited": (evolve(NAMED, at=after(at(60)), text="Good rye: Corner Bakery"),),
    "mention__in_a_comment": (
        evolve(NAMED, mention_external_id="55_66", person=MIA, text="@Corner Bakery agreed"),
    ),
    "mention__in_a_post": (evolve(NAMED, text="Best rye: Corner Bakery"),),
    "mention__of_nobody": (evolve(NAMED, at=at(5), person=None),),
    "mention__removed": (MentionRemoved(channel_external_id=PAGE, mention_external_id="55_66", at=at(70)),),
    "ratings__comment_added": (
        evolve(COMMENT, comment_external_id="904_77", post_external_id="7733001122_904", author=TOM),
    ),
    "ratings__rating_removed": (
        MentionRemoved(channel_external_id=PAGE, mention_external_id="904801129604", at=at(70)),
    ),
    "ratings__reaction_removed": (
        ReactionRemoved(
            channel_external_id=PAGE,
            target=Target.POST,
            target_external_id="7733001122_904",
            person=Person(external_id="7733004455", realm=PAGE),
            at=after(at(19)),
            post_external_id="7733001122_904",
        ),
    ),
    "ratings__recommendation_edited": (
        evolve(
            NAMED,
            mention_external_id="904801129604",
            at=after(at(60)),
            person=MIA,
            text="negative",
            post_external_id="",
        ),
    ),
    "ratings__stars_added": (
        evolve(
            NAMED,
            mention_external_id="904801129604",
            person=MIA,
            text="4/5 · Good bread",
            post_external_id="",
        ),
    ),
}
