"""The page about kinds of webhook changes, from the table by which they are translated."""

from collections.abc import Iterable, Iterator
from typing import Final

from moorage_facebook.translate.table import ANY, EFFECTS, OF_NO_CHANNEL, ROWS, UNMAPPED, Row

WRITTEN: Final = "<!-- Written by `python -m scripts.reference` from the plugin's table of kinds. -->"
KINDS_ARE: Final = (
    "Meta's webhooks, kind by kind: the delivery's object, the field that changed, and what was done to what "
    "of it. For messages the field is the list of the entry that holds them (`standby` if another app "
    "answers) and the item what the event is about; for WhatsApp the item is the message's type and the verb "
    "a status. Where it says *any*, it makes no difference."
)
SYNONYMS_ARE: Final = (
    "Verbs are Meta's, with one word for each meaning: no verb is `add`; `edit` and `update` are `edited`; "
    "`delete` is `remove`. Messages that come as a change's value, as the dashboard's test button sends "
    "them, are read like all others. Every event can be applied at any time, in any order and twice: "
    "see [how data flows](../explanation/architecture.md)."
)
OWNERS_ARE: Final = (
    "A change belongs to the organisations that have a channel it names: a Page, an Instagram account, a "
    "WhatsApp number. What names only a WhatsApp account or an ad account is of no channel: it is kept aside "
    "for seven days, and no organisation hears of it, though a translator would read it."
)
OF_NO_CHANNEL_IS: Final = "none: it is of no channel"
UNMAPPED_ARE: Final = (
    "What no translator reads becomes `Unmapped`: it keeps all of it, is counted by kind, and is listed for "
    "whoever operates the host. It is never refused. A WhatsApp message of a type that nobody knows is shown "
    "as unsupported, and is counted as well."
)


def kinds_page() -> str:
    """`facebook-webhooks.md`: which neutral events each kind means, and what these do to the CRM."""
    topics = dict.fromkeys(row.topic for row in ROWS)
    parts = [WRITTEN, "# Facebook: what becomes of each webhook", KINDS_ARE, SYNONYMS_ARE, OWNERS_ARE]
    for topic in topics:
        parts += [f"## `{topic}`", "\n".join(_table(row for row in ROWS if row.topic == topic))]
    reasons = [f"| {kind} | {why} |" for kind, why in UNMAPPED.items()]
    parts += ["## Unmapped", UNMAPPED_ARE, "\n".join(["| kind | why |", "|---|---|", *reasons])]
    return "\n\n".join(parts) + "\n"


def _table(rows: Iterable[Row]) -> Iterator[str]:
    yield "| field | item | verb | neutral event | effect in the CRM |"
    yield "|---|---|---|---|---|"
    for row in rows:
        words = (_words(part) for part in (row.fields, row.items, row.verbs))
        events = "<br>".join(f"`{event.__name__}`" for event in row.events)
        effects = "<br>".join(EFFECTS[event] for event in row.events)
        if set(row.fields) <= set(OF_NO_CHANNEL.get(row.topic, ())):
            effects = OF_NO_CHANNEL_IS
        yield f"| {' | '.join(words)} | {events} | {effects} |"


def _words(words: Iterable[str]) -> str:
    return ", ".join("any" if word == ANY else f"`{word}`" for word in words)
