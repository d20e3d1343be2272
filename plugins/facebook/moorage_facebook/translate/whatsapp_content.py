"""What a WhatsApp message says, whatever its type.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples
"""

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from moorage_facebook.graph.values import items, record, records, text
from moorage_facebook.translate.happening import (
    MOST_ATTACHMENTS,
    address,
    first_text,
    joined,
    loose_id,
    name_of,
    prose,
    said,
)
from moorage_ports.events import Attachment, AttachmentType, MessageKind

MEDIA: Final = {
    "image": AttachmentType.IMAGE,
    "audio": AttachmentType.AUDIO,
    "video": AttachmentType.VIDEO,
    "document": AttachmentType.FILE,
    "sticker": AttachmentType.STICKER,
}


@attrs.frozen
class Content:
    """A message's content, neutral."""

    kind: MessageKind = MessageKind.TEXT
    text: str = ""
    payload: str = ""
    attachments: tuple[Attachment, ...] = ()


def content_of(told: Mapping[str, object]) -> Content:
    """What a message says; of a type that nobody knows, that it came."""
    kind = text(told.get("type"))
    if kind not in CONTENTS:
        kind = next((name for name in CONTENTS if name in told), "unsupported")
    return CONTENTS[kind](told)


def _text(told: Mapping[str, object]) -> Content:
    return Content(text=prose(record(told.get("text")).get("body")))


def _media(name: str) -> Callable[[Mapping[str, object]], Content]:
    def media(told: Mapping[str, object]) -> Content:
        part = record(told.get(name))
        attachment = Attachment(
            type=MEDIA[name],
            url=address(part.get("url")) or address(part.get("link")),
            external_id=loose_id(part.get("id")),
            title=name_of(part.get("filename")),
            mime_type=name_of(part.get("mime_type")),
        )
        return Content(text=prose(part.get("caption")), attachments=(attachment,))

    return media


def _location(told: Mapping[str, object]) -> Content:
    place = record(told.get("location"))
    attachment = Attachment(
        type=AttachmentType.LOCATION,
        url=address(place.get("url")),
        title=name_of(place.get("name")) or name_of(place.get("address")),
        details=said(
            latitude=text(place.get("latitude")),
            longitude=text(place.get("longitude")),
            address=text(place.get("address")),
        ),
    )
    return Content(attachments=(attachment,))


def _cards(told: Mapping[str, object]) -> Content:
    cards = records(items(told.get("contacts"))[:MOST_ATTACHMENTS])
    return Content(attachments=tuple(map(_card, cards)))


def _card(told: Mapping[str, object]) -> Attachment:
    phones = (one.get("phone") or one.get("wa_id") for one in records(told.get("phones")))
    return Attachment(
        type=AttachmentType.CONTACT,
        title=name_of(record(told.get("name")).get("formatted_name")),
        details=said(
            phones=joined(phones),
            emails=joined(one.get("email") for one in records(told.get("emails"))),
            company=text(record(told.get("org")).get("company")),
            vcard=text(told.get("vcard")),
        ),
    )


def _button(told: Mapping[str, object]) -> Content:
    pressed = record(told.get("button"))
    return Content(MessageKind.CHOICE, prose(pressed.get("text")), prose(pressed.get("payload")))


def _interactive(told: Mapping[str, object]) -> Content:
    """A button, a list entry, a filled-in flow, an answer to whether we may call."""
    answer = record(told.get("interactive"))
    chosen = record(answer.get(text(answer.get("type"))))
    words = first_text(chosen, "title", "body", "response")
    return Content(MessageKind.CHOICE, words, first_text(chosen, "id", "response_json", "response"))


def _order(told: Mapping[str, object]) -> Content:
    order = record(told.get("order"))
    products = records(items(order.get("product_items"))[:MOST_ATTACHMENTS])
    lines = (joined((one.get("quantity"), "x", one.get("product_retailer_id")), " ") for one in products)
    prices = (joined((one.get("item_price"), one.get("currency")), " ") for one in products)
    attachment = Attachment(
        type=AttachmentType.ORDER,
        details=said(catalog=text(order.get("catalog_id")), items=joined(lines), prices=joined(prices)),
    )
    return Content(text=prose(order.get("text")), attachments=(attachment,))


def _system(told: Mapping[str, object]) -> Content:
    return Content(MessageKind.NOTICE, prose(record(told.get("system")).get("body")))


def _unsupported(told: Mapping[str, object]) -> Content:
    """A poll, an event, a view-once picture: Meta says that it came, not what it is."""
    error = next(iter(records(told.get("errors"))), {})
    details = prose(record(error.get("error_data")).get("details"))
    return Content(MessageKind.UNSUPPORTED, details or first_text(error, "details", "message", "title"))


CONTENTS: Final[Mapping[str, Callable[[Mapping[str, object]], Content]]] = {
    "text": _text,
    **{name: _media(name) for name in MEDIA},
    "location": _location,
    "contacts": _cards,
    "button": _button,
    "interactive": _interactive,
    "order": _order,
    "system": _system,
    "request_welcome": lambda _: Content(MessageKind.NOTICE),
    "media_placeholder": lambda _: Content(MessageKind.UNSUPPORTED),  # of a history: the file may follow
    "unsupported": _unsupported,
    "unknown": _unsupported,
}
"""By the message's type."""
