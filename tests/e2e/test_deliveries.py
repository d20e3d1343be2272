"""Deliveries against a running demo: leads arrive, everything signed is kept, nothing else gets in."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.support.deliveries import deliver, sample_bodies, signature
from tests.support.demo import DemoClient, DemoProcess, demo_client, running_demo
from tests.support.mutants import Expected

pytestmark = pytest.mark.e2e


class _Value(msgspec.Struct):
    leadgen_id: str | int = ""
    form_id: str | int = ""


class _Change(msgspec.Struct):
    field: str = ""
    value: _Value = msgspec.field(default_factory=_Value)


class _Entry(msgspec.Struct):
    id: str | int = ""
    changes: list[_Change] = []


class _Leadgen(msgspec.Struct):
    entry: list[_Entry] = []


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[tuple[DemoProcess, DemoClient]]:
    async with running_demo(tmp_path / "data") as (process, facts), demo_client(facts) as client:
        yield process, client


def _lead_of(body: bytes) -> tuple[str, str, str]:
    entry = msgspec.json.decode(body, type=_Leadgen).entry[0]
    value = entry.changes[0].value
    return str(entry.id), str(value.form_id), str(value.leadgen_id)


def _kept_aside(data: Path) -> int:
    (database,) = (
        data.glob("moorage*.sqlite*3")
        if list(data.glob("moorage*.sqlite*3"))
        else data.glob("moorage*.sqlite")
    )
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM quarantine").fetchone()
        return int(count)


LEADGEN = tuple(path for path in sample_bodies() if "leadgen" in path.name)
OWN_LEADGEN = (
    b'{"object":"page","entry":[{"id":"900000000000001","time":1764000000,"changes":[{"field":"leadgen",'
    b'"value":{"form_id":"900000000000011","leadgen_id":"900000000000111","created_time":1764000000,'
    b'"page_id":"900000000000001"}}]}]}'
)


async def test_every_leadgen_body_of_an_owned_page_becomes_a_lead(
    demo: tuple[DemoProcess, DemoClient],
) -> None:
    """Whatever way Graph writes the ids: the page is ours, the lead is there, so the CRM has it."""
    _, client = demo
    bodies = [OWN_LEADGEN, *(path.read_bytes() for path in LEADGEN)]
    wanted = [_lead_of(body) for body in bodies]
    pages = [{"id": page_id, "name": "Owned", "forms": [{"id": form_id}]} for page_id, form_id, _ in wanted]
    answer = await client.control("pages", {"pages": pages})
    assert answer.status_code == 200, answer.text
    await client.connect(*(page_id for page_id, _, _ in wanted))
    for page_id, form_id, lead_id in wanted:
        seeded = {"pageId": page_id, "formId": form_id, "id": lead_id, "delivery": "lose"}
        answer = await client.control(
            "leads", {**seeded, "answers": {"email": f"{lead_id}@customer.example"}}
        )
        assert answer.status_code == 200, answer.text
    for body in bodies:
        assert (await deliver(client.http, client.facts, body)).status_code == 200
    leads = await client.wait_for_leads(len(wanted), deadline=5)
    assert {lead["externalId"] for lead in leads} == {lead_id for _, _, lead_id in wanted}


async def test_everything_signed_is_answered_200_and_kept(demo: tuple[DemoProcess, DemoClient]) -> None:
    """Nobody's, unknown, not JSON, too deep: kept aside, because a refusal would unsubscribe everyone."""
    process, client = demo
    bodies = [OWN_LEADGEN, b"not json", b"[" * 100_000, b'{"object":"page","entry":[]}', b"\xff\xfe"]
    bodies += [path.read_bytes() for path in sample_bodies()]
    for body in bodies:
        answer = await deliver(client.http, client.facts, body)
        assert answer.status_code == 200, body[:80]
    nobodys = Expected(frozenset())
    for body in bodies:
        nobodys.add(body)
    assert _kept_aside(process.data) == nobodys.rows["quarantine"]
    assert await client.leads() == []


async def test_bytes_are_signed_not_meanings(demo: tuple[DemoProcess, DemoClient]) -> None:
    r"""W1: `\u00e4`, `\/` and odd spacing verify as sent; the same JSON written anew is refused."""
    _, client = demo
    value = rb'{"message":"\u00e4 a\/b"}'
    sent = rb'{"object" : "page","entry":[ {"id":"1","changes":[{"field":"feed","value":' + value + b"}]}]}\n"
    rewritten = msgspec.json.encode(msgspec.json.decode(sent))
    assert (await deliver(client.http, client.facts, sent)).status_code == 200
    answer = await deliver(
        client.http, client.facts, rewritten, signed=signature(sent, client.facts.app_secret)
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "invalid_signature")


@pytest.mark.parametrize(
    ("signed", "extra"),
    [
        ("", ()),
        ("sha256=", ()),
        ("sha1=5c993cdbb44ab7691f7ea56930ecffab4994904e", ()),
        ("sha256=" + "0" * 64, ()),
        ("sha256=" + "0" * 63 + "é", ()),
        (None, (("x-hub-signature-256", "sha256=" + "0" * 64),)),
    ],
)
async def test_a_bad_signature_is_refused_and_nothing_is_stored(
    demo: tuple[DemoProcess, DemoClient], signed: str | None, extra: tuple[tuple[str, str], ...]
) -> None:
    """W2: forged, missing, of the old kind, non-ASCII, doubled: 403 and no row."""
    process, client = demo
    body = OWN_LEADGEN
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    value = signature(body, client.facts.app_secret) if signed is None else signed
    headers.append((b"x-hub-signature-256", value.encode("utf-8")))
    headers += [(name.encode(), text.encode()) for name, text in extra]
    answer = await client.http.post(
        f"{client.facts.host}/connect/webhook/facebook", content=body, headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "invalid_signature")
    assert _kept_aside(process.data) == 0
