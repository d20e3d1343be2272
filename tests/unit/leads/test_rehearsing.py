"""A dry run of a replay says of each lead what would become of it, changes nothing, and is right."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from moorage.deliveries import ReplayPlan, ReplayRequest, replay_deliveries
from moorage.inbox_worker import MOST_TRIES, NOT_FOUND_RETRIES
from moorage.leads import rehearsing
from moorage.leads.rehearsing import rehearse
from moorage.privacy.erasing import Reason, erase
from moorage.privacy.people import Clue
from moorage.privacy.people import find as find_somebody
from moorage.replay import ReplayOrder, find, replay
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.things import Form, Slip
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.erasure import Cause
from moorage_ports.errors import InvalidRequestError
from moorage_ports.inbox import ItemState
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.lead_ledger import EntryFilter, LeadEntry
from moorage_ports.lead_mapping import DedupePolicy, FormMapping, MappingRule
from tests.support.crm import read
from tests.support.harbour import ADMIN, Harbour

LONGEST = 1.2 * max(NOT_FOUND_RETRIES)
EVERYTHING = (ItemState.DEAD, ItemState.DONE)


async def hand_in(host: Harbour, *emails: str, form: str = NEWSLETTER.id) -> list[Slip]:
    slips = [host.world.fill_in(form, {"email": (email,)}) for email in emails]
    await host.deliver_all()
    return slips


async def bury(host: Harbour, *emails: str, form: str = NEWSLETTER.id) -> list[Slip]:
    """Leads that the vendor denies until they are given up; then it has them again."""
    slips = await hand_in(host, *emails, form=form)
    hidden = {slip.id: host.world.slips.pop(slip.id) for slip in slips}
    for _ in range(MOST_TRIES):
        await host.work()
        host.clock.advance(LONGEST)
    host.world.slips.update(hidden)
    return slips


async def repeats(host: Harbour, then: Any) -> None:
    """Have the form's mapping say what becomes of somebody who is known."""
    mapping = FormMapping(
        vendor="memory",
        form_external_id=NEWSLETTER.id,
        version=1,
        rules=(MappingRule(target="email", sources=("email",)),),
        dedupe=DedupePolicy(by=("email",), then=then),
        saved_at=host.clock.now(),
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        assert await uow.lead_mappings.add(mapping)


async def plan(host: Harbour, **asked: Any) -> ReplayPlan:
    found = await replay_deliveries(host.services, ADMIN, ReplayRequest(dry_run=True, **asked))
    assert isinstance(found, ReplayPlan)
    return found


async def fates(host: Harbour, **asked: Any) -> dict[str, tuple[str, str | None]]:
    """What would become of each lead, and which older one it is about, by the vendor's id."""
    leads = [item.lead for item in (await plan(host, **asked)).items if item.lead is not None]
    return {lead.external_id: (lead.outcome, lead.into or lead.into_external_id or None) for lead in leads}


async def everything(host: Harbour) -> Mapping[str, Any]:
    """All that a replay may change."""
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        entries = (await uow.lead_ledger.page(EntryFilter(), page=1, page_size=100)).items
        forms = await uow.lead_forms.all()
    order = ReplayOrder(org_id=ADMIN.org_id, by="x", states=EVERYTHING)
    return {
        "leads": await host.leads(),
        "entries": entries,
        "items": await find(host.services, order),
        "integration": await host.integration(),
        "forms": forms,
    }


@pytest.mark.parametrize("then", ["merge", "link"])
async def test_each_lead_is_told_where_it_would_go_and_goes_there(host: Harbour, then: Any) -> None:
    await repeats(host, then)
    (there,) = await hand_in(host, "ada@harbour.example")
    await host.work()
    (known,) = await host.leads()
    alone, again, first, second = await bury(
        host, "bo@x.example", "ada@harbour.example", "cy@x.example", "cy@x.example"
    )
    before = await everything(host)

    told = await fates(host)
    past = {"merge": "merged", "link": "linked"}[then]
    assert told == {
        alone.id: ("stored", None),
        again.id: (past, known.id),
        first.id: ("stored", None),
        second.id: (past, first.id),  # which has no id of ours yet
    }
    assert (await fates(host, state="done")) == {there.id: ("already_there", None)}
    assert (await plan(host)).leads == {"stored": 2, past: 2}
    assert await everything(host) == before

    await replay(host.services, ReplayOrder(org_id=ADMIN.org_id, by="x"))
    await host.work()
    went = {one.external_id: one.outcome.value for one in await entries_of(host, *told)}
    assert (went[alone.id], went[again.id]) == ("stored", past)
    # Which of two that come in together is first is nobody's promise.
    assert sorted((went[first.id], went[second.id])) == sorted(("stored", past))


async def entries_of(host: Harbour, *ids: str) -> list[LeadEntry]:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        return list((await uow.lead_ledger.of("memory", ids)).values())


async def test_what_was_erased_stays_so(host: Harbour) -> None:
    """Also a lead that nobody has read yet, of somebody who was forgotten since they sent it."""
    await bury(host, "ada@harbour.example")
    await hand_in(host, "ada@harbour.example")
    await host.work()
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        somebody = await find_somebody(uow, Clue(emails=frozenset({"ada@harbour.example"})))
    await erase(host.services, ADMIN.org_id, somebody, Reason(cause=Cause.REQUEST))

    (item,) = (await plan(host)).items
    assert item.lead is not None
    assert (item.lead.outcome, item.lead.lead_id, item.has_effect) == ("erased", None, False)
    await replay(host.services, ReplayOrder(org_id=ADMIN.org_id, by="x"))
    await host.work()
    assert await host.leads() == ()


async def test_what_cannot_be_read_now_says_why_and_nothing_is_concluded(host: Harbour) -> None:
    """Neither of one lead that is hidden nor of a grant that is gone: a rehearsal parks nobody."""
    seen, hidden = await bury(host, "ada@harbour.example", "bo@harbour.example")
    slip = host.world.slips.pop(hidden.id)
    (one,) = [
        item.lead for item in (await plan(host)).items if item.lead and item.lead.external_id == hidden.id
    ]
    assert (one.outcome, one.error) == ("not_read", "not_found")
    assert one.remedy

    host.world.slips[slip.id] = slip
    host.world.revoke_grant()
    before = await everything(host)
    assert {outcome for outcome, _ in (await fates(host)).values()} == {"not_read"}
    assert await everything(host) == before
    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert seen.id in await fates(host)


async def test_whoever_asks_waits_once_for_all_of_them(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that hangs costs no more than that, and each lead says that there was no answer."""
    slips = await bury(host, "ada@harbour.example", "ben@harbour.example")
    before = await everything(host)

    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    for name in ("lead", "leads"):
        monkeypatch.setattr(MemoryLeadSource, name, hangs)
    monkeypatch.setattr(rehearsing, "PATIENCE", timedelta(milliseconds=50))
    async with asyncio.timeout(5):
        found = await plan(host)
    leads = {item.lead.external_id: item.lead for item in found.items if item.lead is not None}
    assert set(leads) == {slip.id for slip in slips}
    assert {(lead.outcome, lead.error) for lead in leads.values()} == {("not_read", "unavailable")}
    assert await everything(host) == before


async def test_a_replay_is_narrowed_by_form_and_by_time(host: Harbour) -> None:
    host.world.forms["form-9"] = Form(id="form-9", board_id=CAFE.id, name="Cakes", asks={"email": "?"})
    (early,) = await bury(host, "ada@harbour.example")
    between = host.clock.now()
    (late,) = await bury(host, "bo@harbour.example", form="form-9")

    assert set(await fates(host, form_id="form-9")) == {late.id}
    assert set(await fates(host, form_id=NEWSLETTER.id)) == {early.id}
    assert await fates(host, form_id="form-0") == {}
    assert set(await fates(host, since=between)) == {late.id}
    assert set(await fates(host, until=between)) == {early.id}
    assert await fates(host, form_id="form-9", until=between) == {}

    asked = {"dryRun": True, "formId": "form-9", "since": between.isoformat()}
    shown = await read(host, "/upstream/deliveries/replay", method="POST", body=asked)
    (item,) = shown["items"]
    assert (item["lead"]["externalId"], item["lead"]["formId"]) == (late.id, "form-9")
    assert (shown["leads"], shown["wouldReplay"]) == ({"stored": 1}, 1)

    narrowed = ReplayOrder(org_id=ADMIN.org_id, by="x", form_id="form-9", since=between)
    assert await replay(host.services, narrowed) == 1
    await host.work()
    assert [lead.external_id for lead in await host.leads()] == [late.id]


@pytest.mark.parametrize(
    "narrowed", [{"form_id": "7"}, {"since": datetime.fromisoformat("2030-01-01T00:00Z")}]
)
async def test_what_is_parked_is_tried_together(host: Harbour, narrowed: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        await replay_deliveries(host.services, ADMIN, ReplayRequest(state="parked", **narrowed))


async def test_changes_that_tell_of_no_lead_are_left_out(host: Harbour) -> None:
    await bury(host, "ada@harbour.example")
    (item,) = await find(host.services, ReplayOrder(org_id=ADMIN.org_id, by="x"))
    assert await rehearse(host.services, ADMIN.org_id, [(item.vendor, "00" * 16), ("other", item.id)]) == {}
    assert await rehearse(host.services, "org-b", [(item.vendor, item.id)]) == {}
    gone = attrs.evolve(host.services, vendors=type(host.services.vendors)({}))
    (found,) = (await rehearse(gone, ADMIN.org_id, [(item.vendor, item.id)])).values()
    assert found.outcome == "not_read"
