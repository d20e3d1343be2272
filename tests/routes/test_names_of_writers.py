"""Somebody writes by Messenger or on Instagram, over a whole sandbox: the inbox shows their name."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from moorage.naming import Namer, naming_nudge
from moorage.operations.handlers import HANDLERS
from moorage_facebook.sandbox.seed import INSTAGRAM_ID
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import SELECT_CHANNELS, SelectChannels, Selection
from tests.contract.facebook_weather import PAGE, SANDBOX
from tests.support.crm import read
from tests.support.harbour import ADMIN
from tests.support.town import Town
from tests.support.town import town as town_in


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_in(tmp_path) as made:
        chosen = SelectChannels(channels=(PAGE, INSTAGRAM_ID))
        selection = await HANDLERS[SELECT_CHANNELS.name](made.call(), chosen)
        assert isinstance(selection, Selection)
        assert not selection.problems
        yield made


async def name_all(town: Town) -> None:
    """What the schedule does, and the workers after it."""
    due = await town.host.storage.backlog.strangers_due(["facebook"], town.host.clock.now())
    for org_id, slug in due:
        assert await Namer(town.host.services).look(naming_nudge(org_id, slug)) is None


async def looked_up(town: Town) -> int:
    """How often the sandbox was asked who somebody is."""
    answer = await town.http.client.get(f"{SANDBOX}/_sandbox/state", params={"only": "calls"})
    return int(answer.json()["calls"].get("GET /{person}", 0))


async def authors(town: Town) -> dict[str, str]:
    """Who wrote last in each direct conversation, by its surface."""
    talks = (await read(town.host, "/crm/inbox/conversations", kind="direct"))["items"]
    found = {}
    for talk in talks:
        messages: list[dict[str, Any]] = (
            await read(town.host, "/crm/inbox/messages", conversationId=talk["id"])
        )["items"]
        found[talk["surface"]] = messages[0]["author"]["name"]
    return found


async def test_who_writes_has_a_name_in_the_inbox(town: Town) -> None:
    """Deliveries name them by an id; one call for each tells the rest, and is made once."""
    for channel in ("messenger", "instagram"):
        await town.control("messages", channel=channel, text="Do you open on Sunday?", person="Mei Chen")
    await town.until_told(2)
    assert await authors(town) == {"messenger": "", "instagram": ""}

    await name_all(town)

    assert await looked_up(town) == 2
    assert await authors(town) == {"messenger": "Mei Chen", "instagram": "Mei Chen"}
    contacts = (await read(town.host, "/crm/contacts", search="mei"))["items"]
    handles = sorted(one["handle"] for contact in contacts for one in contact["identities"])
    assert handles == ["", "mei.chen"], "two contacts: a name proves nothing"
    assert not await town.host.storage.backlog.strangers_due(["facebook"], town.host.clock.now())


async def test_who_hides_stays_an_id_and_nothing_breaks(town: Town) -> None:
    made = await town.control("messages", text="Hello", person="Omar Haddad")
    person = made["messages"][0]["personId"]
    await town.control("messages", action="hide", personId=person)
    await town.until_told(1)

    await name_all(town)

    assert await authors(town) == {"messenger": ""}
    async with town.host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        integration = await uow.integrations.of_vendor("facebook")
    assert integration is not None
    assert integration.status is IntegrationStatus.ACTIVE
