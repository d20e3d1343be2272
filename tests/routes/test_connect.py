"""Connecting, from the link to the integration, through the real routes, storage and memory vendor."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage.admin.sessions import cookie_name, open_session
from moorage.operations.connecting import TICKETS
from moorage.operations.handlers import HANDLERS
from moorage.services import Caller
from moorage.workers import register_workers
from moorage_adapters.memory.things import READ_FORMS
from moorage_adapters.memory.world import ADA, BOOKS, CAFE
from moorage_ports.accounts import Account
from moorage_ports.errors import InvalidStateError, ReturnUrlError
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.jobs import Nudge
from moorage_ports.operations import BEGIN_CONNECT, BeginConnect, Role
from moorage_ports.secret_store import SecretRef
from tests.support.harbour import ADMIN, ORIGIN, RETURN_URL, Harbour, StillJobs, harbour, told

OTHER_USER = attrs.evolve(ADMIN, user_id="user-2")
OTHER_ORG = Caller(org_id="org-b", user_id="user-1", role=Role.ADMIN)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        yield made


async def test_a_consent_becomes_an_integration_with_channels(host: Harbour) -> None:
    begun = await host.begin()
    answer = await host.come_back(host.world.consent(begun.auth_url))

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{RETURN_URL}&integration=connected"
    integration = await host.integration()
    assert integration.status is IntegrationStatus.ACTIVE
    assert integration.missing_scopes == ()
    assert integration.notify_emails == (ADMIN.email,)
    channels = {channel.external_id: channel for channel in (await host.channels()).channels}
    assert channels[CAFE.id].selectable
    assert not channels[CAFE.id].selected
    assert not channels["board-3"].selectable
    assert channels["board-3"].reason


async def test_a_link_asks_for_what_the_capabilities_need_and_says_what_it_added(host: Harbour) -> None:
    begun = await host.begin()

    assert set(begun.added_scopes) == set(begun.scopes)
    assert READ_FORMS in begun.scopes


async def test_of_100_parallel_returns_with_one_state_one_connects_o1(host: Harbour) -> None:
    """O1: a state works once, however many use it at the same moment."""
    url = host.world.consent((await host.begin()).auth_url)

    answers = await asyncio.gather(*(host.come_back(url) for _ in range(100)))

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(303), statuses.count(400)) == (1, 99)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"invalid_state"}


async def test_the_redirect_says_where_to_and_nothing_else(host: Harbour) -> None:
    answer = await host.come_back(host.world.consent((await host.begin()).auth_url))

    assert (answer.status_code, answer.content) == (303, b"")
    assert "json" not in answer.headers["content-type"]


async def test_mutated_states_never_reach_a_redirect_o1(host: Harbour) -> None:
    begun = await host.begin()
    state = begun.state
    mutants = [state[:place] + chr(ord(state[place]) ^ 1) + state[place + 1 :] for place in range(len(state))]
    for mutant in mutants:
        answer = await host.http.get("/connect/oauth2callback/memory", params={"code": "c", "state": mutant})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_state")
    assert host.world.calls == 0


async def test_a_state_runs_out_after_ten_minutes_o1(host: Harbour) -> None:
    url = host.world.consent((await host.begin()).auth_url)
    host.clock.advance(timedelta(minutes=10))

    answer = await host.come_back(url)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_state")
    assert host.world.calls == 0


@pytest.mark.parametrize("query", ["", "?code=x", "?state=", "?state=a&state=b", "?" + "a=1&" * 100])
async def test_a_return_without_one_state_goes_nowhere(host: Harbour, query: str) -> None:
    answer = await host.http.get(f"/connect/oauth2callback/memory{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_state")
    assert "location" not in answer.headers


async def test_a_doubled_state_is_refused_although_one_of_them_is_good(host: Harbour) -> None:
    url = host.world.consent((await host.begin()).auth_url)

    answer = await host.come_back(url + "&state=other")

    assert answer.status_code == 400


async def test_a_state_of_one_vendor_is_refused_at_another_o3(tmp_path: Path) -> None:
    """O3: the vendor in the path has to be the vendor of the state, and the state stays good for its own."""
    async with harbour(tmp_path, _Twin()) as host:
        url = host.world.consent((await host.begin()).auth_url)

        answer = await host.come_back(url.replace("/oauth2callback/memory", "/oauth2callback/twin"))

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_state")
        assert host.world.calls == 0
        assert (await host.come_back(url)).status_code == 303


async def test_an_unknown_vendor_has_no_return_address(host: Harbour) -> None:
    answer = await host.http.get("/connect/oauth2callback/nobody?state=x")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_vendor")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "//evil.example",
        "https://admin.example.evil.example/",
        "https://admin.example@evil.example/",
        "https://admin.example\\@evil.example/",
        "javascript:alert(1)",
        "https://admin.example/\r\nSet-Cookie: a=b",
    ],
)
async def test_a_return_target_off_the_list_is_refused_at_the_start_o6(host: Harbour, url: str) -> None:
    with pytest.raises(ReturnUrlError):
        await host.begin(return_url=url)


async def test_a_refusal_comes_back_to_the_stored_target_with_its_code_o6(host: Harbour) -> None:
    begun = await host.begin()
    answer = await host.come_back(host.world.refuse(begun.auth_url) + "&error_description=<script>x</script>")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(RETURN_URL + "&")
    assert told(answer) == {"tab": "1", "integration": "error", "code": "declined"}
    assert "script" not in answer.headers["location"]


async def test_the_return_is_discreet_and_leads_to_a_clean_address_o7(host: Harbour) -> None:
    """O7: no referrer, no cache, and neither code nor state in the address the browser ends at."""
    begun = await host.begin()
    url = host.world.consent(begun.auth_url)
    answer = await host.come_back(url)
    code = dict(parse_qsl(urlsplit(url).query))["code"]

    for name, value in (("referrer-policy", "no-referrer"), ("cache-control", "no-store")):
        assert answer.headers.get_list(name) == [value]
    assert code not in answer.headers["location"]
    assert begun.state not in answer.headers["location"]
    assert answer.content in {b"", b"null"}

    refused = await host.come_back(url)
    assert refused.status_code == 400
    assert refused.headers["referrer-policy"] == "no-referrer"
    assert refused.headers["cache-control"] == "no-store"
    assert code not in refused.text


async def test_what_was_not_allowed_is_recorded_and_nothing_breaks_o8(host: Harbour) -> None:
    begun = await host.begin()
    allowed = [scope for scope in begun.scopes if scope != READ_FORMS]
    answer = await host.come_back(host.world.consent(begun.auth_url, scopes=allowed))

    assert told(answer)["integration"] == "connected"
    integration = await host.integration()
    assert integration.missing_scopes == (READ_FORMS,)
    assert set(integration.granted_scopes) == set(allowed)


async def test_a_vendor_that_is_down_sends_the_person_back_with_a_code(host: Harbour) -> None:
    url = host.world.consent((await host.begin()).auth_url)
    host.world.go_down()

    answer = await host.come_back(url)

    assert told(answer) == {"tab": "1", "integration": "error", "code": "unavailable"}


async def test_a_code_that_is_not_ours_connects_nothing(host: Harbour) -> None:
    begun = await host.begin()
    answer = await host.http.get(
        "/connect/oauth2callback/memory", params={"code": "injected", "state": begun.state}
    )

    assert told(answer)["code"] == "invalid_code"
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.integrations.of_vendor("memory") is None


async def test_connecting_again_keeps_the_integration_its_channels_and_their_selection(host: Harbour) -> None:
    await host.connect()
    await host.select(CAFE.id)
    before = await host.integration()
    rows = {view.external_id: view.id for view in (await host.channels()).channels}
    host.clock.advance(timedelta(days=1))

    assert (await host.connect())["integration"] == "connected"

    after = await host.integration()
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert after.updated_at > before.updated_at
    views = {view.external_id: view for view in (await host.channels()).channels}
    assert views[CAFE.id].id == rows[CAFE.id]
    assert views[CAFE.id].selected
    assert views[CAFE.id].subscribed
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert len(await uow.integrations.grants(after.id)) == 1, "the same person: the same grant"


async def test_a_channel_that_a_reconnection_no_longer_covers_is_named_and_its_token_forgotten(
    host: Harbour,
) -> None:
    await host.connect()
    await host.select(CAFE.id, BOOKS.id)
    del host.world.boards[BOOKS.id]

    begun = await host.begin(complete="ticket")
    answer = await host.come_back(host.world.consent(begun.auth_url))
    view = await host.complete(told(answer)["ticket"])

    assert (view.gained, view.lost) == ((), (BOOKS.id,))
    books = next(channel for channel in view.channels if channel.external_id == BOOKS.id)
    assert (books.selected, books.selectable, books.subscribed) == (True, False, False)
    assert books.reason


# Ticket mode ---------------------------------------------------------------------------------


async def test_a_ticket_finishes_what_its_user_began(host: Harbour) -> None:
    begun = await host.begin(complete="ticket")
    answer = await host.come_back(host.world.consent(begun.auth_url))

    assert told(answer)["integration"] == "pending"
    assert host.world.calls == 0, "nothing is exchanged before the user asks for it"
    view = await host.complete(told(answer)["ticket"])
    assert view.status == "active"


@pytest.mark.parametrize("thief", [OTHER_USER, OTHER_ORG])
async def test_a_strangers_ticket_is_worth_nothing_and_stays_good_for_its_owner_o2(
    host: Harbour, thief: Caller
) -> None:
    """O2: no token is requested before it is known that the user who began also ends it."""
    begun = await host.begin(complete="ticket")
    ticket = told(await host.come_back(host.world.consent(begun.auth_url)))["ticket"]

    with pytest.raises(InvalidStateError):
        await host.complete(ticket, caller=thief)
    assert host.world.calls == 0
    assert (await host.complete(ticket)).status == "active"


async def test_a_ticket_works_once_and_for_five_minutes(host: Harbour) -> None:
    begun = await host.begin(complete="ticket")
    ticket = told(await host.come_back(host.world.consent(begun.auth_url)))["ticket"]
    answers = await asyncio.gather(*(host.complete(ticket) for _ in range(10)), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1

    begun = await host.begin(complete="ticket")
    ticket = told(await host.come_back(host.world.consent(begun.auth_url)))["ticket"]
    host.clock.advance(timedelta(minutes=5))
    with pytest.raises(InvalidStateError):
        await host.complete(ticket)


async def test_a_state_is_no_ticket(host: Harbour) -> None:
    begun = await host.begin(complete="ticket")
    await host.come_back(host.world.consent(begun.auth_url))

    with pytest.raises(InvalidStateError):
        await host.complete(begun.state)


# The admin UI's mode ---------------------------------------------------------------------------


async def test_a_connection_of_one_browser_session_is_not_finished_by_another(host: Harbour) -> None:
    begun = await host.begin(attrs.evolve(ADMIN, session_id="session-1"))

    answer = await host.come_back(host.world.consent(begun.auth_url))

    assert told(answer) == {"tab": "1", "integration": "error", "code": "invalid_state"}
    assert host.world.calls == 0


async def test_a_connection_begun_in_a_browser_session_is_finished_by_that_session(host: Harbour) -> None:
    account = Account(id="acc", org_id="org-a", email="boss@a.example", password_hash="-", role=Role.ADMIN)
    await host.storage.accounts.save(account)
    session, cookie = await open_session(host.services, account)
    begun = await host.begin(attrs.evolve(ADMIN, session_id=session.id))
    url = host.world.consent(begun.auth_url)

    answer = await host.come_back(url, cookie=f"{cookie_name(ORIGIN)}={cookie}")

    assert told(answer)["integration"] == "connected"


# What is left behind -----------------------------------------------------------------------------


async def test_the_code_of_a_ticket_that_nobody_used_is_shredded(host: Harbour) -> None:
    begun = await host.begin(complete="ticket")
    ticket = told(await host.come_back(host.world.consent(begun.auth_url)))["ticket"]
    ticket_id = ticket.split(".")[2]
    ref = SecretRef(owner_type="ticket", owner_id=ticket_id, field="code")
    secrets = host.storage.secrets("org-a", "memory")
    assert await secrets.get(ref) is not None

    register_workers(host.services)
    shred = cast("StillJobs", host.services.jobs).handlers[TICKETS]
    await shred(Nudge(queue=TICKETS, group=f"memory:{ticket_id}", org_id="org-a"))

    assert await secrets.get(ref) is None
    with pytest.raises(InvalidStateError):
        await host.complete(ticket)


async def test_a_dry_run_of_a_connection_leaves_nothing_that_could_be_finished(host: Harbour) -> None:
    handler = HANDLERS[BEGIN_CONNECT.name]
    begun = await handler(host.call(dry_run=True), BeginConnect(return_url=RETURN_URL))

    answer = await host.come_back(host.world.consent(begun.auth_url))

    assert answer.status_code == 400


async def test_no_token_lies_in_the_database_in_the_clear_v1(host: Harbour, tmp_path: Path) -> None:
    """V1: nor the code, the state or the person's name, while a ticket waits and after it was used."""
    begun = await host.begin(complete="ticket")
    url = host.world.consent(begun.auth_url)
    ticket = told(await host.come_back(url))["ticket"]
    code = dict(parse_qsl(urlsplit(url).query))["code"]
    await host.complete(ticket)
    canaries = [code, begun.state, ticket, begun.state.split(".")[2], ADA.name, ADA.id]
    canaries += list(host.world._permits)

    stored = b"".join(file.read_bytes() for file in tmp_path.glob("moorage.db*"))
    assert len(stored) > 10_000
    for canary in canaries:
        assert canary.encode() not in stored


class _Twin:
    """A second vendor over a world of its own."""

    def __init__(self) -> None:
        from moorage_adapters.memory.plugin import memory_plugin
        from moorage_adapters.memory.world import MemoryWorld
        from moorage_ports.plugin import hookimpl

        plugin = memory_plugin(MemoryWorld())

        @hookimpl
        def moorage_vendor() -> object:
            return attrs.evolve(plugin.moorage_vendor(), slug="twin", title="Twin")

        self.moorage_vendor = moorage_vendor
