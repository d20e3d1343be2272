"""Hand-over in the admin UI: who is told of leads, a secret that is shown once, and messages sent again."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from moorage.crm.lead_changes import LeadDraft, add_lead
from moorage.handover.endpoints import EndpointView, HandoverQuery, list_endpoints, list_handovers
from moorage_ports.http import AddressRefusedError, HttpAnswer, HttpRequest
from moorage_ports.operations import Role
from moorage_ports.outgoing import Endpoint, EndpointState, HandoverState
from tests.support.harbour import ADMIN, Harbour, harbour
from tests.support.visitor import Browser, Page, browser_as

HANDOVER = "/admin/operations/handover"
URL = "https://crm.example/hooks"
FORM: dict[str, str | list[str]] = {
    "key": "form-1",
    "url": URL,
    "description": "The shop’s CRM",
    "event": ["lead.created"],
}


@attrs.define
class Door:
    """A way out to an endpoint that answers as it is told, and to one address that is not to be called."""

    status: int = 204
    sent: list[HttpRequest] = attrs.field(factory=list)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.sent.append(request)
        return HttpAnswer(status=self.status, headers={}, body=b"")

    async def check(self, url: str) -> None:
        if "inside" in url or not url.startswith("https://"):
            msg = "the address is not to be called from here"
            raise AddressRefusedError(msg)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def host(tmp_path: Path, door: Door) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        made.services = attrs.evolve(made.services, door=door)
        yield made


async def endpoints(host: Harbour) -> tuple[EndpointView, ...]:
    return (await list_endpoints(host.services, ADMIN.org_id)).items


async def stored(host: Harbour, endpoint_id: str) -> Endpoint:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.outgoing.endpoint(endpoint_id)
    assert found is not None
    return found


async def added(host: Harbour, admin: Browser) -> str:
    answer = await admin.submit(HANDOVER, FORM)
    assert answer.status_code == 200, answer.text
    (endpoint,) = await endpoints(host)
    return endpoint.id


def copied(html: str) -> str:
    (secret,) = [each["data-copy"] for each in Page(html).all("button") if "data-copy" in each]
    return secret


async def test_an_endpoint_is_added_once_and_its_secret_is_shown_once(host: Harbour, admin: Browser) -> None:
    """Whoever reloads the page sends the form again: nothing is added then, and nothing is shown."""
    first = await admin.submit(HANDOVER, FORM)
    again = await admin.submit(HANDOVER, FORM)
    (endpoint,) = await endpoints(host)
    secret = copied(first.text)

    assert (await stored(host, endpoint.id)).secrets[0].value.reveal() == secret
    assert endpoint.event_types == ("lead.created",)
    assert again.headers["location"] == HANDOVER
    for path in (HANDOVER, f"{HANDOVER}/{endpoint.id}"):
        answer = await admin.get(path)
        assert "The shop’s CRM" in answer.text
        assert secret not in answer.text
    other = await admin.submit(HANDOVER, {**FORM, "url": f"{URL}/2"})
    assert other.status_code == 409
    assert secret not in other.text
    assert len(await endpoints(host)) == 1


async def test_every_box_ticked_means_everything(host: Harbour, admin: Browser) -> None:
    every = ["lead.created", "lead.updated", "lead.deleted"]
    await admin.submit(HANDOVER, {**FORM, "event": every})
    (endpoint,) = await endpoints(host)

    assert endpoint.event_types == ()


@pytest.mark.parametrize("url", ["https://inside.example", "not an address", ""])
async def test_an_address_that_may_not_be_called_is_refused_and_what_was_typed_stays(
    host: Harbour, admin: Browser, url: str
) -> None:
    answer = await admin.submit(HANDOVER, {**FORM, "url": url})
    page = Page(answer.text)

    assert answer.status_code == 422
    assert page.field("url") == url
    assert page.field("key") != FORM["key"]
    assert "aria-invalid" in next(each for each in page.all("input") if each.get("name") == "url")
    assert "public https address" in page.text or not url
    assert await endpoints(host) == ()


async def test_a_new_secret_signs_beside_the_one_before_and_is_shown_once(
    host: Harbour, admin: Browser
) -> None:
    endpoint_id = await added(host, admin)
    path = f"{HANDOVER}/{endpoint_id}/rotate"
    before = await stored(host, endpoint_id)
    first = await admin.submit(path, {"key": "turn-1", "keep": "72"})
    again = await admin.submit(path, {"key": "turn-1", "keep": "72"})
    after = await stored(host, endpoint_id)

    assert [one.value.reveal() for one in after.secrets] == [
        copied(first.text),
        before.secrets[0].value.reveal(),
    ]
    assert again.headers["location"] == f"{HANDOVER}/{endpoint_id}"
    leaked = await admin.submit(path, {"key": "turn-2", "keep": "0"})
    assert (await stored(host, endpoint_id)).signing(host.clock.now())[0].reveal() == copied(leaked.text)
    assert len((await stored(host, endpoint_id)).signing(host.clock.now())) == 1


async def test_a_test_says_what_came_of_it(host: Harbour, admin: Browser, door: Door) -> None:
    endpoint_id = await added(host, admin)
    good = await admin.submit(f"{HANDOVER}/{endpoint_id}/test", {})
    assert (
        "The test message arrived: it was answered with 204"
        in (await admin.page(good.headers["location"])).text
    )
    door.status = 401
    bad = await admin.submit(f"{HANDOVER}/{endpoint_id}/test", {})
    told = (await admin.page(bad.headers["location"])).text

    assert "did not arrive: it refused the message (401)" in told
    assert "often the secret is an old one" in told
    assert [request.url for request in door.sent] == [URL, URL]


async def test_an_endpoint_is_changed_paused_disabled_and_deleted(host: Harbour, admin: Browser) -> None:
    endpoint_id = await added(host, admin)
    path = f"{HANDOVER}/{endpoint_id}"
    await admin.submit(f"{path}/change", {"url": f"{URL}/new", "description": "", "event": ["lead.deleted"]})
    changed = await stored(host, endpoint_id)
    assert (changed.url, changed.description) == (f"{URL}/new", "")
    refused = await admin.submit(f"{path}/change", {"url": "https://inside.example", "description": "x"})
    assert refused.status_code == 422
    for state in ("paused", "disabled", "active"):
        answer = await admin.submit(f"{path}/change", {"state": state})
        assert answer.headers["location"] == f"{path}?saved=1"
        assert (await stored(host, endpoint_id)).state is EndpointState(state)
        assert state.capitalize() in (await admin.page(path)).text
    assert (await admin.submit(f"{path}/change", {"state": "gone"})).status_code == 422
    assert "all 0 messages shown here go with it" in (await admin.page(path)).text
    deleted = await admin.submit(f"{path}/delete", {})

    assert "was deleted" in (await admin.page(deleted.headers["location"])).text
    assert await endpoints(host) == ()
    assert (await admin.get(path)).status_code == 404


async def test_an_endpoint_that_disabled_itself_waits_on_the_overview(host: Harbour, admin: Browser) -> None:
    endpoint_id = await added(host, admin)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        found = await uow.outgoing.endpoint(endpoint_id)
        assert found is not None
        gone = attrs.evolve(found, state=EndpointState.DISABLED, reason="gone")
        await uow.outgoing.save_endpoint(gone)
    agent = await browser_as(host, Role.AGENT)

    assert "told nothing any more" not in (await agent.page("/admin")).text
    assert "told nothing any more" not in (await admin.page("/admin")).text  # nothing is connected yet
    await host.connect()
    assert "It wants no more messages: The shop’s CRM" in (await admin.page("/admin")).text
    assert "told nothing any more" not in (await agent.page("/admin")).text
    assert "Enable it again" in (await admin.page(f"{HANDOVER}/{endpoint_id}")).text


async def test_what_was_given_up_is_sent_again_one_by_one_or_all(host: Harbour, admin: Browser) -> None:
    endpoint_id = await added(host, admin)
    path = f"{HANDOVER}/{endpoint_id}"
    for name in ("Ines", "Tomasz"):
        await add_lead(host.services, ADMIN, LeadDraft(first_name=name))
    await admin.submit(f"{path}/change", {"state": "disabled"})
    refused = await admin.submit(f"{path}/replay", {})
    assert refused.status_code == 409
    await admin.submit(f"{path}/change", {"state": "active"})
    page = await admin.page(path)
    assert "Send again what was given up (2)" in page.text
    one = next(each["value"] for each in page.all("input") if each.get("name") == "id")

    answer = await admin.submit(f"{path}/replay", {"id": one})
    assert answer.headers["location"] == f"{path}?replayed=1"
    assert await waiting(host, endpoint_id) == 1
    answer = await admin.submit(f"{path}/replay", {})
    assert answer.headers["location"] == f"{path}?replayed=1"
    assert await waiting(host, endpoint_id) == 2
    assert (
        "nothing to send again"
        in (await admin.page((await admin.submit(f"{path}/replay", {})).headers["location"])).text
    )


async def waiting(host: Harbour, endpoint_id: str) -> int:
    query = HandoverQuery(state=HandoverState.PENDING.value)
    return (await list_handovers(host.services, ADMIN.org_id, endpoint_id, query)).total


async def test_endpoints_are_for_admins_only(host: Harbour, admin: Browser) -> None:
    """Their addresses may be as good as a password."""
    endpoint_id = await added(host, admin)
    path = f"{HANDOVER}/{endpoint_id}"
    agent = await browser_as(host, Role.AGENT)
    for get in (HANDOVER, path):
        answer = await agent.get(get)
        assert answer.status_code == 403
        assert URL not in answer.text
    for post in (HANDOVER, *(f"{path}/{do}" for do in ("change", "rotate", "test", "replay", "delete"))):
        assert (await agent.submit(post, {**FORM, "key": "form-2"})).status_code == 403
    assert [one.id for one in await endpoints(host)] == [endpoint_id]
