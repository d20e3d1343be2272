"""From signed deliveries of what people say and do to the CRM: in any order, for each org, in bad weather."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from sqlalchemy import text

from moorage.inbox_worker import InboxWorker, Look, Read
from moorage.settling import Outcome
from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.things import Note, Person
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.inbox import inbox_nudge
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.webhooks import Delivery
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, NOON, Harbour, harbour

BO = Person(id="person-2", name="Bo Quay")
OTHER = attrs.evolve(ADMIN, org_id="org-b", user_id="user-2")
CONVERSATIONS, MESSAGES, ACTIVITY = "/crm/inbox/conversations", "/crm/inbox/messages", "/crm/social/activity"


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path, database_url=database_url) as made:
        await made.connect()
        await made.select(CAFE.id, BOOKS.id)
        made.world.notes["note-1"] = Note(
            id="note-1", board_id=CAFE.id, text="Fresh scones", link=None, images=(), pinned_at=NOON
        )
        made.world.people[BO.id] = BO
        yield made


def tick(host: Harbour, seconds: float = 1) -> None:
    host.clock.advance(timedelta(seconds=seconds))


def posted(host: Harbour) -> list[Delivery]:
    """What lies in the outbox, taken out."""
    waiting, host.world.outbox[:] = list(host.world.outbox), []
    return waiting


async def deliver(host: Harbour, *deliveries: Delivery) -> None:
    for delivery in deliveries:
        assert (await host.deliver(delivery)).status_code == 200
        await host.work()


async def texts(host: Harbour, org_id: str = ADMIN.org_id) -> list[str]:
    """The texts of the only conversation, the oldest first."""
    [conversation] = (await read(host, CONVERSATIONS, org_id=org_id))["items"]
    found = await read(host, MESSAGES, org_id=org_id, conversationId=conversation["id"])
    return [one["text"] for one in reversed(found["items"])]


async def states(host: Harbour, org_id: str = ADMIN.org_id) -> list[tuple[str, str]]:
    """State and last error of every inbox row of the org."""
    rows = text("SELECT state, last_error FROM inbox WHERE org_id = :org ORDER BY seq")
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: [(row[0], row[1]) for row in connection.execute(rows, {"org": org_id})]
        )


async def sync(host: Harbour) -> None:
    """Somebody asks for a sync of the café, and it runs."""
    assert (await ask(host, "/sync/trigger/memory", method="POST")).status_code == 202
    nudge = sync_nudge(ADMIN.org_id, "memory", CAFE.id)
    while await Syncer(host.services).look(nudge) is not None:
        pass


async def test_what_people_say_and_do_becomes_inbox_and_activity(host: Harbour) -> None:
    remark = host.world.say("note-1", "Are you open today?", by=BO)
    tick(host)
    host.world.say("note-1", "Until five", by=None, answers=remark.id)
    host.world.cheer("note-1", "love", by=BO)
    host.world.write_to(CAFE.id, "A table for two, please", by=BO)
    await deliver(host, *posted(host))

    direct, thread = sorted(
        (await read(host, CONVERSATIONS))["items"], key=lambda one: str(one["kind"]), reverse=True
    )
    assert (thread["kind"], thread["contactName"], thread["unreadCount"]) == ("comment", "Bo Quay", 1)
    assert (direct["kind"], direct["contactName"], direct["unreadCount"]) == ("direct", "Bo Quay", 1)
    assert thread["contactId"] == direct["contactId"], "the town knows everybody by one id"
    assert [one["kind"] for one in (await read(host, ACTIVITY))["items"]] == ["reaction", "comment"]
    [bo] = (await read(host, "/crm/contacts"))["items"]
    assert bo["score"] == pytest.approx(4 + 1 + 3, abs=0.01)


async def test_an_edit_and_a_removal_that_come_first_win(host: Harbour) -> None:
    kept, gone = host.world.say("note-1", "Frist"), host.world.say("note-1", "Secret")
    tick(host)
    host.world.say_otherwise(kept.id, "First")
    host.world.take_back(gone.id)
    said, secret, corrected, removed = posted(host)

    await deliver(host, removed, corrected)
    assert (await read(host, CONVERSATIONS))["total"] == 1, "nobody sees what is only heard of"
    await deliver(host, secret, said, corrected, secret)

    found = {one["lastMessage"]["text"]: one for one in (await read(host, CONVERSATIONS))["items"]}
    assert set(found) == {"First", ""}
    assert found[""]["unreadCount"] == 0
    [first] = (await read(host, MESSAGES, conversationId=found["First"]["id"]))["items"]
    assert (first["at"], first["editedAt"]) == ("2030-06-01T12:00:00Z", "2030-06-01T12:00:01Z")
    assert (await read(host, MESSAGES, search="secret"))["total"] == 0


async def test_a_change_of_mind_is_the_last_one_whatever_comes_last(host: Harbour) -> None:
    for face in ("love", "wow", ""):
        if face:
            host.world.cheer("note-1", face)
        else:
            host.world.hush("note-1")
        tick(host)
    host.world.cheer("note-1", "laugh")
    love, wow, nothing, laugh = posted(host)
    await deliver(host, laugh, nothing, love, wow, nothing)
    [seen] = (await read(host, ACTIVITY))["items"]
    assert (seen["reaction"], seen["at"]) == ("laugh", "2030-06-01T12:00:03Z")


async def test_a_webhook_and_a_sync_of_the_same_comment_are_one_row(host: Harbour) -> None:
    """Whichever comes first; also its answer, its author and what it is worth."""
    first = host.world.say("note-1", "By webhook first", by=BO)
    host.world.say("note-1", "Thank you", by=None, answers=first.id)
    host.world.cheer("note-1", "love", by=BO)
    tick(host)
    await deliver(host, *posted(host))
    before = [await read(host, path) for path in (CONVERSATIONS, ACTIVITY, "/crm/contacts")]
    await sync(host)
    assert [await read(host, path) for path in (CONVERSATIONS, ACTIVITY, "/crm/contacts")] == before

    host.world.say("note-1", "By sync first", by=BO)
    tick(host)
    late = posted(host)
    await sync(host)
    before = [await read(host, path) for path in (CONVERSATIONS, ACTIVITY, "/crm/contacts")]
    assert before[0]["total"] == 2
    await deliver(host, *late)
    assert [await read(host, path) for path in (CONVERSATIONS, ACTIVITY, "/crm/contacts")] == before


async def test_while_the_integration_is_expired_all_is_parked_and_runs_by_itself_afterwards(
    host: Harbour,
) -> None:
    host.world.say("note-1", "Before")
    await deliver(host, *posted(host))
    host.world.revoke_grant()
    host.world.fill_in("form-1", {"email": ("ada@harbour.example",)})
    await deliver(host, *posted(host))  # the lead finds out
    assert (await host.integration()).status is IntegrationStatus.EXPIRED

    tick(host)
    remark = host.world.say("note-1", "While nobody was connected", by=BO)
    host.world.say_otherwise(remark.id, "While nobody was connected!")
    host.world.write_to(CAFE.id, "Hello?", by=BO)
    host.world.cheer("note-1", "love", by=BO)
    calls = host.world.calls
    await deliver(host, *posted(host))
    assert (await read(host, CONVERSATIONS))["total"] == 1
    assert host.world.calls == calls
    assert await states(host) == [("done", ""), *[("parked", "reconnect_required")] * 5]
    parked = await read(host, "/upstream/deliveries", state="parked")
    assert {one["kind"] for one in parked["items"]} == {"slip", "remark", "letter", "cheer"}

    tick(host, 3600)
    assert (await host.connect())["integration"] == "connected"
    await host.work()
    assert await states(host) == [("done", "")] * 6
    said = [one["lastMessage"]["text"] for one in (await read(host, CONVERSATIONS))["items"]]
    assert sorted(said) == ["Before", "Hello?", "While nobody was connected!"]
    assert (await read(host, ACTIVITY, kind="reaction"))["total"] == 1
    assert len(await host.leads()) == 1


async def test_what_is_said_while_somebody_connects_is_not_forgotten(host: Harbour) -> None:
    """The worker looks, somebody connects (which unparks what is parked), then the worker parks."""
    host.world.revoke_grant()
    host.world.fill_in("form-1", {"email": ("ada@harbour.example",)})
    await deliver(host, *posted(host))
    host.world.say("note-1", "Just then")
    [delivery] = posted(host)
    assert (await host.deliver(delivery)).status_code == 200
    (group,) = await host.storage.backlog.pending_groups(host.clock.now())
    await Meanwhile(host.services, host).look(inbox_nudge(*group))
    await host.work()
    assert await texts(host) == ["Just then"]


@attrs.frozen
class Meanwhile(InboxWorker):
    """A worker so slow that somebody connects between its look and its verdict."""

    host: Harbour

    async def _understand(self, look: Look, read: Read) -> Outcome:
        tick(self.host)
        await self.host.connect()
        return await super()._understand(look, read)


async def test_a_page_that_two_orgs_hold_is_two_sets_of_rows(host: Harbour) -> None:
    await host.connect(OTHER)
    await host.select(CAFE.id, caller=OTHER)
    remark = host.world.say("note-1", "For both", by=BO)
    await deliver(host, *posted(host))
    [mine] = (await read(host, CONVERSATIONS))["items"]
    path = f"{CONVERSATIONS}/{mine['id']}"
    await read(host, path, method="PATCH", body={"status": "closed", "tags": ["ours"], "read": True})

    [theirs] = (await read(host, CONVERSATIONS, org_id="org-b"))["items"]
    assert (theirs["status"], theirs["tags"], theirs["unreadCount"]) == ("open", [], 1)
    assert theirs["channelId"] != mine["channelId"]
    for org_id in (ADMIN.org_id, "org-b"):
        [bo] = (await read(host, "/crm/contacts", org_id=org_id))["items"]
        assert bo["score"] == pytest.approx(4, abs=0.01)

    tick(host)
    host.world.say_otherwise(remark.id, "For both of you")
    await deliver(host, *posted(host))
    assert await texts(host) == await texts(host, "org-b") == ["For both of you"]


async def test_one_org_expires_and_the_other_goes_on(host: Harbour) -> None:
    await host.connect(OTHER)
    await host.select(CAFE.id, caller=OTHER)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.save(attrs.evolve(integration, status=IntegrationStatus.EXPIRED))
    host.world.say("note-1", "Who hears me?")
    await deliver(host, *posted(host))

    assert await states(host) == [("parked", "reconnect_required")]
    assert await states(host, "org-b") == [("done", "")]
    assert await texts(host, "org-b") == ["Who hears me?"]
    assert (await read(host, CONVERSATIONS))["total"] == 0


async def test_a_replay_of_everything_changes_nothing(host: Harbour) -> None:
    remark = host.world.say("note-1", "Hello", by=BO)
    tick(host)
    host.world.say_otherwise(remark.id, "Hello there")
    host.world.cheer("note-1", "love", by=BO)
    host.world.write_to(CAFE.id, "And here", by=BO)
    await deliver(host, *posted(host))
    paths = (CONVERSATIONS, ACTIVITY, "/crm/contacts")
    before = [await read(host, path) for path in paths]

    answer = await ask(host, "/upstream/deliveries/replay", method="POST", body={"state": "done"})
    assert answer.json() == {"replayed": 4}
    await host.work()
    assert [await read(host, path) for path in paths] == before
    assert set(await states(host)) == {("done", "")}
