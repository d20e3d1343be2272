"""Events for tests of the CRM, by hand and of every kind at random; and whether two CRMs are the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st

from moorage_ports.crm_records import Ledger
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    ContactMoment,
    ContactMoved,
    CrmEvent,
    DeliveryMark,
    DeliveryState,
    Mentioned,
    MentionRemoved,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    PersonNamed,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
    ThreadHandedOver,
)
from tests.support.crm_records import KINDS

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BOARD = "board-1"
V = "memory"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def person(number: int, name: str = "") -> Person:
    return Person(external_id=f"p{number}", realm=BOARD, name=name)


def comment(number: int, seconds: float, **more: Any) -> CommentSeen:
    given = {"post_external_id": "post-1", "author": person(number % 3, f"P{number % 3}"), "text": "hi"}
    return CommentSeen(
        channel_external_id=BOARD,
        comment_external_id=f"c{number}",
        at=at(seconds),
        surface="notes",
        **{**given, **more},
    )


def message(number: int, seconds: float, **more: Any) -> MessageSeen:
    given: dict[str, Any] = {"person": person(number % 3), "text": "hello"}
    return MessageSeen(
        channel_external_id=BOARD,
        message_external_id=f"m{number}",
        at=at(seconds),
        surface="letters",
        **{**given, **more},
    )


# What is generated -------------------------------------------------------------------------------

_seconds = st.integers(0, 40)
_people = st.integers(0, 3)
_names = st.sampled_from(["", "Ada", "Bo", "Cy"])
_texts = st.sampled_from(["", "one", "two", "three"])
_attachments = st.sampled_from([(), (Attachment(type=AttachmentType.IMAGE, url="https://x.example/1"),)])
_persons = st.builds(person, _people, _names)


@st.composite
def comments(draw: st.DrawFn) -> CommentSeen:
    """A comment of a fixed forest: c0, c1 at the top, c2..c4 below these, c5..c7 below those."""
    number = draw(st.integers(0, 7))
    parent = "" if number < 2 else f"c{number - 2}" if number < 5 else f"c{number - 3}"
    is_edit = draw(st.booleans())
    exact = at(number) if draw(st.booleans()) or not is_edit else None
    ours = number == 4
    return CommentSeen(
        channel_external_id=BOARD,
        comment_external_id=f"c{number}",
        at=at(number + draw(_seconds)),
        created_at=exact,
        surface="notes",
        post_external_id=draw(st.sampled_from(["", "post-1"])),
        parent_external_id=parent,
        author=None if ours else draw(st.sampled_from([None, person(number % 4, draw(_names))])),
        is_ours=ours,
        is_edit=is_edit,
        text=draw(_texts),
        attachments=draw(_attachments),
        is_hidden=draw(st.sampled_from([None, True, False])),
    )


@st.composite
def letters(draw: st.DrawFn) -> MessageSeen:
    """A message whose moment, sender and direction follow from its number."""
    number = draw(st.integers(0, 4))
    return MessageSeen(
        channel_external_id=BOARD,
        message_external_id=f"m{number}",
        person=person(number % 3, draw(_names)),
        at=at(number * 3),
        surface="letters",
        is_ours=number == 3,
        is_history=draw(st.booleans()),
        kind=draw(st.sampled_from([MessageKind.TEXT, MessageKind.NOTICE, MessageKind.UNSUPPORTED])),
        text=f"text {number}",
        attachments=(),
        reply_until=at(number * 3 + 1000),
    )


def _on_message(kind: type, **more: Any) -> st.SearchStrategy[Any]:
    ids = st.integers(0, 4).map(lambda number: f"m{number}")
    return st.builds(
        kind, channel_external_id=st.just(BOARD), message_external_id=ids, at=_seconds.map(at), **more
    )


def _on_comment(kind: type, **more: Any) -> st.SearchStrategy[Any]:
    ids = st.integers(0, 7).map(lambda number: f"c{number}")
    return st.builds(
        kind, channel_external_id=st.just(BOARD), comment_external_id=ids, at=_seconds.map(at), **more
    )


_targets = st.sampled_from([(Target.POST, "post-1"), (Target.COMMENT, "c1"), (Target.MESSAGE, "m1")])


@st.composite
def reactions(draw: st.DrawFn) -> CrmEvent:
    target, external_id = draw(_targets)
    common: dict[str, Any] = {
        "channel_external_id": BOARD,
        "target": target,
        "target_external_id": external_id,
        "person": draw(_persons),
        "at": at(draw(_seconds)),
    }
    if draw(st.booleans()):
        return ReactionRemoved(**common)
    return ReactionSet(
        **common, reaction=draw(st.sampled_from(["like", "love"])), is_exact=draw(st.booleans())
    )


_mentions = st.integers(0, 1).map(str)
events: st.SearchStrategy[CrmEvent] = st.one_of(
    comments(),
    comments(),
    letters(),
    letters(),
    reactions(),
    _on_comment(CommentHidden, is_hidden=st.booleans()),
    _on_comment(CommentRemoved),
    _on_message(MessageEdited, text=_texts),
    _on_message(MessageRemoved),
    _on_message(MessageDelivery, state=st.sampled_from(DeliveryState), error_code=st.sampled_from(["", "7"])),
    st.builds(
        DeliveryMark,
        channel_external_id=st.just(BOARD),
        person=_persons,
        surface=st.just("letters"),
        state=st.sampled_from([DeliveryState.DELIVERED, DeliveryState.READ]),
        up_to=_seconds.map(at),
    ),
    st.builds(
        ThreadHandedOver,
        channel_external_id=st.just(BOARD),
        person=_persons,
        surface=st.just("letters"),
        at=_seconds.map(at),
        owner=st.sampled_from(["", "robot"]),
    ),
    st.builds(PersonNamed, channel_external_id=st.just(BOARD), person=_persons, at=_seconds.map(at)),
    st.builds(
        PersonLinked,
        channel_external_id=st.just(BOARD),
        persons=st.tuples(_persons, _persons),
        at=_seconds.map(at),
    ),
    st.builds(
        PostSeen,
        channel_external_id=st.just(BOARD),
        post_external_id=st.just("post-1"),
        at=_seconds.map(at),
        created_at=st.none() | _seconds.map(at),
        author=st.none() | _persons,
        text=_texts,
        attachments=_attachments,
        is_hidden=st.none() | st.booleans(),
        shares=st.none() | st.integers(0, 3),
    ),
    st.builds(
        PostRemoved,
        channel_external_id=st.just(BOARD),
        post_external_id=st.just("post-1"),
        at=_seconds.map(at),
    ),
    st.builds(
        PostShared,
        channel_external_id=st.just(BOARD),
        post_external_id=st.just("post-1"),
        share_external_id=st.just("s1"),
        at=_seconds.map(at),
        person=st.none() | st.just(person(1)),
        text=_texts,
    ),
    st.builds(
        Mentioned,
        channel_external_id=st.just(BOARD),
        mention_external_id=_mentions,
        at=_seconds.map(at),
        surface=st.just("notes"),
        person=st.none() | st.just(person(2)),
        text=_texts,
    ),
    st.builds(
        MentionRemoved, channel_external_id=st.just(BOARD), mention_external_id=_mentions, at=_seconds.map(at)
    ),
    st.builds(
        ContactMoved,
        channel_external_id=st.just(BOARD),
        person=st.just(person(3)),
        moment=st.sampled_from(ContactMoment),
        moment_external_id=st.just("x"),
        at=_seconds.map(at),
        surface=st.just("letters"),
        text=_texts,
    ),
    st.builds(
        ChannelNotice,
        channel_external_id=st.just(BOARD),
        kind=st.just("review"),
        notice_external_id=st.just("n"),
        at=_seconds.map(at),
        severity=st.sampled_from(Severity),
        text=_texts,
    ),
)


def _plain(ledger: Ledger, kind: str) -> dict[str, dict[str, object]]:
    """All records of a kind as dicts; heat apart, which is a sum of floats."""
    return {
        key: {name: value for name, value in attrs.asdict(record, recurse=False).items() if name != "heat"}
        for key, record in sorted(getattr(ledger, kind).items())
    }


def assert_same(one: Ledger, other: Ledger) -> None:
    """The same records, field by field."""
    for kind in KINDS:
        assert _plain(other, kind) == _plain(one, kind), kind
    for key, contact in one.contacts.items():
        assert other.contacts[key].heat == pytest.approx(contact.heat, rel=1e-9, abs=1e-3)
