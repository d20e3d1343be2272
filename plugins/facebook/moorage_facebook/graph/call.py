"""A Graph call as a value: what it asks for, with whose token, and on whose limits it counts."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

import attrs

from moorage_ports.errors import InvalidRequestError
from moorage_ports.http import DEFAULT_DEADLINE
from moorage_ports.secret import Secret

MAX_READS: Final = 3
_SEGMENT = re.compile(r"[A-Za-z0-9_.:-]{1,255}")

# Graph's use cases, as its usage headers call them.
PAGES: Final = "pages"
LEADGEN: Final = "leadgen"


def _are_segments(_: object, __: object, path: tuple[str, ...]) -> None:
    if not path or not all(_SEGMENT.fullmatch(part) and part.strip(".") for part in path):
        msg = "this is no id of Facebook's"
        raise InvalidRequestError(msg)


@attrs.frozen(kw_only=True)
class GraphCall:
    """A Graph request before anyone sends it. `path` is node, then edge: never glued text.

    `token` is the user's or Page's that the call is made with (`None`: the call proves itself in another
    way). `expects` are the fields without which an answer is no answer. `is_app_call` sends the app's own
    token. `is_repeatable` marks a POST or DELETE that may be sent twice without harm.

    `owner` and `use_case` say whose limit it counts on (a Page's, an ad account's); a call without them
    counts on the app's and the person's. `publishes`: people will see what it makes.
    """

    method: Literal["GET", "POST", "DELETE"] = "GET"
    path: tuple[str, ...] = attrs.field(validator=_are_segments)
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    data: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    expects: frozenset[str] = frozenset()
    token: Secret | None = None
    is_app_call: bool = False
    is_repeatable: bool = False
    owner: str = ""
    use_case: str = ""
    publishes: bool = False
    deadline: timedelta = DEFAULT_DEADLINE
    tries: int = MAX_READS

    @property
    def writes(self) -> bool:
        """Whether sending it twice could do something twice."""
        return self.method != "GET" and not self.is_repeatable
