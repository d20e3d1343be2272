"""`GraphDirectMessages`: Messenger, Instagram and WhatsApp messages, and private replies to comments.

https://developers.facebook.com/docs/messenger-platform/reference/send-api ·
https://developers.facebook.com/docs/messenger-platform/instagram/features/send-message ·
https://developers.facebook.com/docs/messenger-platform/discovery/private-replies ·
https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage_facebook.channel_types import INSTAGRAM as INSTAGRAM_CHANNEL
from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.values import canonical, records, text
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_facebook.translate.happening import loose_id
from moorage_facebook.translate.talk import reference_realm
from moorage_facebook.translate.whatsapp import GROUP_SURFACE, USERS
from moorage_ports.direct_messages import OutgoingMessage, PrivateReply, ReplyWindow
from moorage_ports.errors import InvalidRequestError, OutcomeUnknownError, RejectedError
from moorage_ports.events import Attachment, AttachmentType, MessageSeen, Person
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

MESSENGER: Final = "messenger"
INSTAGRAM: Final = "instagram"
WHATSAPP: Final = "whatsapp"
COMMENTS: Final = "facebook"  # the surface of comments on a Page

# https://developers.facebook.com/docs/messenger-platform/policy/policy-overview
STANDARD: Final = timedelta(hours=24)
HUMAN_AGENT: Final = timedelta(days=7)  # tagged so, and only what a person wrote
PRIVATE_REPLY: Final = timedelta(days=7)  # after the comment

LONGEST: Final[Mapping[str, int]] = {MESSENGER: 2_000, INSTAGRAM: 1_000, WHATSAPP: 4_096}
LONGEST_CAPTION: Final = 1_024
MOST_ATTACHMENTS: Final = 10

_MEDIA: Final[Mapping[AttachmentType, str]] = {
    AttachmentType.IMAGE: "image",
    AttachmentType.VIDEO: "video",
    AttachmentType.AUDIO: "audio",
    AttachmentType.FILE: "file",
}
_WITH_CAPTION: Final = (AttachmentType.IMAGE, AttachmentType.VIDEO, AttachmentType.FILE)
_IN_A_GROUP: Final = "Answer in WhatsApp itself, or write to people of the group one by one."
_CLOSED: Final = "Wait until the person writes again: Meta lets a channel answer for a while only."


# Calls -------------------------------------------------------------------------------------------


def page_message(message: OutgoingMessage, token: Secret, *, is_late: bool) -> GraphCall:
    """`POST /{page}/messages`; Instagram's go through the Page that the token is of.

    `is_late`: the standard window is closed, so it is tagged as a person's own words.
    https://developers.facebook.com/docs/messenger-platform/send-messages/message-tags
    """
    kind = (
        {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"} if is_late else {"messaging_type": "RESPONSE"}
    )
    answered = (
        {"reply_to": _json({"mid": message.reply_to_external_id})} if message.reply_to_external_id else {}
    )
    return _page_call(
        message.channel_external_id,
        message.surface,
        token,
        {
            "recipient": _json(_recipient(message.person, message.channel_external_id)),
            "message": _json(
                _content(message.text, message.attachments, _mark(message.surface, message.reference))
            ),
            **kind,
            **answered,
        },
    )


def private_reply(reply: PrivateReply, surface: str, token: Secret) -> GraphCall:
    """`POST /{page}/messages` to whoever wrote a comment; once per comment."""
    return _page_call(
        reply.channel_external_id,
        surface,
        token,
        {
            "recipient": _json({"comment_id": reply.comment_external_id}),
            "message": _json(_content(reply.text, (), _mark(surface, reply.reference))),
        },
    )


def whatsapp_message(message: OutgoingMessage, token: Secret) -> GraphCall:
    """`POST /{phone-number}/messages`; a text beside a picture, a video or a file is its caption."""
    person, answered = message.person, message.reply_to_external_id
    data = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "recipient" if person.realm == USERS else "to": person.external_id,
        **_whatsapp_content(message),
    }
    if answered:
        data["context"] = _json({"message_id": answered})
    if message.reference:
        data["biz_opaque_callback_data"] = message.reference  # statuses bring it back
    return GraphCall(
        method="POST",
        path=(message.channel_external_id, "messages"),
        data=data,
        expects=frozenset({"messages"}),
        token=token,
        owner=message.channel_external_id,
        use_case=WHATSAPP,
    )


def _page_call(channel_id: str, surface: str, token: Secret, data: Mapping[str, str]) -> GraphCall:
    return GraphCall(
        method="POST",
        path=("me" if surface == INSTAGRAM else channel_id, "messages"),
        data=data,
        expects=frozenset({"message_id"}),
        token=token,
        owner=channel_id,
        use_case=INSTAGRAM if surface == INSTAGRAM else MESSENGER,
    )


def _recipient(person: Person, channel_id: str) -> Mapping[str, object]:
    name = "user_ref" if person.realm == reference_realm(channel_id) else "id"
    return {name: person.external_id}


def _mark(surface: str, reference: str) -> Mapping[str, str]:
    """What the echo brings back; Instagram's Send API knows no such field."""
    return {"metadata": reference} if reference and surface == MESSENGER else {}


def _content(
    words: str, attachments: tuple[Attachment, ...], mark: Mapping[str, str]
) -> Mapping[str, object]:
    if not attachments:
        return {"text": words, **mark}
    (one,) = attachments
    payload = {"url": one.url, "is_reusable": False}
    return {"attachment": {"type": _MEDIA[one.type], "payload": payload}, **mark}


def _whatsapp_content(message: OutgoingMessage) -> Mapping[str, str]:
    if not message.attachments:
        return {"type": "text", "text": _json({"body": message.text, "preview_url": True})}
    (one,) = message.attachments
    kind = "document" if one.type is AttachmentType.FILE else _MEDIA[one.type]
    media = {"link": one.url, "caption": message.text}
    if kind == "document":
        media["filename"] = one.title
    return {"type": kind, kind: _json({name: value for name, value in media.items() if value})}


def _json(value: Mapping[str, object]) -> str:
    return canonical(value).decode()


# The port ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class GraphDirectMessages:
    """A `DirectMessages` for the Pages, Instagram accounts and WhatsApp numbers of one org."""

    client: GraphClient
    vault: GraphTokenVault

    def window(self, surface: str, last_received_at: datetime | None) -> ReplyWindow:
        """24 hours; where a person's own words can be tagged so, and for comments, seven days. No groups."""
        if surface == GROUP_SURFACE:
            return ReplyWindow(remedy=_IN_A_GROUP)
        if last_received_at is None:
            return ReplyWindow()
        until = last_received_at + STANDARD
        if surface == WHATSAPP:
            return ReplyWindow(until=until)
        if surface in {MESSENGER, INSTAGRAM}:
            return ReplyWindow(until=until, by_hand_until=last_received_at + HUMAN_AGENT)
        if surface == COMMENTS:
            return ReplyWindow(by_hand_until=last_received_at + PRIVATE_REPLY)
        return ReplyWindow()

    def parts(self, message: OutgoingMessage) -> tuple[OutgoingMessage, ...]:
        """Text and attachments apart; on WhatsApp a text that fits is the first attachment's caption."""
        _check(message)
        first = message.attachments[:1]
        if message.surface == WHATSAPP and first and _is_caption(message.text, first[0]):
            contents = [(message.text, first), *(("", (one,)) for one in message.attachments[1:])]
        else:
            words = [(message.text, ())] if message.text.strip() else []
            contents = [*words, *(("", (one,)) for one in message.attachments)]
        return tuple(_taken_apart(message, contents))

    async def send(self, message: OutgoingMessage) -> MessageSeen:
        """Send one part, in one call."""
        if len(self.parts(message)) != 1:
            msg = "Facebook takes a text or one attachment at a time"
            raise InvalidRequestError(msg)
        now = self.client.clock.now()
        window = self.window(message.surface, message.last_received_at)
        if not window.is_open(now, is_by_hand=message.is_by_hand):
            raise _closed(window)
        token = await self.vault.channel_token(message.channel_external_id)
        if message.surface == WHATSAPP:
            call = whatsapp_message(message, token)
        else:
            call = page_message(message, token, is_late=not window.is_open(now, is_by_hand=False))
        message_id = _message_id(await self.client.send(call))
        return MessageSeen(
            channel_external_id=message.channel_external_id,
            message_external_id=message_id,
            person=message.person,
            at=self.client.clock.now(),
            surface=message.surface,
            is_ours=True,
            text=message.text,
            attachments=message.attachments,
            reply_to_external_id=message.reply_to_external_id,
            reference=message.reference,
        )

    async def reply_privately(self, reply: PrivateReply) -> MessageSeen:
        """Answer a comment in its author's Messenger or Instagram inbox."""
        is_instagram = await self.vault.channel_type(reply.channel_external_id) == INSTAGRAM_CHANNEL
        surface = INSTAGRAM if is_instagram else MESSENGER
        _check_text(reply.text, surface)
        if reply.commented_at is not None:
            window = self.window(COMMENTS, reply.commented_at)
            if not window.is_open(self.client.clock.now(), is_by_hand=True):
                raise _closed(window)
        token = await self.vault.channel_token(reply.channel_external_id)
        answer = await self.client.send(private_reply(reply, surface, token))
        message_id, person_id = _message_id(answer), loose_id(answer.get("recipient_id"))
        if not person_id:
            raise _nameless()
        return MessageSeen(
            channel_external_id=reply.channel_external_id,
            message_external_id=message_id,
            person=Person(external_id=person_id, realm=reply.channel_external_id),
            at=self.client.clock.now(),
            surface=surface,
            is_ours=True,
            text=reply.text,
            reference=reply.reference,
        )


def _taken_apart(
    message: OutgoingMessage, contents: list[tuple[str, tuple[Attachment, ...]]]
) -> Iterator[OutgoingMessage]:
    """Only the first part answers a message: the others follow it."""
    for number, (words, attachments) in enumerate(contents):
        reply_to = message.reply_to_external_id if number == 0 else ""
        yield attrs.evolve(message, text=words, attachments=attachments, reply_to_external_id=reply_to)


def _is_caption(words: str, first: Attachment) -> bool:
    return first.type in _WITH_CAPTION and len(words) <= LONGEST_CAPTION


def _check(message: OutgoingMessage) -> None:
    """Refuse what Meta would refuse anyway.

    Raises:
        InvalidRequestError: Nothing to send, too much, or something that cannot be attached.
    """
    if message.text.strip() or not message.attachments:
        _check_text(message.text, message.surface)
    if len(message.attachments) > MOST_ATTACHMENTS:
        msg = f"at most {MOST_ATTACHMENTS} attachments are sent at a time"
        raise InvalidRequestError(msg, fields={"attachments": msg})
    for number, one in enumerate(message.attachments):
        if one.type not in _MEDIA or not one.url:
            msg = "only images, videos, audio and files with an address can be attached"
            raise InvalidRequestError(msg, fields={f"attachments[{number}]": msg})


def _check_text(words: str, surface: str) -> None:
    """Instagram counts bytes, the others characters."""
    longest = LONGEST.get(surface, LONGEST[MESSENGER])
    length = len(words.encode("utf-8", "replace")) if surface == INSTAGRAM else len(words)
    if not words.strip() or length > longest:
        unit = "bytes" if surface == INSTAGRAM else "characters"
        msg = f"a message takes 1 to {longest} {unit}"
        raise InvalidRequestError(msg, fields={"text": msg})


def _message_id(answer: Mapping[str, object]) -> str:
    """Of either API.

    Raises:
        OutcomeUnknownError: There is none: it may have been sent.
    """
    first = next(iter(records(answer.get("messages"))), {})
    message_id = loose_id(answer.get("message_id")) or loose_id(text(first.get("id")))
    if not message_id:
        raise _nameless()
    return message_id


def _nameless() -> OutcomeUnknownError:
    return OutcomeUnknownError("Facebook did not say what became of it", vendor=VENDOR, symptom="no_id")


def _closed(window: ReplyWindow) -> RejectedError:
    return RejectedError("the reply window is closed", vendor=VENDOR, remedy=window.remedy or _CLOSED)


def direct_messages(context: VendorContext) -> GraphDirectMessages:
    """The messages of one org's channels."""
    return GraphDirectMessages(client=graph_client(context), vault=token_vault(context))
