"""D9: the checker of histories notices what it is there for; a checker that finds nothing proves nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import text

from moorage.crm.apply import apply_events
from moorage.crm.unmapped import UnmappedItem, count_unmapped
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.crm import CrmLead
from moorage_ports.events import CommentSeen
from moorage_ports.inbox import Arrival, ItemState, Settlement
from tests.chaos.checker import RECOVERY, Verdict, business_key, settled, slow_recoveries, verdict
from tests.chaos.load import NOBODYS, OWNERS, History, body_of, comment_id_of, entry_of
from tests.support.databases import fresh_database
from tests.support.hosting import APP_ID, HostPlan

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
LEAD, ANOTHER = "lead:10000000000000001", "lead:10000000000000002"
COMMENT, SHARED = "comment:10000000000000003", "lead:10000000000000004"
UNHEARD, ORPHAN = "comment:10000000000000005", "comment:10000000000000006"
ODD = "odd:10000000000000007"
SENT = {
    LEAD: "1001",
    COMMENT: "1001",
    ANOTHER: "2001",
    SHARED: "1002",
    ODD: "1001",
    UNHEARD: "3001",
    ORPHAN: NOBODYS,
}

COLUMNS = (
    *("org_id", "vendor", "key_digest", "partition_digest", "bucket", "kind", "state"),
    *("received_at", "tries", "lease", "last_error", "body_sealed"),
)


@attrs.frozen
class Run:
    """A run in which everything went well."""

    storage: SqlStorage
    history: History

    async def verdict(self) -> Verdict:
        return await verdict(self.storage, self.history)

    async def sql(self, statement: str, **values: Any) -> int:
        """Do to the database what no code of ours would do; answers how many rows it hit."""
        return await self.storage.database.write_at_once(
            lambda connection: connection.execute(text(statement), values).rowcount
        )

    async def copy_row(self, key: str, *, theirs: bytes = b"", **changes: str) -> None:
        """Insert a copy of an inbox row of org-a, changed; `:theirs` may stand in a change."""
        chosen = ", ".join(changes.get(column, column) for column in COLUMNS)
        digest = await self.digest("org-a", key)
        assert (
            await self.sql(
                f"INSERT INTO inbox ({', '.join(COLUMNS)}) SELECT {chosen} FROM inbox"  # noqa: S608 - ours
                " WHERE org_id = 'org-a' AND key_digest = :digest",
                digest=digest,
                **({"theirs": theirs} if theirs else {}),
            )
            == 1
        )

    async def digest(self, org_id: str, key: str) -> bytes:
        """What an org's row of a happening is found by."""
        named = business_key(key, SENT[key])
        async with self.storage.unit_of_work(org_id) as work:
            return await work._gate.run(lambda org: org.digest("inbox key", named))


@pytest.fixture
async def run(tmp_path: Path, database_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    databases = request.getfixturevalue("databases") if database_kind == "postgres" else None
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'moorage.db'}"
        if databases is not None:
            url = await stack.enter_async_context(fresh_database(databases))
        plan = HostPlan(folder=tmp_path, database_url=url)
        await plan.seed(OWNERS)
        storage = await plan.storage()
        stack.push_async_callback(storage.aclose)
        history = History(sent={key: (page, key.startswith("lead")) for key, page in SENT.items()})
        await _deliver(storage, [key for key in SENT if key != UNHEARD])
        history.acked.update(key for key in SENT if key != UNHEARD)
        await _work(storage)
        yield Run(storage, history)


async def _deliver(storage: SqlStorage, keys: Sequence[str]) -> None:
    """As the webhook's route does."""
    changes = GraphWebhooks().split(body_of([entry_of(key, SENT[key]) for key in keys]))
    await storage.intake.keep(Arrival(vendor="facebook", app_id=APP_ID, received_at=NOW, changes=changes))


async def _work(storage: SqlStorage) -> None:
    """As the workers do: each row to its end, and what it means into the CRM."""
    await _settle(storage)
    async with storage.unit_of_work("org-a") as work:
        await apply_events(work.crm_records, [("facebook", _comment(COMMENT))])
        await count_unmapped(
            work.crm_records, [UnmappedItem(vendor="facebook", kind="novelty", item_id="1")], NOW
        )
    for org_id, leads in {"org-a": (LEAD, SHARED), "org-b": (ANOTHER, SHARED)}.items():
        async with storage.unit_of_work(org_id) as work:
            for number, key in enumerate(leads):
                assert await work.leads.add(_lead(key, number))


def _lead(key: str, number: int = 0, *, vendor: str = "facebook") -> CrmLead:
    return CrmLead(
        id=f"lead-{number}-{vendor}",
        external_id=key.partition(":")[2],
        vendor=vendor,
        channel_external_id="1001",
        source=vendor,
        created_at=NOW,
    )


def _comment(key: str) -> CommentSeen:
    return CommentSeen(
        channel_external_id="1001",
        comment_external_id=comment_id_of(key),
        at=NOW,
        surface="feed",
        post_external_id="1001_5",
    )


async def test_a_good_run_holds_d9(run: Run) -> None:
    """What was never acknowledged may be missing, what nobody owns must be."""
    found = await run.verdict()
    assert found == Verdict(acknowledged=6, leads=4)
    assert found.holds


async def test_what_came_without_an_acknowledgement_is_no_mistake_d9(run: Run) -> None:
    """Stored, and the answer got lost: the vendor would only say it again."""
    await _deliver(run.storage, [UNHEARD])
    await _settle(run.storage)
    assert (await run.verdict()).holds


async def test_a_lost_acknowledgement_is_found_d9(run: Run) -> None:
    digest = await run.digest("org-a", COMMENT)
    assert await run.sql("DELETE FROM inbox WHERE org_id = 'org-a' AND key_digest = :it", it=digest) == 1
    found = await run.verdict()
    assert found == Verdict(acknowledged=6, leads=4, lost=1)
    assert not found.holds


async def test_an_acknowledgement_lost_for_one_of_two_owners_is_found_d9(run: Run) -> None:
    digest = await run.digest("org-b", SHARED)
    assert await run.sql("DELETE FROM inbox WHERE org_id = 'org-b' AND key_digest = :it", it=digest) == 1
    assert (await run.verdict()).lost == 1


async def test_a_doubled_row_is_found_d9(run: Run) -> None:
    await run.copy_row(COMMENT, vendor="'other'")
    found = await run.verdict()
    assert (found.doubled, found.holds) == (1, False)


async def test_a_row_in_a_foreign_org_is_found_d9(run: Run) -> None:
    """Also when it was sealed and digested as that org's own."""
    await run.copy_row(
        COMMENT, org_id="'org-c'", key_digest=":theirs", theirs=await run.digest("org-c", COMMENT)
    )
    found = await run.verdict()
    assert (found.foreign, found.lost, found.holds) == (1, 0, False)


async def test_a_row_that_nobody_sent_is_found_d9(run: Run) -> None:
    """An effect without a cause: the row, and the comment that came of it."""
    del run.history.sent[COMMENT]
    run.history.acked.discard(COMMENT)
    assert (await run.verdict()).foreign == 2


async def test_a_lost_lead_is_found_d9(run: Run) -> None:
    """Its row says done, and nothing came of it."""
    assert await run.sql("DELETE FROM lead WHERE org_id = 'org-a' AND id = 'lead-0-facebook'") == 1
    found = await run.verdict()
    assert (found.leads_lost, found.lost, found.holds) == (1, 0, False)


async def test_a_doubled_lead_is_found_d9(run: Run) -> None:
    async with run.storage.unit_of_work("org-a") as work:
        assert await work.leads.add(_lead(LEAD, vendor="other"))
    found = await run.verdict()
    assert (found.leads_doubled, found.holds) == (1, False)


@pytest.mark.parametrize("key", [ANOTHER, "lead:10000000000000999"])
async def test_a_lead_of_another_org_or_of_nobody_is_found_d9(run: Run, key: str) -> None:
    async with run.storage.unit_of_work("org-c") as work:
        assert await work.leads.add(_lead(key, number=7))
    found = await run.verdict()
    assert (found.foreign, found.holds) == (1, False)


async def test_a_lost_comment_is_found_d9(run: Run) -> None:
    """Its row says done, and nobody reads it."""
    await run.sql("DELETE FROM message WHERE org_id = 'org-a'")
    await run.sql("DELETE FROM conversation WHERE org_id = 'org-a'")
    found = await run.verdict()
    assert (found.messages_lost, found.lost, found.holds) == (1, 0, False)


async def test_a_doubled_or_foreign_comment_is_found_d9(run: Run) -> None:
    """Under another id of ours, so that no unique key stood in its way; and in an org that was sent none."""
    for org_id, vendor in {"org-a": "other", "org-c": "facebook"}.items():
        async with run.storage.unit_of_work(org_id) as work:
            await apply_events(work.crm_records, [(vendor, _comment(COMMENT))])
    found = await run.verdict()
    assert (found.messages_doubled, found.foreign, found.holds) == (1, 1, False)


async def test_an_effect_that_is_only_counted_is_found_when_it_happened_twice_d9(run: Run) -> None:
    """There is no second row, only a wrong number."""
    assert (
        await run.sql("UPDATE conversation SET unread_count = unread_count + 1 WHERE org_id = 'org-a'") == 1
    )
    assert await run.sql("UPDATE unmapped_kind SET count = count + 1 WHERE org_id = 'org-a'") == 1
    found = await run.verdict()
    assert (found.miscounted, found.holds) == (2, False)


def test_a_recovery_that_takes_too_long_is_no_pass_d9() -> None:
    """One that never came is not a fast one."""
    assert slow_recoveries([0.0, 0.4, RECOVERY]) == 0
    assert slow_recoveries([0.4, RECOVERY + 0.1, None]) == 2
    assert not Verdict(acknowledged=5, leads=4, slow_recoveries=1).holds


async def test_work_that_is_left_over_or_given_up_is_found_d9(run: Run) -> None:
    await run.sql("UPDATE inbox SET state = 'pending' WHERE org_id = 'org-a'")
    await run.sql("UPDATE inbox SET state = 'dead' WHERE org_id = 'org-b'")
    found = await run.verdict()
    assert (found.left_over, found.dead, found.holds) == (4, 2, False)
    await settled(run.storage, deadline=0.1)


async def _settle(storage: SqlStorage) -> None:
    for org_id, bucket in await storage.backlog.pending_groups(NOW):
        async with storage.unit_of_work(org_id) as work:
            for item in await work.inbox.claim(bucket, limit=100, now=NOW):
                assert await work.inbox.settle([Settlement(item=item, state=ItemState.DONE)], now=NOW)
