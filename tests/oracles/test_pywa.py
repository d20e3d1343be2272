"""pywa, a WhatsApp library of its own making: a client of the sandbox, and the host behind its webhooks.

As a host it is asked for the two judgements that decide whether a delivery is Meta's: the handshake, and the
signature over the bytes that really arrived.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import attrs
import httpx
import msgspec
import pytest
from pywa import errors
from pywa.client import WhatsApp
from pywa.handlers import MessageHandler, MessageStatusHandler
from pywa.types.message import Message
from pywa.types.message_status import MessageStatus
from pywa.utils import HUB_CH, HUB_SIG, HUB_VT

from moorage_facebook.sandbox.gate import Receive, Send
from moorage_facebook.sandbox.seed import BUSINESS_ID, PHONE_NUMBER_ID, WHATSAPP_ACCOUNT_ID
from moorage_ports.plugin import AsgiMessage
from tests.oracles.sandbox import PAGE, VERSION, ServedSandbox, served_sandbox
from tests.oracles.served import served

CUSTOMER = "4915112345678"
USER_ID = "DE.1234567890"  # Meta's other name for the same person, in every delivery since 2026
ANSWERS = {"full_name": ["Grace Müller ☕ / <b>50 %</b> @home"], "email": ["grace@example.org"]}


def client(sandbox: ServedSandbox, token: str, **more: Any) -> WhatsApp:
    """The library as a client: its session carries the proof, and is told where Graph is."""
    proof = {} if "|" in token else {"appsecret_proof": sandbox.proof(token)}
    session = httpx.Client(params=proof, trust_env=False, timeout=10)
    ids = {"phone_id": PHONE_NUMBER_ID, "waba_id": WHATSAPP_ACCOUNT_ID}
    library = WhatsApp(token=token, session=session, **{**ids, **more})
    session.base_url = httpx.URL(f"{sandbox.url}/{VERSION}")
    return library


@attrs.define
class LibraryHost:
    """A webhook endpoint that has the library judge and read whatever arrives."""

    library: WhatsApp | None = None
    verdicts: list[tuple[bytes, int]] = attrs.field(factory=list)

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while (part := await receive()).get("more_body", False):
            body += part["body"]
        text, status = self._answer(scope, body + part.get("body", b""))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": (text or "").encode()})

    def _answer(self, scope: AsgiMessage, body: bytes) -> tuple[str | None, int]:
        assert self.library is not None
        if scope["method"] == "GET":
            query = parse_qs(scope["query_string"].decode())
            return self.library.webhook_challenge_handler(query[HUB_VT][0], query[HUB_CH][0])
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        verdict = self.library.webhook_update_validator(body, headers.get(HUB_SIG.lower()))
        verdict = verdict or self.library.webhook_update_handler(body)
        self.verdicts.append((body, verdict[1]))
        return verdict

    def heard(self, wanted: int) -> list[tuple[bytes, int]]:
        """The verdicts, once there are as many."""
        give_up_at = time.monotonic() + 10
        while len(self.verdicts) < wanted and time.monotonic() < give_up_at:
            time.sleep(0.005)
        return self.verdicts


@attrs.frozen(kw_only=True)
class Harbour:
    """A sandbox, and the library as the host that it sends its webhooks to."""

    host: LibraryHost
    host_url: str
    sandbox: ServedSandbox
    library: WhatsApp

    def deliver(self, **more: object) -> Mapping[str, object]:
        """Have the sandbox send one delivery to the library; answers what became of it."""
        return self.sandbox.control("webhooks", url=f"{self.host_url}/", **more)


@pytest.fixture(scope="module")
def started_harbour() -> Iterator[tuple[LibraryHost, str, ServedSandbox]]:
    host = LibraryHost()
    with served(lambda _: host) as host_url, served_sandbox(host_url) as sandbox:
        yield host, host_url, sandbox


@pytest.fixture
def harbour(started_harbour: tuple[LibraryHost, str, ServedSandbox]) -> Iterator[Harbour]:
    host, host_url, sandbox = started_harbour
    sandbox.control("reset")
    host.verdicts.clear()
    host.library = client(
        sandbox,
        sandbox.app_token,
        app_id=int(sandbox.app_id),
        app_secret=sandbox.app_secret,
        verify_token=sandbox.settings["verify_token"],
        callback_url=f"{host_url}/",
    )
    with host.library.api._session:
        yield Harbour(host=host, host_url=host_url, sandbox=sandbox, library=host.library)


@pytest.fixture
def library(sandbox: ServedSandbox) -> Iterator[WhatsApp]:
    """The library as the client of a person of the business."""
    library = client(sandbox, sandbox.user_token())
    with library.api._session:
        yield library


@pytest.fixture
def asked(sandbox: ServedSandbox) -> Mapping[str, object]:
    """The customer wrote first, so that the business may answer for a day; the message as it is kept."""
    sandbox.control(
        "messages", channel="whatsapp", person="Grace Müller", phone=CUSTOMER, text="Are you open?"
    )
    return sandbox.state("messages")[0]


def sent(sandbox: ServedSandbox) -> list[dict[str, object]]:
    """What the business sent."""
    return [row for row in sandbox.state("messages") if row["direction"] == "out"]


def an_incoming_text(text: str) -> Mapping[str, object]:
    """A customer's message, as the Cloud API tells of it."""
    message = {
        "from": CUSTOMER,
        "from_user_id": USER_ID,
        "id": "wamid.one",
        "timestamp": "1893456000",
        "type": "text",
        "text": {"body": text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "493055501234", "phone_number_id": PHONE_NUMBER_ID},
        "contacts": [{"profile": {"name": "Grace"}, "wa_id": CUSTOMER, "user_id": USER_ID}],
        "messages": [message],
    }
    entry = {"id": WHATSAPP_ACCOUNT_ID, "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def test_the_library_registers_itself_and_passes_the_handshake(harbour: Harbour) -> None:
    harbour.library._register_callback_url()

    rows = {row["object"]: row for row in harbour.sandbox.state("appSubscriptions")}
    assert rows["whatsapp_business_account"]["callbackUrl"] == f"{harbour.host_url}/"


def test_a_host_that_expects_another_verify_token_is_not_registered(harbour: Harbour) -> None:
    harbour.host.library = client(harbour.sandbox, harbour.sandbox.app_token, verify_token="another")

    with harbour.host.library.api._session, pytest.raises(RuntimeError) as failed:
        harbour.library._register_callback_url()

    cause = failed.value.__cause__
    assert isinstance(cause, errors.WhatsAppError)
    assert cause.code == 2200


def test_every_signed_delivery_is_found_to_be_metas(harbour: Harbour) -> None:
    """Escapes and all: the signature is over the bytes that travel."""
    token = harbour.sandbox.page_token(harbour.sandbox.user_token())
    query = {"access_token": token, "appsecret_proof": harbour.sandbox.proof(token)}
    harbour.sandbox.client.post(
        f"/{VERSION}/{PAGE}/subscribed_apps", params=query, data={"subscribed_fields": "leadgen"}
    )

    harbour.sandbox.fill_in(ANSWERS, delivery="double", count=3)

    heard = harbour.host.heard(6)
    assert [status for _, status in heard] == [200] * 6
    changes = [msgspec.json.decode(body)["entry"][0]["changes"][0]["field"] for body, _ in heard]
    assert changes == ["leadgen"] * 6


@pytest.mark.parametrize(("signature", "status"), [("valid", 200), ("wrong", 403), ("none", 401)])
def test_only_what_the_app_secret_signed_gets_in(harbour: Harbour, signature: str, status: int) -> None:
    harbour.deliver(body=an_incoming_text("hello"), signature=signature)

    assert [code for _, code in harbour.host.heard(1)] == [status]


@pytest.mark.parametrize(
    "text", ["Grüße ☕", "</script> & 50 % @home", "https://shop.example/a?b=c", "\U0001f6a2"]
)
def test_the_library_reads_in_a_delivery_what_the_customer_wrote(harbour: Harbour, text: str) -> None:
    read: list[str | None] = []

    def remember(_: WhatsApp, message: Message) -> None:
        read.append(message.text)

    harbour.library.add_handlers(MessageHandler(remember))
    harbour.deliver(body=an_incoming_text(text))

    assert [code for _, code in harbour.host.heard(1)] == [200]
    assert read == [text]


def test_one_byte_more_breaks_the_signature(harbour: Harbour) -> None:
    harbour.deliver(body=an_incoming_text("hello"))
    body, _ = harbour.host.heard(1)[0]
    sent = harbour.sandbox.state("webhooks")[-1]
    assert str(sent["body"]).encode() == body

    harbour.deliver(raw=body.decode() + " ", headers={HUB_SIG: "sha256=" + "0" * 64})

    assert [code for _, code in harbour.host.heard(2)] == [200, 403]


def test_the_account_lists_its_phone_numbers(library: WhatsApp) -> None:
    account = library.get_business_account()
    (number,) = list(library.get_business_phone_numbers())

    assert (account.id, account.name) == (WHATSAPP_ACCOUNT_ID, "Harbour Street Shop")
    assert account.owner_business_info is not None
    assert account.owner_business_info.id == BUSINESS_ID
    assert (number.id, number.display_phone_number) == (PHONE_NUMBER_ID, "+49 30 555 01234")


def test_a_phone_number_is_read(library: WhatsApp) -> None:
    number = library.get_business_phone_number()

    assert (number.id, number.verified_name) == (PHONE_NUMBER_ID, "Harbour Street Shop")
    assert number.throughput == {"level": "STANDARD"}


def test_the_app_is_subscribed_to_the_account(sandbox: ServedSandbox, library: WhatsApp) -> None:
    assert library.api.get_waba_subscribed_apps(WHATSAPP_ACCOUNT_ID) == {"data": []}

    assert library.api.send_raw_request("POST", f"/{WHATSAPP_ACCOUNT_ID}/subscribed_apps")["success"]
    (app,) = library.api.get_waba_subscribed_apps(WHATSAPP_ACCOUNT_ID)["data"]
    assert app["whatsapp_business_api_data"]["id"] == sandbox.app_id

    assert library.api.send_raw_request("DELETE", f"/{WHATSAPP_ACCOUNT_ID}/subscribed_apps")["success"]
    assert library.api.get_waba_subscribed_apps(WHATSAPP_ACCOUNT_ID) == {"data": []}


@pytest.mark.usefixtures("asked")
def test_a_text_is_sent_and_kept(sandbox: ServedSandbox, library: WhatsApp) -> None:
    first = library.send_message(to="+49 (151) 1234-5678", text="Grüße ☕", preview_url=True)
    answer = library.send_message(to=CUSTOMER, text="and more", reply_to_message_id=first.id)

    assert first.id.startswith("wamid.")
    assert (first.chat.id, first.input) == (CUSTOMER, "+49 (151) 1234-5678")
    kept = {str(row["id"]): row for row in sent(sandbox)}
    assert kept.keys() == {first.id, answer.id}
    assert (kept[first.id]["text"], kept[first.id]["personId"]) == ("Grüße ☕", CUSTOMER)
    assert (kept[answer.id]["replyTo"], kept[answer.id]["channelId"]) == (first.id, PHONE_NUMBER_ID)


@pytest.mark.usefixtures("asked")
def test_a_person_may_be_named_by_user_id(sandbox: ServedSandbox, library: WhatsApp) -> None:
    user_id = next(str(row["userId"]) for row in sandbox.state("faces") if row["id"] == CUSTOMER)

    assert library.send_message(to=user_id, text="hello").chat.id == user_id
    assert [row["personId"] for row in sent(sandbox)] == [CUSTOMER]


def test_pictures_reactions_templates_and_read_marks_are_sent(
    sandbox: ServedSandbox, library: WhatsApp, asked: Mapping[str, object]
) -> None:
    library.send_image(to=CUSTOMER, image="https://shop.example/door.jpg", caption="We are")
    library.send_reaction(to=CUSTOMER, emoji="👍", message_id=str(asked["id"]))
    library.send_location(to=CUSTOMER, latitude=53.5, longitude=9.9, name="The shop")
    assert library.mark_message_as_read(str(asked["id"])).success

    parts = msgspec.convert([row["parts"] for row in sent(sandbox)], list[list[dict[str, str]]])
    assert [part["type"] for one in parts for part in one] == ["image", "location"]
    (thread,) = sandbox.state("threads")
    assert thread["seenAt"] == asked["createdMs"]


@pytest.mark.usefixtures("asked")
def test_after_a_day_only_a_template_gets_through(sandbox: ServedSandbox, library: WhatsApp) -> None:
    sandbox.control("clock", advanceSeconds=86_500)

    with pytest.raises(errors.ReEngagementMessage):
        library.send_message(to=CUSTOMER, text="hello")

    template = {
        "messaging_product": "whatsapp",
        "to": CUSTOMER,
        "type": "template",
        "template": {"name": "hello_world", "language": {"code": "en_US"}},
    }
    assert library.api.send_raw_request("POST", f"/{PHONE_NUMBER_ID}/messages", json=template)["messages"]
    assert len(sent(sandbox)) == 1


def test_whoever_never_wrote_gets_no_text(library: WhatsApp) -> None:
    with pytest.raises(errors.ReEngagementMessage):
        library.send_message(to=CUSTOMER, text="hello")


def test_the_library_reads_what_people_do_in_the_window(harbour: Harbour) -> None:
    """A text, a picture, a reaction, and the states of our own message."""
    sandbox, told = harbour.sandbox, list[tuple[str, object]]()
    owner = client(sandbox, sandbox.user_token())
    owner.api.send_raw_request("POST", f"/{WHATSAPP_ACCOUNT_ID}/subscribed_apps")

    def message(_: WhatsApp, said: Message) -> None:
        told.append((str(said.type), said.text or said.caption or (said.reaction and said.reaction.emoji)))

    def state(_: WhatsApp, status: MessageStatus[Any]) -> None:
        told.append(("status", status.status.value))

    harbour.library.add_handlers(MessageHandler(message), MessageStatusHandler(state))
    window = {"channel": "whatsapp", "phone": CUSTOMER}
    sandbox.control("messages", **window, text="Are you open?")
    sandbox.control(
        "messages", **window, text="Look", attachments=[{"type": "image", "url": "https://a.example/1"}]
    )
    ours = owner.send_message(to=CUSTOMER, text="We are").id
    owner.api._session.close()
    sandbox.control("messages", channel="whatsapp", messageId=ours, action="react", emoji="👍")
    sandbox.control("messages", **window, action="read")

    assert [code for _, code in harbour.host.heard(6)] == [200] * 6
    states = {what for kind, what in told if kind == "status"}
    said = {what for kind, what in told if kind != "status"}
    assert states == {"sent", "delivered", "read"}
    assert said == {"Are you open?", "Look", "👍"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"to": "+49 30 555 01234"}, 131021),
        ({"to": "123"}, 131009),
        ({"text": "x" * 4097}, 131009),
        ({"text": "  "}, 131008),
        ({"reply_to_message_id": "wamid.nobody"}, 131009),
    ],
)
def test_what_the_cloud_api_refuses_is_refused_with_its_code(
    sandbox: ServedSandbox, library: WhatsApp, wrong: Mapping[str, str], code: int
) -> None:
    said: dict[str, Any] = {"to": CUSTOMER, "text": "hello", **wrong}
    with pytest.raises(errors.WhatsAppError) as refused:
        library.send_message(**said)

    error = refused.value
    assert (error.code, error.status_code) == (code, 400)
    assert error.details
    assert error.fbtrace_id
    assert sandbox.state("messages") == []


@pytest.mark.usefixtures("asked")
def test_a_kind_of_message_that_nobody_knows_here_is_refused(library: WhatsApp) -> None:
    with pytest.raises(errors.UnsupportedMessageType):
        library.request_location(to=CUSTOMER, text="Where are you?")


def test_a_number_that_is_not_there_is_not_found(library: WhatsApp) -> None:
    with pytest.raises(errors.WhatsAppError) as missing:
        library.get_business_phone_number(phone_id="999999999999999")

    assert (missing.value.code, missing.value.subcode) == (100, 33)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("scope", ["whatsapp_business_management", "whatsapp_business_messaging"])
def test_each_half_of_it_needs_its_own_permission(sandbox: ServedSandbox, scope: str) -> None:
    library = client(sandbox, sandbox.user_token([scope]))
    may_send = scope == "whatsapp_business_messaging"
    allowed: Callable[[], Any]
    refused: Callable[[], Any]
    allowed, refused = partial(library.send_message, CUSTOMER, "hello"), library.get_business_phone_number
    if not may_send:
        allowed, refused = refused, allowed
    with library.api._session:
        assert allowed().id
        with pytest.raises(errors.PermissionDenied) as missing:
            refused()

    assert missing.value.status_code == 403
    assert len(sent(sandbox)) == may_send


def test_a_grant_that_ended_is_an_expired_token(sandbox: ServedSandbox, library: WhatsApp) -> None:
    sandbox.control("revoke", notify=False)

    with pytest.raises(errors.ExpiredAccessToken) as ended:
        library.send_message(to=CUSTOMER, text="hello")

    assert (ended.value.code, ended.value.subcode) == (190, 458)


@pytest.mark.usefixtures("asked")
def test_bad_weather_reaches_the_library_as_the_cloud_api_sends_it(
    sandbox: ServedSandbox, library: WhatsApp
) -> None:
    sandbox.control("faults", times=1, match={"method": "POST", "path": "/messages"}, code=131056)

    with pytest.raises(errors.TooManyMessages):
        library.send_message(to=CUSTOMER, text="hello")

    assert library.send_message(to=CUSTOMER, text="hello").id
