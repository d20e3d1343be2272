"""Batches: every call has its own token, limit and outcome; what Graph skipped is not taken for done."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.batch import MOST_IN_BATCH, Outcome, send_batch
from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import READ_BUDGET
from moorage_ports.errors import (
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.governor import Meter
from moorage_ports.http import HttpAnswer, HttpError, HttpRequest, NeverSentError, NoAnswerError
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeGovernor
from tests.unit.facebook.graph.support import APP, Bench, ScriptedGraph, answer, bench, form_of, refusal

TOKENS = [Secret(f"EAAB-page-{number}-token") for number in range(3)]
READS = [
    GraphCall(path=(str(number),), query={"fields": "id"}, token=token, owner=str(number), use_case=PAGES)
    for number, token in enumerate(TOKENS, start=1)
]
WRITE = GraphCall(
    method="POST",
    path=("1", "feed"),
    data={"message": "hé & ho"},
    token=TOKENS[0],
    owner="1",
    use_case=PAGES,
    expects=frozenset({"id"}),
)


def entry(
    body: object, *, code: int = 200, headers: Mapping[str, object] | None = None
) -> Mapping[str, object]:
    """One answer of a batch: its body is a string."""
    listed = [
        {"name": name, "value": msgspec.json.encode(value).decode()}
        for name, value in (headers or {}).items()
    ]
    return {"code": code, "headers": listed, "body": msgspec.json.encode(body).decode()}


def failed(code: int, subcode: int | None = None, **more: object) -> Mapping[str, object]:
    return entry({"error": {"code": code, "error_subcode": subcode, "fbtrace_id": "T", **more}}, code=400)


def batch_of(request: HttpRequest) -> list[dict[str, str]]:
    return msgspec.json.decode(form_of(request)["batch"], type=list[dict[str, str]])


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ if isinstance(outcome, VendorError) else "body" for outcome in outcomes]


async def test_tokens_stand_in_the_body_and_nowhere_else() -> None:
    """The request itself is made as the app; each item proves its own token."""
    there = bench(answer([entry({"id": "1"}), entry({"id": "2"}), entry({"id": "1_2"})]))

    await send_batch(there.client, [READS[0], READS[1], WRITE])

    (request,) = there.graph.sent
    assert request.method == "POST"
    assert request.url == "https://graph.test/v26.0/"
    assert request.headers["authorization"] == f"Bearer {APP.app_id}|{APP.secret.reveal()}"
    first, second, third = batch_of(request)
    for item, token in ((first, TOKENS[0]), (second, TOKENS[1])):
        query = dict(parse_qsl(urlsplit(item["relative_url"]).query))
        assert query["access_token"] == token.reveal()
        assert query["appsecret_proof"]
        assert "body" not in item
    assert (third["method"], third["relative_url"]) == ("POST", "1/feed")
    written = dict(parse_qsl(third["body"]))
    assert (written["message"], written["access_token"]) == ("hé & ho", TOKENS[0].reveal())
    assert not any(token.reveal() in request.url + str(request.headers) for token in TOKENS)
    assert not any(token.reveal() in repr(request) for token in TOKENS)


@pytest.mark.parametrize("with_headers", [True, False])
async def test_headers_are_left_out_if_nobody_wants_them(with_headers: bool) -> None:
    there = bench(answer([entry({"id": "1"})]))

    await send_batch(there.client, READS[:1], with_headers=with_headers)

    assert form_of(there.graph.sent[0])["include_headers"] == str(with_headers).lower()


async def test_fifty_at_a_time_in_order() -> None:
    def echo(request: HttpRequest) -> HttpAnswer:
        return answer([entry({"id": item["relative_url"].partition("?")[0]}) for item in batch_of(request)])

    there = Bench(graph=ScriptedGraph(echo))
    calls = [GraphCall(path=(str(number),), token=TOKENS[0]) for number in range(1, 122)]

    outcomes = await send_batch(there.client, calls)

    assert [len(batch_of(request)) for request in there.graph.sent] == [MOST_IN_BATCH, MOST_IN_BATCH, 21]
    assert [record["id"] for record in outcomes if isinstance(record, Mapping)] == [c.path[0] for c in calls]


async def test_no_calls_are_no_request() -> None:
    there = bench(answer([]))

    assert await send_batch(there.client, []) == ()
    assert there.graph.sent == []


# S8: partial failure --------------------------------------------------------------------------


async def test_s8_each_call_has_its_own_outcome() -> None:
    """A 200 around failures is partial failure: some bodies, some errors, each of its own kind."""
    calls = [*READS, WRITE, WRITE, WRITE, WRITE]
    rows = [
        entry({"id": "1"}),
        failed(190, 463),
        entry({"error": {"code": 4}}),
        failed(100),
        entry("<html>", code=502),
        None,
        entry({"no": "id"}),
    ]
    there = bench(answer(rows))

    outcomes = await send_batch(there.client, calls)

    assert kinds(outcomes) == [
        "body",
        "ReauthorizationError",
        "RateLimitError",
        "RejectedError",
        "OutcomeUnknownError",
        "OutcomeUnknownError",
        "OutcomeUnknownError",
    ]
    assert isinstance(outcomes[1], ReauthorizationError)
    assert (outcomes[1].vendor_subcode, outcomes[1].trace_id) == ("463", "T")
    assert isinstance(outcomes[3], RejectedError)
    assert len(there.graph.sent) == 1


async def test_reads_that_graph_skipped_are_asked_for_again_and_only_they() -> None:
    """Null is what it did not get to. Writes are never repeated."""
    there = bench(
        answer([entry({"id": "1"}), None, None, None]),
        answer([failed(2), entry({"id": "3"})]),
        answer([entry({"id": "2"})]),
    )

    outcomes = await send_batch(there.client, [READS[0], READS[1], READS[2], WRITE])

    assert kinds(outcomes) == ["body", "body", "body", "OutcomeUnknownError"]
    assert [len(batch_of(request)) for request in there.graph.sent] == [4, 2, 1]
    assert there.slept > timedelta()


async def test_asking_again_ends() -> None:
    there = bench(answer([None]))

    assert kinds(await send_batch(there.client, READS[:1])) == ["VendorUnavailableError"]
    assert len(there.graph.sent) == 3


@pytest.mark.parametrize(
    ("trouble", "of_a_write"),
    [
        (NeverSentError("unplugged"), VendorUnavailableError),
        (NoAnswerError("cut"), OutcomeUnknownError),
        (answer(b"<html>", status=502), OutcomeUnknownError),
        (answer({"id": "1"}), OutcomeUnknownError),
        (answer([]), OutcomeUnknownError),
        (refusal(190), ReauthorizationError),
        (refusal(4), RateLimitError),
        (answer(b"", status=429), RateLimitError),
    ],
)
async def test_a_batch_that_fails_as_a_whole_fails_each_call_in_its_way(
    trouble: HttpAnswer | HttpError, of_a_write: type[VendorError]
) -> None:
    """Whether a write may have happened decides what is said about it."""
    there = bench(trouble)

    read, write = await send_batch(there.client, [READS[0], WRITE])

    assert type(write) is of_a_write
    assert isinstance(read, VendorError)
    assert not isinstance(read, OutcomeUnknownError)
    sent = [item["method"] for request in there.graph.sent for item in batch_of(request)]
    assert sent.count("POST") == 1


# Limits ---------------------------------------------------------------------------------------


async def test_each_call_counts_on_its_own_limits() -> None:
    """The usage of each item is heard, and a refusal parks that item's Page only."""
    usage = {"1": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 5}]}
    limited = {**failed(80001), "headers": entry({}, headers={"X-Business-Use-Case-Usage": usage})["headers"]}
    there = bench(
        answer([limited, entry({"id": "2"}, headers={"X-App-Usage": {"call_count": 60}})]),
        answer([entry({"id": "2"})]),
    )

    first = await send_batch(there.client, READS[:2])
    second = await send_batch(there.client, READS[:2])

    assert isinstance(first[0], RateLimitError)
    assert first[0].retry_after == timedelta(minutes=5)
    assert kinds(second) == ["RateLimitError", "body"]
    assert [len(batch_of(request)) for request in there.graph.sent] == [2, 1]
    assert 0.6 in [reading.used for reading in there.governor.reported]


async def test_calls_that_count_alike_are_admitted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty questions to the governor, each a look into the database, would be asked at the same moment."""
    there = Bench(graph=ScriptedGraph(lambda request: answer([entry({"id": "1"})] * len(batch_of(request)))))
    asked: list[int] = []
    admit = there.governor.admit

    async def count(meters: Collection[Meter], *, org_id: str, calls: int = 1) -> None:
        asked.append(calls)
        await admit(meters, org_id=org_id, calls=calls)

    monkeypatch.setattr(FakeGovernor, "admit", staticmethod(count))
    other = attrs.evolve(READS[0], owner="2")

    await send_batch(there.client, [*[READS[0]] * 49, other])

    assert sorted(asked) == [1, 49]


async def test_a_batch_that_takes_too_long_leaves_the_rest_unsent() -> None:
    """Whoever waits for it was promised an end; and nothing happened, so it may be asked for again."""

    def slow(request: HttpRequest) -> HttpAnswer:
        there.clock.advance(READ_BUDGET * 0.6)
        return answer([entry({"id": "1"})] * len(batch_of(request)))

    there = Bench(graph=ScriptedGraph(slow))

    outcomes = await send_batch(there.client, [*READS[:1] * 150, WRITE])

    assert kinds(outcomes) == ["body"] * 100 + ["VendorUnavailableError"] * 51
    assert [request.deadline <= READ_BUDGET * 0.4 for request in there.graph.sent] == [False, True]


async def test_a_batch_of_parked_calls_is_not_sent() -> None:
    there = bench(answer([failed(80001), failed(80001), failed(80001)]))

    await send_batch(there.client, READS)
    outcomes = await send_batch(there.client, READS)

    assert kinds(outcomes) == ["RateLimitError"] * 3
    assert len(there.graph.sent) == 1


async def test_a_limit_of_the_whole_batch_stops_the_app() -> None:
    there = bench(answer(refusal(4).body, status=400, headers={"x-app-usage": '{"call_count":100}'}))

    (outcome,) = await send_batch(there.client, [WRITE])
    with pytest.raises(RateLimitError):
        await there.client.send(READS[0])

    assert isinstance(outcome, RateLimitError)
    assert outcome.retry_after
    assert len(there.graph.sent) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["code", "headers", "body", "name", "value", "error"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(body=json_values | st.lists(json_values, max_size=5), status=st.sampled_from([200, 400, 500]))
async def test_whatever_comes_back_every_call_has_an_outcome(body: object, status: int) -> None:
    """No other exception comes through, and no write looks as if it had failed when nobody knows."""
    there = bench(answer(body, status=status))

    outcomes = await send_batch(there.client, [READS[0], WRITE])

    assert len(outcomes) == 2
    assert all(isinstance(outcome, (Mapping, VendorError)) for outcome in outcomes)
    assert not isinstance(outcomes[1], VendorUnavailableError)
