"""Whoever reads a wall as the host does: piece by piece, from a checkpoint."""

from collections.abc import Sequence

import attrs

from moorage_facebook.activity_sync import GraphActivitySync
from moorage_facebook.graph.client import GraphClient
from moorage_facebook.settings import VENDOR, GraphSettings
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.activity_sync import ActivityPiece
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.events import CommentSeen, PostSeen, ReactionSet
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeClock, FakeGovernor, FakeSecretStore
from moorage_ports.webhooks import VendorApp
from tests.unit.facebook.wall import PAGE, Wall


@attrs.define(slots=False)
class Reader:
    """Who reads a wall, and what they have found so far."""

    wall: Wall
    clock: FakeClock
    sync: GraphActivitySync
    checkpoint: str = ""
    comments: set[str] = attrs.field(factory=set)
    reactions: set[tuple[str, str, str]] = attrs.field(factory=set)
    posts: set[str] = attrs.field(factory=set)

    async def piece(self) -> ActivityPiece:
        """Read a piece and note what it says."""
        self.clock.moment = max(self.clock.moment, self.wall.now)
        piece = await self.sync.activity(PAGE, checkpoint=self.checkpoint)
        self.checkpoint = piece.checkpoint
        for event in piece.events:
            if isinstance(event, CommentSeen):
                self.comments.add(event.comment_external_id)
            elif isinstance(event, ReactionSet):
                target = event.target_external_id
                self.reactions.add((target, event.person.external_id, event.reaction))
            elif isinstance(event, PostSeen):
                self.posts.add(event.post_external_id)
        return piece

    async def run(self) -> list[ActivityPiece]:
        """Read until nothing is left."""
        pieces = [await self.piece()]
        while not pieces[-1].is_complete:
            pieces.append(await self.piece())
        return pieces

    def forget(self) -> None:
        """Begin to note anew; the checkpoint stays."""
        self.comments, self.reactions, self.posts = set(), set(), set()


async def reader_of(wall: Wall) -> Reader:
    """Somebody who may read this wall."""
    clock, secrets = FakeClock(wall.now), FakeSecretStore()
    kind = "instagram" if wall.is_instagram else "page"
    offer = ChannelOffer(external_id=PAGE, type=kind, name="The Page")
    grant = RedeemedGrant(
        subject=Secret("1"),
        profile={},
        token=Secret("person"),
        granted_scopes=("pages_read_engagement",),
        channels=(ChannelGrant(offer=offer, token=Secret("page")),),
    )
    await GraphTokenVault(secrets).keep("grant", grant)
    client = GraphClient(
        http=wall,
        clock=clock,
        app=VendorApp(
            vendor=VENDOR, app_id="123", secrets=(Secret("s" * 32),), verify_token=Secret("v" * 32)
        ),
        settings=GraphSettings(),
        governor=FakeGovernor(clock, VENDOR),
    )
    return Reader(wall, clock, GraphActivitySync(client=client, vault=GraphTokenVault(secrets)))


def wall_of(sizes: Sequence[tuple[int, int]], *, most: int = 10_000) -> Wall:
    """Posts with so many comments and reactions, the first the oldest."""
    wall = Wall(most=most)
    for comments, reactions in sizes:
        post = wall.post()
        for number in range(max(comments, reactions)):
            if number < comments:
                above = post.comments[0].id if number % 7 == 6 else ""
                wall.comment(post, above)
            if number < reactions:
                wall.react(post, kind="LOVE" if number % 3 else "LIKE")
    return wall


def calls_of(wall: Wall) -> int:
    return sum(wall.calls.values())
