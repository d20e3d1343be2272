"""The neutral operations and what does each of them."""

from collections.abc import Mapping
from typing import Any, Final

from moorage.operations import (
    answering,
    channels,
    connecting,
    lead_backfills,
    lead_reading,
    lead_tests,
    publishing,
    syncing,
)
from moorage.services import OperationHandler
from moorage_ports import answering_operations, lead_operations, operations

# `Any`: the table holds handlers of different types; the declaration beside each name checks the bodies.
HANDLERS: Final[Mapping[str, OperationHandler[Any, Any]]] = {
    operations.BEGIN_CONNECT.name: connecting.begin_connect,
    operations.COMPLETE_CONNECT.name: connecting.complete_connect,
    operations.LIST_CHANNELS.name: channels.list_channels,
    operations.SELECT_CHANNELS.name: channels.select_channels,
    operations.PUBLISH.name: publishing.publish,
    operations.GET_PUBLICATION.name: publishing.get_publication,
    operations.SYNC_ACTIVITY.name: syncing.sync_activity,
    answering_operations.REPLY_TO_COMMENT.name: answering.reply_to_comment,
    answering_operations.HIDE_COMMENT.name: answering.hide_comment,
    answering_operations.REPLY_PRIVATELY.name: answering.reply_privately,
    answering_operations.SEND_MESSAGE.name: answering.send_message,
    lead_operations.LIST_LEAD_FORMS.name: lead_reading.list_lead_forms,
    lead_operations.GET_LEAD_FORM.name: lead_reading.get_lead_form,
    lead_operations.GET_LEAD.name: lead_reading.get_lead,
    lead_operations.BACKFILL_LEADS.name: lead_backfills.backfill_leads,
    lead_operations.GET_BACKFILL.name: lead_backfills.get_backfill,
    lead_operations.CREATE_TEST_LEAD.name: lead_tests.create_test_lead,
    lead_operations.GET_TEST_LEAD.name: lead_tests.get_test_lead,
}
