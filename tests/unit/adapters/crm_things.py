"""Records of the CRM for tests of what keeps them: with every field set, or with few."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import attrs

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.crm_records import (
    ActivityRecord,
    ContactRecord,
    ConversationRecord,
    IdentityRecord,
    Ledger,
    MessageRecord,
    NoticeRecord,
    PostRecord,
    UnmappedRecord,
)
from moorage_ports.events import Attachment, AttachmentType, DeliveryState, MessageKind, Severity
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import VENDOR

BOARD = "page-1"
KINDS: dict[type, str] = {
    IdentityRecord: "identities",
    ContactRecord: "contacts",
    ConversationRecord: "conversations",
    MessageRecord: "messages",
    ActivityRecord: "activities",
    PostRecord: "posts",
    NoticeRecord: "notices",
    UnmappedRecord: "unmapped",
}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def contact(number: int = 1, **changes: Any) -> ContactRecord:
    fields: dict[str, Any] = {"id": f"ct_{number}", "first_seen_at": NOON, "last_seen_at": NOON}
    return ContactRecord(**(fields | changes))


def identity(number: int = 1, **changes: Any) -> IdentityRecord:
    fields: dict[str, Any] = {
        "id": f"pi_{number}",
        "vendor": VENDOR,
        "realm": BOARD,
        "external_id": f"person-{number}",
        "contact_id": f"ct_{number}",
    }
    return IdentityRecord(**(fields | changes))


def conversation(number: int = 1, **changes: Any) -> ConversationRecord:
    """One that is listed: its last message is `ms_{number}`, its person `pi_{number}`."""
    fields: dict[str, Any] = {
        "id": f"cv_{number}",
        "vendor": VENDOR,
        "channel_external_id": BOARD,
        "kind": "direct",
        "surface": "letters",
        "identity_id": f"pi_{number}",
        "last_message_id": f"ms_{number}",
        "created_at": at(number),
        "updated_at": at(number),
    }
    return ConversationRecord(**(fields | changes))


def message(number: int = 1, **changes: Any) -> MessageRecord:
    fields: dict[str, Any] = {
        "id": f"ms_{number}",
        "vendor": VENDOR,
        "channel_external_id": BOARD,
        "external_id": f"m{number}",
        "conversation_id": f"cv_{number}",
        "is_known": True,
        "identity_id": f"pi_{number}",
        "text": f"text {number}",
        "at": at(number),
    }
    return MessageRecord(**(fields | changes))


def activity(number: int = 1, **changes: Any) -> ActivityRecord:
    fields: dict[str, Any] = {
        "id": f"ac_{number}",
        "vendor": VENDOR,
        "channel_external_id": BOARD,
        "kind": "reaction",
        "external_id": f"post-{number}",
        "target": "post",
        "identity_id": f"pi_{number}",
        "stamp": at(number),
        "at": at(number),
    }
    return ActivityRecord(**(fields | changes))


def post(number: int = 1, **changes: Any) -> PostRecord:
    fields: dict[str, Any] = {
        "id": f"po_{number}",
        "vendor": VENDOR,
        "channel_external_id": BOARD,
        "external_id": f"post-{number}",
        "created_at": at(number),
    }
    return PostRecord(**(fields | changes))


def notice(number: int = 1, **changes: Any) -> NoticeRecord:
    fields: dict[str, Any] = {
        "id": f"nt_{number}",
        "vendor": VENDOR,
        "channel_external_id": BOARD,
        "kind": "review",
        "severity": Severity.INFO,
        "at": at(number),
    }
    return NoticeRecord(**(fields | changes))


def unmapped(number: int = 1, **changes: Any) -> UnmappedRecord:
    fields: dict[str, Any] = {
        "id": f"un_{number}",
        "vendor": VENDOR,
        "kind": f"strange-{number}",
        "count": 1,
        "first_at": NOON,
        "last_at": NOON,
    }
    return UnmappedRecord(**(fields | changes))


PICTURE = Attachment(
    type=AttachmentType.IMAGE,
    url="https://cdn.example/1.jpg",
    external_id="att-1",
    title="A “quay”",
    mime_type="image/jpeg",
    details={"alt": "Möwe"},
)

FULL: tuple[attrs.AttrsInstance, ...] = (
    contact(
        name="Ada Reed",
        name_stamp=at(1),
        heat=12.25,
        first_seen_at=at(-9),
        last_seen_at=at(3),
        merged_into="x",
    ),
    contact(2),
    identity(name="Ada", name_stamp=at(1), handle="@ada", handle_stamp=at(2), contact_id="ct_2"),
    identity(2),
    conversation(
        thread_external_id="c1",
        post_external_id="post-1",
        status="snoozed",
        status_stamp=at(4),
        snoozed_until=at(5),
        assignee="user-1",
        tags=("vip", 'with "quotes"', "ümlaut"),
        read_at=at(6),
        last_message_at=at(7),
        last_received_at=at(8),
        unread_count=3,
        reply_until=at(9),
        delivered_up_to=at(10),
        read_up_to=at(11),
        owner="robot",
        owner_stamp=at(12),
        updated_at=at(0.000001),
    ),
    conversation(2),
    message(
        parent_external_id="c0",
        is_ours=True,
        sent_by="user-1",
        kind=MessageKind.CHOICE,
        attachments=(PICTURE, Attachment(type=AttachmentType.STICKER)),
        attachments_stamp=at(1),
        payload='{"choice": 1}',
        text_stamp=at(2),
        permalink="https://vendor.example/c1",
        reply_to_external_id="m0",
        is_exact=True,
        edited_at=at(3),
        removed_at=at(4),
        is_hidden=True,
        hidden_stamp=at(5),
        state=DeliveryState.FAILED,
        state_at=at(6),
        error_code="131047",
        error="too late",
        reactions={"pi_1": ("👍", at(7).isoformat()), "pi_2": ("", at(8).isoformat())},
    ),
    message(2),
    activity(
        post_external_id="post-1",
        reaction="love",
        text="well",
        is_present=False,
        is_exact=False,
        stamp=at(99),
    ),
    activity(2),
    post(
        identity_id="pi_1",
        text="Fresh scones",
        attachments=(PICTURE,),
        permalink="https://vendor.example/post-1",
        stamp=at(1),
        is_hidden=True,
        hidden_stamp=at(2),
        removed_at=at(3),
        shares=2**40,
        shares_stamp=at(4),
    ),
    post(2, created_at=None),
    notice(severity=Severity.PROBLEM, text="limited", details={"until": "tomorrow", "": ""}),
    notice(2),
    unmapped(count=2**40, item_id="item-1"),
    unmapped(2),
)


def ledger_of(records: Iterable[attrs.AttrsInstance]) -> Ledger:
    ledger = Ledger()
    for record in records:
        getattr(ledger, KINDS[type(record)])[record.id] = record  # type: ignore[attr-defined]
    return ledger


async def keep(storage: SqlStorage, org_id: str, *records: attrs.AttrsInstance) -> None:
    """Save these records as the org's, in a transaction of their own."""
    async with storage.unit_of_work(org_id) as uow:
        await uow.crm_records.save(ledger_of(records))
