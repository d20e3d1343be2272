"""200 leads a second, a slow vendor that errs, and kill -9: is every lead there, once, and how soon?

`python -m bench.leads [--rate 200] [--seconds 60] [--latency 200] [--errors 1] [--kill-every 10]
[--database sqlite]`. The sandbox is a process of its own: people fill in its form, it sends signed webhooks,
and repeats those that were not taken. Each host process is killed in turn and started again at once. Prints
what came of the leads and how long they were on their way, by the ledger.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import httpx
import uvloop

from bench.databases import KINDS, databases
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.lead_ledger import EntryFilter, LeadEntry, LeadOutcome
from tests.oracles.sandbox import FORM, PAGE, VERSION, ServedSandbox
from tests.support.demo import free_port
from tests.support.hosting import HostPlan, HostProcess
from tests.support.sandboxes import SandboxProcess, host_plan, served_by

ORG = "leads"
STEP = 0.25  # seconds between two handfuls of leads
DEADLINE = 180.0  # for whatever is still on its way at the end
LEADS_A_PAGE = 500


@attrs.frozen(kw_only=True)
class Orders:
    """What was asked for."""

    rate: float
    seconds: float
    latency: int
    errors: float
    kill_every: float


@attrs.define
class Crowd:
    """People who fill in a form of the sandbox."""

    url: str
    submitted: int = 0
    behind: float = 0.0  # seconds that the sandbox was late at most

    async def fill_in(self, orders: Orders) -> None:
        """Handful after handful, each at its moment."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=60) as client:
            began = time.monotonic()
            for step in itertools.count():
                due = began + step * STEP
                if due >= began + orders.seconds:
                    return
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self.behind = max(self.behind, time.monotonic() - due)
                count = round(orders.rate * STEP)
                answers = {"email": f"{step}-{{n}}@mail.example", "full_name": "Grace Hopper"}
                body = {"pageId": PAGE, "formId": FORM, "answers": answers, "count": count}
                (await client.post("/_sandbox/leads", json=body)).raise_for_status()
                self.submitted += count


async def kill_in_turn(hosts: Sequence[HostProcess], every: float, kills: list[float]) -> None:
    """kill -9, start again, note how long that took; until cancelled."""
    due = time.monotonic()
    for host in itertools.cycle(hosts):
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        await host.kill()
        await host.start()
        if host.arguments[0] == "serve":
            await host.ready()
        kills.append(time.monotonic() - began)


def subscribe(sandbox: ServedSandbox, token: str) -> None:
    """Have the Page's leads told of."""
    body = {"subscribed_fields": "leadgen", "access_token": token, "appsecret_proof": sandbox.proof(token)}
    answer = sandbox.client.post(f"/{VERSION}/{PAGE}/subscribed_apps", data=body)
    answer.raise_for_status()


async def entries_of(storage: SqlStorage) -> list[LeadEntry]:
    """The whole ledger."""
    found: list[LeadEntry] = []
    for page in itertools.count(1):
        async with storage.unit_of_work(ORG, reads_only=True) as uow:
            listed = await uow.lead_ledger.page(EntryFilter(), page=page, page_size=LEADS_A_PAGE)
        found += listed.items
        if len(listed.items) < LEADS_A_PAGE:
            return found
    return found


async def until_stored(storage: SqlStorage, count: int) -> int:
    """Wait until so many leads are in the CRM, or for too long; how many are."""
    until = time.monotonic() + DEADLINE
    while True:
        async with storage.unit_of_work(ORG, reads_only=True) as uow:
            stored = (await uow.leads.page(page=1, page_size=1)).total
        if stored >= count or time.monotonic() > until:
            return stored
        await asyncio.sleep(0.5)


async def run(database: str, plan: HostPlan, port: int, sandbox_url: str, orders: Orders) -> bool:
    """One database; prints what came of it and answers whether every lead is there once."""
    await plan.seed({ORG: [PAGE]})
    roles = [("serve", "--no-jobs"), ("worker",)] if database == "postgres" else [("serve",)]
    hosts = [
        HostProcess(plan=plan, port=port if n == 0 else free_port(), arguments=role)
        for n, role in enumerate(roles)
    ]
    storage = await plan.storage()
    crowd, kills = Crowd(sandbox_url), list[float]()
    try:
        for host in hosts:
            await host.start()
        await hosts[0].ready()
        killing = asyncio.create_task(kill_in_turn(hosts, orders.kill_every, kills))
        await crowd.fill_in(orders)
        killing.cancel()
        ended = time.monotonic()
        for host in hosts:  # whichever the last kill met
            if host.process is None or host.process.returncode is not None:
                await host.start()
        stored = await until_stored(storage, crowd.submitted)
        drained = time.monotonic() - ended
        entries = await entries_of(storage)
    finally:
        for host in hosts:
            await host.kill()
        await storage.aclose()
    return report(database, crowd, kills, stored, drained, entries)


def report(
    database: str, crowd: Crowd, kills: Sequence[float], stored: int, drained: float, entries: list[LeadEntry]
) -> bool:
    """Print it; true if nothing is lost and nothing doubled."""
    settled = [one for one in entries if one.outcome is LeadOutcome.STORED and one.stored_at]
    known = len({one.external_id for one in settled})
    lost, doubled = crowd.submitted - known, stored - known
    crm = sorted((one.stored_at - one.arrived_at).total_seconds() for one in settled if one.stored_at)
    whole = sorted(
        (one.stored_at - one.submitted_at).total_seconds()
        for one in settled
        if one.stored_at and one.submitted_at
    )
    outcomes = {state.value: sum(one.outcome is state for one in entries) for state in LeadOutcome}
    print(
        f"leads {database}: {crowd.submitted} submitted, {len(kills)} x kill -9 (back after"
        f" {max(kills, default=0):.2f} s at most), sandbox late by {crowd.behind:.2f} s at most\n"
        f"  lost {lost}  doubled {doubled}  doubles told of {sum(one.doubles for one in entries)}"
        f"  all in {drained:.1f} s after the end  { ({k: n for k, n in outcomes.items() if n}) }\n"
        f"  webhook -> CRM p50 {at(crm, 0.5):.2f} s, p99 {at(crm, 0.99):.2f} s;"
        f" form -> CRM p50 {at(whole, 0.5):.1f} s, p99 {at(whole, 0.99):.1f} s (whole seconds)",
        flush=True,
    )
    return lost == doubled == 0 and len(settled) == len(entries)


def at(values: Sequence[float], share: float) -> float:
    """A percentile of sorted values."""
    return values[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


async def over(name: str, url: str, folder: Path, orders: Orders) -> bool:
    """A sandbox, a host beside it, and the run."""
    port = free_port()
    process = SandboxProcess(folder=folder, host_url=f"http://127.0.0.1:{port}")
    try:
        sandbox = served_by(process, await process.start())
        with sandbox.client:
            plan = attrs.evolve(host_plan(sandbox, folder), database_url=url)
            subscribe(sandbox, plan.page_tokens[PAGE])
            sandbox.control("latency", millis=orders.latency)
            if orders.errors:
                sandbox.control("faults", share=orders.errors / 100, status=500, code=2)
            return await run(name, plan, port, sandbox.url, orders)
    finally:
        await process.stop()


def measure(argv: Sequence[str] | None = None) -> bool:
    """Run on the databases asked for; answers whether every lead of each is there once."""
    parser = argparse.ArgumentParser(prog="python -m bench.leads", description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="leads per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--latency", type=int, default=200, help="milliseconds of every call to the vendor")
    parser.add_argument("--errors", type=float, default=1.0, help="of a hundred calls, so many fail")
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds")
    parser.add_argument("--database", choices=KINDS, action="append")
    given = parser.parse_args(argv)
    orders = Orders(
        rate=given.rate,
        seconds=given.seconds,
        latency=given.latency,
        errors=given.errors,
        kill_every=given.kill_every,
    )
    whole = True
    for name, url, folder in databases(given.database):
        whole &= uvloop.run(over(name, url, folder, orders))
    return whole


if __name__ == "__main__":
    raise SystemExit(0 if measure() else 1)
