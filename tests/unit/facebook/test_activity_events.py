"""What a sync reads is bounded as what a webhook tells is, and a link in it is one that may be clicked on."""

from collections.abc import Iterator, Mapping

import attrs
import pytest

from moorage_facebook.activity.events import comment_seen, media_comments_seen, media_seen, post_seen
from moorage_facebook.activity.events import reaction_set as reaction_seen
from moorage_facebook.graph.values import record
from moorage_ports.events import CrmEvent
from tests.unit.facebook.fixtures import ACCOUNT, PAGE, RECEIVED_AT

LONG = "x" * 70_000
MOST = 65_536  # characters of a text; everything else is shorter by far


def node(word: str) -> Mapping[str, object]:
    """A post, a comment, a reaction and a picture in one: all that it says, it says in this word."""
    attachment = {
        "type": "photo",
        "title": word,
        "url": word,
        "media": {"source": word, "image": {"src": word}},
    }
    return {
        "id": "1_2",
        "from": {"id": "77", "name": word, "username": word},
        "name": word,
        "type": word,
        "message": word,
        "caption": word,
        "text": word,
        "permalink": word,
        "permalink_url": word,
        "attachment": attachment,
        "attachments": {"data": [attachment] * 60},
    }


def events_of(told: Mapping[str, object]) -> Iterator[CrmEvent]:
    found = [
        post_seen(told, PAGE, RECEIVED_AT),
        comment_seen(told, "1_1", PAGE, RECEIVED_AT),
        reaction_seen(told, "1_1", PAGE, RECEIVED_AT),
        media_seen(told, ACCOUNT, RECEIVED_AT),
        *media_comments_seen(told, "1_1", ACCOUNT, RECEIVED_AT),
    ]
    assert len(found) == 5
    yield from (event for event in found if event is not None)


def words_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from words_in(part)
    else:
        for part in record(value).values():
            yield from words_in(part)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,hi", "//x.example", "https://" + LONG]
)
def test_a_link_is_a_web_address_or_none(link: str) -> None:
    for event in events_of(node(link)):
        told = attrs.asdict(event)
        assert not told.get("permalink")
        assert all(not one["url"] for one in told.get("attachments", ()))


def test_web_addresses_stay() -> None:
    for event in events_of(node("https://www.facebook.com/1")):
        told = attrs.asdict(event)
        assert told.get("permalink") in {None, "", "https://www.facebook.com/1"}
        assert all(one["url"] == "https://www.facebook.com/1" for one in told.get("attachments", ()))


def test_nothing_is_longer_than_anybody_reads() -> None:
    for event in events_of(node(LONG)):
        told = attrs.asdict(event)
        lengths = {len(word) for word in words_in(told)}
        assert max(lengths) <= MOST
        assert lengths - {MOST} <= set(range(301)), "what is no text is no longer than a name"
        assert len(told.get("attachments", ())) <= 50
