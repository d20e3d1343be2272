"""Messenger and Instagram messages: one shape for both, in `messaging` or (another app answers) `standby`.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from moorage_facebook.graph.values import items, record, records, text, truth
from moorage_facebook.translate.happening import (
    MOST_ATTACHMENTS,
    REPLY_WINDOW,
    Events,
    Happening,
    address,
    after,
    attached,
    first_id,
    joined,
    loose_id,
    name_of,
    prose,
    said,
    when,
)
from moorage_facebook.translate.talk import Talk, linked, reference_realm, referred, talk_of
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    DeliveryMark,
    DeliveryState,
    Event,
    Mentioned,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    ReactionRemoved,
    ReactionSet,
    Target,
)

_MOST_MESSAGES: Final = 1_000  # named in one mark
_CUSTOMER: Final = "messaging_customer_information"

_TYPES: Final = {
    "image": AttachmentType.IMAGE,
    "video": AttachmentType.VIDEO,
    "ig_reel": AttachmentType.VIDEO,
    "reel": AttachmentType.VIDEO,
    "ig_post": AttachmentType.LINK,
    "post": AttachmentType.LINK,
    "audio": AttachmentType.AUDIO,
    "file": AttachmentType.FILE,
    "sticker": AttachmentType.STICKER,
    "location": AttachmentType.LOCATION,
    "template": AttachmentType.TEMPLATE,
    "fallback": AttachmentType.LINK,
    "share": AttachmentType.LINK,
    "story_mention": AttachmentType.STORY,
    "ig_story": AttachmentType.STORY,
}


def message(happening: Happening) -> Events:
    """A message of either side, or its being taken back."""
    talk, told = talk_of(happening), record(happening.change.get("message"))
    message_id = loose_id(told.get("mid"))
    if message_id and truth(told.get("is_deleted")):
        return (
            MessageRemoved(
                channel_external_id=happening.channel, message_external_id=message_id, at=happening.at
            ),
        )
    if talk is None or not message_id:
        return None
    payload, reply_to = prose(record(told.get("quick_reply")).get("payload")), record(told.get("reply_to"))
    parts = records(told.get("attachments"))[:MOST_ATTACHMENTS]
    types = {text(part.get("type")) for part in parts}
    kind = MessageKind.CHOICE if payload else MessageKind.TEXT
    if truth(told.get("is_unsupported")) or "unsupported_type" in types:
        kind = MessageKind.UNSUPPORTED
    seen = _seen(
        talk,
        message_id,
        kind=kind,
        words=prose(told.get("text")),
        attachments=(*map(_attachment, parts), *_story(reply_to)),
        payload=payload,
        reply_to=loose_id(reply_to.get("mid")),
        # What we sent comes back as an echo, with what we wrote on its back.
        reference=loose_id(told.get("metadata")) if talk.is_ours else "",
    )
    named = _named(talk, message_id) if "story_mention" in types else ()
    return (seen, *named, *referred(talk, told.get("referral"), message_id), *_linked(talk))


def postback(happening: Happening) -> Events:
    """A button was pressed; without an id of its own in older versions."""
    talk, told = talk_of(happening), record(happening.change.get("postback"))
    if talk is None:
        return None
    message_id = loose_id(told.get("mid")) or f"postback:{happening.fingerprint}"
    seen = _seen(
        talk,
        message_id,
        kind=MessageKind.CHOICE,
        words=name_of(told.get("title")),
        payload=prose(told.get("payload")),
    )
    return (seen, *referred(talk, told.get("referral"), message_id))


def message_edited(happening: Happening) -> Events:
    """The sender changed the text."""
    told = record(happening.change.get("message_edit"))
    message_id = loose_id(told.get("mid"))
    if not message_id:
        return None
    return (
        MessageEdited(
            channel_external_id=happening.channel,
            message_external_id=message_id,
            at=after(happening.at),
            text=prose(told.get("text")),
        ),
    )


def reaction(happening: Happening) -> Events:
    """A message was reacted to, or no longer is."""
    talk, told = talk_of(happening), record(happening.change.get("reaction"))
    message_id = loose_id(told.get("mid"))
    if talk is None or not message_id:
        return None
    channel = Person(external_id=happening.channel, realm=happening.channel)
    person = channel if talk.is_ours else talk.person
    if text(told.get("action")) != "unreact":
        word = name_of(told.get("emoji")) or name_of(told.get("reaction"))
        return (_reacted(happening, message_id, person, word or "like"),)
    return (
        ReactionRemoved(
            channel_external_id=happening.channel,
            target=Target.MESSAGE,
            target_external_id=message_id,
            person=person,
            at=happening.at,
        ),
    )


def _reacted(happening: Happening, message_id: str, person: Person, word: str) -> ReactionSet:
    return ReactionSet(
        channel_external_id=happening.channel,
        target=Target.MESSAGE,
        target_external_id=message_id,
        person=person,
        reaction=word,
        at=happening.at,
    )


def rated(happening: Happening) -> Events:
    """A person rated one of our messages, with the thumbs below it."""
    talk, told = talk_of(happening), record(happening.change.get("response_feedback"))
    message_id, word = loose_id(told.get("mid")), name_of(told.get("feedback")).lower()
    if talk is None or not message_id or not word:
        return None
    return (_reacted(happening, message_id, talk.person, word),)


def read(happening: Happening) -> Events:
    """All up to a moment was read (Messenger), or one message (Instagram).

    What the business itself has read says nothing about its own messages.
    """
    talk, told = talk_of(happening), record(happening.change.get("read"))
    if talk is None:
        return None
    if talk.is_ours:
        return ()
    message_id, up_to = loose_id(told.get("mid")), when(told.get("watermark"))
    if message_id:
        return (
            MessageDelivery(
                channel_external_id=happening.channel,
                message_external_id=message_id,
                state=DeliveryState.READ,
                at=happening.at,
            ),
        )
    return (_mark(talk, DeliveryState.READ, up_to or happening.at),)


def delivery(happening: Happening) -> Events:
    """Messages arrived: those named, and all up to a moment."""
    talk, told = talk_of(happening), record(happening.change.get("delivery"))
    if talk is None:
        return None
    if talk.is_ours:
        return ()
    up_to = when(told.get("watermark")) or happening.at
    arrived = (
        MessageDelivery(
            channel_external_id=happening.channel,
            message_external_id=message_id,
            state=DeliveryState.DELIVERED,
            at=up_to,
        )
        for message_id in dict.fromkeys(map(loose_id, items(told.get("mids"))[:_MOST_MESSAGES]))
        if message_id
    )
    return (*arrived, _mark(talk, DeliveryState.DELIVERED, up_to))


def answered(happening: Happening) -> Events:
    """A person filled in a form in the thread: how satisfied they are, or how to reach them."""
    talk = talk_of(happening)
    words = joined(_answers(happening.change), " · ")
    if talk is None or not words:
        return None
    return (_seen(talk, f"answers:{happening.fingerprint}", kind=MessageKind.CHOICE, words=words),)


def _answers(change: Mapping[str, object]) -> Iterator[object]:
    for form, name in (("messaging_feedback", "feedback_screens"), (_CUSTOMER, "screens")):
        for screen in records(record(change.get(form)).get(name)):
            for question in record(screen.get("questions")).values():
                yield record(question).get("payload")
                yield record(record(question).get("follow_up")).get("payload")
            for response in records(screen.get("responses")):
                yield response.get("value")


def _seen(
    talk: Talk,
    message_id: str,
    *,
    kind: MessageKind,
    words: str,
    attachments: tuple[Attachment, ...] = (),
    payload: str = "",
    reply_to: str = "",
    reference: str = "",
) -> MessageSeen:
    happening = talk.happening
    return MessageSeen(
        channel_external_id=happening.channel,
        message_external_id=message_id,
        person=talk.person,
        at=happening.at,
        surface=talk.surface,
        is_ours=talk.is_ours,
        kind=kind,
        text=words,
        attachments=attachments,
        payload=payload,
        reply_to_external_id=reply_to,
        reply_until=None if talk.is_ours else happening.at + REPLY_WINDOW,
        reference=reference,
    )


def _attachment(part: Mapping[str, object]) -> Attachment:
    payload = record(part.get("payload"))
    sticker, place = loose_id(payload.get("sticker_id")), record(payload.get("coordinates"))
    products = records(record(payload.get("product")).get("elements"))
    kind = _TYPES.get(text(part.get("type")), AttachmentType.OTHER)
    return Attachment(
        type=AttachmentType.STICKER if sticker else kind,
        url=address(payload.get("url")) or address(part.get("url")),
        external_id=sticker or first_id(payload, "attachment_id", "reel_video_id", "ig_post_media_id", "id"),
        title=name_of(part.get("title")) or name_of(payload.get("title")),
        details=said(
            latitude=text(place.get("lat")),
            longitude=text(place.get("long")),
            template=text(payload.get("template_type")),
            products=joined(one.get("title") for one in products),
        ),
    )


def _named(talk: Talk, message_id: str) -> tuple[Event, ...]:
    """A story of theirs names us: it comes as a message."""
    if talk.is_ours:
        return ()
    return (
        Mentioned(
            channel_external_id=talk.happening.channel,
            mention_external_id=message_id,
            at=talk.happening.at,
            surface=talk.surface,
            person=talk.person,
        ),
    )


def _story(reply_to: Mapping[str, object]) -> tuple[Attachment, ...]:
    """The story that a message answers; its URL lives a day."""
    story = record(reply_to.get("story"))
    if not story:
        return ()
    return (attached(AttachmentType.STORY, story.get("url"), external_id=loose_id(story.get("id"))),)


def _linked(talk: Talk) -> tuple[Event, ...]:
    """The first message after a checkbox names the reference that the person had until now."""
    prior = record(talk.happening.change.get("prior_message"))
    reference = loose_id(prior.get("identifier"))
    if not reference or talk.is_ours:
        return ()
    former = Person(external_id=reference, realm=reference_realm(talk.happening.channel))
    return (linked(talk.happening, former, talk.person),)


def _mark(talk: Talk, state: DeliveryState, up_to: datetime) -> DeliveryMark:
    return DeliveryMark(
        channel_external_id=talk.happening.channel,
        person=talk.person,
        surface=talk.surface,
        state=state,
        up_to=up_to,
    )
