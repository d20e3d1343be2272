"""The one door to Graph: a call as a value, and the client that sends it."""

import hashlib
import hmac
import random
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import quote, urlencode

import attrs

from moorage_facebook.graph.errors import error_from_graph, read_graph_error
from moorage_facebook.graph.usage import UsageReport, usage_from_headers
from moorage_facebook.graph.values import UnreadableError, decode
from moorage_facebook.settings import VENDOR, GraphSettings, settings_of
from moorage_ports.clock import Clock
from moorage_ports.errors import InvalidRequestError, OutcomeUnknownError, VendorError, VendorUnavailableError
from moorage_ports.http import (
    DEFAULT_DEADLINE,
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp

MAX_READS: Final = 3
READ_BUDGET = timedelta(seconds=25)  # for all tries of one read, pauses included
_FIRST_PAUSE = timedelta(milliseconds=250)
_SEGMENT = re.compile(r"[A-Za-z0-9_.:-]{1,255}")


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
    """

    method: Literal["GET", "POST", "DELETE"] = "GET"
    path: tuple[str, ...] = attrs.field(validator=_are_segments)
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    data: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    expects: frozenset[str] = frozenset()
    token: Secret | None = None
    is_app_call: bool = False
    is_repeatable: bool = False
    deadline: timedelta = DEFAULT_DEADLINE
    tries: int = MAX_READS

    @property
    def writes(self) -> bool:
        """Whether sending it twice could do something twice."""
        return self.method != "GET" and not self.is_repeatable


@attrs.frozen(kw_only=True)
class GraphClient:
    """Sends a `GraphCall`; answers its body or raises a `VendorError`, never anything else.

    Tokens travel in the `Authorization` header; the proof that we hold the app's secret goes with each user
    or Page token and is good for five minutes. Reads are tried again, briefly; a write is sent once.
    https://developers.facebook.com/docs/graph-api/securing-requests
    """

    http: HttpClient
    clock: Clock
    app: VendorApp
    settings: GraphSettings
    lane: str = ""
    on_usage: Callable[[UsageReport], None] | None = None  # whoever governs the pace listens here
    jitter: Callable[[], float] = random.SystemRandom().random

    async def send(self, call: GraphCall) -> Mapping[str, object]:
        """Send `call` and answer the JSON object that came back.

        Raises:
            VendorError: One of its kinds, see `graph.errors`.
        """
        tries = 1 if call.writes else call.tries
        give_up_at = self.clock.now() + READ_BUDGET
        for number in range(1, tries):
            try:
                return await self._send_once(call, give_up_at)
            except VendorUnavailableError:
                if not await self._paused(number, give_up_at):
                    raise
        return await self._send_once(call, give_up_at)

    async def _paused(self, number: int, give_up_at: datetime) -> bool:
        """Sleep before the next try; false if there is no time left for one."""
        pause = _FIRST_PAUSE * (2**number) * self.jitter()
        if self.clock.now() + pause >= give_up_at:
            return False
        await self.clock.sleep(pause)
        return True

    async def _send_once(self, call: GraphCall, give_up_at: datetime) -> Mapping[str, object]:
        lost: type[VendorError] = OutcomeUnknownError if call.writes else VendorUnavailableError
        left = max(give_up_at - self.clock.now(), timedelta(seconds=1))
        try:
            answer = await self.http.send(self._request(call, min(call.deadline, left)))
        except NeverSentError as never_sent:
            msg = "Facebook is out of reach"
            raise VendorUnavailableError(msg, vendor=VENDOR) from never_sent
        except NoAnswerError as cut_off:
            msg = "Facebook did not answer"
            raise lost(msg, vendor=VENDOR) from cut_off
        self._report(answer)
        return _read(answer, call, lost)

    def _request(self, call: GraphCall, deadline: timedelta) -> HttpRequest:
        headers = {"accept": "application/json"}
        query, data = dict(call.query), dict(call.data)
        token = self._app_token() if call.is_app_call else call.token
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        if call.token is not None:
            (data if call.method == "POST" else query).update(self._proof(call.token))
        body = b""
        if call.method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = _form(data)
        return HttpRequest(
            method=call.method,
            url=self._url(call.path, query),
            headers=headers,
            body=body,
            deadline=deadline,
            lane=self.lane,
        )

    def _url(self, path: tuple[str, ...], query: Mapping[str, str]) -> str:
        parts = "/".join(quote(part, safe="") for part in path)
        question = f"?{_form(query).decode()}" if query else ""
        return f"{self.settings.graph_url}/{self.settings.api_version}/{parts}{question}"

    def _app_token(self) -> Secret:
        return Secret(f"{self.app.app_id}|{self.app.secret.reveal()}")

    def _proof(self, token: Secret) -> dict[str, str]:
        """`appsecret_proof` over token and time: worthless to whoever reads it five minutes later."""
        made_at = str(int(self.clock.now().timestamp()))
        key, message = self.app.secret.reveal().encode(), f"{token.reveal()}|{made_at}".encode()
        return {
            "appsecret_proof": hmac.new(key, message, hashlib.sha256).hexdigest(),
            "appsecret_time": made_at,
        }

    def _report(self, answer: HttpAnswer) -> None:
        if self.on_usage is None:
            return
        readings = usage_from_headers(answer.headers)
        if readings:
            self.on_usage(UsageReport(lane=self.lane, readings=readings))


def graph_client(context: VendorContext) -> GraphClient:
    """The door for one org's app."""
    return GraphClient(
        http=context.http,
        clock=context.clock,
        app=context.app,
        settings=settings_of(context),
        lane=context.org_id,
    )


def _form(values: Mapping[str, str]) -> bytes:
    """Form encoding; half a surrogate pair, which UTF-8 can't carry, becomes a question mark."""
    return urlencode(values, errors="replace").encode("ascii")


def _read(answer: HttpAnswer, call: GraphCall, lost: type[VendorError]) -> Mapping[str, object]:
    """The body, if it is what was asked for.

    Raises:
        VendorError: It is an error, or nothing we know.
    """
    try:
        body = decode(answer.body)
    except UnreadableError:
        body = None
    if not 200 <= answer.status < 300 or read_graph_error(body) is not None:
        raise error_from_graph(answer.status, body, answer.headers, writes=call.writes)
    if not isinstance(body, dict) or not call.expects <= body.keys():
        msg = "Facebook answered in a shape we don't know"
        raise lost(msg, vendor=VENDOR)
    return body
