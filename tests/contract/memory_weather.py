"""The memory vendor's world, in the words that the promises use."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage_adapters.memory.activity_sync import SURFACE as REMARKS
from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.direct_messages import SURFACE as LETTERS
from moorage_adapters.memory.news import news_of_slips, signed
from moorage_adapters.memory.plugin import MemoryPlugin, memory_plugin
from moorage_adapters.memory.things import SCOPES, Note, Slip
from moorage_adapters.memory.world import ADA, BOOKS, CAFE, NEWSLETTER, MemoryWorld
from moorage_ports.events import LeadArrived, Person
from moorage_ports.plugin import Vendor
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.world import FilledIn
from moorage_ports.webhooks import Delivery, VendorApp

ANSWERS = {
    "email": ("grace@example.org",),
    "full_name": ("Grace Müller ☕",),
    "roast": ("light roast", "dark roast"),
}
MORNING = datetime(2030, 1, 1, 8, 30, tzinfo=UTC)


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@attrs.frozen
class MemoryWeather:
    """A `World`, for every port of the memory vendor."""

    world: MemoryWorld
    clock: FakeClock

    @property
    def app(self) -> VendorApp:
        return self.world.app

    @property
    def channel_external_id(self) -> str:
        return CAFE.id

    async def consent(self, authorization_url: str, *, without: Collection[str] = ()) -> Mapping[str, str]:
        return _query(self.world.consent(authorization_url, scopes=[s for s in SCOPES if s not in without]))

    async def decline(self, authorization_url: str) -> Mapping[str, str]:
        return _query(self.world.refuse(authorization_url))

    async def revoke_grant(self) -> None:
        self.world.revoke_grant()

    async def withdraw_scopes(self) -> None:
        self.world.drop_scope(*SCOPES)

    async def limit(self, wait: timedelta) -> None:
        self.world.limit(wait)

    async def go_down(self) -> None:
        self.world.go_down()

    async def drop_answers(self) -> None:
        self.world.drop_answers()

    async def refuse_content(self) -> None:
        self.world.refuse_notes()

    async def clear_up(self) -> None:
        self.world.clear_up()

    async def texts_on(self, channel_external_id: str) -> Sequence[str]:
        return [note.text for note in self.world.notes.values() if note.board_id == channel_external_id]

    async def comment(self, text: str, *, answers: str = "") -> str:
        return self.world.say(self._note(), text, answers=answers).id

    async def react(self) -> str:
        return self.world.cheer(self._note(), "wow").by.id

    async def comments_shown(self) -> Sequence[str]:
        return [remark.text for remark in self.world.chatter.remarks.values() if not remark.is_covered]

    @property
    def message_surface(self) -> str:
        return LETTERS

    @property
    def comment_surface(self) -> str:
        return REMARKS

    async def write(self, text: str) -> Person:
        return person_from_memory(self.world.write_to(CAFE.id, text).person)

    async def name_of_writer(self) -> str:
        return ADA.name

    async def hide_writer(self) -> None:
        self.world.mail.hidden.add(ADA.id)

    async def messages_got(self) -> Sequence[str]:
        return [
            letter.enclosure.url if letter.enclosure else letter.text
            for letter in self.world.mail.letters.values()
            if letter.is_from_board
        ]

    async def calls_made(self) -> int:
        return self.world.calls

    def _note(self) -> str:
        if not self.world.notes:
            note = Note(id="note-0", board_id=CAFE.id, text="Hi", link=None, images=(), pinned_at=MORNING)
            self.world.notes[note.id] = note
        return next(iter(self.world.notes))

    async def fill_in(self) -> FilledIn:
        slip = self.world.fill_in(NEWSLETTER.id, ANSWERS)
        return FilledIn(form_external_id=NEWSLETTER.id, lead_external_id=slip.id, answers=ANSWERS)

    async def pass_time(self, duration: timedelta) -> None:
        self.clock.advance(duration)

    def handshake(self, verify_token: str, challenge: str) -> Mapping[str, str]:
        return {"token": verify_token, "challenge": challenge}

    def some_leads(self) -> Sequence[LeadArrived]:
        return [
            LeadArrived(
                lead_external_id=f"slip-{number}",
                channel_external_id=board.id,
                form_external_id=NEWSLETTER.id,
                occurred_at=MORNING + timedelta(minutes=number),
            )
            for number, board in enumerate((CAFE, BOOKS, CAFE, CAFE), start=1)
        ]

    def delivery_body(self, leads: Sequence[LeadArrived]) -> bytes:
        return news_of_slips(
            [
                Slip(
                    id=lead.lead_external_id,
                    form_id=lead.form_external_id,
                    board_id=lead.channel_external_id,
                    answers={},
                    handed_in_at=lead.occurred_at or MORNING,
                )
                for lead in leads
            ]
        )

    def signed(self, body: bytes, secret: Secret) -> Delivery:
        return signed(body, secret)


class OnMemory:
    """Fixtures for every contract that the memory vendor keeps."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def memory(self, clock: FakeClock) -> MemoryWorld:
        return MemoryWorld(now=clock.now)

    @pytest.fixture
    def world(self, memory: MemoryWorld, clock: FakeClock) -> MemoryWeather:
        return MemoryWeather(memory, clock)

    @pytest.fixture
    def plugin(self, memory: MemoryWorld) -> MemoryPlugin:
        return memory_plugin(memory)

    @pytest.fixture
    def vendor(self, plugin: MemoryPlugin) -> Vendor:
        return plugin.moorage_vendor()
