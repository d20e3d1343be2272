"""The one door to Graph: the client that sends calls, at the pace that the governor allows."""

import hashlib
import hmac
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import attrs

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.errors import error_from_graph, read_graph_error
from moorage_facebook.graph.meters import meters_of, readings_of
from moorage_facebook.graph.values import UnreadableError, decode
from moorage_facebook.settings import VENDOR, GraphSettings, settings_of
from moorage_ports.clock import Clock
from moorage_ports.errors import OutcomeUnknownError, RateLimitError, VendorError, VendorUnavailableError
from moorage_ports.governor import Governor
from moorage_ports.http import (
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
    TimedOutError,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp

READ_BUDGET = timedelta(seconds=25)  # for all tries of one read, pauses included
DEFAULT_WAIT = timedelta(minutes=1)  # after a limit that names none, where no governor knows better
_FIRST_PAUSE = timedelta(milliseconds=250)


@attrs.frozen(kw_only=True)
class GraphClient:
    """Sends a `GraphCall`; answers its body or raises a `VendorError`, never anything else.

    Tokens travel in the `Authorization` header; the proof that we hold the app's secret goes with each user
    or Page token and is good for five minutes. Reads are tried again, briefly; a write is sent once. The
    governor is asked before a call leaves, and told what every answer said about limits.
    https://developers.facebook.com/docs/graph-api/securing-requests
    """

    http: HttpClient
    clock: Clock
    app: VendorApp
    settings: GraphSettings
    governor: Governor
    lane: str = ""
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
                if not await self.paused(number, give_up_at):
                    raise
        return await self._send_once(call, give_up_at)

    async def paused(self, number: int, give_up_at: datetime) -> bool:
        """Sleep after try `number`, before the next; false if there is no time left for one."""
        pause = _FIRST_PAUSE * (2**number) * self.jitter()
        if self.clock.now() + pause >= give_up_at:
            return False
        await self.clock.sleep(pause)
        return True

    async def _send_once(self, call: GraphCall, give_up_at: datetime) -> Mapping[str, object]:
        await self.governor.admit(meters_of(call, self.app.secret), org_id=self.lane)
        lost: type[VendorError] = OutcomeUnknownError if call.writes else VendorUnavailableError
        left = max(give_up_at - self.clock.now(), timedelta(seconds=1))
        try:
            answer = await self.http.send(self._request(call, min(call.deadline, left)))
        except NeverSentError as never_sent:
            msg = "Facebook is out of reach"
            raise VendorUnavailableError(msg, vendor=VENDOR, symptom="out_of_reach") from never_sent
        except NoAnswerError as cut_off:
            msg = "Facebook did not answer"
            symptom = "timed_out" if isinstance(cut_off, TimedOutError) else "no_answer"
            raise lost(msg, vendor=VENDOR, symptom=symptom) from cut_off
        return await self.understand(answer, call)

    async def understand(self, answer: HttpAnswer, call: GraphCall) -> Mapping[str, object]:
        """The body of an answer to `call`, once the governor has heard what it says about limits.

        Raises:
            VendorError: It is an error, or nothing we know.
        """
        try:
            body = read_answer(answer, call)
        except VendorError as failure:
            readings = readings_of(call, answer.headers, failure, self.app.secret)
            wait = await self.governor.report(readings)
            if isinstance(failure, RateLimitError) and (wait or failure.retry_after is None):
                failure.retry_after = wait or DEFAULT_WAIT
            raise
        await self.governor.report(readings_of(call, answer.headers, None, self.app.secret))
        return body

    def parameters(self, call: GraphCall) -> tuple[dict[str, str], dict[str, str]]:
        """The query and the body of `call`, with the proof for its token."""
        query, data = dict(call.query), dict(call.data)
        if call.token is not None:
            (data if call.method == "POST" else query).update(self._proof(call.token))
        return query, data

    def root_post(self, data: Mapping[str, str], deadline: timedelta) -> HttpRequest:
        """`POST /`, made as the app: how a batch is sent."""
        return self._post(relative_url((), {}), data, self.app_token(), deadline)

    def app_token(self) -> Secret:
        """The app's own token: id and secret."""
        return Secret(f"{self.app.app_id}|{self.app.secret.reveal()}")

    def _request(self, call: GraphCall, deadline: timedelta) -> HttpRequest:
        query, data = self.parameters(call)
        token = self.app_token() if call.is_app_call else call.token
        where = relative_url(call.path, query)
        if call.method == "POST":
            return self._post(where, data, token, deadline)
        return HttpRequest(
            method=call.method,
            url=self._url(where),
            headers=_headers(token),
            deadline=deadline,
            lane=self.lane,
        )

    def _post(
        self, where: str, data: Mapping[str, str], token: Secret | None, deadline: timedelta
    ) -> HttpRequest:
        return HttpRequest(
            method="POST",
            url=self._url(where),
            headers={**_headers(token), "content-type": "application/x-www-form-urlencoded"},
            body=form(data),
            deadline=deadline,
            lane=self.lane,
        )

    def _url(self, where: str) -> str:
        return f"{self.settings.graph_url}/{self.settings.api_version}/{where}"

    def _proof(self, token: Secret) -> dict[str, str]:
        """`appsecret_proof` over token and time: worthless to whoever reads it five minutes later."""
        made_at = str(int(self.clock.now().timestamp()))
        key, message = self.app.secret.reveal().encode(), f"{token.reveal()}|{made_at}".encode()
        return {
            "appsecret_proof": hmac.new(key, message, hashlib.sha256).hexdigest(),
            "appsecret_time": made_at,
        }


def graph_client(context: VendorContext) -> GraphClient:
    """The door for one org's app."""
    return GraphClient(
        http=context.http,
        clock=context.clock,
        app=context.app,
        settings=settings_of(context),
        governor=context.governor,
        lane=context.org_id,
    )


def _headers(token: Secret | None) -> dict[str, str]:
    accept = {"accept": "application/json"}
    return accept if token is None else {**accept, "authorization": f"Bearer {token.reveal()}"}


def relative_url(path: tuple[str, ...], query: Mapping[str, str]) -> str:
    """What follows the version in an address."""
    parts = "/".join(quote(part, safe="") for part in path)
    return f"{parts}?{form(query).decode()}" if query else parts


def form(values: Mapping[str, str]) -> bytes:
    """Form encoding; half a surrogate pair, which UTF-8 can't carry, becomes a question mark."""
    return urlencode(values, errors="replace").encode("ascii")


def read_answer(answer: HttpAnswer, call: GraphCall) -> Mapping[str, object]:
    """The body, if it is what was asked for.

    Raises:
        VendorError: It is an error, or nothing we know.
    """
    lost: type[VendorError] = OutcomeUnknownError if call.writes else VendorUnavailableError
    try:
        body = decode(answer.body)
    except UnreadableError:
        body = None
    if not 200 <= answer.status < 300 or read_graph_error(body) is not None:
        raise error_from_graph(answer.status, body, answer.headers, writes=call.writes)
    if not isinstance(body, dict) or not call.expects <= body.keys():
        msg = "Facebook answered in a shape we don't know"
        raise lost(msg, vendor=VENDOR, symptom=f"vendor_answered_{answer.status}")
    return body
