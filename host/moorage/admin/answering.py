"""What may be answered from here, where, and until when."""

from datetime import datetime

import attrs

from moorage.admin.desk import Visit
from moorage.admin.standing import VendorStanding
from moorage.vendors import binding_of
from moorage_ports.answering_operations import HIDE_COMMENT, REPLY_PRIVATELY, REPLY_TO_COMMENT, SEND_MESSAGE
from moorage_ports.crm_records import ConversationRecord, MessageRecord
from moorage_ports.direct_messages import DirectMessages
from moorage_ports.errors import MoorageError
from moorage_ports.operations import Role


@attrs.frozen(kw_only=True)
class Answering:
    """What this person may do in a conversation now: nothing, unless it is said.

    `until` is when the vendor's reply window closes; one that `is_closed` did at `closed_at`, if ever, and
    where waiting does not help, `remedy` says what does.
    """

    can_answer: bool = False
    can_hide: bool = False
    until: datetime | None = None
    is_closed: bool = False
    closed_at: datetime | None = None
    remedy: str = ""
    surface: str = ""
    private: DirectMessages | None = attrs.field(default=None, repr=False)  # by which comments are answered

    def reaches(self, comment: MessageRecord, now: datetime) -> bool:
        """Whether the author of a comment may still be written to because of it."""
        if self.private is None or not comment.identity_id:
            return False
        return self.private.window(self.surface, comment.at).is_open(now, is_by_hand=True)


async def answering_of(
    visit: Visit, standing: VendorStanding | None, record: ConversationRecord
) -> Answering:
    """What may be answered: with the right role, over a living connection, as a channel to act as."""
    if standing is None or not (visit.may(Role.AGENT) and standing.is_live and _acts(standing, record)):
        return Answering()
    vendor = standing.vendor
    messages = await _messages(visit, standing)
    if record.kind == "comment":
        return Answering(
            can_answer=binding_of(vendor, REPLY_TO_COMMENT) is not None,
            can_hide=binding_of(vendor, HIDE_COMMENT) is not None,
            surface=record.surface,
            private=messages if binding_of(vendor, REPLY_PRIVATELY) else None,
        )
    if messages is None or binding_of(vendor, SEND_MESSAGE) is None:
        return Answering()
    window = messages.window(record.surface, record.last_received_at)
    ends_at = window.ends_at(is_by_hand=True)
    if window.is_open(visit.desk.now(), is_by_hand=True):
        return Answering(can_answer=True, until=ends_at)
    return Answering(is_closed=True, closed_at=ends_at, remedy=window.remedy)


def _acts(standing: VendorStanding, record: ConversationRecord) -> bool:
    """Whether there is a channel to act as."""
    return any(
        channel.external_id == record.channel_external_id and channel.selectable
        for channel in standing.selected
    )


async def _messages(visit: Visit, standing: VendorStanding) -> DirectMessages | None:
    if standing.vendor.direct_messages is None:
        return None
    try:
        context = await visit.services.context(standing.vendor, visit.org_id)
    except MoorageError:  # no app serves the org any more: then nothing can be sent, either
        return None
    return standing.vendor.direct_messages(context)
