"""Reactions and likes: who thinks what of a post or a comment.

https://developers.facebook.com/docs/graph-api/reference/object/reactions ·
https://developers.facebook.com/docs/graph-api/reference/object/likes
"""

from moorage_facebook.sandbox.comments import READ, WRITE
from moorage_facebook.sandbox.entities import Post
from moorage_facebook.sandbox.errors import invalid
from moorage_facebook.sandbox.faces import author_name
from moorage_facebook.sandbox.feed_news import reaction_news
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.paging import connection
from moorage_facebook.sandbox.social import Comment, Reaction, Reactor
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing

TYPES = ("LIKE", "LOVE", "CARE", "HAHA", "WOW", "SAD", "ANGRY")


async def list_reactions(call: Call, target: Post | Comment) -> Json:
    """`GET /{post or comment}/reactions`: newest first, of one `type` or of all."""
    wanted = call.param("type").upper()
    if wanted not in {"", "NONE", *TYPES}:
        raise invalid(f"Param type must be one of {{NONE, {', '.join(TYPES)}}}")
    return await _listed(call, target, wanted.replace("NONE", ""))


async def list_likes(call: Call, target: Post | Comment) -> Json:
    """`GET /{post or comment}/likes`: all reactions, as likes have been since there are others."""
    return await _listed(call, target, "")


async def like(call: Call, target: Post | Comment) -> Json:
    """`POST /{post or comment}/likes`, as the Page."""
    post_id = target.id if isinstance(target, Post) else target.post_id
    wanted = Reaction(
        id=reaction_id(target.id, target.page_id),
        page_id=target.page_id,
        post_id=post_id,
        target_id=target.id,
        author_id=target.page_id,
        type="LIKE",
        created_at=call.world.seconds(),
    )
    verb = react(call.world, wanted)
    call.webhooks.tell([reaction_news(call.world, wanted, verb)] if verb else [])
    return {"success": True}


async def unlike(call: Call, target: Post | Comment) -> Json:
    """`DELETE /{post or comment}/likes`, as the Page."""
    known = call.world.reactions.get(reaction_id(target.id, target.page_id))
    if known is not None:
        call.world.reactions.drop(known.id)
        call.webhooks.tell([reaction_news(call.world, known, "remove")])
    return {"success": True}


def reaction_id(target_id: str, author_id: str) -> str:
    """There is one per person and target."""
    return f"{target_id}:{author_id}"


def react(world: World, wanted: Reaction) -> str:
    """Give a reaction, or exchange it for another; answers what that is called, or nothing if it stood."""
    known = world.reactions.get(wanted.id)
    if known is not None and known.type == wanted.type:
        return ""
    world.reactions.put(wanted)
    return "edit" if known else "add"


async def _listed(call: Call, target: Post | Comment, wanted: str) -> Json:
    world = call.world
    rows = [row for row in reversed(world.reactions.of(target.id)) if wanted in {"", row.type}]
    people = [
        Reactor(id=row.author_id, name=author_name(world, row.author_id), type=row.type) for row in rows
    ]
    mine = world.reactions.get(reaction_id(target.id, target.page_id))
    more: dict[str, Json] = {"viewer_reaction": mine.type if mine else "NONE", "can_like": True}
    return await connection(call, people, summary={**more, "has_liked": mine is not None})


ROUTES: tuple[AnyRoute, ...] = (
    Route[Post](method="GET", node=Post, edge="reactions", handle=list_reactions, scopes=READ),
    Route[Post](method="GET", node=Post, edge="likes", handle=list_likes, scopes=READ),
    Route[Post](method="POST", node=Post, edge="likes", handle=like, scopes=WRITE, page_token=True),
    Route[Post](method="DELETE", node=Post, edge="likes", handle=unlike, scopes=WRITE, page_token=True),
    Route[Comment](method="GET", node=Comment, edge="reactions", handle=list_reactions, scopes=READ),
    Route[Comment](method="GET", node=Comment, edge="likes", handle=list_likes, scopes=READ),
    Route[Comment](method="POST", node=Comment, edge="likes", handle=like, scopes=WRITE, page_token=True),
    Route[Comment](method="DELETE", node=Comment, edge="likes", handle=unlike, scopes=WRITE, page_token=True),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[Reactor](
        node=Reactor,
        title="Profile",
        default=("name", "type"),
        readers={
            "name": lambda _, who: who.name,
            "type": lambda _, who: who.type,
            "can_post": nothing,
            "link": nothing,
            "pic": nothing,
            "pic_crop": nothing,
            "pic_large": nothing,
            "pic_small": nothing,
            "pic_square": nothing,
            "profile_type": lambda _, __: "user",
            "username": nothing,
        },
    ),
)
