"""kill -9 at the points where an acknowledged lead could be lost or doubled."""

from pathlib import Path

import httpx
import pytest

from tests.support.deliveries import deliver
from tests.support.demo import DemoFacts, DemoProcess, demo_client

pytestmark = pytest.mark.chaos

AFTER_THE_ANSWER = ("P7", "P8", "P9")


def _leadgen(page_id: str, form_id: str, lead_id: str) -> bytes:
    value = (
        f'{{"form_id":"{form_id}","leadgen_id":"{lead_id}","created_time":1764000000,"page_id":"{page_id}"}}'
    )
    change = f'{{"field":"leadgen","value":{value}}}'
    return (
        f'{{"object":"page","entry":[{{"id":"{page_id}","time":1764000000,"changes":[{change}]}}]}}'.encode()
    )


@pytest.mark.parametrize("point", ["P0", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9"])
async def test_nothing_acknowledged_is_lost_or_doubled_d4(tmp_path: Path, point: str) -> None:
    """D4: killed at `point`; the sender repeats what was not acknowledged; exactly one lead comes of it."""
    demo = DemoProcess(data=tmp_path / "data")
    try:
        facts = await demo.start()
        async with demo_client(facts) as client:
            await client.connect()
            page = facts.pages[0]
            lead = {
                "pageId": page.id,
                "formId": page.forms[0].id,
                "id": "900000000000777",
                "delivery": "lose",
            }
            seeded = await client.control("leads", {**lead, "answers": {"email": "kept@customer.example"}})
            assert seeded.status_code == 200, seeded.text
        await demo.kill()

        body = _leadgen(page.id, page.forms[0].id, "900000000000777")
        facts = await demo.start({"MOORAGE_FAIL_POINT": point})
        async with demo_client(facts) as client:
            acknowledged = await _delivered(client.http, facts, body, pieces=2)
        assert await demo.wait_dead() == -9
        assert acknowledged == (point in AFTER_THE_ANSWER)

        facts = await demo.start()
        async with demo_client(facts) as client:
            if not acknowledged:
                assert await _delivered(client.http, facts, body)
            (stored,) = await client.wait_for_leads(1, deadline=10)
            assert stored["email"] == "kept@customer.example"
            assert await _delivered(client.http, facts, body), "the vendor may repeat itself"
            assert len(await client.wait_for_leads(1, deadline=2)) == 1
    finally:
        await demo.kill()


async def _delivered(http: httpx.AsyncClient, facts: DemoFacts, body: bytes, *, pieces: int = 1) -> bool:
    """Whether the delivery, in so many pieces, was acknowledged; on a connection that died it was not."""
    try:
        answer = await deliver(http, facts, body, pieces=pieces)
    except httpx.TransportError:
        return False
    return answer.status_code == 200
