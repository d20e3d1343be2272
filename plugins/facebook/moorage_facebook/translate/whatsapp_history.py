"""What was said on a business's phone before its number was connected, as it is handed over afterwards.

Each message is read as if it had come by itself, at its own time; but nobody has to look at it, and it opens
no window to answer in.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/history
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from moorage_facebook.graph.values import items, record, text
from moorage_facebook.translate.happening import Events, Happening, loose_id, notice, said
from moorage_facebook.translate.whatsapp import (
    NO_DIGIT,
    STATES,
    edited,
    error_of,
    message,
    own_numbers,
    reaction,
    renumbered,
    revoked,
)
from moorage_ports.events import DeliveryState, Event, MessageDelivery, MessageSeen, Severity, Unmapped

_READERS: Final[Mapping[str, Callable[[Happening], Events]]] = {
    "system": renumbered,
    "reaction": reaction,
    "edit": edited,
    "revoke": revoked,
}
# The phone's words. `pending` is not among them: what it has not sent yet has got nowhere.
_STATES: Final = {**STATES, "error": DeliveryState.FAILED}
_DECLINED: Final = "2593109"  # the business shares no history: its own choice, and no trouble


def told(happening: Happening) -> Events:
    """A piece of a chunk; or a message by itself, whose file is named only now."""
    if happening.list_name == "history":
        return _chunk(happening)
    return _message(happening, happening.told, "")


def declined(happening: Happening) -> Events:
    """There is no history, and why."""
    code, words = error_of(happening.told.get("errors") or happening.value.get("errors"))
    if not code and not words:
        return None
    severity = Severity.INFO if code == _DECLINED else Severity.WARNING
    return (notice(happening, "whatsapp.history", severity=severity, told=words, details=said(code=code)),)


def _chunk(happening: Happening) -> Events:
    """What can be read; and that there was something else, if there was."""
    readings = list(_readings(happening))
    if not readings:
        return () if record(happening.told.get("metadata")) else None
    events = [event for reading in readings for event in reading or ()]
    if None not in readings:
        return tuple(events)
    if all(reading is None for reading in readings):
        return None
    kind = f"{happening.topic}.{happening.field}"
    return (*events, Unmapped(kind=kind, raw=happening.change))


def _readings(happening: Happening) -> Iterator[Events]:
    for thread in items(happening.told.get("threads")):
        if not isinstance(thread, dict):
            yield None
            continue
        thread_id = loose_id(thread.get("id"))
        for one in items(thread.get("messages")):
            yield _message(happening, record(one), thread_id)


def _message(happening: Happening, one: Mapping[str, object], thread_id: str) -> Events:
    """One message, with whoever the thread is with on its other side."""
    if _is_own(happening, thread_id):
        return ()  # what somebody noted for themselves
    is_ours = _is_ours(happening, one, thread_id)
    name, side = ("message_echoes", "to") if is_ours else ("messages", "from")
    if thread_id:
        one = {**one, (side if thread_id.isdecimal() else f"{side}_user_id"): thread_id}
    shared = {part: happening.value.get(part) for part in ("metadata", "contacts")}
    change = {"field": "messages", "value": {**shared, name: [one]}}
    alone = Happening(happening.topic, "changes", happening.entry, change, happening.received_at)
    events = _READERS.get(alone.item, message)(alone)
    if events is None:
        return None
    return (*map(_as_history, events), *(_delivered(happening, one) if is_ours else ()))


def _is_ours(happening: Happening, one: Mapping[str, object], thread_id: str) -> bool:
    """By the sender's number. Only what the business sent names an addressee."""
    if happening.list_name == "message_echoes":
        return True
    sender, addressee = loose_id(one.get("from")), loose_id(one.get("to"))
    if _is_own(happening, sender):
        return True
    return bool(thread_id) and addressee == thread_id != sender


def _is_own(happening: Happening, number: str) -> bool:
    """Whether it is the business's own, as it is dialled: the one displayed may have blanks and brackets."""
    own = {NO_DIGIT.sub("", one) for one in own_numbers(happening)}
    return NO_DIGIT.sub("", number) in own - {""}


def _as_history(event: Event) -> Event:
    if not isinstance(event, MessageSeen):
        return event
    return attrs.evolve(event, is_history=True, reply_until=None)


def _delivered(happening: Happening, one: Mapping[str, object]) -> Iterator[MessageDelivery]:
    """How far it had got when the history was handed over; when it got there, nobody says."""
    status = text(record(one.get("history_context")).get("status"))
    state, message_id = _STATES.get(status.lower()), loose_id(one.get("id"))
    if state is None or not message_id or text(one.get("type")) in _READERS:
        return
    code, words = error_of(one.get("errors"))
    yield MessageDelivery(
        channel_external_id=happening.channel,
        message_external_id=message_id,
        state=state,
        at=happening.sent_at,
        error_code=code,
        error=words,
    )
