"""The sandbox as a library meets it: an address, an app, and people who act."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import httpx
import msgspec

from moorage_facebook.sandbox.app import build_sandbox
from moorage_facebook.sandbox.scopes import PERMISSIONS
from moorage_facebook.settings import GraphSettings
from moorage_ports.plugin import AsgiApp, Sandbox, SandboxPlan
from moorage_ports.secret import Secret
from tests.oracles.served import served

VERSION: Final = "v26.0"
USER: Final = "10206266332119368"
PAGE: Final = "1234567890"
SECOND_PAGE: Final = "61558812340917265"
FORM: Final = "920180045512345"
REDIRECT_URI: Final = "http://127.0.0.1/connect/oauth2callback"


@attrs.frozen(kw_only=True)
class ServedSandbox:
    """One sandbox, its app's credentials, and a person behind its control routes. It blocks, as SDKs do."""

    url: str
    settings: Mapping[str, str]
    client: httpx.Client

    @property
    def app_id(self) -> str:
        return self.settings["app_id"]

    @property
    def app_secret(self) -> str:
        return self.settings["app_secret"]

    @property
    def app_token(self) -> str:
        return f"{self.app_id}|{self.app_secret}"

    def graph_settings(self) -> GraphSettings:
        """What the plugin is configured with."""
        return GraphSettings(
            app_id=self.app_id,
            app_secret=Secret(self.app_secret),
            verify_token=Secret(self.settings["verify_token"]),
            graph_url=self.url,
            dialog_url=self.url,
        )

    def control(self, path: str, **body: object) -> Mapping[str, object]:
        """`POST /_sandbox/{path}`."""
        answer = self.client.post(f"/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=dict[str, object])

    def state(self, part: str) -> list[dict[str, object]]:
        """One list of what the sandbox holds."""
        answer = self.client.get("/_sandbox/state", params={"only": part})
        return msgspec.json.decode(answer.content, type=dict[str, list[dict[str, object]]])[part]

    def seconds(self) -> int:
        """The sandbox's own time."""
        answer = self.client.get("/_sandbox/state", params={"only": "now"})
        return int(msgspec.json.decode(answer.content, type=dict[str, float])["now"])

    def clear_up(self) -> None:
        """No fault any more."""
        assert self.client.delete("/_sandbox/faults").status_code == 200

    def consent(self, dialog_url: str) -> str:
        """Be the person: say yes. Answers where the browser goes."""
        return str(self.control("consent", authUrl=dialog_url, decision="grant")["redirect"])

    def user_token(self, scopes: Sequence[str] = tuple(PERMISSIONS)) -> str:
        """A long-lived token of the one person there is."""
        ask = {"client_id": self.app_id, "redirect_uri": REDIRECT_URI, "scope": ",".join(scopes)}
        back = self.consent(f"{self.url}/{VERSION}/dialog/oauth?{urlencode(ask)}")
        code = dict(parse_qsl(urlsplit(back).query))["code"]
        short = self._exchange(code=code, redirect_uri=REDIRECT_URI)
        return self._exchange(grant_type="fb_exchange_token", fb_exchange_token=short)

    def page_token(self, user_token: str, page_id: str = PAGE) -> str:
        """The Page's own token."""
        query = {"access_token": user_token, "appsecret_proof": self.proof(user_token)}
        answer = self.client.get(f"/{VERSION}/{page_id}", params={**query, "fields": "access_token"})
        return str(answer.json()["access_token"])

    def proof(self, token: str) -> str:
        """`appsecret_proof` without a time, as most libraries make it."""
        return hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()

    def fill_in(self, answers: Mapping[str, Sequence[str]], **more: object) -> list[str]:
        """Submit the form, without a webhook unless `delivery` says so; answers the ids of the leads."""
        body = {"pageId": PAGE, "formId": FORM, "answers": answers, "delivery": "lose", **more}
        leads = self.control("leads", **body)["leads"]
        assert isinstance(leads, list)
        return [str(lead["id"]) for lead in leads]

    def _exchange(self, **params: str) -> str:
        app = {"client_id": self.app_id, "client_secret": self.app_secret}
        answer = self.client.post(f"/{VERSION}/oauth/access_token", data={**app, **params})
        return str(answer.json()["access_token"])


@contextmanager
def served_sandbox(host_url: str = "http://127.0.0.1:9") -> Iterator[ServedSandbox]:
    """A fresh sandbox on a port of its own; its webhooks go to `host_url` (by default: nobody there)."""
    built: list[Sandbox] = []

    def build(address: str) -> AsgiApp:
        built.append(build_sandbox(SandboxPlan(base_url=address, host_url=host_url)))
        return built[0].app

    with served(build) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield ServedSandbox(url=url, settings=built[0].settings, client=client)
