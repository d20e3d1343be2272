"""How posts, reactions, shares, mentions and whatever else a person does are merged."""

from datetime import datetime

from moorage.crm.merge import (
    MAX_TEXT,
    Merge,
    earliest,
    heat_of_activity,
    identity_id_of,
    is_later,
    latest,
    plain,
)
from moorage.crm.talks import gather
from moorage_ports.crm_records import ActivityRecord, NoticeRecord, record_id
from moorage_ports.events import (
    ChannelNotice,
    ContactMoved,
    Mentioned,
    MentionRemoved,
    Person,
    PersonLinked,
    PersonNamed,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Target,
)

# Posts -------------------------------------------------------------------------------------------


def post_seen(merge: Merge, vendor: str, event: PostSeen) -> None:
    """A post as it stood; where it says nothing (hidden, shares), what was known stays."""
    post = merge.post(vendor, event, event.post_external_id)
    merge.changed.posts[post.id] = post
    if event.author is not None and event.author.external_id != event.channel_external_id:
        seen_at = event.created_at or event.at
        post.identity_id = max(post.identity_id, merge.person(vendor, event.author, event.at, seen_at))
    if event.created_at is not None:
        post.created_at = earliest(post.created_at, event.created_at)
    if event.is_hidden is not None and is_later(event.at, event.is_hidden, post.hidden_stamp, post.is_hidden):
        post.is_hidden, post.hidden_stamp = event.is_hidden, event.at
    if event.shares is not None and is_later(event.at, event.shares, post.shares_stamp, post.shares):
        post.shares, post.shares_stamp = event.shares, event.at
    if post.removed_at is not None:
        return
    text = event.text[:MAX_TEXT]
    told = (text + plain(event.attachments), event.permalink)
    if is_later(event.at, told, post.stamp, (post.text + plain(post.attachments), post.permalink)):
        post.text, post.attachments, post.permalink = text, event.attachments, event.permalink
        post.stamp = event.at


def post_removed(merge: Merge, vendor: str, event: PostRemoved) -> None:
    """Gone: its content is not kept."""
    post = merge.post(vendor, event, event.post_external_id)
    merge.changed.posts[post.id] = post
    post.removed_at = latest(post.removed_at, event.at)
    post.text, post.attachments, post.permalink, post.stamp = "", (), "", None


# Reactions ---------------------------------------------------------------------------------------


def reaction_set(merge: Merge, vendor: str, event: ReactionSet) -> None:
    """One per person and target; the latest word counts."""
    activity = _reaction(merge, vendor, event)
    before = heat_of_activity(activity)
    identity_id = _who(
        merge, vendor, event.person, event.channel_external_id, event.at, is_exact=event.is_exact
    )
    activity.identity_id = max(activity.identity_id, identity_id)
    _turn(activity, event.at, event.reaction[:MAX_TEXT], is_present=True)
    _date(activity, event.at, is_exact=event.is_exact)
    merge.warm(activity, before)
    if event.target is Target.MESSAGE:
        _show_on_message(merge, vendor, event, event.reaction)


def reaction_removed(merge: Merge, vendor: str, event: ReactionRemoved) -> None:
    """Taken back."""
    activity = _reaction(merge, vendor, event)
    before = heat_of_activity(activity)
    identity_id = _who(merge, vendor, event.person, event.channel_external_id, event.at)
    activity.identity_id = max(activity.identity_id, identity_id)
    _turn(activity, event.at, "", is_present=False)
    _date(activity, event.at, is_exact=False)
    merge.warm(activity, before)
    if event.target is Target.MESSAGE:
        _show_on_message(merge, vendor, event, "")


def _reaction(merge: Merge, vendor: str, event: ReactionSet | ReactionRemoved) -> ActivityRecord:
    names = (event.target.value, event.target_external_id, event.person.realm, event.person.external_id)
    activity = merge.activity(vendor, event, "reaction", *names, external_id=event.target_external_id)
    activity.target = event.target.value
    activity.post_external_id = max(activity.post_external_id, event.post_external_id)
    return activity


def _turn(activity: ActivityRecord, at: datetime, reaction: str, *, is_present: bool) -> None:
    """A register: at the same moment, taking it back is the last word."""
    told, known = (str(int(not is_present)), reaction), (str(int(not activity.is_present)), activity.reaction)
    if is_later(at, told, activity.stamp, known):
        activity.reaction, activity.is_present, activity.stamp = reaction, is_present, at


def _show_on_message(merge: Merge, vendor: str, event: ReactionSet | ReactionRemoved, reaction: str) -> None:
    message = merge.message(vendor, event, event.target_external_id)
    if not message.is_known:
        message.at = min(message.at, event.at)
    if message.removed_at is not None:
        return
    key, moment = identity_id_of(vendor, event.person), event.at.isoformat()
    said, said_at = message.reactions.get(key, ("", ""))
    if (moment, not reaction, reaction) > (said_at, not said, said):
        message.reactions = {**message.reactions, key: (reaction, moment)}


# What else people do -----------------------------------------------------------------------------


def post_shared(merge: Merge, vendor: str, event: PostShared) -> None:
    """A share: a signal where the vendor names the person, else only a count on the post."""
    merge.post(vendor, event, event.post_external_id)
    activity = merge.activity(
        vendor, event, "share", event.share_external_id, external_id=event.share_external_id
    )
    activity.post_external_id = max(activity.post_external_id, event.post_external_id)
    _did(merge, vendor, activity, event.person, event.at, event.text)


def mentioned(merge: Merge, vendor: str, event: Mentioned) -> None:
    """Somebody named the channel."""
    activity = merge.activity(
        vendor, event, "mention", event.mention_external_id, external_id=event.mention_external_id
    )
    activity.post_external_id = max(activity.post_external_id, event.post_external_id)
    _did(merge, vendor, activity, event.person, event.at, event.text)


def mention_removed(merge: Merge, vendor: str, event: MentionRemoved) -> None:
    """Gone for good, whenever its word comes."""
    activity = merge.activity(
        vendor, event, "mention", event.mention_external_id, external_id=event.mention_external_id
    )
    before = heat_of_activity(activity)
    activity.is_present, activity.target, activity.text = False, _GONE, ""
    activity.stamp = max(activity.stamp, event.at)
    _date(activity, event.at, is_exact=False)
    merge.warm(activity, before)


def contact_moved(merge: Merge, vendor: str, event: ContactMoved) -> None:
    """Came by an ad or a link, allowed or forbade messages, bought, called."""
    kind = event.moment.value
    activity = merge.activity(
        vendor, event, kind, event.moment_external_id, external_id=event.moment_external_id
    )
    activity.target = max(activity.target, event.ad_external_id)
    _did(merge, vendor, activity, event.person, event.at, event.text)


_GONE = "gone"  # in the `target` of a mention, which has no other: what was removed stays removed


def _did(
    merge: Merge, vendor: str, activity: ActivityRecord, person: Person | None, at: datetime, text: str
) -> None:
    """It happened once; of two words about it the later counts."""
    before = heat_of_activity(activity)
    if person is not None:
        identity_id = _who(merge, vendor, person, activity.channel_external_id, at)
        activity.identity_id = max(activity.identity_id, identity_id)
    _date(activity, at, is_exact=True)
    if activity.kind != "mention" or activity.target != _GONE:
        activity.is_present = True
        if is_later(at, text[:MAX_TEXT], activity.stamp, activity.text):
            activity.text = text[:MAX_TEXT]
    activity.stamp = max(activity.stamp, at)
    merge.warm(activity, before)


def _date(activity: ActivityRecord, at: datetime, *, is_exact: bool) -> None:
    """When it happened: what is exact beats what is not; the latest of those, the earliest of these."""
    if is_exact and not activity.is_exact:
        activity.at, activity.is_exact = at, True
    elif is_exact:
        activity.at = max(activity.at, at)
    elif not activity.is_exact:
        activity.at = min(activity.at, at)


def _who(
    merge: Merge,
    vendor: str,
    person: Person,
    channel_external_id: str,
    at: datetime,
    *,
    is_exact: bool = True,
) -> str:
    """The identity of who did it; nobody's if it was the channel itself."""
    if person.external_id == channel_external_id:
        return ""
    return merge.person(vendor, person, at, is_exact=is_exact)


# People and notices ------------------------------------------------------------------------------


def person_named(merge: Merge, vendor: str, event: PersonNamed) -> None:
    """A contact with that name; when they were first here, nobody knows."""
    merge.person(vendor, event.person, event.at, is_exact=False)


def person_linked(merge: Merge, vendor: str, event: PersonLinked) -> None:
    """The vendor says that they are one person: so they are one contact, with all that is known of each."""
    contacts = {
        merge.ledger.identities[merge.person(vendor, person, event.at)].contact_id for person in event.persons
    }
    joined = [one for one in merge.ledger.identities.values() if one.contact_id in contacts]
    if len(contacts) > 1:
        merge.join(joined)
        gather(merge, joined)


def channel_notice(merge: Merge, vendor: str, event: ChannelNotice) -> None:
    """What the vendor told the channel's owner; the latest word about one thing."""
    key = record_id("nt", vendor, event.kind, event.notice_external_id)
    known = merge.ledger.notices.get(key)
    notice = NoticeRecord(
        id=key,
        vendor=vendor,
        channel_external_id=event.channel_external_id,
        kind=event.kind,
        severity=event.severity,
        text=event.text[:MAX_TEXT],
        details=dict(event.details),
        at=event.at,
    )
    if known is None or is_later(event.at, _told(notice), known.at, _told(known)):
        merge.ledger.notices[key] = merge.changed.notices[key] = notice


def _told(notice: NoticeRecord) -> str:
    return repr((notice.severity.value, notice.text, sorted(notice.details.items())))
