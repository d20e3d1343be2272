"""Where a run stands, as the text that the host keeps: small, and readable to this plugin only.

Of each of the newest posts it holds how many comments and reactions were counted there: Graph says nowhere
what changed since yesterday, but it counts cheaply, so the counts are what tells.
"""

import zlib
from base64 import b85decode, b85encode
from enum import IntEnum
from typing import Final

import msgspec

from moorage_facebook.settings import VENDOR
from moorage_ports.activity_sync import MAX_CHECKPOINT_CHARACTERS
from moorage_ports.errors import RejectedError

MOST_WATCHED: Final = 2_000  # posts
_MOST_BYTES: Final = 4_000_000  # of an unpacked checkpoint
_VERSION: Final = 1


class Phase(IntEnum):
    """What a run does: the first one reads everything, later ones what the counts say has changed."""

    IDLE = 0
    EVERYTHING = 1
    CHANGES = 2


class Edge(IntEnum):
    """Which list is read on."""

    COMMENTS = 0
    REACTIONS = 1
    REPLIES = 2


class Watched(msgspec.Struct, array_like=True, kw_only=True):
    """What was counted on a post. `post` is its id without the channel's."""

    post: str
    comments: int
    reactions: int
    updated: int  # Unix seconds; 0 where the vendor does not say


class Pending(msgspec.Struct, array_like=True, kw_only=True):
    """A list that is still to be read, from `after` on.

    Comments are read until one was written before `until`, and `least` of them in any case; others until
    `left` are read (-1: to the end).
    """

    post: str
    edge: Edge
    after: str = ""
    left: int = -1
    until: int = 0
    of: str = ""  # the comment whose replies they are
    most: int = 0  # per call, where Graph took more for too much
    least: int = 0


class Checkpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run's state. `watched` holds, newest first, the `seen` posts of this run, then those of the last."""

    version: int = _VERSION
    channel: str
    phase: Phase = Phase.IDLE
    began: int = 0  # Unix seconds, of this run
    last: int = 0  # when the last whole run began; 0: there was none
    floor: int = 0  # what happened earlier is not asked for
    after: str = ""  # where the list of posts goes on
    is_listed: bool = False  # all posts were listed
    posts: int = 0  # per call
    nested: int = 0  # comments, and reactions, inside each of them
    is_capped: bool = False  # Graph said that more would be too much
    seen: int = 0
    total: int = 0
    watched: list[Watched] = []
    pending: list[Pending] = []


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Checkpoint)


def packed(checkpoint: Checkpoint) -> str:
    """As text, within the port's bound. If it is too long, the oldest posts are not watched any more."""
    while True:
        text = b85encode(zlib.compress(_ENCODER.encode(checkpoint), 6)).decode("ascii")
        if len(text) <= MAX_CHECKPOINT_CHARACTERS or not checkpoint.watched:
            return text
        kept = len(checkpoint.watched) * 3 // 4
        checkpoint = msgspec.structs.replace(
            checkpoint, watched=checkpoint.watched[:kept], seen=min(checkpoint.seen, kept)
        )


def unpacked(text: str, channel_id: str) -> Checkpoint:
    """The checkpoint that `text` holds.

    Raises:
        RejectedError: It is none of ours, or another channel's.
    """
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(b85decode(text), _MOST_BYTES)
        checkpoint = _DECODER.decode(raw)
    except (ValueError, zlib.error, msgspec.MsgspecError) as unreadable:
        raise _refused() from unreadable
    if checkpoint.version != _VERSION or checkpoint.channel != channel_id:
        raise _refused()
    return checkpoint


def _refused() -> RejectedError:
    msg = "this checkpoint was not written for this channel"
    return RejectedError(msg, vendor=VENDOR, remedy="Begin the synchronisation anew.")
