"""One conversation: what was said, what can be answered, and what people decided about it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final

import attrs
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from moorage.admin import words
from moorage.admin.answering import Answering, answering_of
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, Form
from moorage.admin.inbox import NAMELESS, assignee_words
from moorage.admin.leafing import leafing, page_number
from moorage.admin.pages import Answer
from moorage.admin.sessions import caller_of
from moorage.admin.standing import VendorStanding, channel_names, vendor_standing
from moorage.admin.words import Badge, Trouble
from moorage.auth import SESSION
from moorage.crm.inbox import no_conversation, status_at
from moorage.crm.messages import delivery_state
from moorage.crm.scoring import score
from moorage.crm.tending import TendConversation, tend_conversation
from moorage.errors import status_of
from moorage.ids import new_id
from moorage_ports.answering_operations import (
    HIDE_COMMENT,
    REPLY_PRIVATELY,
    REPLY_TO_COMMENT,
    SEND_MESSAGE,
    HideComment,
    ReplyPrivately,
    ReplyToComment,
    SendMessage,
)
from moorage_ports.conversations import Conversation, Message
from moorage_ports.crm_records import MessageRecord
from moorage_ports.errors import InvalidRequestError, MoorageError, NotFoundError
from moorage_ports.events import DeliveryState, MessageKind
from moorage_ports.listing import Listing
from moorage_ports.operations import Role
from moorage_ports.plugin import Vendor

SHOWN: Final = 50
_ONE: Final = "/inbox/{conversation_id:str}"
SNOOZES: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "hour": ("for an hour", timedelta(hours=1)),
    "day": ("for a day", timedelta(days=1)),
    "week": ("for a week", timedelta(days=7)),
    "written": ("until somebody writes", None),
}
_ONCE: Final = "admin-answer"  # under which a form's key is remembered
_KINDS: Final[Mapping[MessageKind, str]] = {
    MessageKind.CHOICE: "Chose",
    MessageKind.REFERRAL: "Came by an ad or a link",
    MessageKind.NOTICE: "A notice",
    MessageKind.UNSUPPORTED: "Something that is not handed over: look at it there",
}


@attrs.frozen(kw_only=True)
class Line:
    """A message as the page shows it."""

    id: str
    record: MessageRecord
    author: str
    is_ours: bool
    note: str  # how it came about, if not by being typed
    answers: str  # the beginning of what it answers
    badge: Badge | None
    trouble: str
    reactions: tuple[str, ...]
    can_hide: bool
    can_answer_privately: bool


@attrs.frozen(kw_only=True)
class Draft:
    """What stands in a form after it was refused: nothing has to be typed twice. `about`: which form."""

    about: str = ""
    text: str = ""


@get(_ONE, opt=SESSION)
async def conversation_page(
    visit: VisitHere,
    conversation_id: FromPath[str],
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """One conversation, its newest messages last. A look changes nothing; a form says that it was read."""
    return await _page(visit, conversation_id, number=page_number(p))


@post(f"{_ONE}/answer", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def answer(visit: VisitHere, form: FormHere, conversation_id: FromPath[str]) -> Answer:
    """Answer publicly below a comment, or write to the person."""
    text = form.text("text")
    vendor, found = await _found(visit, conversation_id)
    key = form.text("key") or new_id()
    try:
        _check(text)
        if found.record.kind == "comment":
            reply = ReplyToComment(text=text, conversation_id=conversation_id)
            await visit.ask_once(_ONCE, key, vendor, REPLY_TO_COMMENT, reply)
        else:
            message = SendMessage(text=text, conversation_id=conversation_id, by_hand=True)
            await visit.ask_once(_ONCE, key, vendor, SEND_MESSAGE, message)
    except MoorageError as error:
        return await _refused(visit, conversation_id, error, Draft(text=text))
    return await _done(visit, form, conversation_id)


@post(f"{_ONE}/private", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def answer_privately(visit: VisitHere, form: FormHere, conversation_id: FromPath[str]) -> Answer:
    """Answer a comment by a direct message to its author."""
    text, message_id = form.text("text"), form.text("message")
    vendor, _ = await _found(visit, conversation_id)
    try:
        _check(text)
        reply = ReplyPrivately(text=text, comment_id=message_id or "none")
        await visit.ask_once(_ONCE, form.text("key") or new_id(), vendor, REPLY_PRIVATELY, reply)
    except MoorageError as error:
        return await _refused(visit, conversation_id, error, Draft(about=message_id, text=text))
    return await _done(visit, form, conversation_id)


@post(f"{_ONE}/hide", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def hide(visit: VisitHere, form: FormHere, conversation_id: FromPath[str]) -> Answer:
    """Hide a comment from others, or show it again."""
    vendor, _ = await _found(visit, conversation_id)
    asked = HideComment(comment_id=form.text("message") or "none", hidden=form.text("hidden") == "1")
    try:
        await visit.ask(vendor, HIDE_COMMENT, asked)
    except MoorageError as error:
        return await _refused(visit, conversation_id, error)
    return visit.redirect(f"/admin/inbox/{conversation_id}")


@post(f"{_ONE}/tend", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def tend(visit: VisitHere, form: FormHere, conversation_id: FromPath[str]) -> Answer:
    """Close, open, snooze, assign, tag, or mark as read."""
    caller = visit.caller(Role.AGENT)
    try:
        asked = _tending(form, visit.desk.now())
        await tend_conversation(visit.services, caller, conversation_id, asked)
    except InvalidRequestError as error:
        return await _refused(visit, conversation_id, error)
    return visit.redirect(f"/admin/inbox/{conversation_id}")


def _tending(form: Form, now: datetime) -> TendConversation:
    """What one of the page's buttons asks for.

    Raises:
        InvalidRequestError: None of them, or tags that do not fit.
    """
    match form.text("do"):
        case ("open" | "pending" | "closed") as status:
            # Whoever closes it has seen it.
            return TendConversation(status=status, read=True if status == "closed" else None)
        case "snooze":
            _, length = SNOOZES.get(form.text("until"), SNOOZES["day"])
            until = now + length if length else None
            return TendConversation(status="snoozed", snoozed_until=until, read=True)
        case "assign":
            return TendConversation(assignee=form.text("assignee")[:255])
        case "tag":
            tags = [tag.strip() for tag in form.text("tags").split(",")]
            try:
                return TendConversation(tags=tuple(tag for tag in tags if tag))
            except ValueError:
                msg = "tags that do not fit"
                told = "Up to 32 tags of up to 64 characters each, with commas between."
                raise InvalidRequestError(msg, fields={"tags": told}) from None
        case "read":
            upto = _moment(form.text("upto"))
            return TendConversation(read_up_to=upto, read=True if upto is None else None)
        case "unread":
            return TendConversation(read=False)
        case _:
            msg = "no button of this page"
            raise InvalidRequestError(msg)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _check(text: str) -> None:
    if not text:
        msg = "there is nothing to send"
        raise InvalidRequestError(msg, fields={"text": "Write something first."})


async def _found(visit: Visit, conversation_id: str) -> tuple[Vendor, Conversation]:
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        found = await uow.conversations.get(conversation_id)
    if found is None:
        raise no_conversation()
    return visit.services.vendors.get(found.record.vendor), found


async def _done(visit: Visit, form: Form, conversation_id: str) -> Answer:
    """It is on its way; whoever answers has read what they answer."""
    seen = TendConversation(read_up_to=_moment(form.text("upto")))
    if seen.read_up_to is not None:
        await tend_conversation(visit.services, caller_of(visit.session), conversation_id, seen)
    return visit.redirect(f"/admin/inbox/{conversation_id}#latest")


async def _refused(
    visit: Visit, conversation_id: str, error: MoorageError, draft: Draft | None = None
) -> Answer:
    if isinstance(error, NotFoundError) and draft is None:
        raise error
    failure = words.trouble(error)
    return await _page(visit, conversation_id, failure=failure, draft=draft, status=status_of(error))


# The page ------------------------------------------------------------------------------------


async def _page(
    visit: Visit,
    conversation_id: str,
    *,
    number: int = 1,
    failure: Trouble | None = None,
    draft: Draft | None = None,
    status: int = 200,
) -> Answer:
    now = visit.desk.now()
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        found = await uow.conversations.get(conversation_id)
        if found is None:
            raise no_conversation()
        record = found.record
        messages = await uow.conversations.messages(conversation_id, page=number, page_size=SHOWN)
        card = visit.services.vendors.by_slug.get(record.vendor)
        standing = await vendor_standing(uow, card) if card else None
        contact = await uow.contacts.get(found.contact_id) if found.contact_id else None
    emails = await visit.services.storage.accounts.emails(visit.org_id)
    answering = await answering_of(visit, standing, record)
    state = status_at(record, now)
    context = {
        "title": found.contact_name or NAMELESS,
        "talk": record,
        "about": "" if found.subject == found.contact_name else found.subject,
        "vendor_title": card.title if card else record.vendor,
        "channel": _channel_name(standing, found),
        "state": state,
        "badge": words.CONVERSATIONS[state],
        "lines": _lines(answering, messages, now),
        "pages": leafing(messages, {}),
        "upto": _last_moment(messages),
        "contact": contact,
        "contact_score": score(contact.record.heat, now) if contact else 0.0,
        "assignee": assignee_words(record.assignee, visit, emails),
        "me": visit.session.account_id,
        "colleagues": dict(sorted(emails.items(), key=lambda one: one[1])),
        "snoozes": {key: told for key, (told, _) in SNOOZES.items()},
        "answering": answering,
        "expired": [standing] if standing and standing.is_expired else [],
        "failure": failure,
        "draft": draft or Draft(),
        "key": new_id(),
    }
    return visit.page("conversation.html", context, status=status)


def _channel_name(standing: VendorStanding | None, found: Conversation) -> str:
    names = channel_names((standing,)) if standing else {}
    return names.get((found.record.vendor, found.record.channel_external_id), "a channel that is gone")


def _last_moment(messages: Listing[Message]) -> str:
    """Up to when somebody who sees this page has read; "" on an earlier page."""
    return messages.items[0].record.at.isoformat() if messages.page == 1 and messages.items else ""


def _lines(answering: Answering, messages: Listing[Message], now: datetime) -> list[Line]:
    """The messages of a page, the oldest first."""
    known = {one.record.external_id: one for one in messages.items if one.record.external_id}
    lines = []
    for one in reversed(messages.items):
        record = one.record
        above = known.get(record.reply_to_external_id)
        if one.conversation is None or record.parent_external_id != one.conversation.thread_external_id:
            above = known.get(record.parent_external_id) or above  # that all answer the first one, all see
        is_theirs = not record.is_ours and record.removed_at is None
        line = Line(
            id=record.id,
            record=record,
            author=one.author_name or ("The channel" if record.is_ours else NAMELESS),
            is_ours=record.is_ours,
            note=_KINDS.get(record.kind, ""),
            answers=_brief(above.record.text) if above else "",
            badge=_delivery_badge(one),
            trouble=words.trouble_from_code(record.error_code).remedy if record.error_code else "",
            reactions=tuple(_reactions(record.reactions.values())),
            can_hide=is_theirs and answering.can_hide,
            can_answer_privately=is_theirs and answering.reaches(record, now),
        )
        lines.append(line)
    return lines


def _delivery_badge(message: Message) -> Badge | None:
    """How far one of ours got; a comment that is there needs no word."""
    state = delivery_state(message)
    is_comment = message.conversation is not None and message.conversation.kind == "comment"
    if state is None or (is_comment and state is DeliveryState.SENT):
        return None
    return words.DELIVERIES[state]


def _reactions(given: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (reaction for reaction, _ in sorted(given, key=lambda one: one[1]) if reaction)


def _brief(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 80 else flat[:79].rstrip() + "…"
