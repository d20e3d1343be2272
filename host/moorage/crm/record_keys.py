"""Which records each kind of event looks at, and which one it is about, by the ids that it tells."""

from moorage.crm.merge import (
    contact_id_of,
    direct_id_of,
    identity_id_of,
    message_id_of,
    post_id_of,
    thread_id_of,
)
from moorage_ports.crm_records import LedgerKeys, attempt_record_id, record_id
from moorage_ports.events import (
    ChannelNotice,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    ContactMoved,
    DeliveryMark,
    Mentioned,
    MentionRemoved,
    MessageDelivery,
    MessageEdited,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    PersonNamed,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Target,
    ThreadHandedOver,
)


def note_comment_seen(keys: LedgerKeys, vendor: str, event: CommentSeen) -> None:
    """A comment, what is above it, and who wrote it."""
    comment, parent = event.comment_external_id, event.parent_external_id
    keys.messages.add(message_id_of(vendor, comment))
    keys.conversations.add(thread_id_of(vendor, comment))
    keys.activities.add(record_id("ac", vendor, "comment", comment))
    if parent:
        keys.messages.add(message_id_of(vendor, parent))
        keys.conversations.add(thread_id_of(vendor, parent))
    if event.post_external_id:
        keys.posts.add(post_id_of(vendor, event.post_external_id))
    if event.author is not None:
        _person(keys, vendor, event.author)
    if event.reference:
        keys.messages.add(attempt_record_id(vendor, event.reference))


def _direct(keys: LedgerKeys, vendor: str, channel: str, person: Person) -> None:
    keys.conversations.add(direct_id_of(vendor, channel, person))
    _person(keys, vendor, person)


def _person(keys: LedgerKeys, vendor: str, person: Person) -> None:
    keys.identities.add(identity_id_of(vendor, person))
    keys.contacts.add(contact_id_of(vendor, person))


def note_reaction(keys: LedgerKeys, vendor: str, event: ReactionSet | ReactionRemoved) -> None:
    """A reaction, who reacted, and to which message."""
    keys.activities.add(reaction_of(vendor, event))
    _person(keys, vendor, event.person)
    if event.target is Target.MESSAGE:
        keys.messages.add(message_id_of(vendor, event.target_external_id))


def note_comment(keys: LedgerKeys, vendor: str, event: CommentHidden | CommentRemoved) -> None:
    """A comment that is there already."""
    keys.messages.add(comment_of(vendor, event))
    keys.activities.add(record_id("ac", vendor, "comment", event.comment_external_id))


def note_message(
    keys: LedgerKeys, vendor: str, event: MessageSeen | MessageEdited | MessageRemoved | MessageDelivery
) -> None:
    """A message, and whose conversation it is in."""
    keys.messages.add(message_of(vendor, event))
    if isinstance(event, MessageSeen):
        _direct(keys, vendor, event.channel_external_id, event.person)
    if isinstance(event, MessageSeen | MessageDelivery) and event.reference:
        keys.messages.add(attempt_record_id(vendor, event.reference))


def note_mark(keys: LedgerKeys, vendor: str, event: DeliveryMark | ThreadHandedOver) -> None:
    """A conversation with somebody."""
    _direct(keys, vendor, event.channel_external_id, event.person)


def note_post(keys: LedgerKeys, vendor: str, event: PostSeen | PostRemoved) -> None:
    """A post, and who wrote it."""
    keys.posts.add(post_of(vendor, event))
    if isinstance(event, PostSeen) and event.author is not None:
        _person(keys, vendor, event.author)


def note_named(keys: LedgerKeys, vendor: str, event: PersonNamed) -> None:
    """Whoever is named."""
    _person(keys, vendor, event.person)


def note_linked(keys: LedgerKeys, vendor: str, event: PersonLinked) -> None:
    """Everybody who is one."""
    for person in event.persons:
        _person(keys, vendor, person)


def note_notice(keys: LedgerKeys, vendor: str, event: ChannelNotice) -> None:
    """A notice."""
    keys.notices.add(record_id("nt", vendor, event.kind, event.notice_external_id))


def note_shared(keys: LedgerKeys, vendor: str, event: PostShared) -> None:
    """A share, its post, and who shared it."""
    keys.activities.add(share_of(vendor, event))
    keys.posts.add(post_id_of(vendor, event.post_external_id))
    if event.person is not None:
        _person(keys, vendor, event.person)


def note_mention(keys: LedgerKeys, vendor: str, event: Mentioned | MentionRemoved) -> None:
    """A mention, and who did it."""
    keys.activities.add(mention_of(vendor, event))
    if isinstance(event, Mentioned) and event.person is not None:
        _person(keys, vendor, event.person)


def note_moved(keys: LedgerKeys, vendor: str, event: ContactMoved) -> None:
    """What somebody did, and who."""
    keys.activities.add(moment_of(vendor, event))
    _person(keys, vendor, event.person)


# The one record that an event is about ------------------------------------------------------------


def comment_of(vendor: str, event: CommentSeen | CommentHidden | CommentRemoved) -> str:
    """The comment."""
    return message_id_of(vendor, event.comment_external_id)


def message_of(vendor: str, event: MessageSeen | MessageEdited | MessageRemoved | MessageDelivery) -> str:
    """The message."""
    return message_id_of(vendor, event.message_external_id)


def post_of(vendor: str, event: PostSeen | PostRemoved) -> str:
    """The post."""
    return post_id_of(vendor, event.post_external_id)


def reaction_of(vendor: str, event: ReactionSet | ReactionRemoved) -> str:
    """The activity of a reaction: one of each person below each thing."""
    person = event.person
    names = (event.target.value, event.target_external_id, person.realm, person.external_id)
    return record_id("ac", vendor, "reaction", *names)


def share_of(vendor: str, event: PostShared) -> str:
    """The activity of a share."""
    return record_id("ac", vendor, "share", event.share_external_id)


def mention_of(vendor: str, event: Mentioned | MentionRemoved) -> str:
    """The activity of a mention."""
    return record_id("ac", vendor, "mention", event.mention_external_id)


def moment_of(vendor: str, event: ContactMoved) -> str:
    """The activity of what somebody did."""
    return record_id("ac", vendor, event.moment.value, event.moment_external_id)


def nothing_of(_: str, __: object) -> str:
    """It is about no one record."""
    return ""
