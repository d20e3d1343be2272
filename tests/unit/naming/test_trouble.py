"""Names that cannot be had, or not now: whom that stops, for how long, and what a vendor is spared."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from moorage.apps import OrgApps
from moorage.naming import (
    CALLS_AT_ONCE,
    NAMELESS,
    NOT_ALLOWED,
    REFUSED,
    SWEEP_EVERY,
    UNAVAILABLE,
    Namer,
    naming_nudge,
)
from moorage_adapters.memory.plugin import MemorySettings
from moorage_adapters.memory.things import SEND_LETTERS, Person
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports import events
from moorage_ports.errors import RejectedError, VendorUnavailableError
from moorage_ports.integrations import IntegrationStatus
from tests.support.harbour import ADMIN, Harbour
from tests.support.naming import BO, CY, SECOND, asked, hear, look, names, tell

# There is none to be had, or not now -------------------------------------------------------------


async def test_who_hides_is_asked_about_again_after_a_month(host: Harbour) -> None:
    await hear(host, BO)
    host.world.mail.hidden.add(BO.id)
    assert await asked(host) == 1
    host.clock.advance(NAMELESS - SECOND)
    assert await asked(host) == 0
    host.world.mail.hidden.clear()
    host.clock.advance(SECOND)

    assert await asked(host) == 1
    assert await names(host) == ["Bo Quay"]


async def test_a_failure_that_may_pass_is_asked_again_soon(quick: Harbour) -> None:
    await hear(quick, BO)
    quick.world.go_down()
    assert await asked(quick) == 1
    assert await asked(quick) == 0
    quick.world.clear_up()
    quick.clock.advance(UNAVAILABLE * 1.2)

    assert await asked(quick) == 1
    assert await names(quick) == ["Bo Quay"]


async def test_a_vendor_that_is_down_is_not_asked_about_everybody(quick: Harbour) -> None:
    await hear(quick, *(Person(id=f"person-{number}", name=f"P {number}") for number in range(20)))
    quick.world.go_down()

    assert await asked(quick) <= CALLS_AT_ONCE + 1


async def test_one_whose_question_always_fails_keeps_nobody_waiting(
    quick: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hear(quick, BO, CY)

    async def poisoned(real: Any, who: events.Person) -> events.Person | None:
        if who.external_id == BO.id:
            msg = "something broke over there"
            raise VendorUnavailableError(msg, vendor="memory")
        said: events.Person | None = await real()
        return said

    tell(monkeypatch, poisoned)
    await look(quick)

    assert await names(quick) == ["", "Cy Moor"]


@pytest.mark.parametrize(
    "failure", [RejectedError("no", vendor="memory"), ValueError("a mistake of the plugin's")]
)
async def test_a_refusal_about_one_says_nothing_of_the_others(
    quick: Harbour, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    await hear(quick, BO, CY)

    async def refused(real: Any, who: events.Person) -> events.Person | None:
        if who.external_id == BO.id:
            raise failure
        said: events.Person | None = await real()
        return said

    with monkeypatch.context() as patch:
        tell(patch, refused)
        await look(quick)
    assert await names(quick) == ["", "Cy Moor"]
    assert await asked(quick) == 0
    quick.clock.advance(REFUSED)
    assert await asked(quick) == 1
    assert await names(quick) == ["Bo Quay", "Cy Moor"]


async def test_a_limit_is_waited_out(quick: Harbour) -> None:
    """Whom nobody was asked about yet waits with the others, without a call."""
    await hear(quick, *(Person(id=f"person-{number}", name=f"P {number}") for number in range(9)))
    quick.world.limit(timedelta(minutes=20))

    assert await asked(quick) == CALLS_AT_ONCE
    quick.clock.advance(timedelta(minutes=19))
    assert await asked(quick) == 0
    quick.world.clear_up()
    quick.clock.advance(timedelta(minutes=6))
    assert await asked(quick) == 9
    assert await names(quick) == [f"P {number}" for number in range(9)]


async def test_what_was_not_allowed_is_asked_for_quietly(quick: Harbour) -> None:
    """No loop of refusals: a few calls, then none for hours; and the integration stands."""
    await hear(quick, *(Person(id=f"person-{number}", name=f"P {number}") for number in range(9)))
    quick.world.drop_scope(SEND_LETTERS)
    assert await asked(quick) == CALLS_AT_ONCE
    quick.clock.advance(NOT_ALLOWED - SECOND)
    assert await asked(quick) == 0
    assert (await quick.integration()).status is IntegrationStatus.ACTIVE
    quick.world.restore_scope(SEND_LETTERS)
    quick.clock.advance(SECOND)

    await look(quick)
    assert await names(quick) == [f"P {number}" for number in range(9)]


@pytest.mark.parametrize("trouble", ["limit", "scope", "down"])
async def test_trouble_of_a_channel_is_everybodys_who_waits_there(host: Harbour, trouble: str) -> None:
    """Not only of those whom one look took up: the next sweep is seconds away. Other channels go on."""
    await host.select(CAFE.id, BOOKS.id)
    await hear(host, *(Person(id=f"guest-{number}", name=f"G {number}") for number in range(15)))
    {
        "limit": lambda: host.world.limit(timedelta(hours=1)),
        "scope": lambda: host.world.drop_scope(SEND_LETTERS),
        "down": host.world.go_down,
    }[trouble]()

    assert 0 < await asked(host) <= CALLS_AT_ONCE + 1
    for _ in range(5):
        host.clock.advance(SWEEP_EVERY)
        assert await asked(host) == 0
    host.world.clear_up()
    host.world.restore_scope(SEND_LETTERS)
    await hear(host, CY, board=BOOKS.id)
    await look(host)
    assert "Cy Moor" in await names(host)
    host.clock.advance(NOT_ALLOWED)
    await look(host)
    assert "" not in await names(host)


async def test_an_integration_that_expires_waits_and_goes_on_after_reconnection(host: Harbour) -> None:
    """Nobody is asked about meanwhile, and nobody has to be found again."""
    await hear(host, BO)
    host.world.revoke_grant()
    assert await asked(host) == 1
    assert (await host.integration()).status is IntegrationStatus.EXPIRED
    host.clock.advance(timedelta(days=1))
    assert await host.storage.backlog.strangers_due(["memory"], host.clock.now()) == []
    assert await Namer(host.services).look(naming_nudge(ADMIN.org_id, "memory")) is None

    await host.connect()

    await look(host)
    assert await names(host) == ["Bo Quay"]


async def test_a_channel_whose_token_is_gone_is_left_alone(quick: Harbour) -> None:
    await quick.select(CAFE.id, BOOKS.id)
    await hear(quick, BO)
    await hear(quick, CY, board=BOOKS.id)
    quick.world.take_board(CAFE.id)

    await look(quick)
    assert await names(quick) == ["", "Cy Moor"]
    quick.clock.advance(timedelta(minutes=2))
    assert await asked(quick) == 0, "the channel is broken, which everybody can see"


async def test_without_an_app_nobody_is_asked(quick: Harbour) -> None:
    await hear(quick, BO)
    settings = attrs.evolve(quick.services.settings, vendors={"memory": MemorySettings()})
    apps = OrgApps(settings, quick.services.vendors, quick.storage, quick.clock)
    services = attrs.evolve(quick.services, settings=settings, apps=apps)

    assert await Namer(services).look(naming_nudge(ADMIN.org_id, "memory")) is None
    assert await asked(quick) == 0, "for hours"
    quick.clock.advance(NOT_ALLOWED)
    assert await asked(quick) == 1


async def test_what_people_are_called_stands_in_no_log(
    quick: Harbour, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await hear(quick, BO)
    await look(quick)

    assert await names(quick) == ["Bo Quay"]
    assert "Quay" not in capsys.readouterr().out + caplog.text
