"""1,000 events a second of mixed kinds for a minute: is all of it applied, and how far behind is it?

`python -m bench.mixed [--rate 1000] [--seconds 60] [--database sqlite]`. Prints per database how old the
oldest unprocessed event was while the load ran and at its end, what was applied of what was sent, and the
memory of each process early and late (`ratio`: late / early).
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
import uvloop
from sqlalchemy import Connection, text

from bench.databases import KINDS, databases
from bench.load import Result, paced
from moorage_adapters.sqlmodel.storage import SqlStorage
from tests.chaos.checker import settled
from tests.chaos.graph import graph_of_leads
from tests.support.demo import free_port
from tests.support.hosting import HostPlan, HostProcess

ORGS = 4
PER_DELIVERY = (1, 1, 1, 2, 4)
DOUBLED = 0.05
REACTIONS = ("like", "love", "wow", "haha", "sad", "angry")
# What comes, in shares of a hundred.
MIX = {
    "comment": 30,
    "edit": 6,
    "remove": 3,
    "reaction": 24,
    "unreact": 3,
    "share": 2,
    "message": 16,
    "mark": 3,
    "text": 6,
    "status": 3,
    "photo_comment": 3,
    "lead": 1,
}


def page_of(org: int) -> str:
    """The page, the account, the number that an org listens to."""
    return f"{org}000000001"


def account_of(org: int) -> str:
    """See `page_of`."""
    return f"{org}000000002"


def number_of(org: int) -> str:
    """See `page_of`."""
    return f"{org}000000003"


@attrs.define
class Town:
    """People who do things, and a ledger of what must come of it."""

    dice: random.Random
    now: int
    comments: dict[str, tuple[int, str]] = attrs.field(factory=dict)  # id -> (org, post)
    recent: list[str] = attrs.field(factory=list)
    removed: set[str] = attrs.field(factory=set)
    reactions: dict[tuple[str, int], bool] = attrs.field(factory=dict)
    direct: set[str] = attrs.field(factory=set)
    leads: set[str] = attrs.field(factory=set)
    kinds: Counter[str] = attrs.field(factory=Counter)
    _number: int = 10_000_000_000

    def number(self) -> int:
        """A number nobody had."""
        self._number += 1
        return self._number

    def entry(self) -> tuple[str, dict[str, object]]:
        """The object of a delivery, and one entry of it."""
        kind = self.dice.choices(list(MIX), list(MIX.values()))[0]
        if kind in {"edit", "remove"} and not self.recent:
            kind = "comment"
        self.kinds[kind] += 1
        self.now += 1  # milliseconds; every happening has its own moment
        return getattr(self, f"_{kind}")(self.dice.randrange(1, ORGS + 1))  # type: ignore[no-any-return]

    def _feed(self, org: int, value: dict[str, object]) -> tuple[str, dict[str, object]]:
        return "page", {
            "id": page_of(org),
            "time": self.now // 1000,
            "changes": [{"field": "feed", "value": {"created_time": self.now // 1000, **value}}],
        }

    def _person(self, org: int) -> dict[str, str]:
        number = self.dice.randrange(5_000)
        return {"id": f"{org}77{number:05}", "name": f"Person {number}"}

    def _words(self) -> str:
        return " ".join(
            self.dice.choice(("where", "size", "nice", "price", "thanks", "größe")) for _ in range(8)
        )

    def _comment(self, org: int) -> tuple[str, dict[str, object]]:
        post = f"{page_of(org)}_{self.dice.randrange(200)}"
        comment = f"{post.partition('_')[2]}_{self.number()}"
        self.comments[comment] = (org, post)
        self.recent = [*self.recent[-400:], comment]
        value = {"item": "comment", "verb": "add", "post_id": post, "comment_id": comment, "parent_id": post}
        return self._feed(org, {**value, "from": self._person(org), "message": self._words()})

    def _edit(self, _: int) -> tuple[str, dict[str, object]]:
        comment = self.dice.choice(self.recent)
        org, post = self.comments[comment]
        value = {
            "item": "comment",
            "verb": "edited",
            "post_id": post,
            "comment_id": comment,
            "parent_id": post,
        }
        return self._feed(org, {**value, "from": self._person(org), "message": self._words() + " (edited)"})

    def _remove(self, _: int) -> tuple[str, dict[str, object]]:
        comment = self.dice.choice(self.recent)
        org, post = self.comments[comment]
        self.removed.add(comment)
        value = {
            "item": "comment",
            "verb": "remove",
            "post_id": post,
            "comment_id": comment,
            "parent_id": post,
        }
        return self._feed(org, {**value, "from": self._person(org)})

    def _reaction(self, org: int, verb: str = "add") -> tuple[str, dict[str, object]]:
        post = f"{page_of(org)}_{self.dice.randrange(200)}"
        # Each happening has a second and a person of its own: Graph's moments are whole seconds.
        number = self.number()
        self.reactions[(post, number)] = verb == "add"
        person = {"id": f"{org}88{number}", "name": f"Reader {number}"}
        value = {"item": "reaction", "verb": verb, "post_id": post, "parent_id": post, "from": person}
        return self._feed(org, {**value, "reaction_type": self.dice.choice(REACTIONS)})

    def _unreact(self, org: int) -> tuple[str, dict[str, object]]:
        return self._reaction(org, "remove")

    def _share(self, org: int) -> tuple[str, dict[str, object]]:
        post = f"{page_of(org)}_{self.dice.randrange(200)}"
        value = {"item": "share", "verb": "add", "post_id": post, "share_id": str(self.number())}
        return self._feed(org, {**value, "from": self._person(org)})

    def _messaging(self, org: int, happening: dict[str, object]) -> tuple[str, dict[str, object]]:
        frame = {
            "sender": {"id": self._person(org)["id"]},
            "recipient": {"id": page_of(org)},
            "timestamp": self.now,
        }
        return "page", {"id": page_of(org), "time": self.now, "messaging": [{**frame, **happening}]}

    def _message(self, org: int) -> tuple[str, dict[str, object]]:
        mid = f"m_{self.number()}"
        self.direct.add(mid)
        return self._messaging(org, {"message": {"mid": mid, "text": self._words()}})

    def _mark(self, org: int) -> tuple[str, dict[str, object]]:
        return self._messaging(org, {"read": {"watermark": self.now - 1}})

    def _business(self, org: int, what: dict[str, object]) -> tuple[str, dict[str, object]]:
        metadata = {"display_phone_number": "15550000000", "phone_number_id": number_of(org)}
        value = {"messaging_product": "whatsapp", "metadata": metadata, **what}
        change = {"field": "messages", "value": value}
        return "whatsapp_business_account", {"id": f"{org}000000009", "changes": [change]}

    def _text(self, org: int) -> tuple[str, dict[str, object]]:
        wamid, caller = f"wamid.{self.number()}", f"4915{self.dice.randrange(10**8):08}"
        self.direct.add(wamid)
        contacts = [{"profile": {"name": "Caller"}, "wa_id": caller}]
        message = {"from": caller, "id": wamid, "timestamp": str(self.now // 1000), "type": "text"}
        return self._business(
            org, {"contacts": contacts, "messages": [{**message, "text": {"body": self._words()}}]}
        )

    def _status(self, org: int) -> tuple[str, dict[str, object]]:
        status = {"id": f"wamid.{self.number()}", "status": self.dice.choice(("sent", "delivered", "read"))}
        recipient = {
            "timestamp": str(self.now // 1000),
            "recipient_id": f"4915{self.dice.randrange(10**8):08}",
        }
        return self._business(org, {"statuses": [{**status, **recipient}]})

    def _photo_comment(self, org: int) -> tuple[str, dict[str, object]]:
        comment = str(self.number())
        self.comments[comment] = (org, "")
        value = {
            "id": comment,
            "text": self._words(),
            "from": {"id": self._person(org)["id"], "username": "reader"},
            "media": {"id": f"{org}555{self.dice.randrange(200)}", "media_product_type": "FEED"},
        }
        change = {"field": "comments", "value": value}
        return "instagram", {"id": account_of(org), "time": self.now // 1000, "changes": [change]}

    def _lead(self, org: int) -> tuple[str, dict[str, object]]:
        lead = str(self.number())
        self.leads.add(lead)
        value = {
            "leadgen_id": lead,
            "form_id": "77",
            "page_id": page_of(org),
            "created_time": self.now // 1000,
        }
        change = {"field": "leadgen", "value": value}
        return "page", {"id": page_of(org), "time": self.now // 1000, "changes": [change]}

    def request(self, secret: str) -> bytes:
        """A signed delivery of one to a few events, all of one object."""
        topic, first = self.entry()
        entries = [first]
        while len(entries) < self.dice.choice(PER_DELIVERY):
            another, entry = self.entry()
            if another != topic:
                self.waiting.append((another, entry))
                continue
            entries.append(entry)
        return signed(topic, entries, secret)

    waiting: list[tuple[str, dict[str, object]]] = attrs.field(factory=list)


def signed(topic: str, entries: Sequence[dict[str, object]], secret: str) -> bytes:
    """One whole request."""
    body = json.dumps({"object": topic, "entry": entries}).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST /connect/webhook/facebook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={digest}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def deliveries(town: Town, secret: str, events: int) -> list[bytes]:
    """Requests with so many events, some of them twice, a little out of order."""
    requests: list[bytes] = []
    while sum(town.kinds.values()) < events:
        requests.append(town.request(secret))
        if town.dice.random() < DOUBLED:
            requests.append(requests[-1])
    requests += [signed(topic, [entry], secret) for topic, entry in town.waiting]
    for place in range(0, len(requests) - 20, 20):  # late by up to twenty
        piece = requests[place : place + 20]
        town.dice.shuffle(piece)
        requests[place : place + 20] = piece
    return requests


@attrs.define
class Watch:
    """What was seen while the load ran."""

    storage: SqlStorage
    processes: Sequence[HostProcess]
    ages: list[float] = attrs.field(factory=list)
    memory: list[float] = attrs.field(factory=list)

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            self.ages.append(await oldest_age(self.storage))
            self.memory.append(sum(map(resident, self.processes)))
            await asyncio.sleep(1)


async def oldest_age(storage: SqlStorage) -> float:
    """How old the oldest unprocessed event is, in seconds."""
    oldest = await storage.backlog.oldest_pending_at()
    return 0.0 if oldest is None else time.time() - oldest.timestamp()


def resident(host: HostProcess) -> float:
    """A process's memory in megabytes."""
    assert host.process is not None
    pages = int(Path(f"/proc/{host.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def run(database: str, url: str, folder: Path, rate: float, seconds: float, seed: int) -> bool:
    """One database; prints what came of it and answers whether all was applied."""
    town = Town(random.Random(seed), int(time.time() * 1000) - 3_600_000)
    async with graph_of_leads(free_port()) as graph_url:
        plan = HostPlan(folder=folder, database_url=url, graph_url=graph_url)
        channels = {f"org-{n}": (page_of(n), account_of(n), number_of(n)) for n in range(1, ORGS + 1)}
        await plan.seed(channels)
        requests = deliveries(town, plan.app_secret, int(rate * seconds))
        events = sum(town.kinds.values())
        hosts = await _started(plan, apart=database == "postgres")
        storage = await plan.storage()
        watch = Watch(storage, hosts)
        watching = asyncio.create_task(watch.run())
        try:
            sent = await paced(
                "127.0.0.1", hosts[0].port, iter(requests), rate=len(requests) / seconds, seconds=seconds
            )
            at_end, ended = await oldest_age(storage), time.monotonic()
            await settled(storage, deadline=120)
            drained = time.monotonic() - ended
            watching.cancel()
            found = await storage.database.read_at_once(_applied)
        finally:
            for each in hosts:
                await each.kill()
            await storage.aclose()
    return _report(database, town, events, sent, at_end, drained, watch, found)


async def _started(plan: HostPlan, *, apart: bool) -> list[HostProcess]:
    arguments = [("serve", "--no-jobs"), ("worker",)] if apart else [("serve",)]
    hosts = [HostProcess(plan=plan, port=free_port(), arguments=each) for each in arguments]
    for each in hosts:
        await each.start()
    await hosts[0].ready()
    return hosts


def _applied(connection: Connection) -> dict[str, int]:
    def count(statement: str) -> int:
        return int(connection.execute(text(statement)).scalar_one())

    return {
        "comments": count(
            "SELECT count(*) FROM message m JOIN conversation c"
            " ON c.org_id = m.org_id AND c.id = m.conversation_id WHERE c.kind = 'comment'"
        ),
        "removed": count("SELECT count(*) FROM message WHERE removed_at IS NOT NULL"),
        "direct": count(
            "SELECT count(*) FROM message m JOIN conversation c"
            " ON c.org_id = m.org_id AND c.id = m.conversation_id WHERE c.kind = 'direct'"
        ),
        "reactions": count("SELECT count(*) FROM activity WHERE kind = 'reaction' AND is_present"),
        "leads": count("SELECT count(*) FROM lead"),
        "dead": count("SELECT count(*) FROM inbox WHERE state <> 'done'"),
    }


def _report(
    database: str,
    town: Town,
    events: int,
    sent: Result,
    at_end: float,
    drained: float,
    watch: Watch,
    found: dict[str, int],
) -> bool:
    wanted = {
        "comments": len(town.comments),
        "removed": len(town.removed),
        "direct": len(town.direct),
        "reactions": sum(town.reactions.values()),
        "leads": len(town.leads),
        "dead": 0,
    }
    early, late = watch.memory[min(10, len(watch.memory) - 1)], watch.memory[-1]
    ages = sorted(watch.ages)
    print(
        f"mixed {database}: {events} events in {sent.seconds:.0f} s ({events / sent.seconds:.0f}/s),"
        f" {sent.answered} deliveries, refused {sent.refused}, p99 {sent.percentile(0.99):.1f} ms\n"
        f"  oldest unprocessed: median {ages[len(ages) // 2]:.2f} s, worst {ages[-1]:.2f} s,"
        f" at the end {at_end:.2f} s; all done {drained:.2f} s after the end\n"
        f"  memory {early:.0f} MB after 10 s, {late:.0f} MB at the end, ratio {late / early:.2f}\n"
        f"  applied / sent: " + ", ".join(f"{name} {found[name]}/{wanted[name]}" for name in wanted),
        flush=True,
    )
    return found == wanted


def compare(argv: Sequence[str] | None = None) -> bool:
    """Run on the databases asked for; answers whether everything that was sent was applied."""
    parser = argparse.ArgumentParser(prog="python -m bench.mixed", description=__doc__)
    parser.add_argument("--rate", type=float, default=1000.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=KINDS, action="append")
    given = parser.parse_args(argv)
    whole = True
    for name, url, folder in databases(given.database):
        whole &= uvloop.run(run(name, url, folder, given.rate, given.seconds, given.seed))
    return whole


if __name__ == "__main__":
    raise SystemExit(0 if compare() else 1)
