"""What is said in WhatsApp, how far it got, and who is who."""

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    ContactMoment,
    ContactMoved,
    DeliveryState,
    Event,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    PersonNamed,
    ReactionRemoved,
    ReactionSet,
    Target,
    Unmapped,
)
from tests.unit.facebook.fixtures import DAY, NUMBER, after, at

ADA = Person(external_id="491700000001", realm="whatsapp", name="Ada Lind")
ADAS_NUMBER = Person(external_id="491700000001", realm="whatsapp")
ADAS_USER_ID = Person(external_id="DE.13491208655302741918", realm="whatsapp-user")
BAKERS = Person(external_id="120363410000000042@g.us", realm="whatsapp-group")
SAID = MessageSeen(
    channel_external_id=NUMBER,
    message_external_id="wamid.QA==",
    person=ADA,
    at=at(1),
    surface="whatsapp",
    reply_until=at(1) + DAY,
)
GOT = MessageDelivery(
    channel_external_id=NUMBER, message_external_id="wamid.PA==", state=DeliveryState.SENT, at=at(1)
)
MOVED = ContactMoved(
    channel_external_id=NUMBER,
    person=ADAS_NUMBER,
    moment=ContactMoment.CALL,
    moment_external_id="#",
    at=at(1),
    surface="whatsapp",
)

TOM = Person(external_id="491700000002", realm="whatsapp")
TOLD = evolve(SAID, person=ADAS_NUMBER, is_history=True, reply_until=None)  # on the phone, long ago
HANDED_OVER_AT = at(100)  # what had become of it by then

MEANINGS: Final[Mapping[str, tuple[Event, ...]]] = {
    "whatsapp__button": (
        evolve(
            SAID, kind=MessageKind.CHOICE, text="Stop", payload="STOP_NEWS", reply_to_external_id="wamid.PA=="
        ),
    ),
    "whatsapp__button_reply": (evolve(SAID, kind=MessageKind.CHOICE, text="Saturday", payload="day-sat"),),
    "whatsapp__call_of_ours_answered": (evolve(MOVED, moment_external_id="wacid.2=", text="COMPLETED"),),
    "whatsapp__call_of_ours_rings": (),
    "whatsapp__call_permission": (evolve(SAID, kind=MessageKind.CHOICE, text="accept", payload="accept"),),
    "whatsapp__called": (
        evolve(MOVED, person=ADA, moment_external_id="wacid.1=", text="connect"),
        PersonLinked(
            channel_external_id=NUMBER,
            persons=(
                ADA,
                Person(external_id="DE.13491208655302741918", realm="whatsapp-user", name="Ada Lind"),
            ),
            at=at(1),
        ),
    ),
    "whatsapp__contacts": (
        evolve(
            SAID,
            attachments=(
                Attachment(
                    type=AttachmentType.CONTACT,
                    title="Tom Okoye",
                    details={
                        "phones": "+49 431 555",
                        "emails": "tom@customer.example",
                        "company": "Okoye Ltd",
                    },
                ),
                Attachment(
                    type=AttachmentType.CONTACT,
                    details={"phones": "49431556", "vcard": "BEGIN:VCARD\nFN:Mia\nEND:VCARD"},
                ),
            ),
        ),
    ),
    "whatsapp__contacts_saved": (
        PersonNamed(channel_external_id=NUMBER, person=evolve(ADA, handle="adalind"), at=at(1)),
        PersonNamed(channel_external_id=NUMBER, person=evolve(TOM, name="Tom"), at=at(2)),
    ),
    "whatsapp__delivered": (evolve(GOT, state=DeliveryState.DELIVERED, reference="answer-2"),),
    "whatsapp__document": (
        evolve(
            SAID,
            text="my order",
            attachments=(
                Attachment(
                    type=AttachmentType.FILE,
                    external_id="8472976218004",
                    title="order.pdf",
                    mime_type="application/pdf",
                ),
            ),
        ),
    ),
    "whatsapp__edited": (
        MessageEdited(
            channel_external_id=NUMBER,
            message_external_id="wamid.QA==",
            at=after(at(1)),
            text="Two loaves please",
        ),
    ),
    "whatsapp__edited_caption": (
        MessageEdited(
            channel_external_id=NUMBER, message_external_id="wamid.QF==", at=after(at(1)), text="like that"
        ),
    ),
    "whatsapp__failed": (
        evolve(GOT, state=DeliveryState.FAILED, error_code="131047", error="More than 24 hours have passed."),
    ),
    "whatsapp__failed_old_shape": (
        evolve(GOT, state=DeliveryState.FAILED, error_code="470", error="Outside of the window"),
    ),
    "whatsapp__flow_reply": (evolve(SAID, kind=MessageKind.CHOICE, text="Sent", payload='{"stars":"4"}'),),
    "whatsapp__history": (
        evolve(TOLD, message_external_id="wamid.HA==", text="Do you deliver?"),
        PersonLinked(channel_external_id=NUMBER, persons=(ADAS_NUMBER, ADAS_USER_ID), at=at(2)),
        evolve(TOLD, message_external_id="wamid.HB==", text="We do, from ten", is_ours=True, at=at(2)),
        MessageDelivery(
            channel_external_id=NUMBER,
            message_external_id="wamid.HB==",
            state=DeliveryState.READ,
            at=HANDED_OVER_AT,
        ),
        evolve(TOLD, message_external_id="wamid.HC==", kind=MessageKind.UNSUPPORTED, at=at(3)),
        ReactionSet(
            channel_external_id=NUMBER,
            target=Target.MESSAGE,
            target_external_id="wamid.HB==",
            person=ADAS_NUMBER,
            reaction="👍",
            at=at(4),
        ),
        ReactionRemoved(
            channel_external_id=NUMBER,
            target=Target.MESSAGE,
            target_external_id="wamid.HB==",
            person=ADAS_NUMBER,
            at=at(5),
        ),
        MessageEdited(
            channel_external_id=NUMBER,
            message_external_id="wamid.HA==",
            at=after(at(6)),
            text="Do you deliver on Sundays?",
        ),
        MessageRemoved(channel_external_id=NUMBER, message_external_id="wamid.HC==", at=at(7)),
        evolve(TOLD, message_external_id="wamid.HH==", person=TOM, text="A table for two", at=at(8)),
        ContactMoved(
            channel_external_id=NUMBER,
            person=TOM,
            moment=ContactMoment.REFERRAL,
            moment_external_id="wamid.HH==",
            at=at(8),
            surface="whatsapp",
            text="Breakfast",
            ad_external_id="23851100990011",
        ),
        evolve(TOLD, message_external_id="wamid.HI==", person=TOM, text="Gladly", is_ours=True, at=at(9)),
        MessageDelivery(
            channel_external_id=NUMBER,
            message_external_id="wamid.HI==",
            state=DeliveryState.FAILED,
            at=HANDED_OVER_AT,
        ),
        evolve(TOLD, message_external_id="wamid.HJ==", person=TOM, text="When?", is_ours=True, at=at(10)),
    ),
    "whatsapp__history_declined": (
        ChannelNotice(
            channel_external_id=NUMBER,
            kind="whatsapp.history",
            notice_external_id="#",
            at=HANDED_OVER_AT,
            text="The business shares none of its chats",
            details={"code": "2593109"},
        ),
    ),
    "whatsapp__history_file": (
        evolve(
            TOLD,
            message_external_id="wamid.HC==",
            text="this one",
            at=at(3),
            attachments=(
                Attachment(type=AttachmentType.IMAGE, external_id="1003383421387256", mime_type="image/jpeg"),
            ),
        ),
    ),
    "whatsapp__history_of_nothing": (),
    "whatsapp__image": (
        evolve(
            SAID,
            text="like this",
            attachments=(
                Attachment(
                    type=AttachmentType.IMAGE,
                    url="https://media.example/1",
                    external_id="8472976218001",
                    mime_type="image/jpeg",
                ),
            ),
        ),
    ),
    "whatsapp__list_reply": (evolve(SAID, kind=MessageKind.CHOICE, text="Express", payload="express"),),
    "whatsapp__location": (
        evolve(
            SAID,
            attachments=(
                Attachment(
                    type=AttachmentType.LOCATION,
                    url="https://maps.example/2",
                    title="Harbour",
                    details={"latitude": "54.32", "longitude": "10.14", "address": "Hafen 1, Kiel"},
                ),
            ),
        ),
    ),
    "whatsapp__new_type": (
        evolve(SAID, kind=MessageKind.UNSUPPORTED),
        Unmapped(kind="whatsapp_business_account.messages.hologram", raw={}),
    ),
    "whatsapp__new_user_id": (
        PersonLinked(
            channel_external_id=NUMBER,
            persons=(ADAS_NUMBER, Person(external_id="DE.101", realm="whatsapp-user"), ADAS_USER_ID),
            at=at(1),
        ),
    ),
    "whatsapp__order": (
        evolve(
            SAID,
            text="for Sunday",
            attachments=(
                Attachment(
                    type=AttachmentType.ORDER,
                    details={
                        "catalog": "194836987",
                        "items": "2 x rye, 10 x bun",
                        "prices": "4.5 EUR, 0.6 EUR",
                    },
                ),
            ),
        ),
    ),
    "whatsapp__phone_echo": (
        evolve(SAID, message_external_id="wamid.QG==", is_ours=True, text="Ready at nine", reply_until=None),
    ),
    "whatsapp__phone_echo_in_a_group": (
        evolve(
            SAID,
            message_external_id="wamid.QW==",
            person=BAKERS,
            surface="whatsapp-group",
            is_ours=True,
            text="we do",
            reply_until=None,
        ),
    ),
    "whatsapp__phone_echo_reaction": (
        ReactionSet(
            channel_external_id=NUMBER,
            target=Target.MESSAGE,
            target_external_id="wamid.QA==",
            person=Person(external_id=NUMBER, realm="whatsapp"),
            reaction="👍",
            at=at(1),
        ),
    ),
    "whatsapp__played": (evolve(GOT, state=DeliveryState.READ),),
    "whatsapp__preference_signup": (
        evolve(MOVED, moment=ContactMoment.OPT_IN, moment_external_id="13176843", text="marketing_messages"),
        PersonLinked(channel_external_id=NUMBER, persons=(ADAS_NUMBER, ADAS_USER_ID), at=at(1)),
    ),
    "whatsapp__preference_stop": (evolve(MOVED, moment=ContactMoment.OPT_OUT, text="marketing_messages"),),
    "whatsapp__reaction_added": (
        ReactionSet(
            channel_external_id=NUMBER,
            target=Target.MESSAGE,
            target_external_id="wamid.PA==",
            person=ADA,
            reaction="😀",
            at=at(1),
        ),
    ),
    "whatsapp__reaction_removed": (
        ReactionRemoved(
            channel_external_id=NUMBER,
            target=Target.MESSAGE,
            target_external_id="wamid.PA==",
            person=ADA,
            at=at(1),
        ),
    ),
    "whatsapp__reaction_with_user_id": (
        PersonLinked(
            channel_external_id=NUMBER,
            persons=(
                ADA,
                Person(external_id="DE.13491208655302741918", realm="whatsapp-user", name="Ada Lind"),
            ),
            at=at(1),
        ),
        ReactionSet(
            channel_external_id=NUMBER,
            target=Target.MESSAGE,
            target_external_id="wamid.PA==",
            person=ADA,
            reaction="😀",
            at=at(1),
        ),
    ),
    "whatsapp__read_by_user_id": (evolve(GOT, state=DeliveryState.READ),),
    "whatsapp__revoked": (
        MessageRemoved(channel_external_id=NUMBER, message_external_id="wamid.QA==", at=at(1)),
    ),
    "whatsapp__sent": (GOT,),
    "whatsapp__status_deleted": (
        MessageRemoved(channel_external_id=NUMBER, message_external_id="wamid.PA==", at=at(1)),
    ),
    "whatsapp__status_nobody_knows": (
        Unmapped(kind="whatsapp_business_account.messages.statuses.warmed", raw={}),
    ),
    "whatsapp__sticker": (
        evolve(
            SAID,
            attachments=(
                Attachment(type=AttachmentType.STICKER, external_id="8472976218005", mime_type="image/webp"),
            ),
        ),
    ),
    "whatsapp__system_new_identity": (
        evolve(SAID, kind=MessageKind.NOTICE, text="Security code changed", reply_until=None),
    ),
    "whatsapp__system_new_number": (
        evolve(
            SAID,
            message_external_id="wamid.QE==",
            person=ADAS_NUMBER,
            kind=MessageKind.NOTICE,
            text="Ada Lind changed from 491700000001 to 491700000008",
            reply_until=None,
        ),
        PersonLinked(
            channel_external_id=NUMBER,
            persons=(ADAS_NUMBER, Person(external_id="491700000008", realm="whatsapp")),
            at=at(1),
        ),
    ),
    "whatsapp__text": (evolve(SAID, text="One loaf please"),),
    "whatsapp__text_beside_a_strangers_card": (evolve(SAID, person=ADAS_NUMBER, text="hi"),),
    "whatsapp__text_by_user_id_beside_a_number": (
        evolve(SAID, message_external_id="wamid.QI==", person=ADAS_USER_ID, text="not proven to be Ada"),
    ),
    "whatsapp__text_by_user_id_only": (
        evolve(
            SAID,
            message_external_id="wamid.QB==",
            person=Person(external_id="DE.13491208655302741918", realm="whatsapp-user", name="Ada Lind"),
            text="hidden number",
        ),
    ),
    "whatsapp__text_from_an_ad": (
        evolve(SAID, text="about your ad"),
        evolve(
            MOVED,
            person=ADA,
            moment=ContactMoment.REFERRAL,
            moment_external_id="wamid.QA==",
            text="Fresh rye",
            ad_external_id="23851100990011",
        ),
    ),
    "whatsapp__text_in_a_group": (
        PersonLinked(
            channel_external_id=NUMBER,
            persons=(evolve(ADA, handle="ada"), evolve(ADAS_USER_ID, name="Ada Lind", handle="ada")),
            at=at(1),
        ),
        evolve(
            SAID,
            message_external_id="wamid.QV==",
            person=BAKERS,
            surface="whatsapp-group",
            text="who brings the bread?",
            reply_until=None,
        ),
    ),
    "whatsapp__text_in_reply": (evolve(SAID, text="this one", reply_to_external_id="wamid.PA=="),),
    "whatsapp__text_of_a_nameless": (
        evolve(
            SAID,
            message_external_id="wamid.QC==",
            person=Person(external_id="DE.13491208655302741918", realm="whatsapp-user", name="Ada Lind"),
            text="who?",
        ),
    ),
    "whatsapp__text_of_our_own_number": (
        evolve(SAID, message_external_id="wamid.QD==", is_ours=True, text="Good afternoon", reply_until=None),
    ),
    "whatsapp__text_with_user_id": (
        PersonLinked(
            channel_external_id=NUMBER,
            persons=(
                Person(external_id="491700000001", realm="whatsapp", name="Ada Lind", handle="ada"),
                Person(
                    external_id="DE.13491208655302741918",
                    realm="whatsapp-user",
                    name="Ada Lind",
                    handle="ada",
                ),
            ),
            at=at(1),
        ),
        evolve(
            SAID,
            person=Person(external_id="491700000001", realm="whatsapp", name="Ada Lind", handle="ada"),
            text="hi",
        ),
    ),
    "whatsapp__text_without_a_type": (
        evolve(SAID, text="an old shape"),
        Unmapped(kind="whatsapp_business_account.messages", raw={}),
    ),
    "whatsapp__two_messages_and_a_status": (
        evolve(
            SAID,
            message_external_id="wamid.QQ==",
            person=Person(external_id="491700000001", realm="whatsapp", name="Ada"),
            at=at(0),
            text="one",
            reply_until=at(0) + DAY,
        ),
        evolve(
            SAID,
            message_external_id="wamid.QR==",
            person=Person(external_id="491700000001", realm="whatsapp", name="Ada"),
            text="two",
        ),
        evolve(GOT, message_external_id="wamid.QS==", state=DeliveryState.READ, at=at(2)),
    ),
    "whatsapp__unknown": (evolve(SAID, kind=MessageKind.UNSUPPORTED, text="Not a type we know."),),
    "whatsapp__unsupported": (
        evolve(SAID, kind=MessageKind.UNSUPPORTED, text="Message type is currently not supported."),
    ),
    "whatsapp__video": (
        evolve(
            SAID,
            attachments=(
                Attachment(type=AttachmentType.VIDEO, external_id="8472976218003", mime_type="video/mp4"),
            ),
        ),
    ),
    "whatsapp__voice_message": (
        evolve(
            SAID,
            attachments=(
                Attachment(
                    type=AttachmentType.AUDIO, external_id="8472976218002", mime_type="audio/ogg; codecs=opus"
                ),
            ),
        ),
    ),
    "whatsapp__welcome_asked_for": (evolve(SAID, kind=MessageKind.NOTICE, reply_until=None),),
}
