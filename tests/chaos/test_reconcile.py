"""An outage in which every webhook gets lost: the next start finds all of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.demo import DemoProcess, demo_client

pytestmark = pytest.mark.chaos

LOST = 25


async def test_leads_whose_webhooks_were_all_lost_are_there_after_the_outage_w19(tmp_path: Path) -> None:
    """W19: the vendor sends nothing again; what is due at the start fetches 100 % of them, once."""
    demo = DemoProcess(data=tmp_path / "data")
    try:
        facts = await demo.start()
        form = facts.pages[0].forms[0]
        async with demo_client(facts) as client:
            await client.connect()
            for number in range(LOST):
                lead = {"pageId": facts.pages[0].id, "formId": form.id, "delivery": "lose"}
                answers = {"email": f"lost-{number}@customer.example"}
                assert (await client.control("leads", {**lead, "answers": answers})).status_code == 200
            assert await client.leads() == []
        await demo.kill()
        _let_two_hours_pass(demo.data)

        facts = await demo.start()
        async with demo_client(facts) as client:
            leads = await client.wait_for_leads(LOST, deadline=30)
            assert {lead["email"] for lead in leads} == {
                f"lost-{number}@customer.example" for number in range(LOST)
            }
            assert len(await client.wait_for_leads(LOST, deadline=2)) == LOST
    finally:
        await demo.kill()


def _let_two_hours_pass(data: Path) -> None:
    """For the schedules: what was due meanwhile is due now."""
    (database,) = data.glob("*.sqlite3")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE job_schedule SET next_at = datetime(next_at, '-2 hours')")
