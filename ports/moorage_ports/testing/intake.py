"""What every `Intake` promises: nothing acknowledged is lost, nothing reaches an org that does not own it."""

import asyncio
from datetime import timedelta

import pytest

from moorage_ports.inbox import InboxItem, Kept, Unreadable
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.storage import Storage
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.holding import APP, SOON, VENDOR, arrival, change, hold
from moorage_ports.testing.lent import BEGINNING

MANY = 100


async def everything_of(storage: Storage, org_id: str) -> list[InboxItem]:
    """All that waits for this org, claimed."""
    now = BEGINNING + SOON
    buckets = [bucket for org, bucket in await storage.backlog.pending_groups(now) if org == org_id]
    items: list[InboxItem] = []
    for bucket in sorted(buckets):
        async with storage.unit_of_work(org_id) as work:
            items += await work.inbox.claim(bucket, limit=MANY, now=now)
    return items


async def _keys(storage: Storage, org_id: str) -> list[bytes]:
    return sorted(item.body for item in await everything_of(storage, org_id))


class IntakeContract(Contract):
    """Subclass as `Test<Adapter>`; provide `storage`, empty."""

    @pytest.fixture(autouse=True)
    async def owners(self, storage: Storage) -> None:
        """`acme` holds two boards, `globex` shares one of them; `retired` held it once."""
        await hold(storage, "acme", "board-1", "board-2")
        await hold(storage, "globex", "board-2")
        await hold(storage, "retired", "board-1", status=IntegrationStatus.INACTIVE)

    async def test_a_change_reaches_its_owner_whole(self, storage: Storage) -> None:
        """What the worker reads is what the vendor sent."""
        one = change("slip:1", kind="slip", partition="talk-7")

        kept = await storage.intake.keep(arrival(one))

        [item] = await everything_of(storage, "acme")
        assert kept == Kept(stored=1)
        assert (item.body, item.kind, item.partition, item.vendor) == (one.body, "slip", "talk-7", VENDOR)
        assert item.received_at == BEGINNING
        assert await everything_of(storage, "globex") == []

    async def test_one_delivery_may_hold_many_orgs(self, storage: Storage) -> None:
        """Each org gets its own changes; a shared channel's go to both."""
        kept = await storage.intake.keep(arrival(change("a", "board-1"), change("b", "board-2")))

        assert kept == Kept(stored=3)
        assert len(await everything_of(storage, "acme")) == 2
        assert await _keys(storage, "globex") == [change("b").body]

    async def test_a_change_comes_in_once(self, storage: Storage) -> None:
        """Vendors repeat themselves: in a retry, within one delivery, and all at the same time."""
        await storage.intake.keep(arrival(change("a")))

        again = await storage.intake.keep(arrival(change("a")))
        doubled = await storage.intake.keep(arrival(change("b"), change("b")))
        raced = await asyncio.gather(*(storage.intake.keep(arrival(change("c"))) for _ in range(MANY)))

        assert again == Kept(duplicates=1)
        assert doubled == Kept(stored=1, duplicates=1)
        assert sum(kept.stored for kept in raced) == 1
        assert sum(kept.duplicates for kept in raced) == MANY - 1
        assert len(await everything_of(storage, "acme")) == 3

    async def test_many_at_once_are_all_kept(self, storage: Storage) -> None:
        """However they are grouped on the way to the disk, each caller hears about its own."""
        answers = await asyncio.gather(
            *(storage.intake.keep(arrival(change(f"n{n}", partition=f"p{n}"))) for n in range(MANY))
        )

        assert answers == [Kept(stored=1)] * MANY
        assert len(await everything_of(storage, "acme")) == MANY

    async def test_the_surest_owner_key_decides(self, storage: Storage) -> None:
        """Later keys are only asked when nobody holds the earlier ones."""
        kept = await storage.intake.keep(
            arrival(change("a", "board-1", "board-2"), change("b", "gone", "board-1"))
        )

        assert kept == Kept(stored=2)
        assert await everything_of(storage, "globex") == []

    async def test_what_nobody_owns_is_kept_aside(self, storage: Storage) -> None:
        """Not an error: it is signed, so it is answered with 200; and no org sees it."""
        kept = await storage.intake.keep(arrival(change("a", "elsewhere"), change("b")))

        assert kept == Kept(stored=1, orphaned=1)
        assert await _keys(storage, "acme") == [change("b").body]

    async def test_narrowing_only_takes_owners_away(self, storage: Storage) -> None:
        """An org id in the URL is not signed: it must not bring anybody another org's news."""
        narrowed = await storage.intake.keep(arrival(change("a", "board-2"), narrow_to="globex"))
        stolen = await storage.intake.keep(arrival(change("b", "board-1"), narrow_to="globex"))
        nobody = await storage.intake.keep(arrival(change("c", "board-1"), narrow_to="no-such-org"))

        assert narrowed == Kept(stored=1)
        assert stolen == nobody == Kept(orphaned=1)
        assert await _keys(storage, "globex") == [change("a").body]
        assert await everything_of(storage, "acme") == []

    async def test_another_apps_or_vendors_channel_is_another_channel(self, storage: Storage) -> None:
        """The same id under another roof is somebody else."""
        await hold(storage, "initech", "board-1", app_id="app-2")
        await hold(storage, "umbrella", "board-1", vendor="other")

        await storage.intake.keep(arrival(change("a")))
        await storage.intake.keep(arrival(change("b"), app_id="app-2"))

        assert await _keys(storage, "acme") == [change("a").body]
        assert await _keys(storage, "initech") == [change("b").body]
        assert await everything_of(storage, "umbrella") == []

    async def test_an_expired_integration_still_owns(self, storage: Storage) -> None:
        """What arrives meanwhile waits for the reconnection; what was shut down gets nothing."""
        await hold(storage, "acme", "board-1", status=IntegrationStatus.EXPIRED)

        kept = await storage.intake.keep(arrival(change("a")))

        assert kept == Kept(stored=1)
        assert await everything_of(storage, "retired") == []

    async def test_what_can_not_be_split_is_kept_aside(self, storage: Storage) -> None:
        """Whole, and nobody's."""
        await storage.intake.keep_aside(
            Unreadable(
                vendor=VENDOR, app_id=APP, received_at=BEGINNING, reason="malformed_json", body=b"\xff{"
            )
        )

        assert await storage.backlog.pending_groups(BEGINNING + SOON) == []

    async def test_what_was_kept_aside_is_forgotten_after_seven_days(self, storage: Storage) -> None:
        """M4: nobody's personal data stays no longer than it takes to find its owner."""
        await storage.intake.keep(arrival(*(change(f"{n}", "elsewhere") for n in range(450)), change("ours")))
        await storage.intake.keep_aside(
            Unreadable(vendor=VENDOR, app_id=APP, received_at=BEGINNING, reason="odd", body=b"{")
        )

        assert await storage.intake.forget_expired(BEGINNING + timedelta(days=7) - SOON) == 0
        assert await storage.intake.forget_expired(BEGINNING + timedelta(days=7)) == 451
        assert await storage.intake.forget_expired(BEGINNING + timedelta(days=7)) == 0
        assert await _keys(storage, "acme") == [change("ours").body]
