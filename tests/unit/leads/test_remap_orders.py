"""Re-mapping as a job: ordered over HTTP, polled, gone on with whatever died, begun anew where it has to."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from moorage.leads import remap_orders, remapping
from moorage.leads.remap_orders import Remapper, nudge_remaps, remap_nudge
from moorage_adapters.sqlmodel.lead_orders import SqlRemaps
from moorage_ports.crm import CrmLead
from moorage_ports.errors import UnavailableError
from moorage_ports.jobs import LookAgain
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.lead_mapping import ValueType
from moorage_ports.lead_orders import OrderState
from moorage_ports.operations import Role
from tests.support.crm import ask, read
from tests.support.harbour import Harbour, harbour, working_harbour
from tests.unit.adapters.conftest import NOON
from tests.unit.leads.test_remapping import COUNT, FORM, ORG, came, companies, save

REMAP = f"/crm/lead-forms/{FORM}/remap"


@pytest.fixture
async def dock(tmp_path: Path, storage_url: str) -> AsyncIterator[Harbour]:
    """A host that holds leads of one form, a day apart, and a first version of its mapping."""
    async with harbour(tmp_path, database_url=storage_url) as made:
        async with made.storage.unit_of_work(ORG) as uow:
            await uow.leads.add_all([came(number) for number in range(COUNT)])
        await save(made, 1, "company")
        yield made


async def order(dock: Harbour, **body: object) -> dict[str, Any]:
    answer = await ask(dock, REMAP, method="POST", body=body)
    assert answer.status_code == 202, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def look(dock: Harbour, remap_id: str) -> LookAgain | None:
    """What any process does with the nudge: it knows nothing but the row."""
    return await Remapper(dock.services).look(remap_nudge(ORG, remap_id))


async def test_an_order_is_carried_out_and_says_how_far_it_is(
    dock: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remap_orders, "PIECES_A_LOOK", 1)
    ordered = await order(dock)
    assert (ordered["state"], ordered["version"], ordered["total"]) == ("running", 1, COUNT)
    assert (ordered["seen"], ordered["orderedBy"], ordered["dryRun"]) == (0, "user-1", False)

    seen = []
    while await look(dock, ordered["id"]) is not None:
        seen.append((await read(dock, REMAP))["seen"])
    assert seen == [remapping.AT_ONCE, 2 * remapping.AT_ONCE]
    done = await read(dock, f"{REMAP}/{ordered['id']}")
    assert (done["state"], done["seen"], done["changed"], done["withoutAnswers"]) == ("done", COUNT, COUNT, 0)
    assert done["finishedAt"] is not None
    assert len(await companies(dock)) == COUNT
    assert await look(dock, ordered["id"]) is None, "what is over stays over"


async def test_a_piece_and_how_far_that_is_become_true_together(
    dock: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies in the middle of one leaves neither; the next one counts no lead twice."""
    ordered = await order(dock)
    saves = 0
    whole = SqlRemaps.save

    async def dies_at_the_second(self: SqlRemaps, remap: Any) -> None:
        nonlocal saves
        saves += 1
        if saves == 2:
            msg = "the database went away"
            raise UnavailableError(msg)
        await whole(self, remap)

    monkeypatch.setattr(SqlRemaps, "save", dies_at_the_second)
    with pytest.raises(UnavailableError):
        await look(dock, ordered["id"])
    assert (await read(dock, REMAP))["seen"] == len(await companies(dock)) == remapping.AT_ONCE

    assert await look(dock, ordered["id"]) is None
    done = await read(dock, REMAP)
    assert (done["state"], done["seen"], done["changed"]) == ("done", COUNT, COUNT)


async def test_a_sweep_finds_what_nobody_was_told_of(dock: Harbour) -> None:
    ordered = await order(dock)
    assert list(await dock.storage.backlog.running_remaps()) == [(ORG, ordered["id"])]
    await nudge_remaps(dock.services)
    await look(dock, ordered["id"])
    assert list(await dock.storage.backlog.running_remaps()) == []


async def test_another_process_goes_on_where_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells it to: it finds the order's row, and maps no lead before that place again."""
    mapped: list[str] = []
    whole = remapping.remapped

    def noted(lead: CrmLead, *rest: Any) -> CrmLead:
        mapped.append(lead.id)
        return whole(lead, *rest)

    monkeypatch.setattr(remapping, "remapped", noted)
    monkeypatch.setattr(remap_orders, "PIECES_A_LOOK", 1)
    async with harbour(tmp_path) as first:
        async with first.storage.unit_of_work(ORG) as uow:
            await uow.leads.add_all([came(number) for number in range(COUNT)])
        await save(first, 1, "company")
        ordered = await order(first)
        await look(first, ordered["id"])
    assert len(mapped) == remapping.AT_ONCE

    done = None
    async with working_harbour(tmp_path) as second:
        for _ in range(1_000):
            async with second.storage.unit_of_work(ORG, reads_only=True) as uow:
                done = await uow.remaps.get(ordered["id"])
            if done is None or done.state is not OrderState.RUNNING:
                break
            await asyncio.sleep(0.01)
    assert done is not None
    assert (done.state, done.seen, done.changed) == (OrderState.DONE, COUNT, COUNT)
    assert len(mapped) == len(set(mapped)) == COUNT


async def test_a_version_that_is_saved_meanwhile_has_it_begin_anew(
    dock: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remap_orders, "PIECES_A_LOOK", 1)
    ordered = await order(dock)
    await look(dock, ordered["id"])
    await save(dock, 2, "lastName")
    while await look(dock, ordered["id"]) is not None:
        pass

    done = await read(dock, REMAP)
    assert (done["version"], done["seen"], done["changed"]) == (2, COUNT, COUNT)
    assert await companies(dock) == {}


async def test_a_version_that_is_saved_during_a_look_has_it_begin_anew_at_once(
    dock: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever saves it and orders again gets the order that runs: that must not end by the older one."""
    ordered, whole = await order(dock), Remapper._some
    again: list[str] = []

    async def then_somebody_saves(self: Remapper, *args: Any) -> Any:
        remap = await whole(self, *args)
        if not again:
            await save(dock, 2, "lastName")
            again.append((await order(dock))["id"])
        return remap

    monkeypatch.setattr(Remapper, "_some", then_somebody_saves)
    assert await look(dock, ordered["id"]) is None
    assert again == [ordered["id"]]
    done = await read(dock, REMAP)
    assert (done["state"], done["version"], done["seen"], done["changed"]) == ("done", 2, COUNT, COUNT)
    assert await companies(dock) == {}


async def test_a_lead_of_a_newer_version_is_not_mapped_back(dock: Harbour) -> None:
    """One that came while an older version was being gone by."""
    async with dock.storage.unit_of_work(ORG) as uow:
        versions = await remapping.versions_of(uow, _order())
        newer = came(0, mapping_version=7)
        await uow.leads.update(newer)
        piece = await remapping.remap_some(uow, _order(), versions, "", NOON)
        assert await uow.leads.get(newer.id) == newer
    assert (piece.seen, piece.changed) == (remapping.AT_ONCE, remapping.AT_ONCE - 1)


async def test_the_ledger_tells_what_the_newest_version_had_trouble_with(dock: Harbour) -> None:
    """And no more what an older one had; nothing of it in a dry run."""
    await save(dock, 2, "company", type=ValueType.PHONE)
    lead = came(0)
    entry = LeadEntry(
        vendor="memory",
        external_id=lead.external_id,
        form_external_id=FORM,
        outcome=LeadOutcome.STORED,
        arrived_at=NOON,
        stored_at=NOON,
        updated_at=NOON,
        mapping_version=0,
        lead_id=lead.id,
    )
    merged = attrs.evolve(entry, external_id="merged", outcome=LeadOutcome.MERGED, problems={"email": "x"})
    async with dock.storage.unit_of_work(ORG) as uow:
        await uow.lead_ledger.write([entry, merged])

    async def told() -> list[tuple[int | None, set[str]]]:
        async with dock.storage.unit_of_work(ORG, reads_only=True) as uow:
            entries = await uow.lead_ledger.of("memory", [lead.external_id, "merged"])
        return [(entries[key].mapping_version, set(entries[key].problems)) for key in sorted(entries)]

    await look(dock, (await order(dock, dryRun=True))["id"])
    assert await told() == [(0, set()), (0, {"email"})]
    await look(dock, (await order(dock))["id"])
    assert await told() == [(2, {"company"}), (0, {"email"})]
    await save(dock, 3, "company")
    await look(dock, (await order(dock))["id"])
    assert await told() == [(3, set()), (0, {"email"})]


async def test_a_dry_run_counts_and_changes_nothing(dock: Harbour) -> None:
    since = (NOON + timedelta(days=COUNT - 2)).isoformat()
    ordered = await order(dock, dryRun=True, since=since)
    await look(dock, ordered["id"])
    done = await read(dock, REMAP)
    assert (done["state"], done["total"], done["seen"], done["changed"]) == ("done", 2, 2, 2)
    assert await companies(dock) == {}


async def test_the_same_order_twice_is_one_and_another_one_waits(dock: Harbour) -> None:
    first = await order(dock)
    assert await order(dock) == first
    other = await ask(dock, REMAP, method="POST", body={"dryRun": True})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    await look(dock, first["id"])
    assert (await order(dock, dryRun=True))["id"] != first["id"]


async def test_what_breaks_at_a_lead_ends_and_says_so(dock: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would break there again, every minute for ever."""
    ordered = await order(dock)

    def breaks(*_: object) -> CrmLead:
        raise ZeroDivisionError

    monkeypatch.setattr(remapping, "remapped", breaks)
    assert await look(dock, ordered["id"]) is None
    ended = await read(dock, REMAP)
    assert (ended["state"], ended["error"], ended["seen"]) == ("failed", "internal", 0)
    assert ended["remedy"]


async def test_who_may_order_and_what_is_not_there(dock: Harbour) -> None:
    assert (await ask(dock, REMAP, method="POST", role=Role.AGENT, body={})).status_code == 403
    assert (await ask(dock, REMAP)).status_code == 404, "none was ordered"
    assert (await ask(dock, REMAP, method="POST", body={"since": "soon"})).status_code == 422
    unmapped = await ask(dock, "/crm/lead-forms/form-2/remap", method="POST", body={})
    assert (unmapped.status_code, unmapped.json()["code"]) == (404, "not_found")

    ordered = await order(dock)
    mine = f"{REMAP}/{ordered['id']}"
    assert (await ask(dock, mine, role=Role.VIEWER)).status_code == 200
    assert (await ask(dock, mine, org_id="org-b")).status_code == 404
    assert (await ask(dock, f"/crm/lead-forms/form-2/remap/{ordered['id']}")).status_code == 404
    assert (await ask(dock, REMAP, org_id="org-b")).status_code == 404


def _order() -> remapping.RemapOrder:
    return remapping.RemapOrder(org_id=ORG, by="test", vendor="memory", form_id=FORM)
