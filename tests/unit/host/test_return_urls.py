"""O6: a browser is only ever sent where the operator said it may go."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.return_urls import check_return_url, return_target
from moorage_ports.errors import ReturnUrlError

TARGETS = tuple(map(return_target, ("https://admin.example/app", "org-b:https://b.example")))


def checked(url: str, org_id: str) -> str:
    return check_return_url(url, org_id=org_id, targets=TARGETS, public_url="https://host.example")


ALLOWED = [
    "https://admin.example/app",
    "https://admin.example/app/",
    "https://admin.example/app/integrations?tab=1&next=https://evil.example",
    "https://admin.example/app#/integrations",
    "https://admin.example:443/app",
    "HTTPS://ADMIN.EXAMPLE/app",
    "https://admin.example/app/%C3%A4",
    "https://host.example/admin",
    "https://host.example/admin/integrations/x",
]

_HOSTS = [
    "evil.example",
    "admin.example.evil.example",
    "evil.example#admin.example",
    "evil.example?admin.example",
    "admin.example@evil.example",
    "admin.example:pass@evil.example",
    "admin.example%40evil.example",
    "admin.example\\@evil.example",
    "evil.example\\.admin.example",
    "evil.example%2f.admin.example",
    "evil.example%5c.admin.example",
    "evil.example%00.admin.example",
    "admin.example:8443",
    "admin.example:0443x",
    "admin.example.",
    "admin.example%2e",
    "adminXexample",
    "xadmin.example",
    "sub.admin.example",
    "аdmin.example",
    "admin。example",
    "admin.example\u3002evil.example",
    "admin.example\u2215evil.example",
    "ⓐdmin.example",
    "xn--dmin-53d.example",
    "127.0.0.1",
    "[::1]",
    "0x7f.1",
    "2130706433",
    "localhost",
    "admin.example:@evil.example",
    "@evil.example",
    ":443",
    "",
    " admin.example",
    "admin.example\t.evil.example",
    "admin.example\n",
    "admin.example\r\nX: 1",
]
_PATHS = [
    "/",
    "",
    "/application",
    "/App",
    "/app%2f..",
    "/app/..",
    "/app/../secret",
    "/app/%2e%2e/secret",
    "/app/.%2e/secret",
    "/app/%2E%2E",
    "/app/%252e%252e/secret",
    "/app/%25252e%25252e/secret",
    "/app/..;/secret",
    "/app/..%00/secret",
    "/app/./x",
    "/app\\..\\secret",
    "/app/%5c..",
    "/app/%5C%2e%2e",
    "/app//evil.example",
    "//app",
    "/%61pp%2fx",
    "/app/%0d%0aSet-Cookie:x",
    "/app/\x00",
    "/app/ x",
    "/app/\u202e",
    "/x/../app",
]
_WHOLE = [
    "//evil.example",
    "///evil.example",
    "////evil.example/%2f..",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:\\\\evil.example",
    "http://admin.example/app",
    "ftp://admin.example/app",
    "javascript:alert(1)",
    "javascript://admin.example/app%0aalert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "blob:https://admin.example/app",
    "view-source:https://admin.example/app",
    "about:blank",
    "/app",
    "app",
    "",
    " ",
    "https://",
    "https",
    "https://admin.example/app" + "x" * 3000,
    "https://admin.example:99999/app",
    "https://admin.example:-1/app",
    "https://admin.example:٤٤٣/app",
    "https://[admin.example]/app",
    "https://[::1/app",
    "\thttps://admin.example/app",
    "https://admin.example/app\n",
    "ht\ttps://admin.example/app",
    "https://b.example/x",
    "https://host.example/",
    "https://host.example/administration",
    "https://host.example/connect/oauth2callback/x",
    "https://host.example/admin/../connect",
]
REFUSED = [
    *_WHOLE,
    *(f"https://{host}/app" for host in _HOSTS),
    *(f"{scheme}://{host}/app" for scheme in ("http", "ftp", "ws", "https\u200b") for host in _HOSTS[:20]),
    *(f"https://admin.example{path}" for path in _PATHS),
    *(f"https://evil.example{path}?https://admin.example/app" for path in _PATHS),
]


def test_o6_two_hundred_urls_that_lead_elsewhere() -> None:
    """O6: the corpus is as large as it claims to be."""
    assert len(set(REFUSED)) >= 200


@pytest.mark.parametrize("url", sorted(set(REFUSED)))
def test_o6_what_leads_elsewhere_is_refused(url: str) -> None:
    """O6: other origins, other paths, and everything that two parsers read differently."""
    with pytest.raises(ReturnUrlError) as refusal:
        checked(url, "org-a")
    assert url.strip() == "" or url not in str(refusal.value), "what was sent is not repeated"


@pytest.mark.parametrize("url", ALLOWED)
def test_what_lies_below_a_target_is_allowed(url: str) -> None:
    assert checked(url, "org-a") == url


def test_an_org_with_targets_of_its_own_has_only_those() -> None:
    assert checked("https://b.example/x", "org-b")
    with pytest.raises(ReturnUrlError):
        checked("https://admin.example/app", "org-b")


@pytest.mark.parametrize(
    "target", ["evil", "org a:https://x.example", "https://x.example/?q", "ftp://x.example", ":"]
)
def test_a_target_that_is_none_does_not_start(target: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        return_target(target)


@given(st.text(alphabet=st.sampled_from("htps:/\\@.#?%25eE2fFadminexmplvl \t0:[]"), max_size=60))
def test_o6_whatever_passes_has_the_origin_and_the_path(tail: str) -> None:
    """O6: nothing composed of the dangerous letters gets by with another host."""
    for url in (tail, "https://admin.example" + tail, "https://" + tail):
        try:
            checked(url, "org-a")
        except ReturnUrlError:
            continue
        parts = urlsplit(url)
        assert (parts.scheme, parts.hostname) in {("https", "admin.example"), ("https", "host.example")}
        assert parts.path.startswith(("/app", "/admin"))
        assert ".." not in parts.path
