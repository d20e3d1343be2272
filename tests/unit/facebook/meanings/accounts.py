"""What concerns channels, accounts and grants; leads; and what nobody maps."""

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from moorage_ports.events import ChannelNotice, Event, GrantChanged, LeadArrived, Severity, Unmapped
from tests.unit.facebook.fixtures import BUSINESS, NUMBER, PAGE, RECEIVED_AT, at

NOTICE = ChannelNotice(channel_external_id=PAGE, kind="changed_fields", notice_external_id="#", at=at(5))

MEANINGS: Final[Mapping[str, tuple[Event, ...]]] = {
    "ad_account__field_changed": (
        evolve(NOTICE, channel_external_id="700100", kind="ad_account.field_changed"),
    ),
    "ad_account__in_process": (
        evolve(
            NOTICE,
            channel_external_id="0",
            kind="ad_account.in_process_ad_objects",
            text="Paused",
            details={"id": "111", "level": "CREATIVE", "status_name": "Paused"},
        ),
    ),
    "ad_account__with_issues": (
        evolve(
            NOTICE,
            channel_external_id="act_700100",
            kind="ad_account.with_issues_ad_objects",
            severity=Severity.PROBLEM,
            text="The picture was disapproved.",
            details={
                "id": "111",
                "level": "AD",
                "error_code": "1885",
                "error_summary": "Disapproved",
                "error_message": "The picture was disapproved.",
            },
        ),
    ),
    "leadgen__numeric_ids": (
        LeadArrived(
            lead_external_id="9007199254740993117",
            channel_external_id=PAGE,
            form_external_id="7712200100345",
            occurred_at=at(0),
        ),
    ),
    "leadgen__test_button_in_a_list": (
        LeadArrived(
            lead_external_id="555000111222",
            channel_external_id=PAGE,
            form_external_id="7712200100345",
            occurred_at=at(0),
        ),
    ),
    "leadgen__two_pages": (
        LeadArrived(
            lead_external_id="9007199254740993117",
            channel_external_id=PAGE,
            form_external_id="7712200100345",
            ad_external_id="23851100990011",
            occurred_at=at(0),
        ),
        LeadArrived(
            lead_external_id="9007199254740993118",
            channel_external_id=PAGE,
            form_external_id="7712200100345",
            occurred_at=at(0),
        ),
        LeadArrived(
            lead_external_id="9007199254740993119",
            channel_external_id="6103920011778888",
            form_external_id="7712200100999",
            occurred_at=at(1),
        ),
    ),
    "leadgen__update": (
        evolve(
            NOTICE,
            kind="leadgen_update",
            at=at(0),
            details={
                "leadgen_id": "9007199254740993117",
                "form_id": "7712200100345",
                "page_id": PAGE,
                "created_time": "1893459600",
            },
        ),
    ),
    "page__hours_changed": (
        evolve(NOTICE, kind="hours", details={"mon_1_open": "08:00", "mon_1_close": "18:00"}),
    ),
    "page__live_video": (
        evolve(NOTICE, kind="live_videos", details={"id": "9021", "status": "live_stopped"}),
    ),
    "page__names_only": (
        evolve(NOTICE, at=at(0), severity=Severity.WARNING, details={"field": "feed"}),
        evolve(NOTICE, at=at(0), severity=Severity.WARNING, details={"field": "leadgen"}),
    ),
    "page__odd_entries": (
        Unmapped(kind="page.entry", raw={}),
        evolve(NOTICE, kind="parking", at=at(0)),
        Unmapped(kind="page.entry", raw={}),
        Unmapped(kind="page.entry", raw={}),
        Unmapped(kind="page.feed", raw={}),
    ),
    "page__unknown_field": (Unmapped(kind="page.weather.rain.add", raw={}),),
    "page__unknown_item_and_verb": (
        Unmapped(kind="page.feed.hologram.add", raw={}),
        Unmapped(kind="page.feed.comment.juggle", raw={}),
        Unmapped(kind="page.feed.comment.add", raw={}),
    ),
    "permissions__app_removed": (GrantChanged(is_withdrawn=True, at=at(5)),),
    "permissions__granted_for_pages": (
        GrantChanged(channel_external_id=PAGE, scopes=("pages_manage_posts",), at=at(5)),
        GrantChanged(channel_external_id="6103920011778888", scopes=("pages_manage_posts",), at=at(5)),
    ),
    "permissions__taken": (
        GrantChanged(channel_external_id=PAGE, scopes=("leads_retrieval",), is_withdrawn=True, at=at(5)),
    ),
    "user__likes": (GrantChanged(at=at(5)),),
    "user__names_only": (GrantChanged(at=at(0)), GrantChanged(at=at(0))),
    "user__work_history": (GrantChanged(at=at(5)),),
    "whatsapp__account_alert": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="account_alerts",
            severity=Severity.WARNING,
            text="OBA_APPROVED: Look at your profile.",
            details={
                "entity_type": "WABA",
                "entity_id": BUSINESS,
                "alert_severity": "WARNING",
                "alert_status": "ACTIVE",
                "alert_type": "OBA_APPROVED",
                "alert_description": "Look at your profile.",
            },
        ),
    ),
    "whatsapp__account_deleted": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="account_update",
            severity=Severity.PROBLEM,
            text="ACCOUNT_DELETED",
            details={"event": "ACCOUNT_DELETED"},
        ),
        GrantChanged(channel_external_id=BUSINESS, is_withdrawn=True, at=at(5)),
    ),
    "whatsapp__account_has_a_blocked_flow": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="flows",
            severity=Severity.PROBLEM,
            text="FLOW_STATUS_CHANGE: Flow Order was blocked.",
            details={
                "event": "FLOW_STATUS_CHANGE",
                "message": "Flow Order was blocked.",
                "flow_id": "6627390910605886",
                "old_status": "PUBLISHED",
                "new_status": "BLOCKED",
            },
        ),
    ),
    "whatsapp__account_restricted": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="account_update",
            severity=Severity.PROBLEM,
            text="ACCOUNT_RESTRICTION",
            details={
                "event": "ACCOUNT_RESTRICTION",
                "phone_number": "4930123456",
                "restriction_info": "RESTRICTED_BIZ_INITIATED_MESSAGING, 1893460599",
            },
        ),
    ),
    "whatsapp__account_reviewed": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="account_review_update",
            severity=Severity.PROBLEM,
            text="REJECTED",
            details={"decision": "REJECTED"},
        ),
    ),
    "whatsapp__account_verified": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="account_update",
            text="VERIFIED_ACCOUNT",
            details={"event": "VERIFIED_ACCOUNT", "phone_number": "4930123456"},
        ),
    ),
    "whatsapp__group_made": (
        evolve(
            NOTICE,
            channel_external_id=NUMBER,
            kind="group_lifecycle_update",
            at=at(1),
            text="Sunday orders",
            details={"group": "Y2FwaQZD", "type": "group_create", "added": "1"},
        ),
    ),
    "whatsapp__names_only": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            at=at(0),
            severity=Severity.WARNING,
            details={"field": "messages"},
        ),
    ),
    "whatsapp__number_flagged": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="phone_number_quality_update",
            severity=Severity.PROBLEM,
            text="FLAGGED",
            details={"display_phone_number": "4930123456", "event": "FLAGGED", "current_limit": "TIER_1K"},
        ),
    ),
    "whatsapp__number_in_trouble": (
        evolve(
            NOTICE,
            channel_external_id=NUMBER,
            kind="whatsapp.error",
            at=RECEIVED_AT,
            severity=Severity.PROBLEM,
            text="Too many messages.",
            details={"code": "130429"},
        ),
    ),
    "whatsapp__number_limited": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="phone_number_quality_update",
            severity=Severity.WARNING,
            text="DOWNGRADE",
            details={"display_phone_number": "4930123456", "event": "DOWNGRADE", "current_limit": "TIER_250"},
        ),
    ),
    "whatsapp__number_named": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="phone_number_name_update",
            text="APPROVED",
            details={
                "display_phone_number": "4930123456",
                "decision": "APPROVED",
                "requested_verified_name": "Corner Bakery",
            },
        ),
    ),
    "whatsapp__partner_added_without_object": (
        evolve(
            NOTICE,
            channel_external_id="980198427658004",
            kind="account_update",
            at=at(0),
            text="PARTNER_ADDED",
            details={
                "event": "PARTNER_ADDED",
                "waba_info.waba_id": "980198427658004",
                "waba_info.owner_business_id": "2329417887457253",
            },
        ),
    ),
    "whatsapp__template_approved": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="message_template_status_update",
            text="APPROVED",
            details={
                "event": "APPROVED",
                "message_template_id": "1234567",
                "message_template_name": "order_ready",
                "message_template_language": "de",
                "reason": "NONE",
            },
        ),
    ),
    "whatsapp__template_quality": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="message_template_quality_update",
            severity=Severity.WARNING,
            text="YELLOW",
            details={
                "previous_quality_score": "GREEN",
                "new_quality_score": "YELLOW",
                "message_template_id": "1234567",
            },
        ),
    ),
    "whatsapp__template_rejected": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="message_template_status_update",
            severity=Severity.PROBLEM,
            text="REJECTED: INVALID_FORMAT",
            details={
                "event": "REJECTED",
                "message_template_id": "1234567",
                "message_template_name": "order_ready",
                "message_template_language": "de",
                "reason": "INVALID_FORMAT",
                "rejection_info.reason": "Two parameters in a row.",
                "rejection_info.recommendation": "Put words between.",
            },
        ),
    ),
    "whatsapp__template_shown_again": (
        evolve(
            NOTICE,
            channel_external_id=BUSINESS,
            kind="message_template_status_update",
            text="UNPAUSED",
            details={
                "event": "UNPAUSED",
                "message_template_id": "1234567",
                "message_template_name": "order_ready",
            },
        ),
    ),
}
