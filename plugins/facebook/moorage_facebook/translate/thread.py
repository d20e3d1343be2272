"""What happens around the messages of Messenger and Instagram: opt-ins, referrals, hand-over, policy.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events
"""

from typing import Final

from moorage_facebook.graph.values import NOTHING, record, text
from moorage_facebook.translate.happening import (
    Events,
    Happening,
    first_text,
    flat,
    joined,
    loose_id,
    name_of,
    notice,
    prose,
    said,
)
from moorage_facebook.translate.talk import linked, person_by, referred, surface_of, talk_of
from moorage_ports.events import ContactMoment, ContactMoved, Person, Severity, ThreadHandedOver

ANOTHER: Final = "another"  # the owner of a thread whom Meta does not name
POLICY: Final = ("policy-enforcement", "policy_enforcement")
NOTICES: Final = ("request_thread_control", "app_roles", "checkout_update", "pre_checkout", "game_play")
_POLICY_SEVERITY: Final = {"unblock": Severity.INFO, "warning": Severity.WARNING}


def opted(happening: Happening) -> Events:
    """A person allows messages, or no longer does; with a reference, it says who that was before."""
    told = record(happening.change.get("optin")) or record(happening.change.get("optout"))
    channel, talk = happening.channel, talk_of(happening)
    former = person_by({"user_ref": told.get("user_ref")}, channel)
    person = talk.person if talk is not None else former
    if person is None:
        return None
    stopped = "STOP" in text(told.get("notification_messages_status")) or "optout" in happening.change
    moment = ContactMoment.OPT_OUT if stopped else ContactMoment.OPT_IN
    moved = _moved(happening, person, moment, words=first_text(told, "ref", "title", "type"))
    if former is None or former == person:
        return (moved,)
    return (moved, linked(happening, former, person))


def referral(happening: Happening) -> Events:
    """A person came into an existing conversation by an ad or a link."""
    talk = talk_of(happening)
    if talk is None:
        return None
    return referred(talk, happening.change.get("referral"), happening.fingerprint) or None


def account_linked(happening: Happening) -> Events:
    """A person linked (or unlinked) their account with the business."""
    talk, told = talk_of(happening), record(happening.change.get("account_linking"))
    if talk is None:
        return None
    is_linked = text(told.get("status")) != "unlinked"
    moment = ContactMoment.ACCOUNT_LINKED if is_linked else ContactMoment.ACCOUNT_UNLINKED
    return (_moved(happening, talk.person, moment),)


def paid(happening: Happening) -> Events:
    """A purchase inside the conversation. Addresses and means of payment stay where they are."""
    talk = talk_of(happening)
    if talk is None:
        return None
    told = record(happening.change.get("payment")) or record(happening.change.get("order"))
    amount = record(told.get("amount"))
    words = joined((amount.get("amount"), amount.get("currency")), " ")
    return (_moved(happening, talk.person, ContactMoment.PURCHASE, words=words),)


def handed_over(happening: Happening) -> Events:
    """Control of the thread was passed to us, or taken from us by the primary app.

    Meta tells the app that receives it; heard from the side lines (`standby`), it went to somebody else.
    """
    talk, change = talk_of(happening), happening.change
    if talk is None:
        return None
    told = record(change.get("take_thread_control")) or record(change.get("pass_thread_control"))
    is_ours = happening.source == "messaging" and "take_thread_control" not in change
    return (
        ThreadHandedOver(
            channel_external_id=happening.channel,
            person=talk.person,
            surface=talk.surface,
            at=happening.at,
            owner="" if is_ours else loose_id(told.get("new_owner_app_id")) or ANOTHER,
        ),
    )


def told_owner(happening: Happening) -> Events:
    """What concerns the app rather than the person: who would like to answer, which role it has.

    Of a checkout, only that there was one: the address is for the shop, not for the CRM.
    """
    kind = next((name for name in NOTICES if name in happening.change), "messaging")
    told = record(happening.change.get(kind))
    details = flat(told) if kind == "app_roles" else said(app=loose_id(told.get("requested_owner_app_id")))
    severity = Severity.WARNING if kind == "request_thread_control" else Severity.INFO
    return (notice(happening, kind, severity=severity, details=details),)


def policy_enforced(happening: Happening) -> Events:
    """The Page may no longer send, or may again. Nobody sends this one; its key has a hyphen."""
    told = next((record(happening.change.get(name)) for name in POLICY if name in happening.change), NOTHING)
    action = name_of(told.get("action"))
    reason = prose(told.get("reason"))
    severity = _POLICY_SEVERITY.get(action, Severity.PROBLEM)
    return (
        notice(happening, "policy_enforcement", severity=severity, told=reason, details=said(action=action)),
    )


def _moved(happening: Happening, person: Person, moment: ContactMoment, *, words: str = "") -> ContactMoved:
    return ContactMoved(
        channel_external_id=happening.channel,
        person=person,
        moment=moment,
        moment_external_id=happening.fingerprint,
        at=happening.at,
        surface=surface_of(happening),
        text=words,
    )
