"""Many Graph calls in one request, each with an outcome of its own.

Each call counts on limits by itself and travels with its own token, in the body of the one POST; the request
itself is made as the app. A call that Graph did not get to is answered with null: a read is asked for again,
of a write nobody knows.
https://developers.facebook.com/docs/graph-api/batch-requests
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from moorage_facebook.graph.call import MAX_READS, GraphCall
from moorage_facebook.graph.client import READ_BUDGET, GraphClient, form, relative_url
from moorage_facebook.graph.errors import error_from_graph
from moorage_facebook.graph.meters import meters_of, readings_of
from moorage_facebook.graph.values import (
    UnreadableError,
    decode,
    encode,
    integer,
    items,
    record,
    records,
    text,
)
from moorage_facebook.settings import VENDOR
from moorage_ports.errors import OutcomeUnknownError, RateLimitError, VendorError, VendorUnavailableError
from moorage_ports.governor import Meter
from moorage_ports.http import HttpAnswer, NeverSentError, NoAnswerError

MOST_IN_BATCH: Final = 50

# What became of one call: its body, or why there is none. Returned and not raised: one failure is not all.
Outcome: TypeAlias = Mapping[str, object] | VendorError

_Numbered: TypeAlias = tuple[int, GraphCall]
_AS_THE_APP: Final = GraphCall(path=("me",), is_app_call=True)


async def send_batch(
    client: GraphClient, calls: Sequence[GraphCall], *, with_headers: bool = True
) -> tuple[Outcome, ...]:
    """Send all of `calls`, at most fifty at a time; answers what became of each, in their order.

    Reads without an answer are asked for again, briefly; a write is sent once. Without headers the answer is
    smaller, and says nothing about limits until one refuses. Never raises a `VendorError`.
    """
    msg = "Facebook took too long over what came before; this was not sent"
    outcomes: dict[int, Outcome] = {
        place: VendorUnavailableError(msg, vendor=VENDOR, symptom="out_of_time")
        for place in range(len(calls))
    }
    left = list(enumerate(calls))
    give_up_at = client.clock.now() + READ_BUDGET
    for number in range(1, MAX_READS + 1):
        for chunk in _chunks(left):
            if client.clock.now() >= give_up_at:
                break
            outcomes.update(await _send_chunk(client, chunk, give_up_at, with_headers=with_headers))
        left = [(place, call) for place, call in left if _may_go_again(call, outcomes[place], number)]
        if not left or not await client.paused(number, give_up_at):
            break
    return tuple(outcomes[place] for place in range(len(calls)))


def _chunks(calls: Sequence[_Numbered]) -> Iterator[Sequence[_Numbered]]:
    for start in range(0, len(calls), MOST_IN_BATCH):
        yield calls[start : start + MOST_IN_BATCH]


def _may_go_again(call: GraphCall, outcome: Outcome, number: int) -> bool:
    return isinstance(outcome, VendorUnavailableError) and not call.writes and number < call.tries


async def _send_chunk(
    client: GraphClient, calls: Sequence[_Numbered], give_up_at: datetime, *, with_headers: bool
) -> dict[int, Outcome]:
    """One request, without the calls whose limits do not admit them now."""
    outcomes: dict[int, Outcome] = dict(await _limited(client, calls))
    admitted = [(place, call) for place, call in calls if place not in outcomes]
    if not admitted:
        return outcomes
    data = {
        "batch": encode([_item(client, call) for _, call in admitted]).decode(),
        "include_headers": "true" if with_headers else "false",
    }
    left = max(give_up_at - client.clock.now(), timedelta(seconds=1))
    deadline = min(max(call.deadline for _, call in admitted), left)
    try:
        answer = await client.http.send(client.root_post(data, deadline))
    except NeverSentError:
        msg = "Facebook is out of reach"
        return outcomes | {place: VendorUnavailableError(msg, vendor=VENDOR) for place, _ in admitted}
    except NoAnswerError:
        return outcomes | {place: _lost(call) for place, call in admitted}
    return outcomes | await _read(client, answer, admitted)


async def _limited(client: GraphClient, calls: Sequence[_Numbered]) -> dict[int, RateLimitError]:
    """The calls that have to wait. What counts alike is asked for once, together."""
    alike: dict[tuple[Meter, ...], list[int]] = {}
    for place, call in calls:
        alike.setdefault(meters_of(call, client.app.secret), []).append(place)
    limits = await asyncio.gather(
        *(_limit_of(client, meters, len(places)) for meters, places in alike.items())
    )
    return {
        place: limit
        for places, limit in zip(alike.values(), limits, strict=True)
        if limit is not None
        for place in places
    }


async def _limit_of(client: GraphClient, meters: Collection[Meter], calls: int) -> RateLimitError | None:
    try:
        await client.governor.admit(meters, org_id=client.lane, calls=calls)
    except RateLimitError as limit:
        return limit
    return None


def _item(client: GraphClient, call: GraphCall) -> Mapping[str, str]:
    """One call as Graph reads it in a batch; its token and proof stand in what is the POST's body."""
    query, data = client.parameters(call)
    token = client.app_token() if call.is_app_call else call.token
    if token is not None:
        (data if call.method == "POST" else query)["access_token"] = token.reveal()
    item = {"method": call.method, "relative_url": relative_url(call.path, query)}
    return item | {"body": form(data).decode()} if call.method == "POST" else item


async def _read(client: GraphClient, answer: HttpAnswer, calls: Sequence[_Numbered]) -> dict[int, Outcome]:
    try:
        body = decode(answer.body)
    except UnreadableError:
        body = None
    if not 200 <= answer.status < 300 or not isinstance(body, list):
        return await _all_refused(client, answer, body, calls)
    await client.governor.report(readings_of(_AS_THE_APP, answer.headers, None, client.app.secret))
    rows = [*items(body)[: len(calls)], *[None] * (len(calls) - len(body))]
    return {place: await _outcome(client, call, row) for (place, call), row in zip(calls, rows, strict=True)}


async def _all_refused(
    client: GraphClient, answer: HttpAnswer, body: object, calls: Sequence[_Numbered]
) -> dict[int, Outcome]:
    """Graph did not look into the batch: every call got the same answer."""
    errors = {
        place: error_from_graph(answer.status, body, answer.headers, writes=call.writes)
        for place, call in calls
    }
    first = next(iter(errors.values()))
    wait = await client.governor.report(readings_of(_AS_THE_APP, answer.headers, first, client.app.secret))
    for error in errors.values():
        if isinstance(error, RateLimitError):
            error.retry_after = wait or error.retry_after
    return dict(errors)


async def _outcome(client: GraphClient, call: GraphCall, row: object) -> Outcome:
    entry = record(row)
    status = integer(entry.get("code"))
    if status is None:
        return _lost(call)
    said = entry.get("body")
    headers = {
        text(header.get("name")).lower(): text(header.get("value"))
        for header in records(entry.get("headers"))
    }
    body = said.encode("utf-8", "replace") if isinstance(said, str) else b""
    try:
        return await client.understand(HttpAnswer(status=status, headers=headers, body=body), call)
    except VendorError as failure:
        return failure


def _lost(call: GraphCall) -> VendorError:
    kind: type[VendorError] = OutcomeUnknownError if call.writes else VendorUnavailableError
    msg = "Facebook did not answer"
    return kind(msg, vendor=VENDOR)
