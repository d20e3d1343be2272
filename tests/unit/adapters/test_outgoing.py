"""What orgs tell others: written with what made it true, claimed by one at a time, in order, forgotten."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.errors import NotFoundError
from moorage_ports.outgoing import (
    DEAD_KEPT,
    DELIVERED_KEPT,
    Attempt,
    Endpoint,
    EndpointState,
    EventType,
    HandoverState,
    Parcel,
    SigningSecret,
)
from moorage_ports.secret import Secret
from tests.unit.adapters.conftest import NOON

MINUTE = timedelta(minutes=1)
CREATED, UPDATED, DELETED = EventType.LEAD_CREATED, EventType.LEAD_UPDATED, EventType.LEAD_DELETED


def endpoint(id_: str = "e1", **changes: Any) -> Endpoint:
    fields: dict[str, Any] = {
        "id": id_,
        "url": f"https://crm.example/{id_}",
        "secrets": (SigningSecret(value=Secret("kept")),),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Endpoint(**(fields | changes))


async def listen(storage: SqlStorage, *endpoints: Endpoint, org_id: str = "a") -> None:
    async with storage.unit_of_work(org_id) as uow:
        for one in endpoints:
            await uow.outgoing.save_endpoint(one)


async def tell(storage: SqlStorage, *subjects: str, event: EventType = CREATED, org_id: str = "a") -> int:
    async with storage.unit_of_work(org_id) as uow:
        return sum([await uow.outgoing.announce(event, one, {"id": one}) for one in subjects])


async def claim(
    storage: SqlStorage, endpoint_id: str = "e1", *, now: datetime = NOON, limit: int = 10, org_id: str = "a"
) -> tuple[Parcel, ...]:
    async with storage.unit_of_work(org_id) as uow:
        return await uow.outgoing.claim(endpoint_id, limit=limit, now=now, lease_until=now + MINUTE)


async def settle(storage: SqlStorage, *attempts: Attempt, now: datetime = NOON) -> tuple[bool, ...]:
    async with storage.unit_of_work("a") as uow:
        return await uow.outgoing.settle(attempts, now=now)


def delivered(parcel: Parcel) -> Attempt:
    return Attempt(handover=parcel.handover, state=HandoverState.DELIVERED, status=204)


def subjects(parcels: tuple[Parcel, ...]) -> list[str]:
    return [one.handover.subject_id for one in parcels]


async def test_an_endpoint_comes_back_as_it_was_and_its_secrets_are_sealed(storage: SqlStorage) -> None:
    kept = endpoint(
        event_types=(UPDATED, DELETED),
        description="ours",
        secrets=(SigningSecret(value=Secret("new")), SigningSecret(value=Secret("old"), until=NOON)),
        failures=3,
        failing_since=NOON,
        held_until=NOON + MINUTE,
        rotated_at=NOON,
    )
    await listen(storage, kept)
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.outgoing.endpoint("e1") == kept
        assert await uow.outgoing.endpoints() == (kept,)
    async with storage.unit_of_work("b", reads_only=True) as uow:
        assert await uow.outgoing.endpoint("e1") is None
    assert kept.signing(NOON - MINUTE) == (Secret("new"), Secret("old"))
    assert kept.signing(NOON) == (Secret("new"),)
    assert "crm.example" not in repr(kept)


async def test_who_listens_is_told_of_what_it_wants(storage: SqlStorage) -> None:
    await listen(
        storage,
        endpoint("all"),
        endpoint("deletions", event_types=(DELETED,)),
        endpoint("waits", state=EndpointState.PAUSED),
        endpoint("off", state=EndpointState.DISABLED),
    )
    assert await tell(storage, "lead-1") == 2
    assert await tell(storage, "lead-1", event=DELETED) == 3
    (first,) = await claim(storage, "all")
    assert first.handover.event_type is CREATED
    assert first.payload == b'{"id":"lead-1"}'
    assert [one.handover.event_type for one in await claim(storage, "deletions")] == [DELETED]
    assert await claim(storage, "waits") == ()
    await listen(storage, endpoint("waits"))
    assert len(await claim(storage, "waits")) == 1, "what was announced meanwhile waited"
    assert await claim(storage, "off") == ()


async def test_nobody_listens(storage: SqlStorage) -> None:
    assert await tell(storage, "lead-1", "lead-2") == 0
    async with storage.unit_of_work("a") as uow:
        assert not await uow.outgoing.listens(CREATED)
        await uow.outgoing.save_endpoint(endpoint(event_types=(CREATED,)))
        assert await uow.outgoing.listens(CREATED)
        assert not await uow.outgoing.listens(DELETED)


async def test_what_is_rolled_back_was_never_announced(storage: SqlStorage) -> None:
    await listen(storage, endpoint())

    async def announce_and_fail() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.outgoing.announce(CREATED, "lead-1", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await announce_and_fail()
    assert await claim(storage) == ()


async def test_messages_about_one_thing_are_in_order_and_others_need_not_wait(storage: SqlStorage) -> None:
    await listen(storage, endpoint())
    await tell(storage, "lead-1")
    await tell(storage, "lead-1", event=UPDATED)
    await tell(storage, "lead-2")
    first, other = await claim(storage)
    assert subjects((first, other)) == ["lead-1", "lead-2"]
    assert await claim(storage) == ()
    waits = Attempt(handover=first.handover, state=HandoverState.PENDING, retry_at=NOON + 2 * MINUTE)
    assert await settle(storage, waits, delivered(other)) == (True, True)
    assert await claim(storage) == (), "the second one of lead-1 does not overtake the first"
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.next_due("e1") == NOON + 2 * MINUTE
    (again,) = await claim(storage, now=NOON + 2 * MINUTE)
    assert (again.handover.message_id, again.handover.tries) == (first.handover.message_id, 2)
    assert again.payload == first.payload
    await settle(storage, delivered(again))
    (second,) = await claim(storage)
    assert second.handover.event_type is UPDATED
    await settle(storage, delivered(second))
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.next_due("e1") is None


async def test_what_somebody_claimed_is_theirs_until_the_lease_runs_out(storage: SqlStorage) -> None:
    await listen(storage, endpoint())
    await tell(storage, "lead-1")
    (lost,) = await claim(storage)
    assert await claim(storage, now=NOON + MINUTE - timedelta(microseconds=1)) == ()
    (taken,) = await claim(storage, now=NOON + MINUTE)
    assert await settle(storage, delivered(lost)) == (False,), "it is somebody else's now"
    assert await settle(storage, delivered(taken)) == (True,)
    assert await settle(storage, delivered(taken)) == (False,), "it is settled"


async def test_a_claim_takes_no_more_than_asked_for_and_the_longest_due_first(
    storage: SqlStorage, clock: FixedClock
) -> None:
    await listen(storage, endpoint())
    for number in range(5):
        await tell(storage, f"lead-{number}")
        clock.advance(timedelta(seconds=1))
    late = NOON + MINUTE
    assert subjects(await claim(storage, limit=3, now=late)) == ["lead-0", "lead-1", "lead-2"]
    assert subjects(await claim(storage, limit=3, now=late)) == ["lead-3", "lead-4"]


async def test_what_waits_for_an_endpoint_that_is_disabled_is_given_up(storage: SqlStorage) -> None:
    await listen(storage, endpoint())
    await tell(storage, "lead-1", "lead-2")
    await listen(storage, endpoint(state=EndpointState.DISABLED, reason="gone"))
    await listen(storage, endpoint())
    assert await claim(storage) == ()
    async with storage.unit_of_work("a") as uow:
        page = await uow.outgoing.handovers("e1", page=1, page_size=10)
        assert [(one.state, one.error) for one in page.items] == [
            (HandoverState.DEAD, "endpoint_disabled")
        ] * 2
        assert await uow.outgoing.replay("e1", now=NOON) == 2
    assert len(await claim(storage)) == 2


async def test_handovers_are_listed_newest_first_and_replayed_by_what_they_are(
    storage: SqlStorage, clock: FixedClock
) -> None:
    await listen(storage, endpoint())
    await tell(storage, "lead-1", "lead-2")
    clock.advance(MINUTE)
    await tell(storage, "lead-3")
    first, second, third = await claim(storage, now=NOON + MINUTE)
    gone = Attempt(handover=second.handover, state=HandoverState.DEAD, status=400, error="rejected")
    await settle(storage, delivered(first), gone, delivered(third))
    async with storage.unit_of_work("a") as uow:
        page = await uow.outgoing.handovers("e1", page=1, page_size=2)
        assert ([one.subject_id for one in page.items], page.total) == (["lead-3", "lead-2"], 3)
        dead = await uow.outgoing.handovers("e1", page=1, page_size=2, state=HandoverState.DEAD)
        assert [(one.status, one.error, one.tries) for one in dead.items] == [(400, "rejected", 1)]
        ids = [second.handover.message_id, "msg_unknown"]
        assert await uow.outgoing.replay("e1", now=NOON, message_ids=ids) == 1
        assert await uow.outgoing.replay("e1", now=NOON, message_ids=ids) == 0, "it is pending already"
        assert await uow.outgoing.replay("e1", now=NOON, states=[HandoverState.DEAD]) == 0
        assert await uow.outgoing.replay("e1", now=NOON, since=NOON + MINUTE) == 1
    again = await claim(storage, now=NOON + MINUTE)
    assert [one.handover.message_id for one in again] == [
        second.handover.message_id,
        third.handover.message_id,
    ]
    assert [one.handover.tries for one in again] == [1, 1]


async def test_nothing_is_told_any_more_of_what_is_forgotten(storage: SqlStorage) -> None:
    await listen(storage, endpoint(), endpoint("e2"))
    await tell(storage, "lead-1", "lead-2")
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.forget_about(["lead-1", "lead-9"]) == 1
        await uow.outgoing.announce(DELETED, "lead-1", {"id": "lead-1"})
    for id_ in ("e1", "e2"):
        told = await claim(storage, id_)
        assert [(one.handover.subject_id, one.handover.event_type) for one in told] == [
            ("lead-2", CREATED),
            ("lead-1", DELETED),
        ]


async def test_a_ping_is_the_callers_and_goes_to_one(storage: SqlStorage) -> None:
    await listen(storage, endpoint(state=EndpointState.PAUSED), endpoint("e2"))
    async with storage.unit_of_work("a") as uow:
        with pytest.raises(NotFoundError):
            await uow.outgoing.ping("e3", {}, lease_until=NOON)
        parcel = await uow.outgoing.ping("e1", {"hello": 1}, lease_until=NOON + MINUTE)
    assert parcel.payload == b'{"hello":1}'
    assert await claim(storage, "e2") == ()
    assert await settle(storage, delivered(parcel)) == (True,)


async def test_settled_handovers_are_forgotten_in_time_and_messages_with_the_last(
    storage: SqlStorage,
) -> None:
    await listen(storage, endpoint(), endpoint("e2"))
    await tell(storage, "lead-1")
    (one,), (two,) = await claim(storage), await claim(storage, "e2")
    await settle(storage, delivered(one), Attempt(handover=two.handover, state=HandoverState.DEAD))
    just_before = NOON + DELIVERED_KEPT - timedelta(microseconds=1)
    assert await storage.handovers.forget_expired(just_before) == 0
    assert await storage.handovers.forget_expired(NOON + DELIVERED_KEPT) == 1
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.replay("e1", now=NOON) == 0
        assert await uow.outgoing.replay("e2", now=NOON) == 1
    assert [each.payload for each in await claim(storage, "e2")] == [one.payload]
    assert await storage.handovers.forget_expired(NOON + DEAD_KEPT) == 1, "also what still waits"
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.forget_about(["lead-1"]) == 0, "the message went, too"


async def test_the_sweep_finds_what_is_due_and_can_be_sent(storage: SqlStorage) -> None:
    held = endpoint("held", held_until=NOON + MINUTE)
    await listen(storage, endpoint(), held, endpoint("waits", state=EndpointState.PAUSED))
    await listen(storage, endpoint(), org_id="b")
    await tell(storage, "lead-1")
    assert await storage.handovers.due_endpoints(NOON) == [("a", "e1")]
    assert await storage.handovers.due_endpoints(NOON + MINUTE) == [("a", "e1"), ("a", "held")]
    await tell(storage, "lead-1", org_id="b")
    await claim(storage)
    assert await storage.handovers.due_endpoints(NOON) == [("b", "e1")]


async def test_an_endpoint_is_deleted_with_what_was_on_its_way(storage: SqlStorage) -> None:
    await listen(storage, endpoint(), endpoint("e2"))
    await tell(storage, "lead-1")
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.delete_endpoint("e1")
        assert not await uow.outgoing.delete_endpoint("e1")
        assert (await uow.outgoing.handovers("e1", page=1, page_size=1)).total == 0
    assert len(await claim(storage, "e2")) == 1
    async with storage.unit_of_work("a") as uow:
        assert await uow.outgoing.delete_endpoint("e2")
        assert await uow.outgoing.forget_about(["lead-1"]) == 0
