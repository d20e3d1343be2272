"""The one door: what leaves, what is tried again, and what an answer (or none) means."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import READ_BUDGET
from moorage_ports.errors import (
    InvalidRequestError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.http import (
    AnswerTooLargeError,
    HttpAnswer,
    HttpError,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
)
from moorage_ports.testing.lent import BEGINNING, FakeClock
from tests.unit.facebook.graph.support import (
    APP,
    TOKEN,
    Bench,
    ScriptedGraph,
    answer,
    bench,
    form_of,
    query_of,
    refusal,
)

READ = GraphCall(path=("me",), query={"fields": "id"}, token=TOKEN)
WRITE = GraphCall(method="POST", path=("1_2", "feed"), data={"message": "hé"}, token=TOKEN)
REPEATABLE = GraphCall(method="DELETE", path=("1_2",), token=TOKEN, is_repeatable=True)


@pytest.mark.parametrize("call", [READ, WRITE, REPEATABLE])
async def test_s6_every_call_proves_itself_and_no_token_is_in_the_url(call: GraphCall) -> None:
    """S6: the proof covers token and time; the token stands in the header and nowhere else."""
    there = bench(answer({"id": "1"}))

    await there.client.send(call)

    (request,) = there.graph.sent
    sent = form_of(request) if call.method == "POST" else query_of(request)
    made_at = str(int(BEGINNING.timestamp()))
    message = f"{TOKEN.reveal()}|{made_at}".encode()
    expected = hmac.new(APP.secret.reveal().encode(), message, hashlib.sha256).hexdigest()
    assert (sent["appsecret_proof"], sent["appsecret_time"]) == (expected, made_at)
    assert request.headers["authorization"] == f"Bearer {TOKEN.reveal()}"
    assert TOKEN.reveal() not in request.url
    assert TOKEN.reveal().encode() not in request.body
    assert APP.secret.reveal() not in request.url + str(request.headers) + request.body.decode()
    assert request.lane == "acme"


async def test_a_call_as_the_app_carries_the_apps_token_in_the_header() -> None:
    there = bench(answer({"data": {}}))

    await there.client.send(GraphCall(path=("debug_token",), is_app_call=True))

    (request,) = there.graph.sent
    assert request.headers["authorization"] == f"Bearer {APP.app_id}|{APP.secret.reveal()}"
    assert APP.secret.reveal() not in request.url


async def test_host_and_version_are_constants() -> None:
    there = bench(answer())

    await there.client.send(GraphCall(path=("1", "feed"), query={"q": "a&b=c #é"}))

    parts = urlsplit(there.graph.sent[0].url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "graph.test", "/v26.0/1/feed")
    assert query_of(there.graph.sent[0]) == {"q": "a&b=c #é"}


@pytest.mark.parametrize(
    "segment", ["", ".", "..", "a/b", "a?b", "a b", "a\n", "é", "../..", "a%2fb", "a@b", "\\", "x" * 256]
)
def test_an_id_that_is_none_never_becomes_a_path(segment: str) -> None:
    """Callers hand ids in: what is no id is refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        GraphCall(path=(segment, "feed"))


@given(text=st.text(alphabet=st.characters(codec=None), max_size=40))
async def test_any_text_can_be_sent(text: str) -> None:
    """Also half a surrogate pair, which no encoding can carry: it is replaced, not a crash."""
    there = bench(answer({"id": "1"}))

    await there.client.send(GraphCall(method="POST", path=("1", "feed"), data={"message": text}))

    sent = form_of(there.graph.sent[0])["message"]
    assert sent == text.encode("utf-8", "replace").decode()


# What comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        NoAnswerError("cut"),
        AnswerTooLargeError("big"),
        answer(b"<html>oops</html>", status=502),
        answer(b"", status=500),
        answer(b"<html>ok?</html>"),
        answer([1]),
        answer(b"[" * 100_000),
        answer({"no": "id"}),
        answer(b"", status=302, headers={"location": "https://evil.test"}),
        refusal(1, status=500),
        refusal(2, status=503),
        refusal(424242, status=500),
        refusal(424242, is_transient=True),
    ],
)
async def test_a_write_without_a_clear_answer_is_unknown_and_sent_once(lost: HttpAnswer | HttpError) -> None:
    """It may have happened: nobody is told that it failed, and it is not sent again."""
    there = bench(lost)
    call = GraphCall(method="POST", path=("1", "feed"), expects=frozenset({"id"}), token=TOKEN)

    with pytest.raises(OutcomeUnknownError):
        await there.client.send(call)

    assert len(there.graph.sent) == 1


async def test_a_write_that_never_left_may_be_sent_again_by_whoever_asked() -> None:
    there = bench(NeverSentError("unplugged"))

    with pytest.raises(VendorUnavailableError):
        await there.client.send(WRITE)

    assert len(there.graph.sent) == 1


@pytest.mark.parametrize("call", [READ, REPEATABLE])
@pytest.mark.parametrize(
    "trouble", [NoAnswerError("cut"), NeverSentError("unplugged"), answer(b"<html>", status=502), refusal(2)]
)
async def test_what_may_be_repeated_is_tried_again_briefly(
    call: GraphCall, trouble: HttpAnswer | HttpError
) -> None:
    """Three times at most, with growing pauses; then it says that nothing happened."""
    recovered = bench(trouble, trouble, answer({"id": "1"}))
    lost = bench(trouble)

    assert await recovered.client.send(call) == {"id": "1"}
    with pytest.raises(VendorUnavailableError):
        await lost.client.send(call)

    assert len(recovered.graph.sent) == len(lost.graph.sent) == 3
    assert recovered.slept == timedelta(milliseconds=500 + 1000)


async def test_tries_and_their_pauses_fit_the_budget() -> None:
    """Bounded in time as well as in count: each try gets only what is left."""
    clock = FakeClock()
    there = Bench(graph=ScriptedGraph(_silent(clock)), clock=clock)

    with pytest.raises(VendorUnavailableError):
        await there.client.send(READ)

    assert there.slept <= READ_BUDGET + timedelta(seconds=1)
    assert there.graph.sent[0].deadline == timedelta(seconds=15)
    assert there.graph.sent[-1].deadline < timedelta(seconds=10)


def _silent(clock: FakeClock) -> Callable[[HttpRequest], HttpAnswer]:
    """A Graph that says nothing until the deadline is over."""

    def script(request: HttpRequest) -> HttpAnswer:
        clock.advance(request.deadline)
        raise NoAnswerError

    return script


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (refusal(190, 463, status=401), ReauthorizationError),
        (refusal(4), RateLimitError),
        (refusal(100), RejectedError),
        (answer(b"", status=429), RateLimitError),
    ],
)
async def test_an_answer_that_is_clear_is_not_asked_for_twice(
    said: HttpAnswer, kind: type[VendorError]
) -> None:
    """Above all not a limit: calls while throttled prolong the block."""
    there = bench(said)

    with pytest.raises(kind):
        await there.client.send(READ)

    assert len(there.graph.sent) == 1


async def test_an_error_in_a_200_is_an_error() -> None:
    there = bench(refusal(190, status=200))

    with pytest.raises(ReauthorizationError):
        await there.client.send(READ)


async def test_usage_is_reported_on_success_and_on_failure() -> None:
    """Whoever governs the pace hears of every answer."""
    headers = {"x-app-usage": '{"call_count":28,"total_time":91,"total_cputime":25}'}
    there = bench(answer({"id": "1"}, headers=headers), answer(b"", status=500, headers=headers))

    await there.client.send(READ)
    with pytest.raises(OutcomeUnknownError):
        await there.client.send(WRITE)

    assert [reading.used for reading in there.governor.reported] == [0.91, 0.91]


@given(
    status=st.integers(min_value=100, max_value=599),
    body=st.binary(max_size=80)
    | st.sampled_from([b"{}", b'{"id":1}', b'{"error":{}}', b'{"error":{"code":[]}}']),
    header=st.text(max_size=40),
    writes=st.booleans(),
)
async def test_any_answer_is_a_body_or_a_vendor_error(
    status: int, body: bytes, header: str, writes: bool
) -> None:
    """No other exception comes through this door."""
    there = bench(
        HttpAnswer(status=status, headers={"retry-after": header, "x-app-usage": header}, body=body)
    )
    try:
        assert isinstance(await there.client.send(WRITE if writes else READ), dict)
    except VendorError:
        return


def test_v7_neither_calls_nor_clients_print_a_secret() -> None:
    """V7: a call in a traceback, a client in a log line."""
    call = GraphCall(path=("debug_token",), query={"input_token": TOKEN.reveal()}, token=TOKEN)
    printed = repr(call) + repr(bench(answer()).client) + repr(APP)

    assert TOKEN.reveal() not in printed
    assert APP.secret.reveal() not in printed
