"""What must hold after any chaos: acknowledged is stored, effects happened once, each row in its org."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import attrs
from sqlalchemy import Connection, text

from moorage_adapters.sqlmodel.storage import SqlStorage, SqlUnitOfWork
from moorage_adapters.sqlmodel.tenant import Tenant
from moorage_facebook.webhooks import GraphWebhooks
from tests.chaos.load import OWNERS, History, body_of, entry_of


@attrs.define
class Verdict:
    """The figures of one run; all but the first two must be zero.

    `foreign` counts what stands where nobody sent it: in another org, or without having been sent at all.
    """

    acknowledged: int = 0
    leads: int = 0
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    leads_lost: int = 0
    leads_doubled: int = 0
    messages_lost: int = 0
    messages_doubled: int = 0
    miscounted: int = 0  # by how much what is counted (unread, unmapped) is not what is there
    slow_recoveries: int = 0
    left_over: int = 0  # rows neither done nor dead when we stopped waiting
    dead: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, doubled, misplaced, miscounted or given up, and kills were soon over."""
        figures = attrs.asdict(self)
        return not any(figures[name] for name in figures if name not in {"acknowledged", "leads"})


RECOVERY = 2.0  # seconds within which deliveries are acknowledged again after a kill -9


def slow_recoveries(after: Iterable[float | None]) -> int:
    """How many recoveries took too long, or never came (`None`)."""
    return sum(seconds is None or seconds > RECOVERY for seconds in after)


async def settled(storage: SqlStorage, *, deadline: float) -> None:
    """Wait until no row is pending, or until we lose patience."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        if await storage.backlog.oldest_pending_at() is None:
            return
        await asyncio.sleep(0.25)


async def verdict(storage: SqlStorage, history: History) -> Verdict:
    """Hold the database against the history."""
    found = Verdict(acknowledged=len(history.acked))
    for org_id in OWNERS:
        owed = history.owed(org_id)
        wanted = [business_key(key, history.sent[key][0]) for key in owed]
        possible = {
            business_key(key, page)
            for key, (page, _) in history.sent.items()
            if page in history.pages_of(org_id)
        }
        async with storage.unit_of_work(org_id, reads_only=True) as work:
            rows, digests, all_digests = await _inbox(work, wanted, possible)
            leads = await _leads(work)
            messages, miscounted_unread = await _messages(work)
            unmapped = await _unmapped(work)
            odd = await _digests(work, history.possible(org_id, "odd"), history)
        stored = set(rows)
        found.lost += len(digests - stored)
        found.doubled += len(rows) - len(stored)
        found.foreign += len(stored - all_digests)
        found.messages_lost += len(history.owed_comments(org_id) - set(messages))
        found.messages_doubled += len(messages) - len(set(messages))
        found.foreign += len(set(messages) - history.possible_comments(org_id))
        found.miscounted += miscounted_unread + abs(unmapped - len(stored & odd))
        found.leads += len(leads)
        found.foreign += len(set(leads) - history.possible_leads(org_id))
        found.leads_lost += len(history.owed_leads(org_id) - set(leads))
        found.leads_doubled += len(leads) - len(set(leads))
    found.left_over, found.dead = await storage.database.read_at_once(_unfinished)
    return found


def business_key(key: str, page: str) -> str:
    """The plugin's own business key of a happening: asked, not guessed."""
    return GraphWebhooks().split(body_of([entry_of(key, page)]))[0].business_key


async def _inbox(
    work: SqlUnitOfWork, wanted: list[str], possible: set[str]
) -> tuple[list[bytes], set[bytes], set[bytes]]:
    """The digests of the org's rows, of what it is owed, and of all that could be its own."""
    query = text("SELECT key_digest FROM inbox WHERE org_id = :org")
    return await work._gate.run(
        lambda org: (
            [bytes(row[0]) for row in org._connection.execute(query, {"org": work.org_id})],
            {org.digest("inbox key", key) for key in wanted},
            {org.digest("inbox key", key) for key in possible},
        )
    )


async def _digests(work: SqlUnitOfWork, keys: Iterable[str], history: History) -> set[bytes]:
    named = [business_key(key, history.sent[key][0]) for key in keys]
    return await work._gate.run(lambda org: {org.digest("inbox key", name) for name in named})


async def _messages(work: SqlUnitOfWork) -> tuple[list[str], int]:
    """The external ids of the org's comments, and by how much its unread counts are wrong: nobody reads."""
    comments = text("SELECT external_id, conversation_id FROM message WHERE org_id = :org AND NOT is_ours")
    counts = text("SELECT id, unread_count FROM conversation WHERE org_id = :org")

    def read(org: Tenant) -> tuple[list[str], int]:
        found = org._connection.execute(comments, {"org": work.org_id}).all()
        unread = Counter(str(conversation_id) for _, conversation_id in found)
        unread.subtract(
            {str(row[0]): int(row[1]) for row in org._connection.execute(counts, {"org": work.org_id})}
        )
        return [str(external_id) for external_id, _ in found], sum(map(abs, unread.values()))

    return await work._gate.run(read)


async def _unmapped(work: SqlUnitOfWork) -> int:
    query = text("SELECT coalesce(sum(count), 0) FROM unmapped_kind WHERE org_id = :org")
    return await work._gate.run(
        lambda org: int(org._connection.execute(query, {"org": work.org_id}).scalar_one())
    )


async def _leads(work: SqlUnitOfWork) -> list[str]:
    query = text("SELECT external_id FROM lead WHERE org_id = :org")
    return await work._gate.run(
        lambda org: [str(row[0]) for row in org._connection.execute(query, {"org": work.org_id})]
    )


def _unfinished(connection: Connection) -> tuple[int, int]:
    pending = text("SELECT count(*) FROM inbox WHERE state = 'pending'")
    dead = text("SELECT count(*) FROM inbox WHERE state = 'dead'")
    return int(connection.execute(pending).scalar_one()), int(connection.execute(dead).scalar_one())
