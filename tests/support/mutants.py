"""Deliveries as nobody would send them: bodies of ours with types swapped, parts missing, nonsense put in.

Seeded: the same number gives the same bodies.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.errors import MalformedError

JSON = Any  # what `json` reads is as untyped as JSON is

_DEEP: Final = (20, 200, 1_500, 5_000)
_LONG: Final = 70_000
_STRINGS: Final = (
    *("", "0", "null", "true", "-1", "1893459600", "1893459600123", "9" * 30, "1e400", "é", "\ufffd"),
    *(
        "\x00",
        "a\x00b",
        "\ud83d",
        "\udc00x",
        "half \ud83d of it",
        "\u202egnp.exe",
        "line\u2028end",
        "\x1b[31m",
    ),
    *("'; DROP TABLE inbox; --", "<script>", "../../etc/passwd", "%00", "x" * 600, "1_2", "wamid.\x7f"),
    *("2030-01-01T01:00:00+0000", "2030-13-45", "0001-01-01T00:00:00+23:59", "javascript:alert(1)"),
)
_NUMBERS: Final = (
    *(0, 1, -1, 2**31, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63) - 1, 10**30),
    *(
        1893459600,
        1893459600123,
        1893459600123456,
        253402300800,
        0.5,
        -0.0,
        1e308,
        1.5e-300,
        10206266332119368,
    ),
)
_WORDS: Final = (
    *(
        "page",
        "instagram",
        "whatsapp_business_account",
        "permissions",
        "user",
        "ad_account",
        "feed",
        "leadgen",
    ),
    *("messages", "calls", "comment", "reaction", "like", "share", "post", "add", "edited", "remove", "hide"),
    *("text", "image", "order", "system", "edit", "revoke", "sent", "failed", "read", "account_update"),
)


# Ids of people and things, not of channels.
_NAMES: Final = frozenset(
    {"mid", "comment_id", "post_id", "parent_id", "leadgen_id", "from", "wa_id", "user_id", "message_id"}
    | {"share_id", "recipient_id", "user_ref", "open_graph_story_id", "name"}
)


@attrs.define
class Mutator:
    """Makes mutants of `bodies`."""

    bodies: Sequence[bytes]
    dice: random.Random
    _parsed: list[JSON] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._parsed = [json.loads(body) for body in self.bodies]

    @classmethod
    def of(cls, bodies: Sequence[bytes], seed: int) -> "Mutator":
        """With dice of its own."""
        return cls(bodies, random.Random(seed))

    def bodies_for_ever(self) -> Iterator[bytes]:
        """One mutant after the other; most are still JSON."""
        while True:
            yield self.mutant()

    def mutant(self) -> bytes:
        """One body, changed in one to four places."""
        tree = self._fresh(copy.deepcopy(self.dice.choice(self._parsed)))
        for _ in range(self.dice.choice((1, 1, 2, 3, 4))):
            tree = self._changed(tree)
        body = self._written(tree)
        return self._torn(body) if self.dice.random() < 0.03 else body

    # Trees

    def _fresh(self, tree: JSON) -> JSON:
        """Half of them about other people and things than the bodies they are made of."""
        if self.dice.random() < 0.5:
            number = f"{self.dice.randrange(10_000):04}"
            for holder, key in _places(tree):
                value = holder[key]
                if key in _NAMES and isinstance(value, str | int) and not isinstance(value, bool):
                    holder[key] = f"{value}{number}" if isinstance(value, str) else int(f"{value}{number}")
        return tree

    def _changed(self, tree: JSON) -> JSON:
        """`tree` with one place of it changed; the root may be that place, seldom."""
        places = [*_places(tree)]
        if not places or self.dice.random() < 0.01:
            return self._instead(tree)
        holder, key = self.dice.choice(places)
        self.dice.choice((self._replace, self._replace, self._drop, self._double, self._rename, self._graft))(
            holder, key
        )
        return tree

    def _replace(self, holder: JSON, key: Any) -> None:
        holder[key] = self._instead(holder[key])

    def _drop(self, holder: JSON, key: Any) -> None:
        del holder[key]

    def _double(self, holder: JSON, key: Any) -> None:
        if isinstance(holder, list):
            holder.extend([copy.deepcopy(holder[key])] * self.dice.choice((1, 1, 2, 40)))
        else:
            holder[key] = [holder[key], copy.deepcopy(holder[key])]

    def _rename(self, holder: JSON, key: Any) -> None:
        if isinstance(holder, dict):
            holder[self.dice.choice((*_WORDS, *_STRINGS, *holder))] = holder.pop(key)

    def _graft(self, holder: JSON, key: Any) -> None:
        """Something of another body in this place."""
        other = self.dice.choice(self._parsed)
        places = [*_places(other)]
        if places:
            donor, at = self.dice.choice(places)
            holder[key] = copy.deepcopy(donor[at])

    def _instead(self, value: JSON) -> JSON:
        make: Callable[[], JSON] = self.dice.choice(
            (
                lambda: self.dice.choice(_STRINGS),
                lambda: self.dice.choice(_NUMBERS),
                lambda: self.dice.choice(_WORDS),
                lambda: self.dice.choice((None, True, False, [], {}, [[]], [None], {"id": None})),
                lambda: [value],
                lambda: {"id": value},
                lambda: str(value)[:_LONG],
                lambda: self._deep(value) if self.dice.random() < 0.2 else value,
                lambda: "x" * _LONG if self.dice.random() < 0.1 else "",
            )
        )
        return make()

    def _deep(self, value: JSON) -> JSON:
        for _ in range(self.dice.choice(_DEEP[:2])):
            value = [value] if self.dice.random() < 0.5 else {"value": value}
        return value

    # Bytes

    def _written(self, tree: JSON) -> bytes:
        text = json.dumps(tree, ensure_ascii=self.dice.random() < 0.7 or _has_half(tree))
        if self.dice.random() < 0.01:
            depth = self.dice.choice(_DEEP)
            text = text.replace("null", "[" * depth + "]" * depth, 1)
        return text.encode("utf-8", "surrogatepass")

    def _torn(self, body: bytes) -> bytes:
        place = self.dice.randrange(len(body) + 1)
        return self.dice.choice(
            (
                body[:place],
                body[:place] + bytes([self.dice.randrange(256)]) + body[place + 1 :],
                b"\xef\xbb\xbf" + body,
                body[:place] + b"\xed\xa0\x80" + body[place:],
                body.replace(b"1", b"NaN", 1),
                body + body,
                b"[" + body + b"," + body + b"]",
            )
        )


def _places(tree: JSON) -> Iterator[tuple[JSON, Any]]:
    """Every place of a tree: what holds it, and its key or number there."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        keys = (
            list(holder)
            if isinstance(holder, dict)
            else range(len(holder))
            if isinstance(holder, list)
            else ()
        )
        for key in keys:
            yield holder, key
            waiting.append(holder[key])


def _has_half(tree: JSON) -> bool:
    """Whether a string in it holds half a surrogate pair, which only escapes can write."""
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


@attrs.define
class Expected:
    """What a host must have kept of what was delivered, by the plugin's own word."""

    channels: frozenset[str]  # of its one org
    unreadable: set[bytes] = attrs.field(factory=set)
    nobodys: set[str] = attrs.field(factory=set)
    owned: set[str] = attrs.field(factory=set)

    def add(self, body: bytes) -> None:
        """One more delivery. What came before, as a body or as a change, is not kept a second time."""
        try:
            changes = GraphWebhooks().split(body)
        except MalformedError:
            self.unreadable.add(body)
            return
        for change in changes:
            is_nobodys = self.channels.isdisjoint(change.owner_keys)
            (self.nobodys if is_nobodys else self.owned).add(change.business_key)

    @property
    def rows(self) -> dict[str, int]:
        """Per table."""
        return {"inbox": len(self.owned), "quarantine": len(self.unreadable) + len(self.nobodys)}
