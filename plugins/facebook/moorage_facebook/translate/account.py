"""What concerns the channel, the account or the grant rather than a customer.

https://developers.facebook.com/docs/whatsapp/business-management-api/webhooks/components
https://developers.facebook.com/docs/graph-api/webhooks/getting-started/webhooks-for-ad-accounts
"""

from typing import Final

import attrs

from moorage_facebook.graph.values import items, node_id, record, text
from moorage_facebook.translate.happening import (
    Events,
    Happening,
    first_text,
    loose_id,
    name_of,
    notice,
    said,
)
from moorage_ports.events import GrantChanged, Severity

_PROBLEMS: Final = (
    *("DELETED", "VIOLATION", "RESTRICTION", "DISABLE", "BANNED", "REJECTED", "FLAGGED"),
    *("UNINSTALLED", "REMOVED", "PAUSED", "SUSPEND", "BLOCKED", "OFFBOARDED"),
)
_WARNINGS: Final = frozenset(
    {"YELLOW", "RED", "DOWNGRADE", "DELETION", "APPEAL", "LIMIT", "LIMITED", "THROTTLED"}
)
# After these nobody of ours may act for the account any more.
_ENDS: Final = frozenset({"ACCOUNT_DELETED", "PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED"})
_TAKEN: Final = frozenset({"revoked", "revoke", "remove", "removed", "denied", "declined"})
_ALERTS: Final = {
    "CRITICAL": Severity.PROBLEM,
    "WARNING": Severity.WARNING,
    "INFORMATIONAL": Severity.INFO,
}
_MOST_TARGETS: Final = 100


def business_notice(happening: Happening) -> Events:
    """A WhatsApp account, number or template changed its standing."""
    value = happening.value
    if not value:
        return None
    verdict = first_text(value, "event", "decision", "new_quality_score", "new_category", "alert_type")
    words = first_text(value, "reason", "rejection_reason", "alert_description", "message")
    told = f"{verdict}: {words}" if words and words != "NONE" else verdict
    severity = _ALERTS.get(text(value.get("alert_severity"))) or _severity(
        verdict, name_of(value.get("new_status"))
    )
    account_id = loose_id(record(value.get("waba_info")).get("waba_id")) or happening.channel
    noticed = notice(happening, happening.field or "account_update", severity=severity, told=told)
    noticed = attrs.evolve(noticed, channel_external_id=account_id)
    if happening.field != "account_update" or verdict not in _ENDS:
        return (noticed,)
    return (noticed, GrantChanged(channel_external_id=account_id, is_withdrawn=True, at=happening.at))


def group_notice(happening: Happening) -> Events:
    """A group was made, or who is in it changed. Whose numbers those are stays where it is."""
    told = happening.told
    if not told:
        return None
    return (
        notice(
            happening,
            happening.field,
            told=first_text(told, "subject", "type"),
            details=said(
                group=loose_id(told.get("group_id")),
                type=text(told.get("type")),
                added=_count(told.get("added_participants")),
                removed=_count(told.get("removed_participants")),
            ),
        ),
    )


def ad_notice(happening: Happening) -> Events:
    """An ad, ad set or campaign is being processed, or has issues."""
    value, field = happening.value, happening.field
    has_issues = "issue" in field or bool(text(value.get("error_code")))
    severity = Severity.WARNING if "fatigue" in field else Severity.INFO
    return (
        notice(
            happening,
            f"ad_account.{field}",
            severity=Severity.PROBLEM if has_issues else severity,
            told=first_text(value, "error_message", "error_summary", "status_name"),
        ),
    )


def page_changed(happening: Happening) -> Events:
    """A field of the Page itself changed, or Meta tells its owner something."""
    return (notice(happening, happening.field),)


def names_only(happening: Happening) -> Events:
    """The app is subscribed without values, which its owner must know: Meta says what changed, not how."""
    field = name_of(happening.change.get("field"))
    if not field:
        return None
    return (notice(happening, "changed_fields", severity=Severity.WARNING, details={"field": field}),)


def permission_changed(happening: Happening) -> Events:
    """The person who connected granted or took back something, for some channels or for all.

    `connected` is the app itself.
    """
    field, value = name_of(happening.change.get("field")), happening.value
    targets = filter(None, map(node_id, items(value.get("target_ids"))[:_MOST_TARGETS]))
    verb = first_text(happening.change, "verb") or first_text(value, "verb")
    return tuple(
        GrantChanged(
            channel_external_id=target,
            scopes=() if field in {"", "connected"} else (field,),
            is_withdrawn=verb.lower() in _TAKEN,
            at=happening.at,
        )
        for target in (*dict.fromkeys(targets),) or ("",)
    )


def person_changed(happening: Happening) -> Events:
    """Something about the connecting person themselves changed: none of it is ours to keep."""
    return (GrantChanged(at=happening.at),)


def _count(value: object) -> str:
    return str(len(items(value))) if items(value) else ""


def _severity(verdict: str, status: str) -> Severity:
    if verdict.startswith("UN") or verdict in {"REINSTATE", "GREEN"}:
        return Severity.INFO
    if any(word in f"{verdict}_{status}" for word in _PROBLEMS):
        return Severity.PROBLEM
    words = {*verdict.split("_"), *status.split("_")}
    return Severity.INFO if _WARNINGS.isdisjoint(words) else Severity.WARNING
