"""`/_sandbox/...` for what people do: comments, reactions, shares, messages, and whole histories."""

from litestar import Response, post

from moorage_facebook.sandbox import bodies
from moorage_facebook.sandbox.control_io import Incoming, TheSender, TheWorld, answer, read_body
from moorage_facebook.sandbox.crowd import act_on_comments, act_on_reactions, mention, share_posts, show_media
from moorage_facebook.sandbox.entities import Setting
from moorage_facebook.sandbox.history import make_history
from moorage_facebook.sandbox.jsontext import view
from moorage_facebook.sandbox.state import LATENCY
from moorage_facebook.sandbox.talks import act_on_messages


@post("/comments", status_code=200)
async def comments(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """People comment, or change, remove, hide and show comments."""
    return answer(act_on_comments(world, sender, await read_body(request, bodies.CommentsBody)))


@post("/reactions", status_code=200)
async def reactions(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """People react, change their minds, and take reactions back."""
    return answer(act_on_reactions(world, sender, await read_body(request, bodies.ReactionsBody)))


@post("/shares", status_code=200)
async def shares(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """People share a post."""
    return answer(share_posts(world, sender, await read_body(request, bodies.SharesBody)))


@post("/mentions", status_code=200)
async def mentions(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """People name a channel elsewhere."""
    return answer(mention(world, sender, await read_body(request, bodies.MentionsBody)))


@post("/media", status_code=200)
async def media(world: TheWorld, request: Incoming) -> Response[bytes]:
    """An Instagram account shows something new; answers it."""
    return answer(view(show_media(world, await read_body(request, bodies.MediaBody))))


@post("/messages", status_code=200)
async def messages(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """People write, change, unsend, react, read and block."""
    return answer(act_on_messages(world, sender, await read_body(request, bodies.MessagesBody)))


@post("/bulk", status_code=200)
async def bulk(world: TheWorld, request: Incoming) -> Response[bytes]:
    """A history for a sync."""
    return answer(make_history(world, await read_body(request, bodies.BulkBody)))


@post("/latency", status_code=200)
async def latency(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Graph is this far away from now on."""
    body = await read_body(request, bodies.LatencyBody)
    world.settings.put(Setting(id=LATENCY, value=str(body.millis)))
    return answer({"millis": body.millis})


SOCIAL_ROUTES = (comments, reactions, shares, mentions, media, messages, bulk, latency)
