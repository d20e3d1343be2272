"""How the memory vendor writes to its apps: one JSON body with several pieces of news, signed whole."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

import msgspec

from moorage_adapters.memory.chatter import Cheer, Remark
from moorage_adapters.memory.letters import Letter, Receipt
from moorage_adapters.memory.things import Slip
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery

SIGNATURE_HEADER = "x-memory-signature"


def signature(body: bytes, secret: Secret) -> str:
    """HMAC-SHA256 over exactly these bytes, in hex."""
    return hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def signed(body: bytes, secret: Secret) -> Delivery:
    """`body` as it goes out."""
    return Delivery(
        headers=(("content-type", "application/json"), (SIGNATURE_HEADER, signature(body, secret))), body=body
    )


def news_of_slips(slips: Sequence[Slip]) -> bytes:
    """Says that forms were filled in, and where: never with what answers."""
    news = [piece_of_news(slip.id, slip.form_id, slip.board_id, slip.handed_in_at) for slip in slips]
    return msgspec.json.encode({"news": news})


def piece_of_news(slip_id: str, form_id: str, board_id: str, at: datetime) -> dict[str, object]:
    """Says that one form was filled in."""
    return {"what": "slip", "slip": slip_id, "form": form_id, "board": board_id, "at": at}


def news_of_remark(remark: Remark, *, is_changed: bool = False, is_gone: bool = False) -> bytes:
    """Says what somebody wrote below a note, how it is now, or that it is gone."""
    return msgspec.json.encode({"news": [piece_about_remark(remark, is_changed=is_changed, is_gone=is_gone)]})


def piece_about_remark(
    remark: Remark, *, is_changed: bool = False, is_gone: bool = False
) -> dict[str, object]:
    """The same as one piece of news among others."""
    place: dict[str, object] = {"remark": remark.id, "note": remark.note_id, "board": remark.board_id}
    if is_gone:
        return {"what": "remark-gone", **place, "at": remark.told_at}
    return {
        "what": "remark",
        **place,
        "person": remark.by.id if remark.by else "",
        "name": remark.by.name if remark.by else "",
        "text": remark.text,
        "answers": remark.answers,
        "covered": remark.is_covered,
        "changed": is_changed,
        "made": remark.made_at,
        "at": remark.told_at,
    }


def news_of_cheer(cheer: Cheer) -> bytes:
    """Says how somebody likes a note; without a face, that they do no more."""
    return msgspec.json.encode({"news": [piece_about_cheer(cheer)]})


def piece_about_cheer(cheer: Cheer) -> dict[str, object]:
    """The same as one piece of news among others."""
    return {
        "what": "cheer",
        "note": cheer.note_id,
        "board": cheer.board_id,
        "person": cheer.by.id,
        "name": cheer.by.name,
        "face": cheer.face,
        "at": cheer.told_at,
    }


def news_of_letter(letter: Letter) -> bytes:
    """Says that a letter was written, by either side, and what it says."""
    return msgspec.json.encode({"news": [piece_about_letter(letter)]})


def piece_about_letter(letter: Letter) -> dict[str, object]:
    """The same as one piece of news among others."""
    enclosed = letter.enclosure
    return {
        "what": "letter",
        "letter": letter.id,
        "board": letter.board_id,
        "person": letter.person.id,
        "name": letter.person.name,
        "from_board": letter.is_from_board,
        "text": letter.text,
        "enclosed": {"kind": enclosed.kind, "url": enclosed.url} if enclosed else None,
        "answers": letter.answers,
        "mark": letter.mark,
        "at": letter.written_at,
    }


def news_of_receipt(receipt: Receipt) -> bytes:
    """Says how far a letter got."""
    return msgspec.json.encode({"news": [piece_about_receipt(receipt)]})


def piece_about_receipt(receipt: Receipt) -> dict[str, object]:
    """The same as one piece of news among others."""
    letter = receipt.letter
    return {
        "what": "receipt",
        "letter": letter.id,
        "board": letter.board_id,
        "how": receipt.what,
        "mark": letter.mark,
        "at": receipt.at,
    }
