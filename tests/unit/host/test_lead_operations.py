"""Forms, leads, backfills and test leads by name, over the memory vendor."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from moorage.auth import ForbiddenError
from moorage.dispatch import Answer, address, perform, rehearse, request_from_body
from moorage.leads.backfilling import GIVE_UP_AFTER, PAGES_A_LOOK, Backfiller, backfill_nudge, nudge_backfills
from moorage.leads.testing import PATIENCE
from moorage.operations.handlers import HANDLERS
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.things import READ_FORMS, Form, Slip
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER, SLIPS_PER_PAGE
from moorage_ports.errors import (
    InvalidRequestError,
    MissingScopeError,
    NotConnectedError,
    NotFoundError,
    RateLimitError,
    VendorNotFoundError,
)
from moorage_ports.inbox import HeardBy
from moorage_ports.jobs import LookAgain
from moorage_ports.lead_mapping import DedupePolicy, FormMapping, MappingRule
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, Harbour, harbour

VIEWER = attrs.evolve(ADMIN, user_id="user-2", role=Role.VIEWER)
EMAIL = "grace@harbour.example"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def ask(host: Harbour, operation: str, caller: Any = ADMIN, **body: object) -> Any:
    """Ask by name, as the routes do; answers the body."""
    return msgspec.json.decode((await answer(host, operation, caller, **body)).body)


async def answer(host: Harbour, operation: str, caller: Any = ADMIN, **body: object) -> Answer:
    found = address(host.services, HANDLERS, caller, provider="memory-provider", operation=operation)
    return await perform(found, request_from_body(found.binding, msgspec.json.encode(body)))


async def dry_run(host: Harbour, operation: str, **body: object) -> Any:
    found = address(host.services, HANDLERS, ADMIN, provider="memory-provider", operation=operation)
    rehearsed = await rehearse(found, request_from_body(found.binding, msgspec.json.encode(body)))
    return msgspec.json.decode(rehearsed.body)


def fill_in(host: Harbour, count: int = 1, *, form: str = NEWSLETTER.id) -> list[Slip]:
    """People fill in forms; what the vendor sends about it gets lost."""
    slips = [host.world.fill_in(form, {"email": (f"{n}@harbour.example",)}) for n in range(count)]
    host.world.outbox.clear()
    return slips


async def carry_out(host: Harbour, backfill_id: str, *, looks: int = 50) -> LookAgain | None:
    """What the workers do with a backfill, until it is over or waits."""
    for _ in range(looks):
        again = await Backfiller(host.services).look(backfill_nudge(ADMIN.org_id, backfill_id))
        if again is None or again.at is not None:
            return again
    return LookAgain()


async def lead_ids(host: Harbour) -> set[str]:
    return {lead.external_id for lead in await host.leads()}


# Reading -------------------------------------------------------------------------------------


async def test_forms_are_listed_with_questions_consents_and_both_counts(host: Harbour) -> None:
    slips = fill_in(host, 3)
    host.world.shred(slips[0].id)
    host.world.outbox.append(host.world.delivery_of(slips[1]))
    await host.deliver_all()
    await host.work()

    (form,) = (await ask(host, "forms", channel=CAFE.id))["forms"]

    assert (form["id"], form["channelId"], form["name"]) == (NEWSLETTER.id, CAFE.id, NEWSLETTER.name)
    assert form["questions"][0] == {"key": "email", "label": "Your e-mail", "meaning": "email"}
    assert form["questions"][2]["options"][0] == {"key": "light roast", "label": "light roast"}
    assert form["consents"] == [{"key": "news", "text": "The café may write to me", "required": False}]
    counts = form["counts"]
    assert (counts["theirs"], counts["expired"], counts["ours"]) == (3, 1, 1)
    assert "backfill" not in form


async def test_many_forms_cost_no_more_questions_than_one(host: Harbour) -> None:
    """What is known here of forms is asked for all of them at once."""
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await ask(host, "forms", channel=CAFE.id)
        of_one = len(asked)
        for number in range(9):
            form = Form(id=f"club-{number}", board_id=CAFE.id, name="Club", asks={"email": "Mail"})
            host.world.forms[form.id] = form
        asked.clear()
        assert len((await ask(host, "forms", channel=CAFE.id))["forms"]) == 10
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert 0 < len(asked) <= of_one


async def test_a_form_is_found_without_naming_its_channel(host: Harbour) -> None:
    host.world.forms["club"] = Form(id="club", board_id=BOOKS.id, name="Club", asks={"email": "Mail"})
    await host.select(CAFE.id, BOOKS.id)

    form = await ask(host, "form", form="club")

    assert (form["id"], form["channelId"]) == ("club", BOOKS.id)
    with pytest.raises(VendorNotFoundError):
        await ask(host, "form", form="never")


async def test_a_lead_is_read_by_the_vendors_id_and_by_ours(host: Harbour) -> None:
    (slip,) = fill_in(host)

    unknown = await ask(host, "slip", lead=slip.id)
    host.world.outbox.append(host.world.delivery_of(slip))
    await host.deliver_all()
    await host.work()
    (ours,) = await host.leads()
    known = await ask(host, "slip", lead=ours.id)

    assert "crmLeadId" not in unknown
    assert known["crmLeadId"] == ours.id
    assert known["id"] == unknown["id"] == slip.id
    assert known["answers"] == [{"name": "email", "values": ["0@harbour.example"], "meaning": "email"}]
    assert known["consents"] == [{"key": "news", "given": True}]


@pytest.mark.parametrize(
    ("operation", "body"),
    [("forms", {"channel": CAFE.id}), ("form", {"form": NEWSLETTER.id}), ("slip", {"lead": "slip-1"})],
)
async def test_what_the_vendor_refuses_is_said(
    host: Harbour, operation: str, body: Mapping[str, object]
) -> None:
    fill_in(host)
    host.world.limit(timedelta(minutes=3))
    with pytest.raises(RateLimitError):
        await ask(host, operation, **body)
    host.world.clear_up()
    host.world.drop_scope(READ_FORMS)
    with pytest.raises(MissingScopeError):
        await ask(host, operation, **body)


async def test_only_selected_channels_are_asked(host: Harbour) -> None:
    with pytest.raises(InvalidRequestError):
        await ask(host, "forms", channel=BOOKS.id)
    with pytest.raises(NotFoundError):
        await ask(host, "forms", channel="board-9")
    await host.select()
    with pytest.raises(NotFoundError):
        await ask(host, "form", form=NEWSLETTER.id)


async def test_viewers_see_forms_and_agents_leads(host: Harbour) -> None:
    assert (await ask(host, "forms", VIEWER, channel=CAFE.id))["forms"]
    for operation, body in (
        ("slip", {"lead": "1"}),
        ("fetch-slips", {"form": "1"}),
        ("try-form", {"form": "1"}),
    ):
        with pytest.raises(ForbiddenError):
            await ask(host, operation, VIEWER, **body)


# Backfills -----------------------------------------------------------------------------------


async def test_a_backfill_fetches_what_is_missing_and_leaves_the_rest(host: Harbour) -> None:
    slips = fill_in(host, 7)
    host.world.outbox.append(host.world.delivery_of(*slips[:2]))
    await host.deliver_all()
    await host.work()
    host.clock.advance(timedelta(minutes=1))

    began = await answer(host, "fetch-slips", form=NEWSLETTER.id)
    ordered = msgspec.json.decode(began.body)
    assert (began.status, ordered["state"]) == (202, "running")
    assert await carry_out(host, ordered["id"]) is None
    await host.work()

    assert await lead_ids(host) == {slip.id for slip in slips}
    done = await ask(host, "fetching", id=ordered["id"])
    assert (done["state"], done["fetched"], done["alreadyThere"]) == ("done", 7, 2)
    assert done["finishedAt"]
    form = await ask(host, "form", form=NEWSLETTER.id)
    assert form["backfill"]["id"] == ordered["id"]
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        entries = await uow.lead_ledger.of("memory", [slip.id for slip in slips])
    assert [entries[slip.id].heard_by for slip in slips] == [HeardBy.WEBHOOK] * 2 + [HeardBy.BACKFILL] * 5


async def test_a_backfill_twice_changes_nothing_more(host: Harbour) -> None:
    fill_in(host, 3)
    views = []
    for _ in range(2):
        ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
        with capture_logs() as logs:
            await carry_out(host, ordered["id"])
        assert [log["event"] for log in logs if log["log_level"] == "error"] == [], (
            "one page does not go round"
        )
        await host.work()
        host.clock.advance(timedelta(minutes=1))
        views.append(await ask(host, "fetching", id=ordered["id"]))

    assert len(await host.leads()) == 3
    assert [(view["fetched"], view["alreadyThere"]) for view in views] == [(3, 0), (3, 3)]


async def test_leads_that_are_no_rows_of_their_own_were_here_all_the_same(host: Harbour) -> None:
    """One went into an older lead, one was deleted: neither is new to the org, and neither comes in again."""
    mapping = FormMapping(
        vendor="memory",
        form_external_id=NEWSLETTER.id,
        version=1,
        rules=(MappingRule(target="email", sources=("email",)),),
        dedupe=DedupePolicy(by=("email",), then="merge"),
        saved_at=host.clock.now(),
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        assert await uow.lead_mappings.add(mapping)
    gone, *twins = fill_in(host), fill_in(host), fill_in(host)
    host.world.outbox.append(host.world.delivery_of(*gone))
    await host.deliver_all()
    await host.work()
    ours = [lead.id for lead in await host.leads()]
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        assert await uow.lead_ledger.erase("memory", [gone[0].id], at=host.clock.now()) == 1
        assert await uow.leads.delete(ours) == 1
    host.world.outbox += [host.world.delivery_of(*slips) for slips in twins]
    await host.deliver_all()
    await host.work()
    assert len(await host.leads()) == 1
    host.clock.advance(timedelta(minutes=1))

    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    await carry_out(host, ordered["id"])
    await host.work()

    done = await ask(host, "fetching", id=ordered["id"])
    assert (done["fetched"], done["alreadyThere"]) == (3, 3)
    assert len(await host.leads()) == 1


async def test_only_the_stretch_that_was_ordered_is_read(host: Harbour) -> None:
    fill_in(host)
    host.clock.advance(timedelta(hours=1))
    since = host.clock.now()
    (inside,) = fill_in(host)
    host.clock.advance(timedelta(hours=1))
    until = host.clock.now()
    fill_in(host)

    ordered = await ask(
        host, "fetch-slips", form=NEWSLETTER.id, since=since.isoformat(), until=until.isoformat()
    )
    await carry_out(host, ordered["id"])
    await host.work()

    assert await lead_ids(host) == {inside.id}
    with pytest.raises(InvalidRequestError):
        await ask(host, "fetch-slips", form=NEWSLETTER.id, since=until.isoformat(), until=since.isoformat())


async def test_an_order_that_runs_is_answered_and_not_begun_twice(host: Harbour) -> None:
    first = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    same = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    other = await ask(host, "fetch-slips", form=NEWSLETTER.id, since=host.clock.now().isoformat())
    await carry_out(host, first["id"])
    after = await ask(host, "fetch-slips", form=NEWSLETTER.id)

    assert first["id"] == same["id"]
    assert len({first["id"], other["id"], after["id"]}) == 3


async def test_a_dead_process_costs_a_backfill_nothing(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies between keeping a page and noting it: the page is read again, and counted once."""
    slips = fill_in(host, SLIPS_PER_PAGE * 4)
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)

    class Killed(BaseException): ...

    note, noted = Backfiller._note, 0

    async def dies(self: Backfiller, *given: Any) -> Any:
        nonlocal noted
        noted += 1
        if noted in {2, 4}:
            raise Killed
        return await note(self, *given)

    monkeypatch.setattr(Backfiller, "_note", dies)
    for _ in range(2):
        with pytest.raises(Killed):
            await carry_out(host, ordered["id"])
        await host.work()
        host.clock.advance(timedelta(minutes=1))
        running = await ask(host, "fetching", id=ordered["id"])
        assert running["state"] == "running"
    await nudge_backfills(host.services)
    await carry_out(host, ordered["id"])
    await host.work()

    done = await ask(host, "fetching", id=ordered["id"])
    assert (done["state"], done["fetched"], done["alreadyThere"]) == ("done", len(slips), 0)
    assert await lead_ids(host) == {slip.id for slip in slips}


async def test_a_long_backfill_stands_in_line_like_everybody_else(host: Harbour) -> None:
    fill_in(host, SLIPS_PER_PAGE * PAGES_A_LOOK + 1)
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)

    again = await Backfiller(host.services).look(backfill_nudge(ADMIN.org_id, ordered["id"]))

    assert again == LookAgain()
    half = await ask(host, "fetching", id=ordered["id"])
    assert (half["state"], half["fetched"]) == ("running", SLIPS_PER_PAGE * PAGES_A_LOOK)


async def test_a_limit_is_waited_out_and_the_backfill_goes_on_by_itself(host: Harbour) -> None:
    slips = fill_in(host, 3)
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    host.world.limit(timedelta(minutes=7))

    again = await carry_out(host, ordered["id"])
    waiting = await ask(host, "fetching", id=ordered["id"])
    host.world.clear_up()
    host.clock.advance(timedelta(minutes=10))
    await carry_out(host, ordered["id"])
    await host.work()

    assert again is not None
    assert again.at is not None
    assert again.at >= host.clock.now() - timedelta(minutes=3)
    assert (waiting["state"], waiting["error"]) == ("running", "rate_limited")
    assert waiting["retryAt"]
    done = await ask(host, "fetching", id=ordered["id"])
    assert done["state"] == "done"
    assert not {"error", "remedy", "retryAt"} & set(done)
    assert await lead_ids(host) == {slip.id for slip in slips}


async def test_a_backfill_waits_for_whoever_connects_again(host: Harbour) -> None:
    slips = fill_in(host, 3)
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    host.world.revoke_grant()
    await carry_out(host, ordered["id"])
    waiting = await ask(host, "fetching", id=ordered["id"])
    await host.connect()
    host.clock.advance(timedelta(minutes=16))
    await carry_out(host, ordered["id"])
    await host.work()

    assert (waiting["state"], waiting["error"]) == ("running", "reconnect_required")
    assert waiting["remedy"]
    assert await lead_ids(host) == {slip.id for slip in slips}


async def test_a_backfill_that_waits_for_weeks_is_given_up(host: Harbour) -> None:
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    await host.select()
    again = await carry_out(host, ordered["id"])
    assert again is not None
    assert again.at is not None

    host.clock.advance(GIVE_UP_AFTER + timedelta(minutes=1))
    await nudge_backfills(host.services)

    assert await carry_out(host, ordered["id"]) is None
    given_up = await ask(host, "fetching", id=ordered["id"])
    assert (given_up["state"], given_up["error"]) == ("failed", "not_connected")


async def test_a_form_that_is_gone_ends_its_backfill(host: Harbour) -> None:
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    del host.world.forms[NEWSLETTER.id]

    assert await carry_out(host, ordered["id"]) is None

    failed = await ask(host, "fetching", id=ordered["id"])
    assert (failed["state"], failed["error"]) == ("failed", "not_found")


async def test_a_dry_run_orders_nothing(host: Harbour) -> None:
    rehearsed = await dry_run(host, "fetch-slips", form=NEWSLETTER.id)
    tried = await dry_run(host, "try-form", form=NEWSLETTER.id)

    assert rehearsed["valid"]
    assert tried["valid"]
    assert await host.storage.backlog.backfills_due(host.clock.now()) == []
    assert not host.world.slips
    with pytest.raises(InvalidRequestError):
        await dry_run(host, "try-form", form=NEWSLETTER.id, answers={"shoe": ["44"]})


async def test_another_orgs_orders_are_not_there(host: Harbour) -> None:
    ordered = await ask(host, "fetch-slips", form=NEWSLETTER.id)
    tried = await ask(host, "try-form", form=NEWSLETTER.id)
    stranger = attrs.evolve(ADMIN, org_id="org-b")

    with pytest.raises(NotFoundError):
        await ask(host, "fetching", stranger, id=ordered["id"])
    with pytest.raises(NotFoundError):
        await ask(host, "trial", stranger, id=tried["id"])
    with pytest.raises(NotConnectedError):
        await ask(host, "fetch-slips", stranger, form=NEWSLETTER.id)


# Test leads ----------------------------------------------------------------------------------


def steps(view: Any) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in view["steps"]}


async def test_a_test_lead_is_followed_until_it_is_stored(host: Harbour) -> None:
    made = await answer(host, "try-form", form=NEWSLETTER.id, answers={"email": [EMAIL]})
    began = msgspec.json.decode(made.body)
    assert (made.status, began["state"]) == (202, "running")
    assert steps(began)["created"] == "done"
    assert steps(began)["arrived"] == "waiting"

    await host.deliver_all()
    await host.work()
    done = await ask(host, "trial", id=began["id"])

    assert done["state"] == "done"
    assert set(steps(done).values()) == {"done"}
    assert list(steps(done)) == ["created", "arrived", "verified", "fetched", "mapped", "stored"]
    (lead,) = await host.leads()
    assert (lead.external_id, lead.email) == (done["leadId"], EMAIL)
    assert done["crmLeadId"] == lead.id
    assert lead.is_test


async def test_a_test_lead_that_the_vendor_does_not_make_is_red_at_once(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form can still be read; what went wrong, and what to do, stands beside the step."""

    async def refuses(*_: object, **__: object) -> str:
        msg = "no"
        raise MissingScopeError(msg, vendor="memory", remedy="Allow test leads.")

    monkeypatch.setattr(MemoryLeadSource, "create_test_lead", refuses)
    made = await ask(host, "try-form", form=NEWSLETTER.id)
    later = await ask(host, "trial", id=made["id"])

    for view in (made, later):
        assert view["state"] == "failed"
        assert view["steps"] == [
            {
                "name": "created",
                "outcome": "failed",
                "error": "missing_scope",
                "remedy": "Allow test leads.",
            }
        ]


async def test_a_test_lead_that_nobody_hears_of_turns_red(host: Harbour) -> None:
    made = await ask(host, "try-form", form=NEWSLETTER.id)
    host.world.outbox.clear()
    host.clock.advance(PATIENCE + timedelta(minutes=1))

    red = await ask(host, "trial", id=made["id"])

    assert red["state"] == "failed"
    assert steps(red) == {"created": "done", "arrived": "failed"}
    assert "403" in red["steps"][1]["remedy"]


async def test_a_test_lead_that_cannot_be_fetched_says_why(host: Harbour) -> None:
    made = await ask(host, "try-form", form=NEWSLETTER.id)
    host.world.drop_scope(READ_FORMS)
    await host.deliver_all()
    await host.work()

    red = await ask(host, "trial", id=made["id"])

    assert red["state"] == "failed"
    assert list(steps(red).items())[-1] == ("fetched", "failed")
    assert red["steps"][-1]["error"] == "missing_scope"
    assert red["steps"][-1]["remedy"]


async def test_answers_to_what_nobody_asks_are_refused_by_name(host: Harbour) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await ask(host, "try-form", form=NEWSLETTER.id, answers={"shoe size": ["44"]})

    assert list(refused.value.fields) == ["answers.shoe size"]
    assert not host.world.slips
