"""What was ordered about leads, and what each form's leads add up to, on both databases."""

from datetime import timedelta
from typing import Any

import attrs

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.form_checks import FormCheck
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.lead_orders import Backfill, LeadTest, OrderState, Remap
from tests.unit.adapters.conftest import NOON

BACKFILL = Backfill(id="b1", vendor="memory", channel_external_id="1", form_external_id="7", ordered_at=NOON)
CHECK = FormCheck(
    vendor="memory",
    channel_external_id="1",
    form_external_id="7",
    name="Offers \x00",
    theirs=12,
    expired=3,
    ours=8,
    before=4,
    first_at=NOON,
    checked_at=NOON,
)
TEST = LeadTest(id="t1", vendor="memory", channel_external_id="1", form_external_id="7", ordered_at=NOON)


async def test_a_backfill_is_what_was_saved_last(storage: SqlStorage) -> None:
    whole = attrs.evolve(
        BACKFILL,
        since=NOON - timedelta(days=3),
        until=NOON,
        cursor="c2",
        fetched=250,
        known=20,
        error="rate_limited",
        remedy="Wait.",
        retry_at=NOON + timedelta(minutes=7),
    )
    async with storage.unit_of_work("acme") as uow:
        await uow.backfills.save(BACKFILL)
        await uow.backfills.save(whole)
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        assert await uow.backfills.get("b1") == whole
        assert await uow.backfills.get("b2") is None


async def test_the_newest_and_those_that_run_are_found(storage: SqlStorage) -> None:
    later = attrs.evolve(BACKFILL, id="b2", ordered_at=NOON + timedelta(hours=1), state=OrderState.DONE)
    other = attrs.evolve(BACKFILL, id="b3", form_external_id="8")
    async with storage.unit_of_work("acme") as uow:
        for each in (BACKFILL, later, other):
            await uow.backfills.save(each)
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        assert await uow.backfills.newest("memory", ["7", "8", "9"]) == {"7": later, "8": other}
        assert await uow.backfills.newest("memory", ["8"]) == {"8": other}
        assert await uow.backfills.newest("elsewhere", ["7"]) == {}
        assert await uow.backfills.running() == (BACKFILL, other)


async def test_backfills_are_due_unless_they_are_over_or_wait(storage: SqlStorage) -> None:
    """In every org; one that waits is due from the moment on that it waits for."""
    done = attrs.evolve(BACKFILL, id="b2", state=OrderState.DONE)
    waits = attrs.evolve(BACKFILL, id="b3", retry_at=NOON + timedelta(minutes=7))
    async with storage.unit_of_work("acme") as uow:
        for each in (BACKFILL, done, waits):
            await uow.backfills.save(each)
    async with storage.unit_of_work("other") as uow:
        await uow.backfills.save(BACKFILL)

    due = [("acme", "b1"), ("other", "b1")]
    assert sorted(await storage.backlog.backfills_due(NOON + timedelta(minutes=6))) == due
    both = [("acme", "b1"), ("acme", "b3"), ("other", "b1")]
    assert sorted(await storage.backlog.backfills_due(NOON + timedelta(minutes=7))) == both


async def test_orders_are_seen_by_their_own_org_alone(storage: SqlStorage) -> None:
    async with storage.unit_of_work("acme") as uow:
        await uow.backfills.save(BACKFILL)
        await uow.lead_tests.save(TEST)
        await uow.form_checks.save(CHECK)
    async with storage.unit_of_work("other", reads_only=True) as uow:
        assert await uow.backfills.get("b1") is None
        assert await uow.backfills.running() == ()
        assert await uow.lead_tests.get("t1") is None
        assert await uow.form_checks.all() == ()


async def test_a_re_mapping_is_what_was_saved_last_and_the_newest_is_found(storage: SqlStorage) -> None:
    begun = Remap(id="r1", vendor="memory", form_external_id="7", version=3, ordered_at=NOON)
    whole = attrs.evolve(
        begun,
        since=NOON - timedelta(days=3),
        dry_run=True,
        state=OrderState.FAILED,
        last_lead_id="lead-9",
        total=9,
        seen=8,
        changed=7,
        without_answers=1,
        error="internal",
        remedy="Wait.",
        ordered_by="user-1",
        finished_at=NOON,
    )
    later = attrs.evolve(begun, id="r2", ordered_at=NOON + timedelta(hours=1))
    async with storage.unit_of_work("acme") as uow:
        for each in (begun, later, whole):
            await uow.remaps.save(each)
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        assert await uow.remaps.get("r1") == whole
        assert await uow.remaps.newest("memory", "7") == later
        assert await uow.remaps.newest("memory", "8") is None
    async with storage.unit_of_work("other", reads_only=True) as uow:
        assert await uow.remaps.get("r1") is None
        assert await uow.remaps.newest("memory", "7") is None
    assert list(await storage.backlog.running_remaps()) == [("acme", "r2")]


async def test_what_is_over_is_forgotten_but_for_the_newest_of_its_form(storage: SqlStorage) -> None:
    """A few at a time, and another org's stay; of tests, all that are old."""
    old, limit = NOON + timedelta(days=1), NOON + timedelta(days=9)
    over: dict[str, Any] = {"state": OrderState.DONE, "finished_at": old}
    remap = Remap(id="r0", vendor="memory", form_external_id="7", version=1, ordered_at=NOON, **over)
    backfills = [
        attrs.evolve(BACKFILL, id="b0", **over),
        attrs.evolve(BACKFILL, id="b1", **over | {"state": OrderState.FAILED}),
        attrs.evolve(BACKFILL, id="b2"),  # runs
        attrs.evolve(BACKFILL, id="b3", **over | {"finished_at": limit + timedelta(seconds=1)}),
        attrs.evolve(BACKFILL, id="b4", ordered_at=NOON + timedelta(hours=1), **over),  # the newest
        attrs.evolve(BACKFILL, id="b5", form_external_id="8", **over),  # of its form
    ]
    for org in ("acme", "other"):
        async with storage.unit_of_work(org) as uow:
            for each in backfills:
                await uow.backfills.save(each)
            await uow.remaps.save(remap)
            await uow.remaps.save(attrs.evolve(remap, id="r1"))
            await uow.lead_tests.save(TEST)
            await uow.lead_tests.save(attrs.evolve(TEST, id="t2", ordered_at=limit + timedelta(seconds=1)))
    async with storage.unit_of_work("acme") as uow:
        assert await uow.backfills.forget_finished(old - timedelta(seconds=1), limit=9) == 0
        assert [await uow.backfills.forget_finished(limit, limit=1) for _ in range(3)] == [1, 1, 0]
        assert await uow.remaps.forget_finished(limit, limit=9) == 1
        assert await uow.lead_tests.forget(limit, limit=9) == 1
        kept = [each.id for each in backfills if await uow.backfills.get(each.id)]
        assert kept == ["b2", "b3", "b4", "b5"]
        assert await uow.remaps.newest("memory", "7") == attrs.evolve(remap, id="r1")
        assert (await uow.lead_tests.get("t1"), bool(await uow.lead_tests.get("t2"))) == (None, True)
    async with storage.unit_of_work("other", reads_only=True) as uow:
        assert await uow.backfills.get("b0")
        assert await uow.lead_tests.get("t1")


async def test_tests_are_told_from_other_leads(storage: SqlStorage) -> None:
    done = attrs.evolve(TEST, lead_external_id="x1", state=OrderState.DONE, created_at=NOON)
    async with storage.unit_of_work("acme") as uow:
        await uow.lead_tests.save(TEST)
        await uow.lead_tests.save(done)
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        assert await uow.lead_tests.get("t1") == done
        assert await uow.lead_tests.made("memory", ("x0", "x1", "x2")) == {"x1"}
        assert await uow.lead_tests.made("elsewhere", ("x1",)) == set()
        assert await uow.lead_tests.made("memory", ()) == set()


async def test_checks_come_with_the_widest_gap_first(storage: SqlStorage) -> None:
    gap = attrs.evolve(CHECK, form_external_id="8", gap=2, gap_since=NOON, reread_at=NOON, alarmed_at=NOON)
    async with storage.unit_of_work("acme") as uow:
        await uow.form_checks.save(CHECK)
        await uow.form_checks.save(gap)
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        checks = await uow.form_checks.all()
        one = await uow.form_checks.get("memory", "1", "8")
    assert [check.form_external_id for check in checks] == ["8", "7"]
    assert one == attrs.evolve(gap, name="Offers \ufffd")


async def test_checks_of_forms_that_are_gone_go_and_others_stay(storage: SqlStorage) -> None:
    kept, gone = attrs.evolve(CHECK, form_external_id="8"), CHECK
    elsewhere = attrs.evolve(CHECK, channel_external_id="2")
    async with storage.unit_of_work("acme") as uow:
        for check in (kept, gone, elsewhere):
            await uow.form_checks.save(check)
        await uow.form_checks.keep_only("memory", "1", ["8", "9"])
        left = await uow.form_checks.all()
        await uow.form_checks.keep_only("memory", "1", [])
        last = await uow.form_checks.all()

    assert [(check.channel_external_id, check.form_external_id) for check in left] == [("1", "8"), ("2", "7")]
    assert [check.channel_external_id for check in last] == ["2"]


async def test_only_gaps_that_alarm_are_missing_over_all_orgs(storage: SqlStorage) -> None:
    """Of channels that somebody listens to."""
    cases = (
        ("a", 2, NOON, True),
        ("b", 3, NOON, True),
        ("c", 5, None, True),
        ("d", -1, None, True),
        ("e", 9, NOON, False),
    )
    for org, gap, alarmed_at, is_selected in cases:
        async with storage.unit_of_work(org) as uow:
            await uow.form_checks.save(attrs.evolve(CHECK, gap=gap, alarmed_at=alarmed_at))
            await uow.integrations.save(
                Integration(
                    id=f"i-{org}",
                    vendor="memory",
                    status=IntegrationStatus.ACTIVE,
                    app_id="app",
                    created_at=NOON,
                    updated_at=NOON,
                )
            )
            channel = Channel(
                id=f"c-{org}",
                integration_id=f"i-{org}",
                grant_id="g",
                vendor="memory",
                external_id="1",
                type="board",
                name="Café",
                selected=is_selected,
            )
            await uow.integrations.save_channels([channel])

    assert await storage.backlog.missing_leads() == {"memory": 5}
