"""Random ownership: orgs with and without apps of their own, channels shared or not, in every status."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import attrs
from hypothesis import strategies as st

from moorage.operations.saving import SaveIntegration, save_integration
from moorage.services import Caller
from moorage_adapters.memory.things import Slip
from moorage_ports.integrations import Channel, GrantRecord, Integration, IntegrationStatus
from moorage_ports.operations import Role
from moorage_ports.webhooks import VendorApp
from tests.support.harbour import NOON, Harbour

ORGS = ("north", "east", "south", "west")
BOARDS = ("board-1", "board-2", "board-3", "board-4")
SHARED = ""  # the operator's app, in these graphs


def admin(org_id: str) -> Caller:
    return Caller(org_id=org_id, user_id=f"admin-of-{org_id}", role=Role.ADMIN)


@attrs.frozen(kw_only=True)
class Holder:
    """One org: whether it brought an app, with which app it was connected, what it selected."""

    has_own: bool
    connected_with: str  # the name of an org whose app it was, or SHARED
    status: IntegrationStatus
    selected: frozenset[str]


@attrs.frozen(kw_only=True)
class Sent:
    """A delivery as somebody who knows an app's secret makes it."""

    signed_with: str  # an org whose own app signs, or SHARED
    boards: tuple[str, ...]  # one piece of news each; some boards are nobody's
    orgid: str | None


Graph = Mapping[str, Holder]

holders = st.builds(
    Holder,
    has_own=st.booleans(),
    connected_with=st.sampled_from((SHARED, *ORGS)),
    status=st.sampled_from(IntegrationStatus),
    selected=st.frozensets(st.sampled_from(BOARDS)),
)
graphs = st.fixed_dictionaries(dict.fromkeys(ORGS, holders))
deliveries = st.lists(
    st.builds(
        Sent,
        signed_with=st.sampled_from((SHARED, SHARED, *ORGS)),
        boards=st.lists(st.sampled_from((*BOARDS, "board-99")), min_size=1, max_size=6).map(tuple),
        orgid=st.sampled_from((None, *ORGS, "nobody")),
    ),
    min_size=1,
    max_size=4,
)


def is_trusted(sent: Sent, graph: Graph) -> bool:
    """The operator's signature always counts, an org's own only where the address names that org."""
    return sent.signed_with == SHARED or (sent.orgid == sent.signed_with and graph[sent.signed_with].has_own)


def owners(sent: Sent, board: str, graph: Graph) -> set[str]:
    """Who may get a piece of news: the rule itself, written down a second time."""
    if not is_trusted(sent, graph):
        return set()
    return {
        org
        for org, holder in graph.items()
        if board in holder.selected
        and holder.status is not IntegrationStatus.INACTIVE
        and holder.connected_with == sent.signed_with
        and sent.orgid in {None, org}
    }


@attrs.frozen
class Town:
    """A graph in a host's storage. Names get a prefix, so that many fit into one database."""

    host: Harbour
    prefix: str
    apps: Mapping[str, VendorApp]  # of those who brought one

    def org(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def app(self, name: str) -> VendorApp:
        """The app that signs; of an org that brought none, one that the vendor knows and we don't."""
        return self.host.world.app if name == SHARED else self.apps[name]

    def slips(self, sent: Sent, number: int) -> Sequence[Slip]:
        """One slip per board, recognisable everywhere."""
        return [
            Slip(
                id=f"slip-{self.number}{number:02}{place:02}",
                form_id="form-1",
                board_id=self.board(board),
                answers={},
                handed_in_at=NOON + timedelta(seconds=place),
            )
            for place, board in enumerate(sent.boards)
        ]

    @property
    def number(self) -> int:
        return int(self.prefix.removeprefix("t"))

    def board(self, name: str) -> str:
        return f"board-{self.number}{name.removeprefix('board-'):0>2}"


async def build(host: Harbour, graph: Graph) -> Town:
    """Put the graph into the storage: apps by the front door, the rest as connecting would have left it."""
    number = 10_000_000 + secrets.randbelow(89_999_999)
    prefix = f"t{number}"
    apps = {name: host.world.register_app(f"{prefix}.{name}") for name in ORGS}
    town = Town(host, prefix, apps)
    for name, holder in graph.items():
        if holder.has_own:
            await bring(host, town.org(name), apps[name])
        await _connect(town, name, holder)
    return town


async def bring(host: Harbour, org_id: str, app: VendorApp) -> Integration:
    """The org saves an app of its own."""
    config = {
        "appId": app.app_id,
        "appSecret": app.secret.reveal(),
        "verifyToken": app.verify_token.reveal(),
    }
    return await save_integration(
        host.services, admin(org_id), SaveIntegration(vendor="memory", config=config)
    )


async def _connect(town: Town, name: str, holder: Holder) -> None:
    org_id = town.org(name)
    async with town.host.storage.unit_of_work(org_id) as uow:
        before = await uow.integrations.of_vendor("memory")
        integration = Integration(
            id=before.id if before else f"i-{org_id}",
            vendor="memory",
            status=holder.status,
            app_id=town.app(holder.connected_with).app_id,
            created_at=NOON,
            updated_at=NOON,
        )
        await uow.integrations.save(integration)
        await uow.integrations.save_grant(_grant(integration))
        await uow.integrations.save_channels(
            [_channel(integration, town.board(board)) for board in holder.selected]
        )


def _grant(integration: Integration) -> GrantRecord:
    return GrantRecord(
        id=f"g-{integration.id}",
        integration_id=integration.id,
        subject_index="0" * 64,
        connected_by="somebody",
        scopes=(),
        created_at=NOON,
    )


def _channel(integration: Integration, external_id: str) -> Channel:
    return Channel(
        id=f"{integration.id}-{external_id}",
        integration_id=integration.id,
        grant_id=f"g-{integration.id}",
        vendor="memory",
        external_id=external_id,
        type="board",
        name=external_id,
        selected=True,
    )


async def kept_by(host: Harbour, org_id: str) -> list[bytes]:
    """The bodies of every inbox row of the org, opened."""
    bodies: list[bytes] = []
    async with host.storage.unit_of_work(org_id) as uow:
        for bucket in range(4):
            bodies += [item.body for item in await uow.inbox.claim(bucket, limit=1000, now=host.clock.now())]
    return bodies


def told_of(bodies: Collection[bytes]) -> list[str]:
    """The slips that these bodies name."""
    return sorted(body.partition(b'"slip":"')[2].partition(b'"')[0].decode() for body in bodies)
