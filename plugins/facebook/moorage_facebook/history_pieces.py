"""What WhatsApp hands over of a phone's chats in one go comes apart into pieces, each small enough for a row.

A piece is a chunk with one thread of at most `MOST_MESSAGES`, so that it is about one person. A delivery may
hold thousands of messages, and nobody can ask for them again: where there are very many short threads,
several share a piece, or there would be more rows than one delivery may have.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/history
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from moorage_facebook.graph.values import encode, items, record

MOST_MESSAGES: Final = 100
MOST_PIECES: Final = 1_000  # of one thread each
_MOST_SHARED: Final = 2_048  # bytes that every piece may take along


def pieces_of(chunk: object) -> Iterator[object]:
    """The pieces of one chunk. What it says besides its threads and its place in the whole is one of its own.

    Raises:
        UnreadableError: It nests too deep to be written again.
    """
    told = record(chunk)
    threads = items(told.get("threads"))
    if not threads:
        yield chunk
        return
    rest = {name: part for name, part in told.items() if name != "threads"}
    shared = {"metadata": rest["metadata"]} if "metadata" in rest and _is_small(rest["metadata"]) else {}
    if len(rest) > len(shared):
        yield rest
    parts = [part for thread in threads for part in _cut(thread)]
    for some in _packed(parts) if len(parts) > MOST_PIECES else ([part] for part in parts):
        yield {**shared, "threads": some}


def _cut(thread: object) -> Iterator[object]:
    """A thread in parts of so many messages; who it is with stands in each."""
    told = record(thread)
    messages = items(told.get("messages"))
    if len(messages) <= MOST_MESSAGES:
        yield thread
        return
    rest = {name: part for name, part in told.items() if name != "messages"}
    shared: Mapping[str, object] = rest if _is_small(rest) else {"id": told.get("id")}
    for start in range(0, len(messages), MOST_MESSAGES):
        yield {**(shared if start else rest), "messages": messages[start : start + MOST_MESSAGES]}


def _packed(parts: Sequence[object]) -> Iterator[list[object]]:
    """As many parts together as have `MOST_MESSAGES` between them."""
    some: list[object] = []
    size = 0
    for part in parts:
        weight = max(1, len(items(record(part).get("messages"))))
        if some and size + weight > MOST_MESSAGES:
            yield some
            some, size = [], 0
        some.append(part)
        size += weight
    yield some


def _is_small(part: object) -> bool:
    return len(encode(part)) <= _MOST_SHARED
