"""L2, L4, L6: what is logged tells what happened, and neither secrets nor people nor forged lines."""

import io
import logging
import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from moorage.logging import QUIET, REDACTED, Redactor, configure_logging
from moorage_ports.errors import UnavailableError


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, with the process's logging put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    configure_logging("DEBUG", token_shapes=(re.compile(r"\bshop-\w+"),), stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    for name, kept in levels.items():
        logging.getLogger(name).setLevel(kept)
    structlog.reset_defaults()


def last(lines: io.StringIO) -> dict[str, object]:
    return msgspec.json.decode(lines.getvalue().splitlines()[-1], type=dict[str, object])


CANARY = "cAnArY0123456789"
LEAKS = [
    f"GET https://x.example/me?access_token={CANARY}&fields=id",
    f"GET https://x.example/me?appsecret_proof={CANARY}",
    f"/connect/oauth2callback/shop?code={CANARY}&state={CANARY}",
    f"client_secret={CANARY}&grant_type=x",
    f"?hub.verify_token={CANARY}&hub.challenge={CANARY}",
    f"input_token={CANARY}",
    f"fb_exchange_token={CANARY}",
    f"refresh_token={CANARY}; Path=/",
    f"Authorization: Bearer {CANARY}",
    f"authorization=Basic {CANARY}",
    f'{{"access_token": "{CANARY}"}}',
    f"{{'client_secret': '{CANARY}'}}",
    f"token shop-{CANARY} was refused",
    f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
    f"x-hub-signature-256: sha256={'0123456789abcdef' * 4}",
    f"lead {CANARY}@customer.example",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_l2_secrets_and_people_are_redacted(leak: str, lines: io.StringIO) -> None:
    """L2: in the message, in arguments, in values, however deep, from our loggers and from others."""
    structlog.get_logger("moorage.x").warning("happened", url=leak, deep=[{"a": (leak,)}])
    structlog.get_logger("moorage.x").warning(leak)
    logging.getLogger("somebody").warning("failed: %s", leak)

    logged = lines.getvalue()
    assert len(logged.splitlines()) == 3
    assert CANARY not in logged
    assert "0123456789abcdef0123" not in logged
    assert REDACTED in logged


def test_l2_values_are_redacted_by_their_names(lines: io.StringIO) -> None:
    """L2: a secret under its own name needs no pattern; an error's code is no secret."""
    structlog.get_logger("x").warning(
        "happened", access_token=CANARY, email=CANARY, code="rate_limited", state=f"v1.{CANARY}", body=CANARY
    )

    assert CANARY not in lines.getvalue()
    assert last(lines)["code"] == "rate_limited"


def test_l2_libraries_that_print_urls_are_held_at_warning(lines: io.StringIO) -> None:
    """L2: also at DEBUG, and also when somebody asks them directly."""
    for name in QUIET:
        assert logging.getLogger(name).level >= logging.WARNING
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get(f"https://x.example/?access_token={CANARY}")

    assert lines.getvalue() == ""


def test_l4_an_exception_is_types_and_places_without_locals_or_foreign_text(lines: io.StringIO) -> None:
    """L4: where it broke, and nothing of what it was working on."""

    def broken(password: str) -> None:
        msg = f"no such key: {password}"
        raise KeyError(msg)

    for logger in (structlog.get_logger("x"), logging.getLogger("somebody")):
        try:
            try:
                broken("local" + CANARY)
            except KeyError as inner:
                msg = "the database is out of reach"
                raise UnavailableError(msg) from inner
        except UnavailableError:
            logger.exception("it broke")

    first, second = (
        msgspec.json.decode(line, type=dict[str, object]) for line in lines.getvalue().splitlines()
    )
    assert CANARY not in lines.getvalue()
    for told in (first, second):
        chain = msgspec.convert(told["error"], list[dict[str, object]])
        assert [each["type"] for each in chain] == [
            "moorage_ports.errors.UnavailableError",
            "builtins.KeyError",
        ]
        assert chain[0]["text"] == "the database is out of reach"
        assert "text" not in chain[1]
        assert "broken" in str(chain[1]["at"])


@given(st.text())
def test_l6_nothing_forges_a_line(text: str) -> None:
    """L6: line breaks, escapes, and marks that turn text around arrive escaped."""
    stream = io.StringIO()
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    configure_logging("INFO", stream=stream)
    nasty = text + '\r\n{"event":"forged"}\x1b[2J\u202e\u2028\x85\x00\x7f'
    try:
        structlog.get_logger("x").info(nasty, value=nasty, **{"k\n": nasty})
        logging.getLogger("somebody").info("%s", nasty)
    finally:
        logging.getLogger().handlers = handlers
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()

    written = stream.getvalue()
    assert written.count("\n") == 2
    assert written.isascii()
    assert all(character == "\n" or " " <= character <= "~" for character in written)
    for line in written.splitlines():
        assert "event" in msgspec.json.decode(line, type=dict[str, object])


@given(st.text(max_size=4000))
def test_redaction_is_total(text: str) -> None:
    assert isinstance(Redactor().text(text), str)
