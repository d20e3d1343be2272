"""What every `LeadCheckpoints` promises to whoever looks for leads that got lost."""

from datetime import timedelta

import attrs
import pytest

from moorage_ports.checkpoints import LeadCheckpoint
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.storage import Storage
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.holding import VENDOR, hold
from moorage_ports.testing.lent import BEGINNING

FIRST = LeadCheckpoint(
    vendor=VENDOR, channel_external_id="board-1", form_external_id="form-1", since=BEGINNING
)
UNDER_WAY = attrs.evolve(
    FIRST, cursor="abc", began_at=BEGINNING + timedelta(hours=1), checked_at=BEGINNING + timedelta(minutes=5)
)


class LeadCheckpointsContract(Contract):
    """Subclass as `Test<Adapter>`; provide `storage`, empty."""

    @pytest.fixture(autouse=True)
    async def owner(self, storage: Storage) -> None:
        """`acme` holds two boards."""
        await hold(storage, "acme", "board-1", "board-2")

    async def _all(
        self, storage: Storage, org_id: str = "acme", board: str = "board-1"
    ) -> tuple[LeadCheckpoint, ...]:
        async with storage.unit_of_work(org_id, reads_only=True) as work:
            return await work.lead_checkpoints.of_channel(VENDOR, board)

    async def test_what_was_saved_is_what_is_read(self, storage: Storage) -> None:
        """One per form, the last word counts."""
        second = attrs.evolve(FIRST, form_external_id="form-2")
        for checkpoint in (FIRST, second, UNDER_WAY):
            async with storage.unit_of_work("acme") as work:
                await work.lead_checkpoints.save(checkpoint)

        assert set(await self._all(storage)) == {UNDER_WAY, second}
        assert await self._all(storage, board="board-2") == ()

    async def test_beginning_forgets_what_was_before(self, storage: Storage) -> None:
        """Of this channel; another's stands."""
        elsewhere = attrs.evolve(FIRST, channel_external_id="board-2")
        later = BEGINNING + timedelta(days=1)
        async with storage.unit_of_work("acme") as work:
            await work.lead_checkpoints.save(UNDER_WAY)
            await work.lead_checkpoints.save(elsewhere)
            await work.lead_checkpoints.begin(VENDOR, "board-1", later)

        begun = LeadCheckpoint(vendor=VENDOR, channel_external_id="board-1", since=later)
        assert await self._all(storage) == (begun,)
        assert await self._all(storage, board="board-2") == (elsewhere,)

    async def test_each_org_has_its_own(self, storage: Storage) -> None:
        """The same board of two orgs is two stories."""
        async with storage.unit_of_work("acme") as work:
            await work.lead_checkpoints.save(FIRST)
        async with storage.unit_of_work("globex") as work:
            await work.lead_checkpoints.begin(VENDOR, "board-1", BEGINNING)

        assert await self._all(storage) == (FIRST,)

    async def test_who_has_to_be_looked_after(self, storage: Storage) -> None:
        """Channels that are selected and can be acted as, of orgs that are connected; over all orgs."""
        await hold(storage, "globex", "board-1")
        await hold(storage, "initech", "board-1", status=IntegrationStatus.EXPIRED)
        async with storage.unit_of_work("acme") as work:
            channel = await work.integrations.channel(VENDOR, "board-2")
            assert channel is not None
            await work.integrations.save_channels([attrs.evolve(channel, selectable=False)])

        listening = await storage.backlog.listening_channels()
        assert list(listening) == [("acme", VENDOR, "board-1"), ("globex", VENDOR, "board-1")]

        async with storage.unit_of_work("acme") as work:
            channel = await work.integrations.channel(VENDOR, "board-1")
            assert channel is not None
            await work.integrations.save_channels([attrs.evolve(channel, selected=False)])
        assert list(await storage.backlog.listening_channels()) == [("globex", VENDOR, "board-1")]
