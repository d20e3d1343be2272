"""All leads that fit, whole and in order, without anybody waiting behind it or the memory filling up."""

import asyncio
import csv
import io
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import uvicorn
from sqlalchemy import text
from structlog.testing import capture_logs

from moorage.crm.leads import LeadQuery
from moorage.handover import exporting
from moorage.handover.csv_lines import unguarded
from moorage.handover.exporting import COLUMNS, PAGE, ExportQuery, export_leads
from moorage_adapters.sqlmodel.tables import LEAD
from moorage_ports.crm import CrmLead
from moorage_ports.errors import UnavailableError
from moorage_ports.lead_source import Consent
from moorage_ports.operations import Role
from tests.support.asking import headers_of
from tests.support.crm import read
from tests.support.harbour import NOON, Harbour, harbour
from tests.unit.adapters.things import lead
from tests.unit.handover.conftest import ORG

EXPORT = "/crm/leads/export"


@pytest.fixture
async def host(tmp_path: Path, storage_url: str) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path, database_url=storage_url) as made:
        made.clock.advance(timedelta(days=1))
        yield made


async def add(host: Harbour, *leads: CrmLead, org_id: str = ORG) -> None:
    async with host.storage.unit_of_work(org_id) as uow:
        await uow.leads.add_all(leads)


async def export(host: Harbour, role: Role = Role.AGENT, **query: str) -> httpx.Response:
    return await host.http.get(EXPORT, params=query, headers=headers_of(host, ORG, role=role))


def records(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    rows = list(csv.reader(io.StringIO(answer.text, newline=""), strict=True))
    return [dict(zip(rows[0], map(unguarded, row), strict=True)) for row in rows[1:]]


FULL = lead(
    1,
    email="ada@harbour.example",
    first_name="=Ada",
    last_name='O"Hara, the\r\nsecond',
    phone="+49301234567",
    form_id="form-1",
    is_organic=False,
    campaign_name="Spring",
    properties={"size": ("L", "XL"), "größe": ("=1+1",)},
    consents=(Consent(key="news", text="Send me news", is_given=True),),
    created_at=NOON,
    submitted_at=NOON - timedelta(hours=1),
)


async def test_a_csv_has_a_header_and_a_line_for_each_lead_the_oldest_first(host: Harbour) -> None:
    later = lead(2, created_at=NOON + timedelta(hours=1))
    await add(host, later, FULL)
    answer = await export(host)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["cache-control"] == "no-store"
    disposition = answer.headers["content-disposition"]
    assert disposition == 'attachment; filename="leads-20300602-120000.csv"'
    assert answer.text.split("\r\n", 1)[0] == ",".join(COLUMNS)
    first, second = records(answer)
    assert (first["id"], second["id"]) == ("lead-1", "lead-2")
    assert (first["firstName"], first["lastName"]) == (FULL.first_name, FULL.last_name)
    assert (first["phone"], first["isOrganic"], second["isOrganic"]) == ("+49301234567", "false", "")
    assert first["createdAt"] == "2030-06-01T12:00:00Z"
    assert json.loads(first["properties"]) == {"size": ["L", "XL"], "größe": ["=1+1"]}
    assert json.loads(first["consents"])[0]["key"] == "news"
    assert "'=Ada" in answer.text
    assert ",'+49301234567," in answer.text


async def test_json_lines_are_the_leads_as_the_api_shows_them(host: Harbour) -> None:
    await add(host, FULL, lead(2, created_at=NOON + timedelta(hours=1)))
    answer = await export(host, format="jsonl")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = answer.text.splitlines()
    assert answer.text.endswith("\n")
    shown = [await read(host, f"/crm/leads/detail/lead-{number}") for number in (1, 2)]
    assert [json.loads(line) for line in lines] == shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"lead-1", "lead-2", "lead-3"}),
        ({"status": "contacted"}, {"lead-2"}),
        ({"formId": "form-1"}, {"lead-1"}),
        ({"search": "ADA@"}, {"lead-1"}),
        ({"since": "2030-06-01T12:30:00Z"}, {"lead-2", "lead-3"}),
        ({"until": "2030-06-01T12:30:00Z"}, {"lead-1"}),
        ({"isTest": "true"}, {"lead-3"}),
        ({"stage": "nowhere"}, set()),
    ],
)
async def test_the_filters_of_the_list_hold(host: Harbour, query: dict[str, Any], found: set[str]) -> None:
    hour = timedelta(hours=1)
    await add(
        host,
        FULL,
        lead(2, status="contacted", created_at=NOON + hour),
        lead(3, is_test=True, created_at=NOON + 2 * hour),
    )
    await add(host, lead(4, created_at=NOON), org_id="org-b")
    assert {record["id"] for record in records(await export(host, **query))} == found
    lines = (await export(host, format="jsonl", **query)).text.splitlines()
    assert {json.loads(line)["id"] for line in lines} == found


def test_it_takes_what_the_list_takes() -> None:
    def named(kind: type[attrs.AttrsInstance]) -> dict[str, object]:
        return {field.name: (field.type, field.default, field.validator) for field in attrs.fields(kind)}

    listed, exported = named(LeadQuery), named(ExportQuery)
    assert set(listed) - set(exported) == {"p", "ps", "sort"}
    assert set(exported) - set(listed) == {"format"}
    assert all(listed[name] == exported[name] for name in set(listed) & set(exported))


def test_the_columns_are_those_of_the_reference_in_its_order() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "http-api.md").read_text()
    listed = page.partition("new ones will come at the end.")[2].partition("The last two are JSON")[0]
    assert re.findall(r"`(\w+)`", listed) == list(COLUMNS)


async def test_nothing_to_export_is_a_header_alone(host: Harbour) -> None:
    assert (await export(host)).text == ",".join(COLUMNS) + "\r\n"
    assert (await export(host, format="jsonl")).text == ""


async def test_leads_of_one_moment_are_all_there_over_the_edges_of_pages(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 3)
    leads = [lead(number, created_at=NOON + timedelta(seconds=number // 7)) for number in range(30)]
    await add(host, *leads)
    exported = [record["id"] for record in records(await export(host))]
    assert exported == [one.id for one in sorted(leads, key=lambda one: (one.created_at, one.id))]


async def test_what_comes_after_it_began_is_not_in_it(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an export of a busy org would never end."""
    monkeypatch.setattr(exporting, "PAGE", 2)
    await add(host, *(lead(number, created_at=NOON) for number in range(4)))
    pieces = export_leads(host.services, ORG, ExportQuery(format="jsonl"), by="test")
    exported = [await anext(pieces)]
    await add(host, lead(9, created_at=host.clock.now()))
    exported += [piece async for piece in pieces]
    assert b"".join(exported).count(b"\n") == 4


async def test_it_is_for_agents_and_admins_and_says_what_does_not_fit(host: Harbour) -> None:
    assert (await export(host, Role.VIEWER)).json()["code"] == "forbidden"
    assert (await export(host, Role.ADMIN)).status_code == 200
    wrong: list[dict[str, Any]] = [{"format": "xlsx"}, {"since": "yesterday"}, {"nobody": "knows"}]
    for query in wrong:
        answer = await export(host, **query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_who_exported_what_is_logged_and_nobodys_data(host: Harbour) -> None:
    await add(host, FULL)
    with capture_logs() as logs:
        await export(host, search="ada@harbour.example", formId="form-1")
    [entry] = [one for one in logs if one["event"] == "leads_exported"]
    assert (entry["org"], entry["by"], entry["count"], entry["whole"]) == (ORG, "user:user-1", 1, True)
    assert entry["filters"] == ("search", "form_id")
    assert "ada@" not in str(logs)


# Many -----------------------------------------------------------------------------------------


async def add_many(host: Harbour, count: int) -> None:
    """Past the stores: they would take longer than the export. SQLite alone."""
    await add(host, FULL)
    names = [column.name for column in LEAD.c if column.name not in {"id", "external_id", "answers_sealed"}]
    copied = ", ".join(names)
    copy = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"  # noqa: S608
        f" INSERT INTO lead (id, external_id, {copied})"
        f" SELECT printf('many-%06d', i), 'many-' || i, {copied} FROM n, lead"
    )
    async with host.storage.database.write(org_id=ORG) as transaction:
        await transaction.run(lambda connection: connection.execute(copy, {"count": count}))


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_memory_stays_as_it_is_however_many_leads_there_are(host: Harbour) -> None:
    """And the first bytes are there once the first page was read; each page is a transaction of its own."""
    count = 12_000
    await add_many(host, count)
    opened = 0
    storage = host.storage

    class Counting:
        def unit_of_work(self, org_id: str, *, reads_only: bool = False) -> Any:
            nonlocal opened
            opened += 1
            assert reads_only
            return storage.unit_of_work(org_id, reads_only=reads_only)

    services = attrs.evolve(host.services, storage=Counting())  # type: ignore[arg-type]
    pieces = export_leads(services, ORG, ExportQuery(format="csv"), by="test")
    tracemalloc.start()
    try:
        size = len(await anext(pieces))
        assert opened == 2, "one of them to understand the filter"
        after_first = tracemalloc.get_traced_memory()[1]
        lines = 0
        async for piece in pieces:
            size += len(piece)
            lines += piece.count(b"many-")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert opened == (count + 1) // PAGE + 2
    assert size > 2_500_000
    assert peak < after_first + 1_500_000
    assert peak < size


async def test_an_export_that_breaks_off_does_not_end_as_if_it_were_whole(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    await add(host, *(lead(number, created_at=NOON) for number in range(6)))
    pieces = export_leads(host.services, ORG, ExportQuery(), by="test")
    with capture_logs() as logs:
        await anext(pieces)
        await host.storage.aclose()
        with pytest.raises(UnavailableError):
            await anext(pieces)
    assert [(one["count"], one["whole"]) for one in logs] == [(2, False)]


async def test_on_the_wire_such_an_answer_has_no_end(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client sees: the last chunk never comes."""
    monkeypatch.setattr(exporting, "PAGE", 2)
    await add(host, *(lead(number, created_at=NOON) for number in range(6)))
    whole = exporting._pages

    async def breaks_off(*args: Any) -> AsyncIterator[tuple[CrmLead, ...]]:
        async for page in whole(*args):
            yield page
            raise UnavailableError("the database is out of reach")

    monkeypatch.setattr(exporting, "_pages", breaks_off)
    async with on_a_socket(host) as address, httpx.AsyncClient(trust_env=False) as client:
        got = bytearray()

        async def download() -> None:
            headers = headers_of(host, ORG)
            async with client.stream("GET", f"{address}{EXPORT}", headers=headers) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_bytes():
                    got.extend(piece)

        with pytest.raises(httpx.RemoteProtocolError):
            await download()
    assert got.count(b"lead-") == 2


@asynccontextmanager
async def on_a_socket(host: Harbour) -> AsyncIterator[str]:
    """The host, served as it is served in earnest."""
    config = uvicorn.Config(host.app, port=0, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    for _ in range(1000):
        if server.started:
            break
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def test_who_stops_reading_is_let_go_and_logged(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    await add(host, *(lead(number, created_at=NOON) for number in range(6)))
    pieces = export_leads(host.services, ORG, ExportQuery(), by="test")
    with capture_logs() as logs:
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
    assert [(one["count"], one["whole"]) for one in logs] == [(2, False)]


async def test_a_failure_before_the_first_byte_is_a_problem_like_any_other(host: Harbour) -> None:
    await host.storage.aclose()
    answer = await export(host)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
