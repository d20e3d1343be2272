"""How a page is made: templates that escape whatever they are given, and headers that allow only our own."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.response import Redirect

from moorage.admin import words
from moorage_ports.values import web_url

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"


@attrs.frozen
class Place:
    """An entry of the navigation: what people come for."""

    path: str
    title: str
    icon: str  # the name of a drawing in icons.html
    is_for_admins: bool = False


NAVIGATION: Final = (
    Place("/admin", "Overview", "overview"),
    Place("/admin/inbox", "Inbox", "inbox"),
    Place("/admin/contacts", "Contacts", "contacts"),
    Place("/admin/leads", "Leads", "leads"),
    Place("/admin/posts", "Posts", "posts"),
    Place("/admin/integrations", "Integrations", "integrations"),
    Place("/admin/operations", "Operations", "operations", is_for_admins=True),
)


def fingerprint(name: str) -> str:
    """A static file's version, so that browsers may keep it for ever."""
    return sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def templates() -> Environment:
    """The one environment: everything is escaped, a misspelt name is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        navigation=NAVIGATION,
        stylesheet=f"/admin/assets/admin.css?v={fingerprint('admin.css')}",
        script=f"/admin/assets/admin.js?v={fingerprint('admin.js')}",
        count=words.count,
    )
    environment.filters.update(
        deed=words.deed,
        exact=words.exact,
        sentence=words.sentence,
        shortened=words.shortened,
        step_words=words.step_words,
        web_link=_web_link,
    )
    return environment


def _web_link(url: str | None) -> str:
    """A URL that may stand in an `href`: http or https, nothing else; otherwise empty (BAR U2)."""
    return url if url and web_url(url) else ""


@attrs.frozen
class Renderer:
    """Makes answers out of templates."""

    environment: Environment
    is_https: bool

    def page(
        self,
        template: str,
        context: Mapping[str, object],
        *,
        now: datetime,
        status: int = 200,
        cookies: Iterable[Cookie] = (),
        extra_headers: Mapping[str, str] | None = None,
    ) -> Response[bytes]:
        """A whole page; its script and stylesheet carry a nonce of their own that no other page has."""
        nonce = secrets.token_urlsafe(18)

        def ago(at: datetime) -> str:
            return words.relative(at, now)

        body = self.environment.get_template(template).render({**context, "nonce": nonce, "ago": ago})
        return Response(
            body.encode(),
            status_code=status,
            media_type=MediaType.HTML,
            headers={**self.headers(nonce), **(extra_headers or {})},
            cookies=list(cookies),
        )

    def redirect(self, path: str, cookies: Iterable[Cookie] = ()) -> Redirect:
        """See Other: after a form, whatever it did, the browser gets a page it may reload."""
        return Redirect(path, status_code=303, headers=self.headers(""), cookies=list(cookies))

    def headers(self, nonce: str) -> dict[str, str]:
        """What every answer says. Referrers stay on this origin; with `no-referrer` forms had no `Origin`."""
        own = f"'nonce-{nonce}'" if nonce else "'none'"
        policy = (
            f"default-src 'none'; script-src {own}; style-src {own}; img-src 'self'; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
            "Cache-Control": "no-store",
        }
        if self.is_https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        return headers


Answer = Response[Any]
