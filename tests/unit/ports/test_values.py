"""Only URLs that every parser reads alike are let through."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_ports.values import web_url


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/spring",
        "http://127.0.0.1:8090/x?y=%C3%A4#z",
        "https://cdn.example/a%20b.jpg",
    ],
)
def test_plain_web_addresses_pass(url: str) -> None:
    assert web_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "//evil.example",
        "https:evil.example",
        "https:///x",
        "ftp://x.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://good.example@evil.example/",
        "https://evil.example\\@good.example/",
        "https://exa mple.example",
        "\thttps://x.example",
        "https://x.example\r\n",
        "https://ex\u0430mple.example",
        "https://x.example:99999/",
        "https://x.example:0/",
        "https://[::1/",
        "https://x.example/" + "a" * 2048,
    ],
)
def test_what_parsers_disagree_about_is_refused(url: str) -> None:
    assert not web_url(url)


@given(st.text())
def test_nothing_accepted_carries_credentials_or_lacks_a_host(text: str) -> None:
    """Total over any text; what passes has a host and nothing before it."""
    if web_url(text):
        parts = urlsplit(text)
        assert parts.hostname
        assert parts.username is None
