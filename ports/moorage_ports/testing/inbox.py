"""What every `Inbox` promises to the worker that empties it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from moorage_ports.inbox import (
    BODY_KEPT,
    DEAD_KEPT,
    KEY_KEPT,
    InboxItem,
    ItemState,
    Kept,
    SettledItem,
    Settlement,
)
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.storage import Storage
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.holding import SOON, VENDOR, arrival, change, hold, later
from moorage_ports.testing.lent import BEGINNING

NOW = BEGINNING + timedelta(minutes=1)
TALK = "talk-1"


async def bring(storage: Storage, *keys: str, partition: str = TALK) -> int:
    """Take changes in, a second apart; answers a bucket that has work now."""
    for number, key in enumerate(keys):
        await storage.intake.keep(later(change(key, partition=partition), SOON * number))
    return (await storage.backlog.pending_groups(NOW))[0][1]


async def claim(
    storage: Storage, bucket: int, *, org_id: str = "acme", limit: int = 100, now: datetime = NOW
) -> Sequence[InboxItem]:
    """What a worker gets."""
    async with storage.unit_of_work(org_id) as work:
        return await work.inbox.claim(bucket, limit=limit, now=now)


async def settle(
    storage: Storage,
    item: InboxItem,
    state: ItemState,
    retry_at: datetime | None = None,
    *,
    is_lasting: bool = False,
) -> bool:
    """What a worker reports."""
    async with storage.unit_of_work("acme") as work:
        error = "rate_limited" if retry_at else ""
        settlement = Settlement(item=item, state=state, error=error, retry_at=retry_at, is_lasting=is_lasting)
        (is_settled,) = await work.inbox.settle([settlement], now=NOW)
        return is_settled


def _told_by(item: SettledItem, form_id: str) -> LeadEntry:
    """What the ledger has of the lead that this item tells of."""
    return LeadEntry(
        vendor=item.vendor,
        external_id=f"lead-{item.id}",
        form_external_id=form_id,
        outcome=LeadOutcome.DEAD,
        arrived_at=item.received_at,
        updated_at=NOW,
        item_id=item.id,
    )


async def _revive(storage: Storage, *keys: str) -> tuple[int, ...]:
    async with storage.unit_of_work("acme") as work:
        return await work.inbox.revive(VENDOR, [change(key).business_key for key in keys], now=NOW)


def _keys(items: Sequence[InboxItem]) -> list[str]:
    return [item.body.decode().split('"')[3] for item in items]


class InboxContract(Contract):
    """Subclass as `Test<Adapter>`; provide `storage`, empty."""

    @pytest.fixture(autouse=True)
    async def owner(self, storage: Storage) -> None:
        """`acme` holds the board."""
        await hold(storage, "acme", "board-1")

    async def test_items_of_a_partition_come_in_order(self, storage: Storage) -> None:
        """Oldest first: an edit must not be applied before what it edits."""
        bucket = await bring(storage, "a", "b", "c")

        assert _keys(await claim(storage, bucket)) == ["a", "b", "c"]

    async def test_a_claim_takes_no_more_than_it_may(self, storage: Storage) -> None:
        """Batches are bounded, from the front."""
        bucket = await bring(storage, "a", "b", "c")

        assert _keys(await claim(storage, bucket, limit=2)) == ["a", "b"]

    async def test_what_is_done_is_gone(self, storage: Storage) -> None:
        """And so is what is dead; what comes after it goes on."""
        bucket = await bring(storage, "a", "b", "c")
        first, second, third = await claim(storage, bucket)

        assert await settle(storage, first, ItemState.DONE)
        assert await settle(storage, second, ItemState.DEAD)
        assert await settle(storage, third, ItemState.PENDING, retry_at=NOW)

        assert _keys(await claim(storage, bucket)) == ["c"]

    async def test_what_is_kept_is_listed_by_its_state(self, storage: Storage) -> None:
        """The newest first, page by page, of one vendor or of all, of one org only."""
        bucket = await bring(storage, "a", "b", "c", "d")
        first, second, third, fourth = await claim(storage, bucket)
        await settle(storage, first, ItemState.DEAD)
        await settle(storage, second, ItemState.PARKED)
        await settle(storage, third, ItemState.DEAD)
        await settle(storage, fourth, ItemState.PENDING, retry_at=NOW + SOON)

        async def kept(state: ItemState, *, page: int = 1, vendor: str = "", org: str = "acme") -> list[str]:
            async with storage.unit_of_work(org, reads_only=True) as work:
                found = await work.inbox.kept(state, page=page, page_size=1, vendor=vendor)
            return [found.items[0].id if found.items else "", str(found.total)]

        assert await kept(ItemState.DEAD) == [third.id, "2"]
        assert await kept(ItemState.DEAD, page=2, vendor=VENDOR) == [first.id, "2"]
        assert await kept(ItemState.DEAD, page=3) == ["", "2"]
        assert await kept(ItemState.PARKED) == [second.id, "1"]
        assert await kept(ItemState.PENDING) == [fourth.id, "1"]
        assert await kept(ItemState.DEAD, vendor="another") == ["", "0"]
        assert await kept(ItemState.DEAD, org="another") == ["", "0"]

    async def test_a_retry_waits_for_its_moment(self, storage: Storage) -> None:
        """And counts its tries."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)

        await settle(storage, item, ItemState.PENDING, retry_at=NOW + SOON)

        assert _keys(await claim(storage, bucket)) == []
        assert await storage.backlog.pending_groups(NOW) == []
        [again] = await claim(storage, bucket, now=NOW + SOON)
        assert (item.tries, again.tries) == (1, 2)

    async def test_a_partition_waits_for_its_oldest(self, storage: Storage) -> None:
        """What came later waits with it; other partitions of the same bucket do not."""
        bucket = await bring(storage, "a", "b")
        for number in range(60):
            await bring(storage, f"n{number}", partition=f"other-{number}")
        items = await claim(storage, bucket)
        neighbours = [key for key in _keys(items) if key.startswith("n")]
        assert neighbours, "no partition shares a bucket with another"
        for item in items:
            wait = SOON if item.body == change("a").body else timedelta()
            assert await settle(storage, item, ItemState.PENDING, retry_at=NOW + wait)

        assert sorted(_keys(await claim(storage, bucket))) == sorted(neighbours)
        later_on = _keys(await claim(storage, bucket, now=NOW + SOON))
        assert [key for key in later_on if key not in neighbours] == ["a", "b"]

    async def test_a_lost_lease_settles_nothing(self, storage: Storage) -> None:
        """A worker that was thought dead comes back late: only the last claimer's word counts."""
        bucket = await bring(storage, "a")
        [early] = await claim(storage, bucket)
        [late] = await claim(storage, bucket)

        assert not await settle(storage, early, ItemState.DEAD)
        assert await settle(storage, late, ItemState.DONE)
        assert _keys(await claim(storage, bucket)) == []

    async def test_many_are_settled_at_once(self, storage: Storage) -> None:
        """Each as it was said of it, and a lost lease among them takes none of the others with it."""
        bucket = await bring(storage, "a", "b", "c", "d")
        first, second, third, fourth = await claim(storage, bucket)
        assert await settle(storage, second, ItemState.DONE)

        async with storage.unit_of_work("acme") as work:
            settled = await work.inbox.settle(
                [
                    Settlement(item=fourth, state=ItemState.PENDING, error="so", retry_at=NOW),
                    Settlement(item=second, state=ItemState.DEAD),
                    Settlement(item=first, state=ItemState.DONE),
                    Settlement(item=third, state=ItemState.PENDING),
                ],
                now=NOW,
            )
            assert await work.inbox.settle([], now=NOW) == ()

        assert settled == (True, False, True, True)
        again = await claim(storage, bucket)
        assert [(key, item.tries) for key, item in zip(_keys(again), again, strict=True)] == [
            ("c", 1),
            ("d", 2),
        ]

    async def test_what_is_settled_is_settled_once(self, storage: Storage) -> None:
        """A second word about the same claim changes nothing."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        assert await settle(storage, item, ItemState.DONE)

        assert not await settle(storage, item, ItemState.PENDING, retry_at=NOW)
        assert _keys(await claim(storage, bucket)) == []

    async def test_what_is_given_back_unworked_was_no_try(self, storage: Storage) -> None:
        """An item that only waited for its turn must not die of it."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)

        await settle(storage, item, ItemState.PENDING)

        [again] = await claim(storage, bucket)
        assert (item.tries, again.tries) == (1, 1)

    async def test_a_rolled_back_claim_was_none(self, storage: Storage) -> None:
        """Claim and outcome belong to the worker's transaction."""
        bucket = await bring(storage, "a")

        with pytest.raises(LookupError):
            await self._fail_after_settling(storage, bucket)

        assert _keys(await claim(storage, bucket)) == ["a"]

    async def _fail_after_settling(self, storage: Storage, bucket: int) -> None:
        async with storage.unit_of_work("acme") as work:
            [item] = await work.inbox.claim(bucket, limit=1, now=NOW)
            await work.inbox.settle([Settlement(item=item, state=ItemState.DONE)], now=NOW)
            raise LookupError

    async def test_parked_items_wait_for_the_reconnection(self, storage: Storage) -> None:
        """Not failed, not tried again and again; after it they run by themselves."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        await settle(storage, item, ItemState.PARKED)
        assert _keys(await claim(storage, bucket)) == []
        assert await storage.backlog.pending_groups(NOW) == []

        async with storage.unit_of_work("acme") as work:
            elsewhere = await work.inbox.unpark("other", now=NOW)
            here = await work.inbox.unpark(VENDOR, now=NOW)

        assert (tuple(elsewhere), tuple(here)) == ((), (bucket,))
        assert _keys(await claim(storage, bucket)) == ["a"]

    async def test_a_person_who_changes_something_ends_the_waiting(self, storage: Storage) -> None:
        """What waits for a later try is due with what was parked: its cause may be what was changed."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        await settle(storage, item, ItemState.PENDING, retry_at=NOW + timedelta(days=1))

        async with storage.unit_of_work("acme") as work:
            assert await work.inbox.unpark("other", now=NOW) == ()
            assert await work.inbox.unpark(VENDOR, now=NOW, with_waiting=False) == ()
            assert await work.inbox.unpark(VENDOR, now=NOW) == (bucket,)

        [again] = await claim(storage, bucket)
        assert again.tries == 1, "as if it had just come"

    @pytest.mark.parametrize("state", [ItemState.DEAD, ItemState.PARKED, ItemState.PENDING])
    async def test_what_the_vendor_shows_again_is_revived(self, storage: Storage, state: ItemState) -> None:
        """Given up, parked or waiting: it begins anew; the others stay as they are."""
        bucket = await bring(storage, "a", "b")
        wait = NOW + timedelta(days=1) if state is ItemState.PENDING else None
        for item in await claim(storage, bucket):
            await settle(storage, item, state, wait)

        assert await _revive(storage, "b", "unknown") == (bucket,)

        if state is not ItemState.PENDING:  # else it stands in line behind one that waits
            [again] = await claim(storage, bucket)
            assert (_keys([again]), again.tries) == (["b"], 1)
        assert await _revive(storage, "a", "b") == (bucket,)
        assert _keys(await claim(storage, bucket)) == ["a", "b"]

    async def test_what_is_done_or_due_is_not_revived(self, storage: Storage) -> None:
        """Nothing has its effect twice, and nobody loses a lease."""
        bucket = await bring(storage, "a", "b")
        [done] = await claim(storage, bucket, limit=1)
        await settle(storage, done, ItemState.DONE)
        [held] = await claim(storage, bucket)

        assert await _revive(storage, "a", "b") == ()
        assert await _revive(storage) == ()
        assert await settle(storage, held, ItemState.DONE)

    async def test_no_org_claims_anothers(self, storage: Storage) -> None:
        """Nor settles it."""
        bucket = await bring(storage, "a")

        assert await claim(storage, bucket, org_id="globex") == ()
        [item] = await claim(storage, bucket)
        async with storage.unit_of_work("globex") as work:
            dead = Settlement(item=item, state=ItemState.DEAD)
            assert await work.inbox.settle([dead], now=NOW) == (False,)
        assert await settle(storage, item, ItemState.DONE)

    async def test_the_backlog_knows_what_waits(self, storage: Storage) -> None:
        """For the sweep that finds what a lost nudge left behind, and for people who watch."""
        assert await storage.backlog.oldest_pending_at() is None

        bucket = await bring(storage, "a", "b")

        assert list(await storage.backlog.pending_groups(NOW)) == [("acme", bucket)]
        assert await storage.backlog.oldest_pending_at() == BEGINNING
        assert await storage.backlog.pending_count() == 2

    async def test_the_backlog_counts_what_waits_for_a_retry(self, storage: Storage) -> None:
        """Nobody may work on it yet, and still it waits."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        await settle(storage, item, ItemState.PENDING, retry_at=NOW + SOON)

        assert await storage.backlog.pending_count() == 1
        assert await storage.backlog.oldest_pending_at() == BEGINNING

    async def test_what_is_settled_can_be_replayed(self, storage: Storage) -> None:
        """As if it had just come: all its tries, and no claim from before can settle it."""
        bucket = await bring(storage, "a", "b")
        old = await claim(storage, bucket)
        await settle(storage, old[0], ItemState.DONE)
        await settle(storage, old[1], ItemState.DEAD)

        assert [item.state for item in await self._settled(storage)] == [ItemState.DONE, ItemState.DEAD]
        assert await self._replay(storage) == (bucket,)
        assert await self._settled(storage) == ()
        again = await claim(storage, bucket)
        assert (_keys(again), [item.tries for item in again]) == (["a", "b"], [1, 1])
        assert not await settle(storage, old[0], ItemState.DEAD)

    async def test_a_replay_takes_what_is_named_and_no_more(self, storage: Storage) -> None:
        """By state, by id, up to a moment, up to a number; an id that is none of ours names nothing."""
        bucket = await bring(storage, "a", "b", "c")
        for item, state in zip(
            await claim(storage, bucket), (ItemState.DONE, ItemState.DEAD, ItemState.DEAD), strict=True
        ):
            await settle(storage, item, state)
        done, first, second = await self._settled(storage)

        assert await self._settled(storage, ItemState.DEAD) == (first, second)
        assert await self._settled(storage, ids=(done.id, second.id, "no id")) == (done, second)
        assert await self._settled(storage, ids=("no id",)) == ()
        assert await self._settled(storage, limit=2) == (done, first)
        assert await self._settled(storage, before=NOW - SOON) == ()
        assert await self._settled(storage, org_id="globex") == ()

    async def test_a_replay_is_narrowed_by_form_and_by_when_it_came(self, storage: Storage) -> None:
        """The ledger knows whose form it is; one that it does not know of is of no form."""
        bucket = await bring(storage, "a", "b", "c")
        for item in await claim(storage, bucket):
            await settle(storage, item, ItemState.DEAD)
        first, second, third = await self._settled(storage)
        async with storage.unit_of_work("acme") as work:
            await work.lead_ledger.write([_told_by(first, "form-1"), _told_by(third, "form-2")])
        at = second.received_at
        async with storage.unit_of_work("acme", reads_only=True) as work:

            async def settled(**narrowed: Any) -> tuple[SettledItem, ...]:
                return await work.inbox.settled(states=(ItemState.DEAD,), before=NOW, **narrowed)

            assert await settled(form_external_id="form-1") == (first,)
            assert await settled(form_external_id="form-1", vendor="elsewhere") == ()
            assert await settled(form_external_id="form-9") == ()
            assert await settled(since=at) == (second, third)
            assert await settled(until=at) == (first,)
            assert await settled(since=at, form_external_id="form-2", error="") == (third,)

    async def test_a_replay_leaves_what_is_under_way_alone(self, storage: Storage) -> None:
        """Replayed twice, or by an org whose it is not: nothing changes."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        await settle(storage, item, ItemState.DEAD)
        items = await self._settled(storage)
        async with storage.unit_of_work("globex") as work:
            assert await work.inbox.replay(items, now=NOW) == ()
        async with storage.unit_of_work("acme") as work:
            await work.inbox.replay(items, now=NOW)
        [claimed] = await claim(storage, bucket)
        async with storage.unit_of_work("acme") as work:
            assert await work.inbox.replay(items, now=NOW) == ()

        assert await settle(storage, claimed, ItemState.DONE)

    async def test_what_is_done_is_forgotten_in_two_steps(self, storage: Storage) -> None:
        """M4, W5: what people wrote after a week, that it was here after a month; not a moment earlier."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        await settle(storage, item, ItemState.DONE)

        assert await storage.intake.forget_settled(NOW + BODY_KEPT - SOON) == 0
        [kept] = await self._settled(storage)
        assert await storage.intake.forget_settled(NOW + BODY_KEPT) == 1
        assert await self._settled(storage) == ()
        async with storage.unit_of_work("acme") as work:
            assert await work.inbox.replay([kept], now=NOW + KEY_KEPT) == ()
        assert await storage.intake.forget_settled(NOW + KEY_KEPT - SOON) == 0
        assert await storage.intake.keep(arrival(change("a"))) == Kept(duplicates=1)
        assert await storage.intake.forget_settled(NOW + KEY_KEPT) == 1
        assert await storage.intake.keep(arrival(change("a"))) == Kept(stored=1)

    async def test_a_lasting_key_is_never_forgotten(self, storage: Storage) -> None:
        """W5: a lead that is announced again years later is the same lead."""
        bucket = await bring(storage, "a")
        [item] = await claim(storage, bucket)
        await settle(storage, item, ItemState.DONE, is_lasting=True)

        years = NOW + timedelta(days=5_000)
        assert await storage.intake.forget_settled(NOW + BODY_KEPT) == 1
        assert await storage.intake.forget_settled(years) == 0
        assert await storage.intake.keep(arrival(change("a"))) == Kept(duplicates=1)
        assert await self._settled(storage, before=years) == ()

    async def test_what_was_given_up_is_forgotten_whole_and_late(self, storage: Storage) -> None:
        """Somebody has to find out why; until then it can be replayed. What waits is never forgotten."""
        bucket = await bring(storage, "dead", "parked", "due", "later", "replayed")
        dead, parked, _, later, replayed = await claim(storage, bucket)
        await settle(storage, dead, ItemState.DEAD, is_lasting=True)
        await settle(storage, parked, ItemState.PARKED)
        await settle(storage, later, ItemState.PENDING, retry_at=NOW + SOON)
        await settle(storage, replayed, ItemState.DEAD)
        both = await self._settled(storage)
        async with storage.unit_of_work("acme") as work:
            await work.inbox.replay(both[1:], now=NOW)

        assert await storage.intake.forget_settled(NOW + DEAD_KEPT - SOON) == 0
        assert await self._settled(storage) == both[:1]
        assert await storage.intake.forget_settled(NOW + DEAD_KEPT) == 1
        assert await self._settled(storage) == ()
        assert _keys(await claim(storage, bucket, now=NOW + DEAD_KEPT)) == ["due", "later", "replayed"]

    async def test_many_are_forgotten_at_once(self, storage: Storage) -> None:
        """Over all orgs, however many fit into one step."""
        await hold(storage, "globex", "board-1")
        bucket = await bring(storage, *(f"{n}" for n in range(450)))
        for org_id in ("acme", "globex"):
            items = await claim(storage, bucket, org_id=org_id, limit=500)
            async with storage.unit_of_work(org_id) as work:
                done = [Settlement(item=item, state=ItemState.DONE) for item in items]
                assert await work.inbox.settle(done, now=NOW) == (True,) * 450

        assert await storage.intake.forget_settled(NOW + BODY_KEPT) == 900
        assert await storage.intake.forget_settled(NOW + KEY_KEPT) == 900
        assert await storage.intake.keep(arrival(change("0"))) == Kept(stored=2)

    async def _settled(
        self,
        storage: Storage,
        *states: ItemState,
        ids: Sequence[str] = (),
        before: datetime = NOW,
        limit: int = 100,
        org_id: str = "acme",
    ) -> tuple[SettledItem, ...]:
        async with storage.unit_of_work(org_id, reads_only=True) as work:
            return await work.inbox.settled(
                states=states or (ItemState.DONE, ItemState.DEAD), before=before, ids=ids, limit=limit
            )

    async def _replay(self, storage: Storage) -> tuple[int, ...]:
        items = await self._settled(storage)
        async with storage.unit_of_work("acme") as work:
            return await work.inbox.replay(items, now=NOW)
