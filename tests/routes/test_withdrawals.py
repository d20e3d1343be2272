"""Somebody takes the app away at the vendor: their tokens are gone in every org, and nobody else's are."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import httpx
import pytest

from moorage.operations.standing import BROKEN, act_on_vendor_error
from moorage.services import Caller
from moorage_adapters.memory.plugin import MemoryPlugin
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.withdrawals import FRESH, notice
from moorage_adapters.memory.world import ADA, BOOKS, CAFE, MemoryWorld
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_ports.errors import Hits, ReauthorizationError
from moorage_ports.integrations import Channel, GrantRecord, IntegrationStatus
from moorage_ports.operations import Role
from moorage_ports.plugin import Vendor, hookimpl
from moorage_ports.webhooks import VendorApp
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, Harbour, harbour
from tests.support.ownership import bring

PATH = "/connect/deauthorize/memory"
BEN = Person(id="person-2", name="Ben Moor")
OTHER_ORG = Caller(org_id="org-b", user_id="user-2", role=Role.ADMIN)
THIRD_ORG = Caller(org_id="org-c", user_id="user-3", role=Role.ADMIN)
ACTIVE, EXPIRED = IntegrationStatus.ACTIVE, IntegrationStatus.EXPIRED


@attrs.frozen
class QuietVendor:
    """A vendor that sends no notices."""

    @hookimpl
    def moorage_vendor(self) -> Vendor:
        card = MemoryPlugin(MemoryWorld()).moorage_vendor()
        return attrs.evolve(card, slug="quiet", withdrawals=None, webhooks=None)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    """Ada keeps the café's board, Ben the bookshop's; nobody is connected."""
    async with harbour(tmp_path, QuietVendor()) as made:
        made.world.people[BEN.id] = BEN
        made.world.boards[CAFE.id] = attrs.evolve(CAFE, keepers=frozenset({ADA.id}))
        made.world.boards[BOOKS.id] = attrs.evolve(BOOKS, keepers=frozenset({BEN.id}))
        yield made


async def connect(host: Harbour, caller: Caller, *people: Person) -> None:
    """These people connect the org, which then acts as every board that they keep."""
    for person in people:
        begun = await host.begin(caller)
        answer = await host.come_back(host.world.consent(begun.auth_url, person=person))
        assert "integration=connected" in answer.headers["location"]
    boards = [
        each for each in (CAFE, BOOKS) if any(p.id in host.world.boards[each.id].keepers for p in people)
    ]
    await host.select(*(board.id for board in boards), caller=caller)


async def leave(
    host: Harbour,
    *,
    person: str = "",
    board: str = "",
    app: VendorApp | None = None,
    at: datetime | None = None,
    path: str = PATH,
) -> httpx.Response:
    """The vendor tells the host, as of now, that a person or a board left."""
    body = notice(app or host.world.app, at or host.clock.now(), person=person, board=board)
    return await host.http.post(path, content=body)


async def status(host: Harbour, caller: Caller) -> IntegrationStatus:
    return (await host.integration(caller.org_id)).status


async def grants(host: Harbour, caller: Caller) -> tuple[GrantRecord, ...]:
    integration = await host.integration(caller.org_id)
    async with host.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        return await uow.integrations.grants(integration.id)


async def board(host: Harbour, caller: Caller, external_id: str) -> Channel:
    async with host.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        found = await uow.integrations.channel("memory", external_id)
    assert found is not None
    return found


async def secrets_kept(host: Harbour, caller: Caller) -> set[str]:
    """What is sealed for the org at the vendor: which kinds of thing own it."""
    table = metadata.tables["secret"]
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: {
                row.owner_type
                for row in connection.execute(table.select().where(table.c.org_id == caller.org_id))
            }
        )


async def refusal(host: Harbour, caller: Caller) -> tuple[int, str]:
    """What publishing on the café's board answers."""
    answer = await host.http.post(
        "/upstream/call/memory-provider/publish",
        json={"board": CAFE.id, "text": "Fresh scones"},
        headers=headers_of(host, caller.org_id),
    )
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_whoever_leaves_is_gone_from_every_org_at_once_m1(host: Harbour, prefix: str) -> None:
    """M1: without a call to the vendor; the next operation says what to do, and connecting again does it."""
    for caller in (ADMIN, OTHER_ORG):
        await connect(host, caller, ADA)
    await connect(host, THIRD_ORG, BEN)
    ids = {caller: (await host.integration(caller.org_id)).id for caller in (ADMIN, OTHER_ORG)}
    calls = host.world.calls

    answer = await leave(host, person=ADA.id, path=f"{prefix}{PATH}")

    assert (answer.status_code, host.world.calls) == (200, calls)
    for caller in (ADMIN, OTHER_ORG):
        assert await status(host, caller) is EXPIRED
        assert await grants(host, caller) == ()
        assert await secrets_kept(host, caller) == set()
        assert await refusal(host, caller) == (412, "reconnect_required")
    assert await status(host, THIRD_ORG) is ACTIVE
    assert await secrets_kept(host, THIRD_ORG) == {"grant", "channel"}

    host.clock.advance(timedelta(minutes=1))
    await host.connect(ADMIN)

    assert (await host.integration()).id == ids[ADMIN]
    back = await board(host, ADMIN, CAFE.id)
    assert (back.selected, back.selectable, back.subscribed, back.reason) == (True, True, True, "")
    assert (await refusal(host, ADMIN))[0] == 200
    assert await status(host, OTHER_ORG) is EXPIRED


async def test_one_of_two_people_takes_only_their_own_with_them(host: Harbour) -> None:
    await connect(host, ADMIN, ADA, BEN)

    assert (await leave(host, person=ADA.id)).status_code == 200

    assert await status(host, ADMIN) is ACTIVE
    cafe, books = await board(host, ADMIN, CAFE.id), await board(host, ADMIN, BOOKS.id)
    assert (cafe.selected, cafe.selectable, cafe.subscribed, cafe.reason) == (True, False, False, BROKEN)
    assert books.selectable
    assert await refusal(host, ADMIN) == (412, "reconnect_required")
    assert len(await grants(host, ADMIN)) == 1


async def test_when_the_last_of_them_leaves_it_is_expired(host: Harbour) -> None:
    await connect(host, ADMIN, ADA, BEN)

    for person in (ADA, BEN):
        await leave(host, person=person.id)

    assert await status(host, ADMIN) is EXPIRED
    assert await secrets_kept(host, ADMIN) == set()


async def test_a_board_that_leaves_takes_nothing_else_with_it(host: Harbour) -> None:
    for caller in (ADMIN, OTHER_ORG):
        await connect(host, caller, ADA, BEN)

    assert (await leave(host, board=CAFE.id)).status_code == 200

    for caller in (ADMIN, OTHER_ORG):
        assert await status(host, caller) is ACTIVE
        assert not (await board(host, caller, CAFE.id)).selectable
        assert (await board(host, caller, BOOKS.id)).selectable
        assert await refusal(host, caller) == (412, "reconnect_required")
        async with host.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
            vault = MemoryTokenVault(uow.secrets("memory"))
            assert await vault.channel_token(BOOKS.id)
            with pytest.raises(ReauthorizationError):
                await vault.channel_token(CAFE.id)


async def test_a_notice_of_before_a_reconnection_says_nothing_about_it(host: Harbour) -> None:
    """It was on its way while the person changed their mind; or somebody kept it, to send it again."""
    await connect(host, ADMIN, ADA)
    left_at = host.clock.now()
    host.clock.advance(timedelta(minutes=5))
    await host.connect(ADMIN)

    assert (await leave(host, person=ADA.id, at=left_at)).status_code == 200
    assert await status(host, ADMIN) is ACTIVE
    assert (await refusal(host, ADMIN))[0] == 200


async def test_a_call_that_failed_before_the_notice_came_does_not_keep_the_tokens(host: Harbour) -> None:
    """The vendor's refusal is quicker than its notice, and changed the integration after that was written."""
    await connect(host, ADMIN, ADA)
    left_at = host.clock.now()
    host.clock.advance(timedelta(minutes=1))
    gone = ReauthorizationError("gone", vendor="memory", hits=Hits.INTEGRATION)
    await act_on_vendor_error(host.services, ADMIN.org_id, "memory", gone, asked_at=host.clock.now())
    assert await status(host, ADMIN) is EXPIRED

    await leave(host, person=ADA.id, at=left_at)

    assert await secrets_kept(host, ADMIN) == set()


async def test_what_was_shut_down_is_shredded_and_stays_shut(host: Harbour) -> None:
    await connect(host, ADMIN, ADA)
    integration = await host.integration()
    await host.http.post(f"/upstream/shutdown/{integration.id}", headers=headers_of(host))

    await leave(host, person=ADA.id)

    assert await status(host, ADMIN) is IntegrationStatus.INACTIVE
    assert await secrets_kept(host, ADMIN) == set()


async def test_a_notice_twice_is_a_notice_once(host: Harbour) -> None:
    await connect(host, ADMIN, ADA)

    for _ in range(2):
        assert (await leave(host, person=ADA.id)).status_code == 200
    assert (await leave(host, person="person-9")).status_code == 200, "of people nobody knows nothing is told"
    assert await status(host, ADMIN) is EXPIRED


async def test_what_nobody_signed_freshly_changes_nothing(host: Harbour) -> None:
    await connect(host, ADMIN, ADA)
    stranger = host.world.register_app("a-stranger")
    late = host.clock.now() - FRESH - timedelta(seconds=1)

    for answer in (
        await leave(host, person=ADA.id, app=stranger),
        await leave(host, person=ADA.id, at=late),
        await leave(host),
        await host.http.post(PATH),
        await host.http.post(PATH, content=b'x {"person":"person-1"}'),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "invalid_signature")
    assert await status(host, ADMIN) is ACTIVE
    assert (await refusal(host, ADMIN))[0] == 200


async def test_an_app_that_an_org_brought_speaks_for_that_org_alone_w7b(host: Harbour) -> None:
    """W7b: its owner can sign anything with it; and what it was granted is nothing to the operator's app."""
    await connect(host, OTHER_ORG, ADA)
    own = host.world.register_app("own-app")
    await bring(host, ADMIN.org_id, own)
    await connect(host, ADMIN, ADA)

    assert (await leave(host, person=ADA.id, app=own)).status_code == 403, "the address has to name the org"
    assert (await leave(host, person=ADA.id, app=own, path=f"{PATH}?orgid=org-b")).status_code == 403
    assert (await leave(host, person=ADA.id, app=own, path=f"{PATH}?orgid=org-a")).status_code == 200
    assert (await status(host, ADMIN), await status(host, OTHER_ORG)) == (EXPIRED, ACTIVE)

    host.clock.advance(timedelta(minutes=1))
    await host.connect(ADMIN)
    assert (await leave(host, person=ADA.id, path=f"{PATH}?orgid=org-a")).status_code == 200
    assert (await status(host, ADMIN), await status(host, OTHER_ORG)) == (ACTIVE, EXPIRED)


async def test_an_app_that_changed_hands_ends_nothing_of_its_last_owner(host: Harbour) -> None:
    """Org A gave its app up, and org B registered it: what A was granted through it is not B's to end."""
    own = host.world.register_app("own-app")
    await bring(host, ADMIN.org_id, own)
    await connect(host, ADMIN, ADA)
    given_up = {"vendor": "memory", "useSharedApp": True}
    await host.http.post("/upstream/save-integration", json=given_up, headers=headers_of(host))
    await bring(host, OTHER_ORG.org_id, own)
    kept = await secrets_kept(host, ADMIN)
    assert {"grant", "channel"} <= kept

    for person, left in ((ADA.id, ""), ("", CAFE.id)):
        answer = await leave(host, app=own, path=f"{PATH}?orgid=org-b", person=person, board=left)
        assert answer.status_code == 200
    assert await secrets_kept(host, ADMIN) == kept


async def test_one_orgs_trouble_does_not_keep_the_others_tokens(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, so that the vendor may tell it again; everything else is done already."""
    for caller in (ADMIN, OTHER_ORG, THIRD_ORG):
        await connect(host, caller, ADA)
    unit_of_work = type(host.storage).unit_of_work

    def troubled(storage: object, org_id: str, **how: bool) -> object:
        if org_id == OTHER_ORG.org_id:
            msg = "this org's rows do not open"
            raise RuntimeError(msg)
        return unit_of_work(storage, org_id, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as trouble:
        trouble.setattr(type(host.storage), "unit_of_work", troubled)
        answer = await leave(host, person=ADA.id)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert [await status(host, caller) for caller in (ADMIN, OTHER_ORG, THIRD_ORG)] == [
        EXPIRED,
        ACTIVE,
        EXPIRED,
    ]

    assert (await leave(host, person=ADA.id)).status_code == 200
    assert await status(host, OTHER_ORG) is EXPIRED


@pytest.mark.parametrize(
    ("path", "size", "refused"),
    [
        ("/connect/deauthorize/nobody", 10, (404, "unknown_vendor")),
        ("/connect/deauthorize/quiet", 10, (404, "unknown_vendor")),
        (f"{PATH}?orgid=a&orgid=b", 10, (400, "invalid_orgid")),
        (f"{PATH}?orgid=a%20b", 10, (400, "invalid_orgid")),
        (PATH, 20_000, (413, "too_large")),
    ],
)
async def test_other_addresses_and_sizes_are_refused(
    host: Harbour, path: str, size: int, refused: tuple[int, str]
) -> None:
    answer = await host.http.post(path, content=b"x" * size)

    assert (answer.status_code, answer.json()["code"]) == refused
