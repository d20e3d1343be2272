"""The sandbox's inboxes (Messenger, Instagram, WhatsApp) as the world that promises of messages speak of."""

from collections.abc import Mapping, Sequence

import attrs
import msgspec
import pytest

from moorage_facebook.sandbox.crowd import SOMEBODY
from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID
from moorage_facebook.settings import GraphSettings
from moorage_ports.events import Person
from moorage_ports.testing.lent import FakeClock
from tests.contract.facebook_weather import PAGE, SANDBOX, FacebookWeather, OnFacebook, first
from tests.fakes.asgi_http import AsgiHttp


@attrs.define(kw_only=True)
class InboxWeather(FacebookWeather):
    """A `MessagesWorld`: people who write to one channel, and comment there."""

    inbox: str = "messenger"
    realm: str = PAGE
    _writer: str = ""
    _media: str = ""

    @property
    def message_surface(self) -> str:
        return self.inbox

    @property
    def comment_surface(self) -> str:
        return "instagram" if self.inbox == "instagram" else "facebook"

    async def write(self, text: str) -> Person:
        named = {"personId": self._writer} if self._writer else {}
        channel = {"channelId": self.channel_external_id, "channel": self.inbox}
        made = await self.control("messages", text=text, **channel, **named)
        self._writer = str(first(made, "messages")["personId"])
        return Person(external_id=self._writer, realm=self.realm)

    async def name_of_writer(self) -> str:
        return SOMEBODY

    async def hide_writer(self) -> None:
        channel = {"channelId": self.channel_external_id, "channel": self.inbox}
        await self.control("messages", action="hide", personId=self._writer, **channel)

    async def show_media(self) -> None:
        """The one picture that people talk about."""
        self._media = str((await self.control("media", pageId=PAGE))["id"])

    async def comment(self, text: str, *, answers: str = "") -> str:
        if self.inbox != "instagram":
            return await FacebookWeather.comment(self, text, answers=answers)
        return str(first(await self.control("comments", text=text, mediaId=self._media), "comments")["id"])

    async def messages_got(self) -> Sequence[str]:
        sent = [row for row in await self.state("messages") if row["direction"] == "out"]
        return [said for row in sent for said in _contents(row)]

    async def calls_made(self) -> int:
        answer = await self.http.client.get(f"{SANDBOX}/_sandbox/state", params={"only": "calls"})
        return sum(msgspec.json.decode(answer.content, type=dict[str, dict[str, int]])["calls"].values())

    async def refuse_content(self) -> None:
        await self.control("faults", match={"method": "POST", "path": "/messages"}, code=100)


def _contents(row: Mapping[str, object]) -> list[str]:
    parts = row["parts"]
    assert isinstance(parts, list)
    words = [str(row["text"])] if row["text"] else []
    return [*words, *(str(part["url"]) for part in parts)]


class OnMessenger(OnFacebook):
    """A Page's own inbox."""

    @pytest.fixture
    async def world(self, http: AsgiHttp, clock: FakeClock, settings: GraphSettings) -> InboxWeather:
        world = await self._weather(http, clock, settings)
        await world.write_post()
        return world

    async def _weather(
        self, http: AsgiHttp, clock: FakeClock, settings: GraphSettings, **where: str
    ) -> InboxWeather:
        app = settings.app()
        assert app is not None
        world = InboxWeather(http=http, clock=clock, app=app, **where)
        await world.start_clock()
        return world


class OnInstagram(OnMessenger):
    """The inbox of the account that is linked to the Page; it is acted as with the Page's token."""

    @pytest.fixture
    async def world(self, http: AsgiHttp, clock: FakeClock, settings: GraphSettings) -> InboxWeather:
        where = {"channel_external_id": INSTAGRAM_ID, "inbox": "instagram", "realm": INSTAGRAM_ID}
        world = await self._weather(http, clock, settings, **where)
        await world.show_media()
        return world


class OnWhatsApp(OnMessenger):
    """A business's phone number, acted as with the token of whoever connected."""

    @pytest.fixture
    async def world(self, http: AsgiHttp, clock: FakeClock, settings: GraphSettings) -> InboxWeather:
        where = {"channel_external_id": PHONE_NUMBER_ID, "inbox": "whatsapp", "realm": "whatsapp"}
        return await self._weather(http, clock, settings, **where)
