"""The life of an admin session (BAR U5): how it begins, what carries it, and every way it ends."""

import asyncio
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from moorage.admin.accounts import create_account
from moorage.admin.attempts import PER_ACCOUNT, PER_ADDRESS, WINDOW, Attempts
from moorage.admin.sessions import ABSOLUTE, IDLE, cookie_name, session_cookie, token_hash
from moorage_ports.accounts import Account
from moorage_ports.errors import InvalidRequestError
from moorage_ports.operations import Role
from tests.support.harbour import NOON, Harbour
from tests.support.visitor import PASSWORD, Browser, Page, browser_of

PAGES = ["/admin", "/admin/leads", "/admin/posts", "/admin/integrations", "/admin/integrations/memory"]


@pytest.mark.parametrize("path", [*PAGES, "/admin/leads/x", "/admin/posts/x", "/admin/leads?q=a&p=2"])
async def test_nobody_sees_a_page_without_signing_in(stranger: Browser, path: str) -> None:
    answer = await stranger.get(path)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/admin/sign-in?next=")


async def test_signing_in_leads_back_to_where_one_wanted_to_be(account: Account, stranger: Browser) -> None:
    asked = await stranger.get("/admin/leads?q=ines&p=2")
    form = await stranger.page(asked.headers["location"])
    answer = await stranger.post(
        "/admin/sign-in", {"email": account.email, "password": PASSWORD, "next": form.field("next")}
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/leads?q=ines&p=2")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/admin",
        "/admin//evil.example",
        "/admin/../connect",
        "/admin\\@evil.example",
        "/adminx",
        "/admin/leads\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "/admin/sign-out",
        "",
    ],
)
async def test_signing_in_never_leads_anywhere_else(
    account: Account, stranger: Browser, elsewhere: str
) -> None:
    answer = await stranger.post(
        "/admin/sign-in", {"email": account.email, "password": PASSWORD, "next": elsewhere}
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(
    account: Account, stranger: Browser
) -> None:
    wrong = await stranger.sign_in(account.email, "not this one at all")
    unknown = await stranger.sign_in("nobody@a.example", "not this one at all")

    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert Page(wrong.text).text == Page(unknown.text).text
    assert not stranger.cookie
    assert "not this one" not in wrong.text


async def test_the_address_may_be_typed_in_any_case(account: Account, stranger: Browser) -> None:
    assert (await stranger.sign_in("  BOSS@a.Example ")).status_code == 303


async def test_the_cookie_is_random_hidden_from_scripts_and_not_kept_here(
    host: Harbour, account: Account, stranger: Browser, tmp_path: Path
) -> None:
    answer = await stranger.sign_in()
    header = answer.headers["set-cookie"].lower()

    assert len(stranger.cookie) == 43
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip() for part in header.split(";")}
    assert "domain" not in header
    assert "expires" not in header
    assert "max-age" not in header
    assert await host.storage.accounts.session(token_hash(stranger.cookie)) is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert stranger.cookie.encode() not in kept
    assert PASSWORD.encode() not in kept


def test_over_https_a_browser_takes_the_cookie_from_this_host_only() -> None:
    cookie = session_cookie("https://moorage.example", "t").to_header(header="")

    assert cookie_name("https://moorage.example").startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie


async def test_every_sign_in_makes_a_new_session_and_ends_the_browsers_old_one(
    host: Harbour, account: Account, admin: Browser
) -> None:
    """A cookie that somebody planted before the sign-in is worth nothing after it."""
    before = admin.cookie
    await admin.sign_in()

    assert admin.cookie != before
    assert await host.storage.accounts.session(token_hash(before)) is None


async def test_a_planted_cookie_does_not_become_a_session(account: Account, stranger: Browser) -> None:
    stranger.http.cookies.set("moorage_session", "A" * 43, domain="127.0.0.1", path="/")
    assert (await stranger.get("/admin")).status_code == 303
    answer = await stranger.sign_in()

    assert "A" * 43 not in answer.headers["set-cookie"]


async def test_a_session_ends_after_half_an_hour_of_nothing(host: Harbour, admin: Browser) -> None:
    host.clock.advance(IDLE - timedelta(seconds=1))
    assert (await admin.get("/admin")).status_code == 200
    host.clock.advance(IDLE - timedelta(seconds=1))
    assert (await admin.get("/admin")).status_code == 200
    host.clock.advance(IDLE)
    assert (await admin.get("/admin")).status_code == 303
    assert await host.storage.accounts.session(token_hash(admin.cookie)) is None


async def test_a_session_ends_after_twelve_hours_whatever_happens(host: Harbour, admin: Browser) -> None:
    for _ in range(int(ABSOLUTE / timedelta(minutes=20)) - 1):
        host.clock.advance(timedelta(minutes=20))
        assert (await admin.get("/admin")).status_code == 200
    host.clock.advance(timedelta(minutes=20))

    assert (await admin.get("/admin")).status_code == 303


async def test_our_script_looking_for_news_does_not_keep_a_session_alive(
    host: Harbour, admin: Browser
) -> None:
    for _ in range(3):
        host.clock.advance(IDLE / 3 - timedelta(seconds=1))
        looked = await admin.get("/admin/leads", **{"x-moorage-live": "1"})
        assert looked.status_code == 200
    host.clock.advance(timedelta(seconds=3))

    assert (await admin.get("/admin/leads", **{"x-moorage-live": "1"})).status_code == 401


async def test_signing_out_ends_the_session_on_the_server(host: Harbour, admin: Browser) -> None:
    token = admin.cookie
    answer = await admin.submit("/admin/sign-out", {})

    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sign-in")
    admin.http.cookies.set("moorage_session", token, domain="127.0.0.1", path="/")
    assert (await admin.get("/admin")).status_code == 303


@pytest.mark.parametrize("garbage", ["x", "A" * 44, "A" * 42 + "=", "../../etc/passwd", "A" * 5000])
async def test_any_other_cookie_is_nobody(account: Account, stranger: Browser, garbage: str) -> None:
    answer = await stranger.get("/admin", cookie=f"moorage_session={garbage}")

    assert answer.status_code == 303


async def test_one_org_never_sees_another(host: Harbour, admin: Browser) -> None:
    """A2 for sessions: the org comes from the session, and nothing in a request changes it."""
    await host.connect()
    await host.select("board-1")
    await host.publish("ours alone")
    await create_account(host.storage, org_id="org-b", email="b@b.example", password=PASSWORD)
    other = browser_of(host)
    await other.sign_in("b@b.example")
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        (publication,) = await uow.publications.latest(limit=5)

    assert (await admin.get(f"/admin/posts/{publication.id}")).status_code == 200
    assert (await other.get(f"/admin/posts/{publication.id}", orgid="org-a")).status_code == 404
    assert "ours alone" not in (await other.get("/admin/posts?orgid=org-a")).text
    assert "ours alone" not in (await other.get(f"/admin/posts?again={publication.id}")).text


# Guessing ------------------------------------------------------------------------------------


async def test_after_some_wrong_passwords_even_the_right_one_has_to_wait(
    host: Harbour, account: Account, stranger: Browser
) -> None:
    for _ in range(PER_ACCOUNT):
        assert (await stranger.sign_in(account.email, "wrong wrong wrong")).status_code == 422
    limited = await stranger.sign_in()
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) == WINDOW.total_seconds()
    assert "Wait 15 minutes" in Page(limited.text).text

    host.clock.advance(WINDOW)
    assert (await stranger.sign_in()).status_code == 303


async def test_many_guesses_at_once_are_no_more_than_a_few(account: Account, host: Harbour) -> None:
    browsers = [browser_of(host) for _ in range(40)]
    answers = await asyncio.gather(*(each.sign_in(account.email, "guess guess guess") for each in browsers))

    assert [answer.status_code for answer in answers].count(422) == PER_ACCOUNT


def test_one_address_may_not_try_many_accounts() -> None:
    attempts = Attempts()
    waits = [attempts.begin(f"p{number}@a.example", "192.0.2.1", NOON) for number in range(PER_ADDRESS + 1)]

    assert waits[:-1] == [None] * PER_ADDRESS
    assert waits[-1] == WINDOW
    assert attempts.begin("p1@a.example", "192.0.2.2", NOON) is None


def test_whoever_knows_the_password_is_not_held_up_by_having_used_it() -> None:
    attempts = Attempts()
    for _ in range(10 * PER_ADDRESS):
        assert attempts.begin("a@a.example", "192.0.2.1", NOON) is None
        attempts.succeeded("a@a.example", "192.0.2.1")


# Accounts ------------------------------------------------------------------------------------


async def test_a_password_is_kept_as_argon2id_only(account: Account) -> None:
    assert account.password_hash.startswith("$argon2id$")
    assert PASSWORD not in repr(account)
    assert account.email not in repr(account)


async def test_a_hash_made_with_weaker_parameters_is_renewed_at_the_sign_in(
    host: Harbour, account: Account, stranger: Browser
) -> None:
    from argon2 import PasswordHasher

    weak = attrs.evolve(account, password_hash=PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD))
    await host.storage.accounts.save(weak)
    assert (await stranger.sign_in()).status_code == 303
    renewed = await host.storage.accounts.by_email(account.email)

    assert renewed is not None
    assert "m=65536" in renewed.password_hash


@pytest.mark.parametrize("password", ["short", "x" * 11, "x" * 257])
async def test_a_password_that_is_too_short_or_too_long_makes_no_account(
    host: Harbour, password: str
) -> None:
    with pytest.raises(InvalidRequestError):
        await create_account(host.storage, org_id="o", email="a@b.example", password=password)


async def test_an_account_made_again_gets_the_new_password_and_keeps_its_id(
    host: Harbour, account: Account, stranger: Browser
) -> None:
    again = await create_account(
        host.storage,
        org_id="org-a",
        email="Boss@A.example",
        password="another quiet harbour",
        role=Role.VIEWER,
    )

    assert again.id == account.id
    assert (await stranger.sign_in()).status_code == 422
    assert (await stranger.sign_in(password="another quiet harbour")).status_code == 303
