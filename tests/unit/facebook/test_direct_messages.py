"""Messages as Graph takes them: who, what, in which window; and what its answers and refusals mean."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.direct_messages import (
    COMMENTS,
    HUMAN_AGENT,
    INSTAGRAM,
    LONGEST,
    MESSENGER,
    STANDARD,
    WHATSAPP,
    GraphDirectMessages,
    page_message,
    private_reply,
    whatsapp_message,
)
from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.meters import meters_of
from moorage_facebook.token_vault import GraphTokenVault
from moorage_facebook.translate.talk import reference_realm
from moorage_facebook.translate.whatsapp import GROUP_SURFACE, GROUPS, NUMBERS, USERS
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.direct_messages import OutgoingMessage, PrivateReply
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import (
    Hits,
    InvalidRequestError,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.events import Attachment, AttachmentType, Person
from moorage_ports.governor import MeterScope
from moorage_ports.http import HttpAnswer, NoAnswerError
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import BEGINNING, FakeSecretStore
from tests.unit.facebook.graph.support import APP, TOKEN, Bench, answer, bench, form_of, refusal

PAGE, ACCOUNT, NUMBER = "1234567890", "17841400008460056", "277905518032461"
ADA = Person(external_id="7700900090090", realm=PAGE)
PICTURE = Attachment(type=AttachmentType.IMAGE, url="https://img.example/menu.jpg")
PAPER = Attachment(type=AttachmentType.FILE, url="https://img.example/menu.pdf", title="menu.pdf")
SONG = Attachment(type=AttachmentType.AUDIO, url="https://img.example/song.mp3")


def message(surface: str = MESSENGER, text: str = "Hi", **more: Any) -> OutgoingMessage:
    channel = {MESSENGER: PAGE, INSTAGRAM: ACCOUNT, WHATSAPP: NUMBER}.get(surface, PAGE)
    realm = NUMBERS if surface == WHATSAPP else channel
    person = Person(external_id="491701234567" if surface == WHATSAPP else ADA.external_id, realm=realm)
    given: dict[str, Any] = {
        "channel_external_id": channel,
        "person": person,
        "surface": surface,
        "text": text,
        "last_received_at": BEGINNING,
        "reference": "attempt-1",
    }
    return OutgoingMessage(**(given | more))


def said(call: GraphCall) -> dict[str, object]:
    """The parameters, with what is JSON in them read."""
    return {name: _read(value) for name, value in call.data.items()}


def _read(value: str) -> object:
    return msgspec.json.decode(value) if value.startswith("{") else value


async def _kept(*, token: str = "page-token") -> GraphTokenVault:
    vault = GraphTokenVault(FakeSecretStore())
    channels = tuple(
        ChannelGrant(offer=ChannelOffer(external_id=key, type=kind, name=""), token=Secret(token))
        for key, kind in ((PAGE, "page"), (ACCOUNT, "instagram"), (NUMBER, "whatsapp"))
    )
    grant = RedeemedGrant(
        subject=Secret("1"), profile={}, token=Secret("u"), granted_scopes=(), channels=channels
    )
    await vault.keep("g", grant)
    return vault


async def on(*script: Any) -> tuple[GraphDirectMessages, Bench]:
    there = bench(*script)
    return GraphDirectMessages(client=there.client, vault=await _kept()), there


SENT = answer({"recipient_id": ADA.external_id, "message_id": "m_1"})
TAKEN = answer({"messaging_product": "whatsapp", "messages": [{"id": "wamid.1"}]})


# What is asked ----------------------------------------------------------------------------------


def test_a_message_of_a_page() -> None:
    call = page_message(message(), TOKEN, is_late=False)

    assert (call.method, call.path) == ("POST", (PAGE, "messages"))
    assert said(call) == {
        "recipient": {"id": ADA.external_id},
        "message": {"text": "Hi", "metadata": "attempt-1"},
        "messaging_type": "RESPONSE",
    }
    assert call.writes, "sent twice, it says it twice"


def test_a_late_one_is_tagged_as_a_persons_own_words() -> None:
    told = said(page_message(message(), TOKEN, is_late=True))

    assert (told["messaging_type"], told["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")


def test_instagrams_go_through_the_page_that_the_token_is_of() -> None:
    """And its Send API knows no metadata."""
    call = page_message(message(INSTAGRAM), TOKEN, is_late=False)

    assert call.path == ("me", "messages")
    assert said(call)["message"] == {"text": "Hi"}


def test_an_attachment_goes_by_its_address() -> None:
    call = page_message(
        message(text="", attachments=(PICTURE,), reply_to_external_id="m_0"), TOKEN, is_late=False
    )

    assert said(call)["message"] == {
        "attachment": {"type": "image", "payload": {"url": PICTURE.url, "is_reusable": False}},
        "metadata": "attempt-1",
    }
    assert said(call)["reply_to"] == {"mid": "m_0"}


def test_somebody_of_a_checkbox_is_named_by_the_reference() -> None:
    guest = Person(external_id="guest-7", realm=reference_realm(PAGE))

    assert said(page_message(message(person=guest), TOKEN, is_late=False))["recipient"] == {
        "user_ref": "guest-7"
    }


@pytest.mark.parametrize(("surface", "path"), [(MESSENGER, PAGE), (INSTAGRAM, "me")])
def test_a_private_reply_names_the_comment(surface: str, path: str) -> None:
    reply = PrivateReply(
        channel_external_id=PAGE, comment_external_id="1_2", text="Hi", reference="attempt-2"
    )

    call = private_reply(reply, surface, TOKEN)

    assert call.path == (path, "messages")
    told = said(call)
    assert told["recipient"] == {"comment_id": "1_2"}
    assert told["message"] == {"text": "Hi", **({"metadata": "attempt-2"} if surface == MESSENGER else {})}
    assert call.writes


def test_a_text_on_whatsapp() -> None:
    call = whatsapp_message(message(WHATSAPP, reply_to_external_id="wamid.0"), TOKEN)

    assert (call.method, call.path) == ("POST", (NUMBER, "messages"))
    assert said(call) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "491701234567",
        "type": "text",
        "text": {"body": "Hi", "preview_url": True},
        "context": {"message_id": "wamid.0"},
        "biz_opaque_callback_data": "attempt-1",
    }


def test_somebody_who_hides_their_number_is_named_by_user_id() -> None:
    hidden = Person(external_id="DE.13491208655302741918", realm=USERS)

    told = said(whatsapp_message(message(WHATSAPP, person=hidden), TOKEN))

    assert told["recipient"] == hidden.external_id
    assert "to" not in told


@pytest.mark.parametrize(
    ("attachment", "kind", "content"),
    [
        (PICTURE, "image", {"link": PICTURE.url, "caption": "Hi"}),
        (PAPER, "document", {"link": PAPER.url, "caption": "Hi", "filename": "menu.pdf"}),
    ],
)
def test_media_on_whatsapp_bear_their_caption(
    attachment: Attachment, kind: str, content: Mapping[str, str]
) -> None:
    told = said(whatsapp_message(message(WHATSAPP, attachments=(attachment,)), TOKEN))

    assert (told["type"], told[kind]) == (kind, content)


@pytest.mark.parametrize(
    ("surface", "use_case", "owner"),
    [(MESSENGER, "messenger", PAGE), (INSTAGRAM, "instagram", ACCOUNT), (WHATSAPP, "whatsapp", NUMBER)],
)
def test_each_surface_counts_on_its_own_limit(surface: str, use_case: str, owner: str) -> None:
    asked = message(surface)
    call = (
        whatsapp_message(asked, TOKEN) if surface == WHATSAPP else page_message(asked, TOKEN, is_late=False)
    )

    meters = {(meter.scope, meter.owner_id, meter.use_case) for meter in meters_of(call, APP.secret)}
    assert (MeterScope.CHANNEL, owner, use_case) in meters


# What is taken apart ------------------------------------------------------------------------------


@pytest.mark.parametrize("surface", [MESSENGER, INSTAGRAM])
async def test_words_and_each_attachment_are_messages_of_their_own(surface: str) -> None:
    messages, _ = await on(SENT)

    parts = messages.parts(message(surface, attachments=(PICTURE, SONG), reply_to_external_id="m_0"))

    assert [(part.text, part.attachments, part.reply_to_external_id) for part in parts] == [
        ("Hi", (), "m_0"),
        ("", (PICTURE,), ""),
        ("", (SONG,), ""),
    ]


@pytest.mark.parametrize(
    ("text", "attachments", "expected"),
    [
        ("Hi", (PICTURE, SONG), [("Hi", PICTURE), ("", SONG)]),
        ("Hi", (SONG, PICTURE), [("Hi", None), ("", SONG), ("", PICTURE)]),
        ("x" * 1_025, (PICTURE,), [("x" * 1_025, None), ("", PICTURE)]),
        ("", (PICTURE,), [("", PICTURE)]),
    ],
)
async def test_on_whatsapp_words_that_fit_are_a_caption(
    text: str, attachments: tuple[Attachment, ...], expected: list[tuple[str, Attachment | None]]
) -> None:
    """A sound has none."""
    messages, _ = await on(TAKEN)

    parts = messages.parts(message(WHATSAPP, text, attachments=attachments))

    assert [(part.text, part.attachments[0] if part.attachments else None) for part in parts] == expected


@given(
    surface=st.sampled_from([MESSENGER, INSTAGRAM, WHATSAPP]),
    text=st.text(max_size=5_000),
    attachments=st.lists(st.sampled_from([PICTURE, PAPER, SONG]), max_size=12),
)
def test_nothing_is_lost_or_said_twice_when_it_is_taken_apart(
    surface: str, text: str, attachments: list[Attachment]
) -> None:
    """Whatever is written: refused as a whole, or all of it is in parts that stay as they are."""
    whole = message(surface, text, attachments=tuple(attachments))
    there = bench(SENT)
    messages = GraphDirectMessages(client=there.client, vault=GraphTokenVault(FakeSecretStore()))
    try:
        parts = messages.parts(whole)
    except InvalidRequestError:
        length = len(text.encode("utf-8", "replace")) if surface == INSTAGRAM else len(text)
        assert length > LONGEST[surface] or len(attachments) > 10 or not (text.strip() or attachments)
        return
    assert [part.text for part in parts if part.text.strip()] == ([text] if text.strip() else [])
    assert [one for part in parts for one in part.attachments] == attachments
    for part in parts:
        assert messages.parts(part) == (part,)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "ä" * 501, "surface": INSTAGRAM},
        {"attachments": (Attachment(type=AttachmentType.STICKER, url="https://img.example/s.webp"),)},
        {"attachments": (Attachment(type=AttachmentType.IMAGE, external_id="1"),)},
        {"attachments": (PICTURE,) * 11},
    ],
)
async def test_what_meta_does_not_take_is_refused_here(changes: Mapping[str, Any]) -> None:
    """Instagram counts bytes."""
    messages, there = await on(SENT)
    wrong = message(**({"surface": MESSENGER} | dict(changes)))

    with pytest.raises(InvalidRequestError) as failure:
        await messages.send(wrong)
    assert failure.value.fields
    assert there.graph.sent == []


async def test_several_parts_are_not_sent_as_one() -> None:
    messages, there = await on(SENT)

    with pytest.raises(InvalidRequestError):
        await messages.send(message(attachments=(PICTURE,)))
    assert there.graph.sent == []


# The window -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surface", "until", "by_hand"),
    [
        (MESSENGER, STANDARD, HUMAN_AGENT),
        (INSTAGRAM, STANDARD, HUMAN_AGENT),
        (WHATSAPP, STANDARD, STANDARD),
        (COMMENTS, None, timedelta(days=7)),
    ],
)
async def test_the_windows(surface: str, until: timedelta | None, by_hand: timedelta) -> None:
    messages, _ = await on(SENT)

    window = messages.window(surface, BEGINNING)

    assert window.ends_at(is_by_hand=False) == (None if until is None else BEGINNING + until)
    assert window.ends_at(is_by_hand=True) == BEGINNING + by_hand


@pytest.mark.parametrize("surface", [MESSENGER, INSTAGRAM])
async def test_the_tag_comes_with_the_end_of_the_standard_window(surface: str) -> None:
    """One moment before it is a response, from then on a person's own words, then nothing."""
    messages, there = await on(SENT)
    there.clock.advance(STANDARD - timedelta(seconds=1))
    await messages.send(message(surface))
    there.clock.advance(timedelta(seconds=1))
    await messages.send(message(surface))
    there.clock.advance(HUMAN_AGENT - STANDARD)
    with pytest.raises(RejectedError):
        await messages.send(message(surface))

    kinds = [form_of(request)["messaging_type"] for request in there.graph.sent]
    assert kinds == ["RESPONSE", "MESSAGE_TAG"]


async def test_nothing_is_sent_into_a_group() -> None:
    """Nor to whoever wrote there last; and it is said what to do instead of waiting."""
    messages, there = await on(TAKEN)
    bakers = Person(external_id="120363410000000042@g.us", realm=GROUPS)

    with pytest.raises(RejectedError) as refused:
        await messages.send(
            message(GROUP_SURFACE, channel_external_id=NUMBER, person=bakers, is_by_hand=True)
        )

    assert "group" in refused.value.remedy
    assert messages.window(GROUP_SURFACE, BEGINNING).remedy == refused.value.remedy
    assert there.graph.sent == []


# What comes back ------------------------------------------------------------------------------------


async def test_what_was_sent_is_answered_as_it_is_from_now_on() -> None:
    messages, there = await on(SENT)
    there.clock.advance(timedelta(hours=1))

    seen = await messages.send(message(reply_to_external_id="m_0"))

    assert (seen.message_external_id, seen.is_ours, seen.person) == ("m_1", True, message().person)
    assert (seen.at, seen.reference) == (there.clock.now(), "attempt-1")
    assert seen.reply_to_external_id == "m_0"
    assert seen.reply_until is None


async def test_whatsapp_says_its_id_in_a_list() -> None:
    messages, _ = await on(TAKEN)

    assert (await messages.send(message(WHATSAPP))).message_external_id == "wamid.1"


async def test_a_private_reply_says_whom_it_reached() -> None:
    """Under the id by which that person is written to."""
    messages, _ = await on(SENT)
    reply = PrivateReply(channel_external_id=PAGE, comment_external_id="1_2", text="Hi")

    seen = await messages.reply_privately(reply)

    assert seen.person == Person(external_id=ADA.external_id, realm=PAGE)
    assert (seen.surface, seen.channel_external_id) == (MESSENGER, PAGE)
    on_instagram = await messages.reply_privately(attrs.evolve(reply, channel_external_id=ACCOUNT))
    assert (on_instagram.surface, on_instagram.person.realm) == (INSTAGRAM, ACCOUNT)


@pytest.mark.parametrize(
    "said_back",
    [
        answer({"recipient_id": "1"}),
        answer({"message_id": ""}),
        answer({"messages": []}),
        answer({"messages": [{"id": ""}]}),
        answer({"messages": "x"}),
        answer([]),
        answer(b"<html>"),
        answer({"message_id": {"a": 1}}),
        NoAnswerError(),
    ],
)
@pytest.mark.parametrize("surface", [MESSENGER, WHATSAPP])
async def test_an_answer_without_an_id_leaves_it_open(said_back: HttpAnswer, surface: str) -> None:
    """It may have been sent: never an error that invites to send it again."""
    messages, _ = await on(said_back)

    with pytest.raises(OutcomeUnknownError):
        await messages.send(message(surface))


@pytest.mark.parametrize(
    ("code", "subcode", "kind", "hits"),
    [
        (10, 2018278, RejectedError, Hits.CALL),
        (10, None, MissingScopeError, Hits.CALL),
        (100, 2018001, RejectedError, Hits.CALL),
        (190, 460, ReauthorizationError, Hits.INTEGRATION),
        (200, None, MissingScopeError, Hits.CALL),
        (551, None, VendorUnavailableError, Hits.CALL),
        (613, None, RateLimitError, Hits.CHANNEL),
        (1200, 2018024, OutcomeUnknownError, Hits.CALL),
        (10900, None, RejectedError, Hits.CALL),
        (80006, None, RateLimitError, Hits.CHANNEL),
        (130429, None, RateLimitError, Hits.CHANNEL),
        (131005, None, MissingScopeError, Hits.CALL),
        (131016, None, OutcomeUnknownError, Hits.CALL),
        (131026, None, RejectedError, Hits.CALL),
        (131031, None, RejectedError, Hits.CHANNEL),
        (131047, None, RejectedError, Hits.CALL),
        (131048, None, RateLimitError, Hits.CHANNEL),
        (131049, None, RejectedError, Hits.CALL),
        (131050, None, RejectedError, Hits.CALL),
        (131056, None, RateLimitError, Hits.CALL),
        (131057, None, VendorUnavailableError, Hits.CALL),
    ],
)
async def test_each_refusal_names_the_next_move(
    code: int, subcode: int | None, kind: type[VendorError], hits: Hits
) -> None:
    """A closed window is no missing permission, a limit no refusal, and none of them ends a connection."""
    messages, there = await on(refusal(code, subcode))

    with pytest.raises(VendorError) as failure:
        await messages.send(message(WHATSAPP if code > 100_000 else MESSENGER))
    assert (type(failure.value), failure.value.hits) == (kind, hits)
    assert failure.value.remedy
    assert len(there.graph.sent) == 1, "a write is sent once"
