"""`MemoryWebhooks`: proves a delivery, cuts it into changes, and says what each of them means."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from moorage_adapters.memory.activity_sync import comment_from_remark, person_from_memory, reaction_from_cheer
from moorage_adapters.memory.chatter import Cheer, Remark
from moorage_adapters.memory.direct_messages import message_from_letter
from moorage_adapters.memory.letters import Enclosure, Letter
from moorage_adapters.memory.news import SIGNATURE_HEADER, piece_of_news, signature
from moorage_adapters.memory.things import Person
from moorage_ports.errors import MalformedError, SignatureError
from moorage_ports.events import (
    CommentRemoved,
    CrmEvent,
    DeliveryState,
    Event,
    LeadArrived,
    MessageDelivery,
    ReactionRemoved,
    Target,
    Unmapped,
)
from moorage_ports.lead_source import Lead
from moorage_ports.webhooks import MOST_CHANGES, Change, Delivery, TooManyChangesError, VendorApp

LONGEST_CHALLENGE = 64

_Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,16}-[0-9]{1,12}\Z")]


class _Envelope(msgspec.Struct):
    """A delivery: the pieces of news, still as they were written."""

    news: list[msgspec.Raw]


class _SlipNews(msgspec.Struct, tag_field="what", tag="slip"):
    """A form was filled in."""

    slip: _Id
    form: _Id
    board: _Id
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class _Enclosed(msgspec.Struct):
    """What lies in a letter."""

    kind: Literal["image", "video", "audio", "file"]
    url: str


class _LetterNews(msgspec.Struct, tag_field="what", tag="letter"):
    """A letter was written."""

    letter: _Id
    board: _Id
    person: _Id
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    from_board: bool
    name: str = ""
    text: str = ""
    enclosed: _Enclosed | None = None
    answers: str = ""
    mark: str = ""


class _ReceiptNews(msgspec.Struct, tag_field="what", tag="receipt"):
    """A letter got somewhere."""

    letter: _Id
    board: _Id
    how: Literal["arrived", "opened", "returned"]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    mark: str = ""


class _RemarkNews(msgspec.Struct, tag_field="what", tag="remark"):
    """Somebody wrote below a note; `person` nobody is the board itself."""

    remark: _Id
    note: _Id
    board: _Id
    made: Annotated[datetime, msgspec.Meta(tz=True)]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    person: str = ""
    name: str = ""
    text: str = ""
    answers: str = ""
    covered: bool = False
    changed: bool = False


class _RemarkGoneNews(msgspec.Struct, tag_field="what", tag="remark-gone"):
    """Somebody took back what they wrote."""

    remark: _Id
    note: _Id
    board: _Id
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class _CheerNews(msgspec.Struct, tag_field="what", tag="cheer"):
    """Somebody likes a note; without a face, no more."""

    note: _Id
    board: _Id
    person: _Id
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    name: str = ""
    face: str = ""


_KINDS: Final[dict[type, str]] = {
    _RemarkNews: "remark",
    _RemarkGoneNews: "remark-gone",
    _CheerNews: "cheer",
}
_Talk: TypeAlias = _RemarkNews | _RemarkGoneNews | _CheerNews
_News: TypeAlias = _SlipNews | _LetterNews | _ReceiptNews | _Talk
_decoder: Final[msgspec.json.Decoder[_News]] = msgspec.json.Decoder(_News)
_STATES: Final = {
    "arrived": DeliveryState.DELIVERED,
    "opened": DeliveryState.READ,
    "returned": DeliveryState.FAILED,
}


class MemoryWebhooks:
    """A `WebhookSource`. It needs nothing but what it is handed."""

    def answer_handshake(self, query: Mapping[str, str], apps: Sequence[VendorApp]) -> str:
        token = query.get("token", "").encode(errors="replace")
        challenge = query.get("challenge", "")
        is_ours = any(hmac.compare_digest(token, app.verify_token.reveal().encode()) for app in apps)
        is_plain = challenge.isascii() and challenge.isdigit() and len(challenge) <= LONGEST_CHALLENGE
        if not (is_ours and token and is_plain):
            msg = "the handshake does not carry our token and a plain number"
            raise SignatureError(msg)
        return challenge

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        values = delivery.header_values(SIGNATURE_HEADER)
        if len(values) == 1:
            given = values[0].encode(errors="replace")
            for app in apps:
                for secret in app.secrets:
                    if hmac.compare_digest(signature(delivery.body, secret).encode(), given):
                        return app
        msg = "nobody who holds a secret of ours signed these bytes"
        raise SignatureError(msg)

    def split(self, body: bytes) -> tuple[Change, ...]:
        try:
            envelope = msgspec.json.decode(body, type=_Envelope)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            msg = "this is no delivery of ours"
            raise MalformedError(msg) from failure
        if len(envelope.news) > MOST_CHANGES:
            msg = "this is more news than anybody has"
            raise TooManyChangesError(msg)
        return tuple(_change(bytes(piece)) for piece in envelope.news)

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        news = _news(change)
        if news is None:
            return (Unmapped(kind="unknown", raw={"text": change.decode(errors="replace")}),)
        if isinstance(news, _LetterNews):
            return (message_from_letter(_letter(news)),)
        if isinstance(news, _ReceiptNews):
            return (_delivery(news),)
        if isinstance(news, _RemarkNews | _RemarkGoneNews | _CheerNews):
            return (_talk(news),)
        return (
            LeadArrived(
                lead_external_id=news.slip,
                channel_external_id=news.board,
                form_external_id=news.form,
                occurred_at=news.at,
            ),
        )

    def lead_change(self, lead: Lead) -> Change:
        at = lead.submitted_at or datetime.fromtimestamp(0, UTC)
        news = piece_of_news(lead.external_id, lead.form_external_id, lead.channel_external_id, at)
        return _change(msgspec.json.encode(news))


def _news(piece: bytes) -> _News | None:
    try:
        return _decoder.decode(piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _letter(news: _LetterNews) -> Letter:
    enclosed = news.enclosed
    return Letter(
        id=news.letter,
        board_id=news.board,
        person=Person(id=news.person, name=news.name),
        is_from_board=news.from_board,
        text=news.text,
        enclosure=Enclosure(kind=enclosed.kind, url=enclosed.url) if enclosed else None,
        answers=news.answers,
        mark=news.mark,
        written_at=news.at,
    )


def _delivery(news: _ReceiptNews) -> MessageDelivery:
    return MessageDelivery(
        channel_external_id=news.board,
        message_external_id=news.letter,
        state=_STATES[news.how],
        at=news.at,
        error_code="returned" if news.how == "returned" else "",
        reference=news.mark,
    )


def _talk(news: _Talk) -> CrmEvent:
    if isinstance(news, _RemarkGoneNews):
        return CommentRemoved(channel_external_id=news.board, comment_external_id=news.remark, at=news.at)
    by = Person(id=news.person, name=news.name) if news.person else None
    if isinstance(news, _RemarkNews):
        remark = Remark(
            id=news.remark,
            note_id=news.note,
            board_id=news.board,
            by=by,
            text=news.text,
            answers=news.answers,
            is_covered=news.covered,
            made_at=news.made,
            told_at=news.at,
        )
        return comment_from_remark(remark, news.at, is_edit=news.changed)
    cheerer = by or Person(id=news.person, name="")
    cheer = Cheer(note_id=news.note, board_id=news.board, by=cheerer, face=news.face, told_at=news.at)
    if news.face:
        return reaction_from_cheer(cheer, news.at, is_exact=True)
    return ReactionRemoved(
        channel_external_id=news.board,
        target=Target.POST,
        target_external_id=news.note,
        person=person_from_memory(cheerer),
        at=news.at,
        post_external_id=news.note,
    )


def _change(piece: bytes) -> Change:
    """One piece of news. What we do not know belongs to nobody, and is recognised by its own bytes."""
    news = _news(piece)
    if news is None:
        digest = hashlib.sha256(piece).hexdigest()
        return Change(kind="unknown", owner_keys=(), business_key=digest, partition=digest, body=piece)
    if isinstance(news, _SlipNews):
        # Leads need no order among themselves.
        kind, key, partition = "slip", f"slip:{news.slip}", news.slip
    elif isinstance(news, _RemarkNews | _RemarkGoneNews | _CheerNews):
        # What is said below one note in order; each state of it is news of its own.
        kind, key = _KINDS[type(news)], hashlib.sha256(piece).hexdigest()
        partition = f"{news.board}:{news.note}"
    elif isinstance(news, _LetterNews):
        kind, key, partition = "letter", f"letter:{news.letter}", f"{news.board}:{news.person}"
    else:
        kind, key, partition = "receipt", f"receipt:{news.letter}:{news.how}", news.letter
    return Change(kind=kind, owner_keys=(news.board,), business_key=key, partition=partition, body=piece)
