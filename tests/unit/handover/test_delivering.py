"""Messages reach receivers that behave, survive those that do not, and are signed as specified."""

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta
from email.utils import format_datetime

import attrs
import pytest
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs

from moorage.handover import delivering
from moorage.handover.outcomes import MOST_TRIES, RETRIES, SUSPECT_AFTER, enabled
from moorage.handover.signing import new_secret
from moorage_adapters.safe_http import Rules, SafeDoor
from moorage_ports.http import HttpAnswer, HttpRequest
from moorage_ports.jobs import LookAgain
from moorage_ports.outgoing import EndpointState, EventType, HandoverState, SigningSecret
from tests.support.receiver import Behaviour, floods, hangs, resets, says, trickles
from tests.unit.handover.conftest import ORG, Quay

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


async def test_a_message_arrives_signed_and_in_its_envelope(quay: Quay) -> None:
    endpoint = await quay.endpoint()
    await quay.tell("lead-1")
    assert await quay.look() is None
    (got,) = quay.receiver.received
    assert got.verify(endpoint.secrets[0].value) == {
        "type": "lead.created",
        "timestamp": "2030-06-01T12:00:00Z",
        "data": {"id": "lead-1"},
    }
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-timestamp"] == str(int(quay.now.timestamp()))
    (handover,) = await quay.handovers()
    assert (handover.state, handover.status, handover.tries) == (HandoverState.DELIVERED, 204, 1)
    assert got.id == handover.message_id
    assert got.id.startswith("msg_")
    assert "." not in got.id


async def test_the_signature_is_what_the_specification_spells_out(quay: Quay) -> None:
    """Not only what the library that made it says of it."""
    endpoint = await quay.endpoint()
    await quay.tell("lead-1")
    await quay.look()
    (got,) = quay.receiver.received
    key = base64.b64decode(endpoint.secrets[0].value.reveal().removeprefix("whsec_"))
    assert 24 <= len(key) <= 64
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"


async def test_after_a_rotation_both_secrets_sign_until_the_old_ones_time_is_over(quay: Quay) -> None:
    new, old, others = new_secret(), new_secret(), new_secret()
    both = (SigningSecret(value=new), SigningSecret(value=old, until=quay.now + HOUR))
    await quay.endpoint(secrets=both)
    await quay.tell("lead-1")
    await quay.look()
    quay.clock.advance(HOUR)
    await quay.tell("lead-2")
    await quay.look()
    during, after = quay.receiver.received
    assert during.verify(new) == during.verify(old)
    assert after.verify(new)["data"] == {"id": "lead-2"}
    for got, secret in ((after, old), (during, others)):
        with pytest.raises(WebhookVerificationError):
            got.verify(secret)


FAILURES = [
    (says("500 Broken"), 500, "endpoint_failed"),
    (says("502 Bad Gateway"), 502, "endpoint_failed"),
    (says("404 Not Found"), 404, "rejected"),
    (says("301 Elsewhere", "location: http://127.0.0.1:1/"), 301, "redirected"),
    (hangs, 0, "timed_out"),
    (trickles, 0, "timed_out"),
    (resets, 0, "no_answer"),
]


@pytest.mark.parametrize(("behaviour", "status", "error"), FAILURES)
async def test_what_failed_is_sent_again_as_the_same_message(
    quay: Quay, behaviour: Behaviour, status: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "DEADLINE", timedelta(seconds=0.15))
    endpoint = await quay.endpoint()
    quay.receiver.behaviours = [behaviour]
    await quay.tell("lead-1")
    again = await quay.look()
    assert again is not None
    assert again.at is not None
    assert 0.9 * RETRIES[0] <= again.at - quay.now <= 1.1 * RETRIES[0]
    (failed,) = await quay.handovers()
    assert (failed.state, failed.status, failed.error) == (HandoverState.PENDING, status, error)
    assert await quay.look() == again, "it is not due before"
    quay.clock.advance(again.at - quay.now)
    monkeypatch.setattr(delivering, "DEADLINE", timedelta(seconds=5))
    assert await quay.look() is None
    first, second = quay.receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert first.headers["webhook-timestamp"] < second.headers["webhook-timestamp"], "of the try"
    second.verify(endpoint.secrets[0].value)
    (done,) = await quay.handovers()
    assert (done.state, done.tries, done.error) == (HandoverState.DELIVERED, 2, "")


async def test_an_answer_with_a_huge_body_is_an_answer(quay: Quay) -> None:
    await quay.endpoint()
    quay.receiver.behaviours = [floods]
    await quay.tell("lead-1")
    assert await quay.look() is None
    assert [one.state for one in await quay.handovers()] == [HandoverState.DELIVERED]


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Busy"])
@pytest.mark.parametrize("as_date", [False, True])
async def test_who_asks_for_time_gets_it_for_all_messages(quay: Quay, status: str, as_date: bool) -> None:
    await quay.endpoint()
    value = format_datetime(quay.now + HOUR, usegmt=True) if as_date else "3600"
    quay.receiver.behaviours = [says(status, f"Retry-After: {value}")]
    await quay.tell("lead-1")
    assert await quay.look() == LookAgain(at=quay.now + HOUR)
    await quay.tell("lead-2")
    assert await quay.look() == LookAgain(at=quay.now + HOUR)
    assert await quay.storage.handovers.due_endpoints(quay.now) == []
    assert len(quay.receiver.received) == 1
    quay.clock.advance(HOUR)
    await quay.look_until_done()
    assert sorted(quay.receiver.subjects) == ["lead-1", "lead-1", "lead-2"]


async def test_one_that_is_gone_is_told_nothing_any_more(quay: Quay) -> None:
    endpoint = await quay.endpoint()
    quay.receiver.behaviours = [says("410 Gone")]
    await quay.tell("lead-1")
    await quay.tell("lead-1", event=EventType.LEAD_UPDATED)
    assert await quay.look() is None
    now = await quay.current()
    assert (now.state, now.reason) == (EndpointState.DISABLED, "gone")
    assert {(one.state, one.error) for one in await quay.handovers()} == {
        (HandoverState.DEAD, "gone"),
        (HandoverState.DEAD, "endpoint_disabled"),
    }
    await quay.tell("lead-2")
    assert len(await quay.handovers()) == 2
    async with quay.storage.unit_of_work(ORG) as uow:
        await uow.outgoing.save_endpoint(enabled(now))
        assert await uow.outgoing.replay("e1", now=quay.now) == 2
    await quay.look_until_done()
    assert [one.event["type"] for one in quay.receiver.received[1:]] == ["lead.created", "lead.updated"]
    assert (await quay.current()).secrets == endpoint.secrets


async def test_a_message_that_is_never_taken_is_given_up_after_three_days(quay: Quay) -> None:
    """The others arrive meanwhile: one that an endpoint cannot read is not the end of all."""
    await quay.endpoint()

    async def refuses_lead_1(writer: asyncio.StreamWriter) -> None:
        is_bad = quay.receiver.received[-1].event["data"]["id"] == "lead-1"
        await says("400 Bad" if is_bad else "200 OK")(writer)

    quay.receiver.usual = refuses_lead_1
    began = quay.now
    await quay.tell("lead-1")
    await quay.tell("lead-1", event=EventType.LEAD_UPDATED)
    await quay.tell("lead-2")
    assert await quay.look() is not None
    assert [one.state for one in await quay.handovers()] == [
        HandoverState.DELIVERED,
        HandoverState.PENDING,
        HandoverState.PENDING,
    ]
    for _ in range(MOST_TRIES * 3):
        again = await quay.look()
        if again is None:
            break
        assert again.at is not None
        quay.clock.advance(again.at - quay.now)
        await quay.tell("lead-2")  # without these the endpoint would have been taken for a broken one
        await quay.look()
        if quay.now - began > timedelta(days=8):
            break
    tries = [one for one in quay.receiver.received if one.event["type"] == "lead.created"]
    assert [one.event["data"]["id"] for one in tries].count("lead-1") == MOST_TRIES
    dead = [one for one in await quay.handovers() if one.state is HandoverState.DEAD]
    assert [(one.subject_id, one.error, one.tries) for one in dead][-1:] == [
        ("lead-1", "rejected", MOST_TRIES)
    ]
    assert (await quay.current()).state is EndpointState.ACTIVE


async def test_messages_about_one_lead_keep_their_order_over_a_failure(quay: Quay) -> None:
    await quay.endpoint()
    quay.receiver.behaviours = [says("500 Broken")]
    await quay.tell("lead-1")
    await quay.tell("lead-1", event=EventType.LEAD_UPDATED)
    await quay.look_until_done()
    assert [one.event["type"] for one in quay.receiver.received] == [
        "lead.created",
        "lead.created",
        "lead.updated",
    ]


async def test_one_that_is_down_is_not_stormed_and_gets_all_once_it_is_back(quay: Quay) -> None:
    await quay.endpoint()
    quay.receiver.usual = says("503 Down")
    await quay.tell(*(f"lead-{number}" for number in range(40)))
    began = quay.now
    while quay.now - began < timedelta(hours=6):
        again = await quay.look()
        assert again is not None
        quay.clock.advance(max((again.at or quay.now) - quay.now, SECOND))
    asked = len(quay.receiver.received)
    assert asked <= delivering.AT_ONCE + 6 * 12 + 10, "one message every five minutes"
    assert all(one.tries <= 5 for one in await quay.handovers()), "waiting costs no tries"
    quay.receiver.usual = None
    await quay.look_until_done()
    assert {one.state for one in await quay.handovers()} == {HandoverState.DELIVERED}
    assert len(quay.receiver.received) - asked == 40
    healthy = await quay.current()
    assert (healthy.failures, healthy.failing_since, healthy.held_until) == (0, None, None)


async def test_one_that_fails_for_days_is_disabled(quay: Quay) -> None:
    failing = timedelta(days=5)
    await quay.endpoint(failures=SUSPECT_AFTER, failing_since=quay.now - failing + SECOND)
    quay.receiver.usual = says("500 Broken")
    await quay.tell("lead-1", "lead-2")
    assert (await quay.look()) is not None
    quay.clock.advance(LONG_ENOUGH)
    assert await quay.look() is None
    now = await quay.current()
    assert (now.state, now.reason) == (EndpointState.DISABLED, "failing")
    assert {one.state for one in await quay.handovers()} == {HandoverState.DEAD}


LONG_ENOUGH = timedelta(minutes=6)


async def test_a_paused_one_is_left_alone_also_by_a_look_that_runs(quay: Quay) -> None:
    endpoint = await quay.endpoint(state=EndpointState.PAUSED)
    await quay.tell("lead-1")
    assert await quay.look() is None
    assert quay.receiver.received == []

    async def pauses_meanwhile(writer: asyncio.StreamWriter) -> None:
        async with quay.storage.unit_of_work(ORG) as uow:
            await uow.outgoing.save_endpoint(attrs.evolve(endpoint, state=EndpointState.PAUSED))
        await says("500 Broken")(writer)

    async with quay.storage.unit_of_work(ORG) as uow:
        await uow.outgoing.save_endpoint(attrs.evolve(endpoint, state=EndpointState.ACTIVE))
    quay.receiver.behaviours = [pauses_meanwhile]
    assert await quay.look() is None
    assert (await quay.current()).state is EndpointState.PAUSED
    assert [one.state for one in await quay.handovers()] == [HandoverState.PENDING]


async def test_two_workers_never_send_the_same_message_at_once(quay: Quay) -> None:
    await quay.endpoint()

    async def takes_its_time(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await says("200 OK")(writer)

    quay.receiver.usual = takes_its_time
    await quay.tell(*(f"lead-{number}" for number in range(60)))
    await asyncio.gather(*(quay.look() for _ in range(4)))
    await quay.look_until_done()
    assert len(quay.receiver.received) == 60
    assert set(quay.receiver.most_at_once.values()) == {1}


async def test_an_endpoint_in_a_private_network_is_not_called(quay: Quay) -> None:
    quay.services = attrs.evolve(quay.services, door=SafeDoor(Rules()))
    await quay.endpoint(url=quay.receiver.url.replace("http:", "https:"))
    await quay.tell("lead-1")
    assert await quay.look() is not None
    assert [one.error for one in await quay.handovers()] == ["address_refused"]
    assert quay.receiver.received == []


async def test_one_message_that_breaks_us_does_not_end_the_others(quay: Quay) -> None:
    await quay.endpoint()
    good = quay.services.door

    class Breaks:
        async def send(self, request: HttpRequest) -> HttpAnswer:
            if b"lead-1" in request.body:
                raise RuntimeError(request.url)
            return await good.send(request)

        async def check(self, url: str) -> None:
            """Nothing is refused here."""

    quay.services = attrs.evolve(quay.services, door=Breaks())
    await quay.tell("lead-1", "lead-2")
    with capture_logs() as logs:
        assert await quay.look() is not None
    assert {one.subject_id: (one.state, one.error) for one in await quay.handovers()} == {
        "lead-1": (HandoverState.PENDING, "internal"),
        "lead-2": (HandoverState.DELIVERED, ""),
    }
    assert [one["event"] for one in logs] == ["handover_broke"]
    assert quay.receiver.url not in str(logs)


async def test_a_slow_look_gives_back_what_it_did_not_come_to(quay: Quay) -> None:
    await quay.endpoint()

    async def is_slow(writer: asyncio.StreamWriter) -> None:
        quay.clock.advance(delivering.SENDING)
        await says("200 OK")(writer)

    quay.receiver.behaviours = [is_slow]
    await quay.tell(*(f"lead-{number}" for number in range(delivering.AT_ONCE + 3)))
    assert await quay.look() == LookAgain()
    waiting = [one for one in await quay.handovers() if one.state is HandoverState.PENDING]
    assert [one.tries for one in waiting] == [0, 0, 0]
    await quay.look_until_done()
    assert len(quay.receiver.received) == delivering.AT_ONCE + 3


async def test_who_died_while_sending_has_its_messages_sent_again(quay: Quay) -> None:
    await quay.endpoint()
    await quay.tell("lead-1")
    async with quay.storage.unit_of_work(ORG) as uow:
        lease_until = quay.now + delivering.LEASE
        assert await uow.outgoing.claim("e1", limit=1, now=quay.now, lease_until=lease_until)
    assert await quay.look() == LookAgain(at=lease_until)
    assert quay.receiver.received == []
    quay.clock.advance(delivering.LEASE)
    assert await quay.storage.handovers.due_endpoints(quay.now) == [(ORG, "e1")]
    assert await quay.look() is None
    assert quay.receiver.subjects == ["lead-1"]
