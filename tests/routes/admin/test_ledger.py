"""The ledger in the admin UI: what became of each lead and why, and having it tried again."""

from datetime import timedelta

import attrs

from moorage.inbox_worker import MOST_TRIES, NOT_FOUND_RETRIES
from moorage_adapters.memory.things import Slip
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.form_checks import FormCheck
from moorage_ports.inbox import HeardBy, ItemState
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, NOON, Harbour
from tests.support.visitor import Browser, Page, browser_as

LONGEST = 1.2 * max(NOT_FOUND_RETRIES)


def entry(number: int, outcome: LeadOutcome, **more: str) -> LeadEntry:
    is_here = outcome in (LeadOutcome.STORED, LeadOutcome.MERGED, LeadOutcome.LINKED)
    return LeadEntry(
        vendor="memory",
        external_id=f"x-{number}",
        channel_external_id=CAFE.id,
        form_external_id=more.get("form", NEWSLETTER.id),
        heard_by=HeardBy(more.get("way", "webhook")),
        outcome=outcome,
        arrived_at=NOON - timedelta(minutes=number),
        stored_at=NOON if is_here else None,
        updated_at=NOON,
        error=more.get("error", ""),
        remedy=more.get("remedy", ""),
        lead_id=f"lead-{number}" if is_here else "",
        into="lead-9" if outcome in (LeadOutcome.MERGED, LeadOutcome.LINKED) else "",
        item_id=f"{number:02x}",
    )


IDS = {outcome: f"x-{number}" for number, outcome in enumerate(LeadOutcome)} | {LeadOutcome.ERASED: "erased"}
EACH = {outcome: entry(number, outcome) for number, outcome in enumerate(LeadOutcome)} | {
    LeadOutcome.PARKED: entry(1, LeadOutcome.PARKED, error="missing_scope", remedy="Allow what is missing."),
    LeadOutcome.STORED: attrs.evolve(
        entry(2, LeadOutcome.STORED), mapped_at=NOON, mapping_version=3, problems={"phone": "is no number"}
    ),
    LeadOutcome.DEAD: entry(5, LeadOutcome.DEAD, error="not_found", way="backfill", form="form-9"),
}


async def write(host: Harbour, *entries: LeadEntry) -> None:
    check = FormCheck(
        vendor="memory",
        channel_external_id=CAFE.id,
        form_external_id=NEWSLETTER.id,
        name="The newsletter",
        theirs=12,
        gap=4,
        gap_since=NOON - timedelta(hours=3),
        alarmed_at=NOON,
        first_at=NOON,
        checked_at=NOON,
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.lead_ledger.write(entries)
        await uow.form_checks.save(check)


def shown(page: Page) -> set[str]:
    """Their ids at the vendor; of one that was erased nobody can tell it."""
    keys = (each["data-key"].split(":") for each in page.all("li") if "data-key" in each)
    return {"erased" if key[-1] == "erased" else key[1] for key in keys}


async def test_every_lead_is_there_with_what_became_of_it_and_what_to_do(
    host: Harbour, admin: Browser
) -> None:
    await write(host, *EACH.values())
    page = await admin.page("/admin/leads/ledger")

    assert shown(page) == set(IDS.values())
    for words in ("Stored", "Merged", "Linked", "Parked", "On its way", "Given up", "Expired", "Erased"):
        assert words in page.text
    assert "A permission is missing missing_scope Allow what is missing." in page.text
    assert "By version 3 of the form’s mapping Phone: is no number." in page.text
    assert "1 with trouble in mapping" in page.text
    assert "The newsletter" in page.text
    assert "12" in page.text
    assert "Reading everything again did not bring them" in page.text
    assert "/admin/leads/lead-9" in {each.get("href") for each in page.all("a")}


NARROWED: list[tuple[str, set[str]]] = [
    *((f"outcome={outcome.value}", {shown_as}) for outcome, shown_as in IDS.items()),
    ("way=backfill", {"x-5"}),
    ("form=form-9&outcome=dead", {"x-5"}),
    ("form=form-9&outcome=parked", set()),
    ("tests=only", set()),
    ("trouble=1", {"x-2"}),
    ("tests=without&outcome=nonsense&way=nonsense", set(IDS.values())),
]


async def test_the_ledger_is_narrowed_down(host: Harbour, admin: Browser) -> None:
    await write(host, *EACH.values())
    for query, expected in NARROWED:
        assert shown(await admin.page(f"/admin/leads/ledger?{query}")) == expected, query


async def test_the_list_of_leads_says_what_did_not_get_that_far(host: Harbour, admin: Browser) -> None:
    assert "Nothing is lost" not in (await admin.page("/admin/leads")).text
    await write(host, EACH[LeadOutcome.PARKED], EACH[LeadOutcome.DEAD])
    page = await admin.page("/admin/leads")

    assert "1 lead could not be taken in, 1 more waits" in page.text
    look = await admin.get("/admin/leads", **{"x-moorage-live": "1"})
    assert "Nothing is lost" not in look.text, "a look replaces the list alone: nothing is added up for it"
    assert "/admin/leads/ledger?outcome=dead" in {each.get("href") for each in page.all("a")}


async def bury(host: Harbour, count: int) -> list[Slip]:
    """Leads that the vendor denies until they are given up; then it has them again."""
    await host.connect()
    await host.select(CAFE.id)
    slips = [host.world.fill_in(NEWSLETTER.id, {"email": (f"{n}@harbour.example",)}) for n in range(count)]
    await host.deliver_all()
    hidden = {slip.id: host.world.slips.pop(slip.id) for slip in slips}
    for _ in range(MOST_TRIES):
        await host.work()
        host.clock.advance(LONGEST)
    host.world.slips.update(hidden)
    return slips


def fields(page: Page) -> dict[str, str | list[str]]:
    """What the plan's form sends: the ids as often as there are some."""
    sent = [each for each in page.all("input") if each.get("type") == "hidden" and each["name"] != "csrf"]
    ids = [each["value"] for each in sent if each["name"] == "ids"]
    return {**{each["name"]: each["value"] for each in sent if each["name"] != "ids"}, "ids": ids}


async def test_a_replay_says_what_it_would_do_then_does_that(host: Harbour, admin: Browser) -> None:
    """One by itself, then what fits: the plan changes nothing, and its button takes what it named."""
    await bury(host, 3)
    admin_again = await browser_as(host, Role.ADMIN)  # half an hour and more went by
    ledger = await admin_again.page("/admin/leads/ledger?outcome=dead")
    assert len(shown(ledger)) == 3
    (one, *_) = [each["value"] for each in ledger.all("input") if each.get("name") == "ids"]

    plan = await admin_again.page(f"/admin/operations/replay?ids={one}&back=ledger")
    assert "Nothing was done yet" in plan.text
    assert "1 delivery" in plan.text
    assert "A lead of its own" in plan.text
    await host.work()
    assert await host.leads() == ()
    answer = await admin_again.submit("/admin/operations/replay", fields(plan))
    assert answer.headers["location"] == "/admin/leads/ledger?replayed=1"
    await host.work()
    assert len(await host.leads()) == 1

    plan = await admin_again.page("/admin/leads/ledger/replay?outcome=dead")
    assert "2 deliveries" in plan.text
    assert "2 would be stored" in plan.text
    answer = await admin_again.submit("/admin/operations/replay", fields(plan))
    assert answer.headers["location"] == "/admin/leads/ledger?replayed=2"
    await host.work()
    assert len(await host.leads()) == 3
    assert "2 deliveries are worked on again" in (await admin_again.page(answer.headers["location"])).text
    assert "There is nothing to replay" in (await admin_again.page("/admin/leads/ledger/replay")).text


async def test_what_was_given_up_and_what_is_parked_is_tried_again_from_operations(host: Harbour) -> None:
    await bury(host, 2)
    admin = await browser_as(host, Role.ADMIN)
    page = await admin.page("/admin/operations")
    assert len([each for each in page.all("tr") if "data-key" in each]) == 2
    assert "The vendor does not have it not_found" in page.text
    nothing = await admin.page("/admin/operations/replay?state=dead&error=internal")
    assert "There is nothing to replay" in nothing.text
    plan = await admin.page("/admin/operations/replay?state=dead&error=not_found&back=deliveries")
    answer = await admin.submit("/admin/operations/replay", fields(plan))
    assert answer.headers["location"] == "/admin/operations?replayed=2"
    assert "Nothing is parked" in (await admin.page("/admin/operations?state=parked")).text
    assert (await admin.submit("/admin/operations/replay", {"back": "ledger"})).status_code == 422
    assert (await admin.get("/admin/operations/replay")).status_code == 422
    assert (await admin.get("/admin/operations/replay?ids=<b>")).status_code == 422


async def test_others_look_at_the_ledger_and_replay_nothing(host: Harbour) -> None:
    await write(host, EACH[LeadOutcome.DEAD])
    for role in (Role.VIEWER, Role.AGENT):
        browser = await browser_as(host, role)
        page = await browser.page("/admin/leads/ledger?outcome=dead")
        assert shown(page) == {"x-5"}
        hrefs = {each.get("href", "") for each in page.all("a")}
        hrefs |= {each.get("action", "") for each in page.all("form")}
        assert not [href for href in hrefs if "replay" in href or "/admin/operations" in href]
        for path in (
            "/admin/operations",
            "/admin/operations/replay?state=dead",
            "/admin/leads/ledger/replay",
        ):
            assert (await browser.get(path)).status_code == 403
        answer = await browser.submit("/admin/operations/replay", {"state": ItemState.DEAD.value})
        assert answer.status_code == 403
