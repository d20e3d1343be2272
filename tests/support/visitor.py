"""Somebody in front of the admin UI: a browser without script, over a real app."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import attrs
import httpx

from moorage.admin.sessions import open_session
from moorage_ports.accounts import Account
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, ORIGIN, Harbour

PASSWORD = "a quiet harbour at dawn"


class Page(HTMLParser):
    """A page as a browser parses it: its tags with their attributes, its text, and its forms."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """What a person reads, blanks folded."""
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    def field(self, name: str) -> str:
        """The value of the first input of that name."""
        return next(each["value"] for each in self.all("input") if each.get("name") == name)

    def form(self, action: str) -> dict[str, list[str]]:
        """What a browser would send of the form with this action, if no button had a name."""
        fields: dict[str, list[str]] = {}
        is_in, select, is_fresh = False, "", False
        for tag, attributes in self.tags:
            if tag == "form":
                is_in = attributes.get("action", "").partition("#")[0] == action
            name, value = attributes.get("name", ""), attributes.get("value", "")
            if not is_in:
                continue
            if tag == "input" and name and (attributes.get("type") != "checkbox" or "checked" in attributes):
                fields.setdefault(name, []).append(value)
            elif tag == "select":
                select, is_fresh = name, True
            elif tag == "option" and select:  # the first one, unless another is chosen
                chosen = fields.setdefault(select, [])
                if is_fresh:
                    chosen.append(value)
                elif "selected" in attributes:
                    chosen[-1] = value
                is_fresh = False
        return fields


@attrs.define
class Browser:
    """One browser: its own cookies, the headers that a browser sends, nothing followed by itself."""

    http: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def page(self, path: str) -> Page:
        answer = await self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return Page(answer.text)

    async def post(self, path: str, fields: Mapping[str, str | list[str]], **headers: str) -> httpx.Response:
        """Send a form as a page of ours would, unless `headers` say otherwise."""
        sent = {"origin": ORIGIN, "sec-fetch-site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.http.post(
            path, data=fields, headers={name: value for name, value in sent.items() if value}
        )

    async def submit(self, path: str, fields: Mapping[str, str | list[str]]) -> httpx.Response:
        """Send a form with this session's token."""
        return await self.post(path, {**fields, "csrf": await self.token()})

    async def token(self) -> str:
        """This session's form token, as its pages carry it."""
        return (await self.page("/admin/integrations")).field("csrf")

    async def sign_in(self, email: str = "boss@a.example", password: str = PASSWORD) -> httpx.Response:
        return await self.post("/admin/sign-in", {"email": email, "password": password})

    @property
    def cookie(self) -> str:
        """The session cookie's value; empty without one."""
        return self.http.cookies.get("moorage_session", default="") or ""


def browser_of(host: Harbour) -> Browser:
    """A fresh browser."""
    transport = httpx.ASGITransport(app=host.app, raise_app_exceptions=False)  # type: ignore[arg-type]
    return Browser(httpx.AsyncClient(transport=transport, base_url=ORIGIN))


async def browser_as(host: Harbour, role: Role) -> Browser:
    """A fresh browser in which a colleague with that role is signed in."""
    account = Account(
        id=f"account-{role.value}",
        org_id=ADMIN.org_id,
        email=f"{role.value}@a.example",
        password_hash="none fits",
        role=role,
    )
    await host.storage.accounts.save(account)
    browser = browser_of(host)
    _, token = await open_session(host.services, account)
    browser.http.cookies.set("moorage_session", token, domain="127.0.0.1", path="/")
    return browser


async def connect(host: Harbour, browser: Browser) -> httpx.Response:
    """Press the button, consent at the vendor, come back to a page of ours."""
    leaving = await browser.submit("/admin/integrations/memory/connect", {})
    assert leaving.status_code == 200, leaving.text
    (refresh,) = [each for each in Page(leaving.text).all("meta") if each.get("http-equiv") == "refresh"]
    url = re.sub(r"^0; url=", "", refresh["content"])
    back = await browser.get(host.world.consent(url))
    assert back.status_code == 303, back.text
    return back
