"""Misbehaving by rule: limits, dead tokens, slow answers, cut connections.

A rule matches by HTTP method, path and Page, in the share of the cases that it names; every match uses it up
by one until none is left.
"""

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase

import attrs

from moorage_facebook.sandbox.entities import Fault
from moorage_facebook.sandbox.errors import GraphFailure, new_trace_id
from moorage_facebook.sandbox.jsontext import meta_json
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.tables import split_version, template

_MESSAGES: Mapping[int, str] = {
    1: "An unknown error occurred",
    2: "An unexpected error has occurred. Please retry your request later.",
    4: "(#4) Application request limit reached",
    10: "(#10) Application does not have permission for this action",
    17: "(#17) User request limit reached",
    32: "(#32) Page request limit reached",
    100: "(#100) Invalid parameter",
    190: "Error validating access token: The session is invalid.",
    200: "(#200) Permissions error",
    341: "(#341) Feed action request limit reached",
    368: "(#368) The action attempted has been deemed abusive or is otherwise disallowed",
    506: "(#506) Duplicate status message",
    613: "(#613) Calls to this api have exceeded the rate limit.",
    80001: "(#80001) There have been too many calls to this Page account. Wait a bit and try again.",
}
_TRANSIENT = frozenset({1, 2, 4, 17, 32, 341, 613, 80001})


@attrs.frozen(kw_only=True)
class FaultAnswer:
    """What is said instead of the truth."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def take_fault(world: World, method: str, path: str, page_id: str) -> Fault | None:
    """The first rule that matches, one use fewer; None when the sandbox shall behave."""
    for fault in world.faults:
        if not _matches(world, fault, method, path, page_id) or random.random() >= fault.share:  # noqa: S311
            continue
        if fault.times is None:
            return fault
        if fault.times > 1:
            world.faults.put(attrs.evolve(fault, times=fault.times - 1))
        else:
            world.faults.drop(fault.id)
        return fault
    return None


def page_id_of(world: World, parts: tuple[str, ...], token: str) -> str:
    """The Page a call is about: in its path, behind the node, or behind its token."""
    node = world.node(parts[0]) if parts else None
    page = world.page_of(node) if node else None
    if page is not None:
        return page.id
    known = world.tokens.get(token)
    return known.page_id if known else ""


def fault_answer(fault: Fault) -> FaultAnswer | None:
    """The rule's own answer, or None when it only delays or cuts."""
    if fault.status is None and fault.code is None and fault.body is None:
        return None
    headers = {"content-type": "application/json; charset=UTF-8", **fault.headers}
    if fault.body is not None:
        return FaultAnswer(
            status=fault.status or 500, body=fault.body.encode("utf-8", "replace"), headers=headers
        )
    code = fault.code if fault.code is not None else 2
    failure = GraphFailure(
        message=_MESSAGES.get(code, f"(#{code}) The sandbox was told to refuse this"),
        code=code,
        subcode=fault.subcode,
        transient=True if code in _TRANSIENT else None,
    )
    default = 401 if (code, fault.subcode) == (190, 463) else 400
    body = meta_json(failure.body(new_trace_id())).encode()
    return FaultAnswer(status=fault.status or default, body=body, headers=headers)


def _matches(world: World, fault: Fault, method: str, path: str, page_id: str) -> bool:
    if fault.method and fault.method.upper() != method:
        return False
    if fault.page_id and fault.page_id != page_id:
        return False
    return not fault.path or _path_matches(world, fault.path, path)


def _path_matches(world: World, wanted: str, path: str) -> bool:
    """By template (`/{page}/feed`), by glob (`/*/feed`), or by how the path ends (`/feed`)."""
    _, parts = split_version(path)
    plain = "/" + "/".join(parts)
    _, wanted_parts = split_version(wanted)
    clean = "/" + "/".join(wanted_parts)
    return clean == template(world, parts) or fnmatchcase(plain, clean) or plain.endswith(clean)
