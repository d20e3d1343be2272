"""What is said in Messenger, and around it."""

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    ContactMoment,
    ContactMoved,
    DeliveryMark,
    DeliveryState,
    Event,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
    ThreadHandedOver,
    Unmapped,
)
from tests.unit.facebook.fixtures import DAY, PAGE, after, at

GUEST = Person(external_id="7733001122", realm=PAGE)
SAID = MessageSeen(
    channel_external_id=PAGE,
    message_external_id="m_10",
    person=GUEST,
    at=at(1.25),
    surface="messenger",
    reply_until=at(1.25) + DAY,
)
MOVED = ContactMoved(
    channel_external_id=PAGE,
    person=GUEST,
    moment=ContactMoment.REFERRAL,
    moment_external_id="#",
    at=at(1.25),
    surface="messenger",
)
NOTICE = ChannelNotice(
    channel_external_id=PAGE, kind="policy_enforcement", notice_external_id="#", at=at(1.25)
)
REACTED = ReactionSet(
    channel_external_id=PAGE,
    target=Target.MESSAGE,
    target_external_id="m_18",
    person=GUEST,
    reaction="like",
    at=at(1.25),
)
MARK = DeliveryMark(
    channel_external_id=PAGE, person=GUEST, surface="messenger", state=DeliveryState.DELIVERED, up_to=at(1)
)
HANDED = ThreadHandedOver(channel_external_id=PAGE, person=GUEST, surface="messenger", at=at(1.25))

MEANINGS: Final[Mapping[str, tuple[Event, ...]]] = {
    "messages__account_linked": (evolve(MOVED, moment=ContactMoment.ACCOUNT_LINKED, at=at(2)),),
    "messages__account_unlinked": (evolve(MOVED, moment=ContactMoment.ACCOUNT_UNLINKED),),
    "messages__after_a_checkbox": (
        evolve(SAID, message_external_id="m_17", text="hello"),
        PersonLinked(
            channel_external_id=PAGE,
            persons=(Person(external_id="ref-771", realm=f"{PAGE}:user_ref"), GUEST),
            at=at(1.25),
        ),
    ),
    "messages__app_roles": (evolve(NOTICE, kind="app_roles", details={"5511": "primary_receiver"}),),
    "messages__asked_to_answer": (
        evolve(NOTICE, kind="request_thread_control", severity=Severity.WARNING, details={"app": "5511"}),
    ),
    "messages__attachments": (
        evolve(
            SAID,
            message_external_id="m_11",
            attachments=(
                Attachment(type=AttachmentType.IMAGE, url="https://cdn.example/a.jpg"),
                Attachment(type=AttachmentType.FILE, url="https://cdn.example/menu.pdf"),
                Attachment(
                    type=AttachmentType.LOCATION,
                    url="https://maps.example/1",
                    title="Harbour",
                    details={"latitude": "54.32", "longitude": "10.14"},
                ),
                Attachment(type=AttachmentType.LINK, url="https://news.example/", title="A page"),
                Attachment(type=AttachmentType.AUDIO),
                Attachment(type=AttachmentType.OTHER, url="https://cdn.example/h"),
            ),
        ),
    ),
    "messages__blocked": (
        evolve(NOTICE, severity=Severity.PROBLEM, text="Too many messages.", details={"action": "block"}),
    ),
    "messages__checkout": (evolve(NOTICE, kind="checkout_update"),),
    "messages__customer_information": (
        evolve(SAID, message_external_id="answers:#", kind=MessageKind.CHOICE, text="0431 555 · 24103"),
    ),
    "messages__delivered_without_a_time": (
        MessageDelivery(
            channel_external_id=PAGE, message_external_id="m_18", state=DeliveryState.DELIVERED, at=at(1)
        ),
        MessageDelivery(
            channel_external_id=PAGE, message_external_id="m_20", state=DeliveryState.DELIVERED, at=at(1)
        ),
        MARK,
    ),
    "messages__delivered_without_ids": (MARK,),
    "messages__echo": (
        evolve(
            SAID,
            message_external_id="m_18",
            is_ours=True,
            text="Yes, it is.",
            reply_until=None,
            reference="answer-1",
        ),
    ),
    "messages__echo_unsend_policy_standby": (
        evolve(
            SAID,
            message_external_id="m_AbC-_1",
            at=at(50.1),
            is_ours=True,
            text="sent from the Page",
            reply_until=None,
        ),
        MessageRemoved(channel_external_id=PAGE, message_external_id="m_AbC-_2", at=at(50.2)),
        evolve(NOTICE, at=at(50.3), severity=Severity.WARNING, text="x", details={"action": "warning"}),
        evolve(
            SAID,
            message_external_id="m_AbC-_3",
            at=at(50.4),
            text="another app owns this",
            reply_until=at(50.4) + DAY,
        ),
    ),
    "messages__edited": (
        MessageEdited(
            channel_external_id=PAGE,
            message_external_id="m_10",
            at=after(at(6.25)),
            text="Is the rye bread vegan?",
        ),
    ),
    "messages__feedback": (
        evolve(SAID, message_external_id="answers:#", kind=MessageKind.CHOICE, text="4 · Warm bread"),
    ),
    "messages__from_an_ad": (
        evolve(SAID, message_external_id="m_16", text="I saw your ad"),
        evolve(MOVED, moment_external_id="m_16", text="spring", ad_external_id="23851100990011"),
    ),
    "messages__nothing_said": (Unmapped(kind="page.messaging.message", raw={}),),
    "messages__opted_in": (
        evolve(MOVED, moment=ContactMoment.OPT_IN, text="newsletter"),
        PersonLinked(
            channel_external_id=PAGE,
            persons=(Person(external_id="ref-773", realm=f"{PAGE}:user_ref"), GUEST),
            at=at(1.25),
        ),
    ),
    "messages__opted_in_by_checkbox": (
        evolve(
            MOVED,
            person=Person(external_id="ref-774", realm=f"{PAGE}:user_ref"),
            moment=ContactMoment.OPT_IN,
            text="newsletter",
        ),
    ),
    "messages__opted_in_to_news": (evolve(MOVED, moment=ContactMoment.OPT_IN, text="Weekly bread"),),
    "messages__opted_out": (evolve(MOVED, moment=ContactMoment.OPT_OUT, text="marketing_messages"),),
    "messages__opted_out_of_news": (evolve(MOVED, moment=ContactMoment.OPT_OUT, text="Weekly bread"),),
    "messages__overheard": (evolve(SAID, message_external_id="m_21", text="for the other app"),),
    "messages__overheard_postback": (
        evolve(SAID, message_external_id="postback:#", kind=MessageKind.CHOICE, text="Menu"),
    ),
    "messages__paid": (evolve(MOVED, moment=ContactMoment.PURCHASE, text="29.62 EUR"),),
    "messages__passed_to_another": (evolve(HANDED, owner="5511"),),
    "messages__passed_to_us": (HANDED,),
    "messages__postback": (
        evolve(
            SAID, message_external_id="m_19", kind=MessageKind.CHOICE, text="Start", payload="GET_STARTED"
        ),
        evolve(MOVED, moment_external_id="m_19", text="door"),
    ),
    "messages__postback_of_a_guest": (
        evolve(
            SAID,
            message_external_id="postback:#",
            person=Person(external_id="ref-772", realm=f"{PAGE}:user_ref"),
            kind=MessageKind.CHOICE,
            payload="hey",
        ),
        evolve(
            MOVED,
            person=Person(external_id="ref-772", realm=f"{PAGE}:user_ref"),
            moment_external_id="postback:#",
            text="CUSTOMER_CHAT_PLUGIN",
        ),
    ),
    "messages__postback_without_an_id": (
        evolve(SAID, message_external_id="postback:#", kind=MessageKind.CHOICE, payload="MENU"),
    ),
    "messages__product": (
        evolve(
            SAID,
            message_external_id="m_13",
            text="this one?",
            attachments=(
                Attachment(
                    type=AttachmentType.TEMPLATE, details={"template": "product", "products": "Rye loaf, Bun"}
                ),
            ),
        ),
    ),
    "messages__quick_reply": (
        evolve(SAID, message_external_id="m_14", kind=MessageKind.CHOICE, text="Saturday", payload="DAY_SAT"),
    ),
    "messages__rated": (evolve(REACTED, reaction="good bot response"),),
    "messages__reaction_added": (evolve(REACTED, reaction="❤️"),),
    "messages__reaction_of_ours": (
        evolve(
            REACTED, target_external_id="m_10", person=Person(external_id=PAGE, realm=PAGE), reaction="other"
        ),
    ),
    "messages__reaction_removed": (
        ReactionRemoved(
            channel_external_id=PAGE,
            target=Target.MESSAGE,
            target_external_id="m_18",
            person=GUEST,
            at=at(2.25),
        ),
    ),
    "messages__read": (evolve(MARK, state=DeliveryState.READ),),
    "messages__read_by_us": (),
    "messages__referral": (evolve(MOVED, text="poster"),),
    "messages__reply": (
        evolve(SAID, message_external_id="m_15", text="yes, that", reply_to_external_id="m_10"),
    ),
    "messages__sticker": (
        evolve(
            SAID,
            message_external_id="m_12",
            attachments=(
                Attachment(
                    type=AttachmentType.STICKER,
                    url="https://cdn.example/like.png",
                    external_id="369239263222822",
                ),
            ),
        ),
    ),
    "messages__sticker_of_its_own_type": (
        evolve(
            SAID,
            message_external_id="m_22",
            attachments=(Attachment(type=AttachmentType.STICKER, url="https://cdn.example/wave.png"),),
        ),
    ),
    "messages__taken_from_us": (evolve(HANDED, owner="another"),),
    "messages__test_button": (
        evolve(
            SAID,
            message_external_id="test_message_id",
            at=at(1),
            text="test_message",
            reply_until=at(1) + DAY,
        ),
    ),
    "messages__test_button_of_a_standby": (
        evolve(
            SAID,
            message_external_id="test_message_id",
            at=at(1),
            text="test_message",
            reply_until=at(1) + DAY,
        ),
    ),
    "messages__text": (evolve(SAID, message_external_id="m_AbC-_10==", text="Is the rye vegan?"),),
    "messages__text_with_numeric_ids": (
        evolve(
            SAID,
            message_external_id="mid.1458:ab",
            person=Person(external_id="10206266332119368", realm=PAGE),
            text="hi",
        ),
    ),
    "messages__unblocked": (evolve(NOTICE, details={"action": "unblock"}),),
    "messages__unsent": (MessageRemoved(channel_external_id=PAGE, message_external_id="m_10", at=at(1.25)),),
    "messages__warned": (
        evolve(NOTICE, severity=Severity.WARNING, text="Few answers.", details={"action": "warning"}),
    ),
}
