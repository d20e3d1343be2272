"""Confirming that it is you (BAR U5): what asks for a recent password, and how it is given."""

from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from moorage.admin.attempts import PER_ACCOUNT, WINDOW
from moorage.admin.proof import ACTS, ERASE, EXPORT, REPLAY, ROTATE, Act
from moorage.admin.sessions import IDLE, PROOF_LASTS, token_hash
from moorage.crm.lead_changes import LeadDraft, add_lead
from moorage.handover.endpoints import EndpointView, NewEndpoint, create_endpoint, list_endpoints
from moorage.privacy.settings import SetRetention, get_retention, set_retention
from moorage_ports.accounts import Account, Session
from moorage_ports.operations import Role
from tests.routes.admin.test_forms import POSTS
from tests.support.harbour import ADMIN, Harbour
from tests.support.visitor import PASSWORD, Browser, Page, browser_as, browser_of

HANDOVER: Final = "/admin/operations/handover"
PRIVACY: Final = "/admin/operations/privacy"
URL: Final = "https://crm.example/hooks"
DAYS: Final = {"leadDays": "30", "personDays": "", "deliveryDays": "7", "waitingDays": "90"}
LATE: Final = PROOF_LASTS + timedelta(seconds=1)


@attrs.frozen(kw_only=True)
class Protected:
    """An act that asks for a recent password: what is sent, where that leads back to, what a fresh one gets.

    `{e}` and `{l}` are an endpoint and a lead that are there.
    """

    act: str
    sent: dict[str, str]
    back: str
    done: str  # where a fresh one leads, or what its page says


# In this order all of them can be done, one after the other.
PROTECTED: Final[dict[str, Protected]] = {
    "/admin/deliveries/replay": Protected(act="replay", sent={}, back="/admin?confirmed=1", done="/admin"),
    "/admin/operations/replay": Protected(
        act="replay",
        sent={
            "state": "dead",
            "back": "ledger",
            "page": "/admin/leads/ledger/replay?outcome=dead&form=&x=1",
        },
        back="/admin/leads/ledger/replay?outcome=dead&confirmed=1",
        done="/admin/leads/ledger?replayed=0",
    ),
    f"{HANDOVER}/ep-1/replay": Protected(
        act="send-again",
        sent={},
        back=f"{HANDOVER}/{{e}}?confirmed=1#messages",
        done=f"{HANDOVER}/{{e}}?replayed=0",
    ),
    f"{HANDOVER}/ep-1/rotate": Protected(
        act="rotate",
        sent={"key": "turn-1", "keep": "72"},
        back=f"{HANDOVER}/{{e}}?keep=72&confirmed=1#secret",
        done="Copy it now: it is not shown again",
    ),
    f"{HANDOVER}/ep-1/change": Protected(
        act="move",
        sent={"url": f"{URL}/elsewhere", "description": "", "event": "lead.created"},
        back=f"{HANDOVER}/{{e}}?confirmed=1#settings",
        done=f"{HANDOVER}/{{e}}?saved=1",
    ),
    f"{HANDOVER}/ep-1/delete": Protected(
        act="delete",
        sent={},
        back=f"{HANDOVER}/{{e}}?confirmed=1#switch",
        done=f"{HANDOVER}?deleted=1",
    ),
    HANDOVER: Protected(
        act="add",
        sent={"key": "form-1", "url": f"{URL}/another", "event": "lead.created"},
        back=f"{HANDOVER}?confirmed=1#add",
        done="Copy it now: it is not shown again",
    ),
    f"{PRIVACY}/retention": Protected(
        act="shorten",
        sent=DAYS,
        back=f"{PRIVACY}/retention?leadDays=30&deliveryDays=7&waitingDays=90&confirmed=1",
        done=f"{PRIVACY}?saved=1",
    ),
    f"{PRIVACY}/erase": Protected(
        act="erase",
        sent={"leadId": "{l}", "sure": "1"},
        back=f"{PRIVACY}/erase?lead={{l}}&confirmed=1",
        done=f"{PRIVACY}?erased=1",
    ),
}
# The others, and why a signed-in browser is enough for them.
FREE: Final[dict[str, str]] = {
    "/admin/confirm": "it is what asks",
    "/admin/sign-out": "it takes rights away",
    f"{HANDOVER}/ep-1/test": "the message tells nothing",
    f"{PRIVACY}/look": "it changes nothing",
    "/admin/posts": "daily work",
    "/admin/leads/lead-1": "daily work, and it can be changed back",
    "/admin/inbox/cv_1/answer": "daily work",
    "/admin/inbox/cv_1/private": "daily work",
    "/admin/inbox/cv_1/hide": "daily work, and it can be undone",
    "/admin/inbox/cv_1/tend": "daily work",
    "/admin/integrations/memory/connect": "the vendor asks who it is",
    "/admin/integrations/memory/channels": "nothing leaves, and it can be changed back",
    "/admin/leads/forms/memory/form-1/backfill": "what the vendor has comes in, nothing leaves",
    "/admin/leads/forms/memory/form-1/mapping": "a version of its own, the ones before stay",
    "/admin/leads/forms/memory/form-1/remap": "answers stay as they came, and can be mapped anew",
    "/admin/leads/forms/memory/form-1/tests": "a test lead is marked as one",
}


@pytest.fixture
def password_hash() -> str:
    """A quick one: how slow a password is checked is the sign-in's matter."""
    return PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)


@pytest.fixture
async def late(host: Harbour, admin: Browser) -> Browser:
    """The admin's browser, a while after the sign-in."""
    host.clock.advance(LATE)
    return admin


async def endpoints(host: Harbour) -> tuple[EndpointView, ...]:
    return (await list_endpoints(host.services, ADMIN.org_id)).items


async def stocked(host: Harbour) -> dict[str, str]:
    """An endpoint and a lead."""
    endpoint = (await create_endpoint(host.services, ADMIN, NewEndpoint(url=URL))).endpoint
    lead = await add_lead(host.services, ADMIN, LeadDraft(first_name="Ines", email="ines@customer.example"))
    return {"e": endpoint.id, "l": lead.id}


async def state(host: Harbour) -> tuple[object, ...]:
    """Everything that the acts change."""
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        kept = [await uow.outgoing.endpoint(one.id) for one in await endpoints(host)]
    days = await get_retention(host.services, ADMIN.org_id)
    return kept, (days.lead_days, days.changed_at), await host.leads()


def asks(answer: httpx.Response) -> dict[str, str]:
    """What the address of the page that asks says."""
    where = urlsplit(answer.headers["location"])
    assert (answer.status_code, where.path) == (303, "/admin/confirm"), answer.headers
    return {name: text for name, (text,) in parse_qs(where.query).items()}


async def confirm(browser: Browser, asked: httpx.Response, password: str = PASSWORD) -> httpx.Response:
    """Follow to the page that asks, and give the password there: no script is needed for that."""
    page = await browser.page(asked.headers["location"])
    fields = {name: values[-1] for name, values in page.form("/admin/confirm").items()}
    return await browser.post("/admin/confirm", {**fields, "password": password})


async def session_of(host: Harbour, browser: Browser) -> Session:
    found = await host.storage.accounts.session(token_hash(browser.cookie))
    assert found is not None
    return found


def test_every_post_either_asks_for_a_recent_password_or_says_why_not_u5() -> None:
    """A new button has to choose."""
    assert {*PROTECTED, *FREE} == set(POSTS)
    assert not PROTECTED.keys() & FREE.keys()
    assert {one.act for one in PROTECTED.values()} | {EXPORT.name} == set(ACTS)


async def test_an_old_proof_does_nothing_and_a_fresh_one_does_it_u5(host: Harbour, late: Browser) -> None:
    ids = await stocked(host)
    before = await state(host)
    asked = {}
    for path, one in PROTECTED.items():
        sent = {name: text.format(**ids) for name, text in one.sent.items()}
        asked[path] = await late.submit(path.replace("ep-1", ids["e"]), sent)
        assert asks(asked[path])["act"] == one.act, path
    assert await state(host) == before

    for path, one in PROTECTED.items():
        # Whoever has confirmed once is led on from the page that asks, to where the act is done.
        answer = (
            await confirm(late, asked[path])
            if one is next(iter(PROTECTED.values()))
            else await late.get(asked[path].headers["location"])
        )
        assert (answer.status_code, answer.headers["location"]) == (303, one.back.format(**ids))
        back = await late.get(answer.headers["location"])
        assert (back.status_code, "You confirmed that it is you" in back.text) == (200, True), path
        sent = {name: text.format(**ids) for name, text in one.sent.items()}
        done = await late.submit(path.replace("ep-1", ids["e"]), sent)
        assert one.done.format(**ids) in (done.headers.get("location", ""), *Page(done.text).texts), path
    assert len(await endpoints(host)) == 1, "one was deleted, another one added"
    assert await host.leads() == ()


async def test_a_file_of_leads_asks_first_and_is_then_one_press_away_u5(host: Harbour, late: Browser) -> None:
    await stocked(host)
    host.clock.advance(timedelta(seconds=1))
    page = await late.page("/admin/leads?status=new")
    links = [each for each in page.all("a") if "/admin/leads/export" in each["href"]]
    assert links
    assert not [each for each in links if "download" in each], "a browser would save the question as the file"
    asked = await late.get("/admin/leads/export?format=jsonl&status=new")
    assert "Ines" not in asked.text
    assert asks(asked) == {"act": "export", "next": "/admin/leads?status=new&take=jsonl"}
    back = await confirm(late, asked)
    page = await late.page(back.headers["location"])
    assert "Download the file" in page.text
    href = next(
        each["href"] for each in page.all("a") if "take" not in each["href"] and "jsonl" in each["href"]
    )

    file = await late.get(href)
    assert file.headers["content-disposition"].startswith("attachment;")
    assert "Ines" in file.text
    viewer = await browser_as(host, Role.VIEWER)
    assert (await viewer.get("/admin/leads/export")).status_code == 403


async def test_signing_in_is_a_proof_and_lasts_for_ten_minutes_u5(
    host: Harbour, account: Account, stranger: Browser
) -> None:
    await stranger.sign_in()
    host.clock.advance(PROOF_LASTS - timedelta(seconds=1))
    assert (await stranger.get("/admin/leads/export")).status_code == 200
    host.clock.advance(timedelta(seconds=1))
    asks(await stranger.get("/admin/leads/export"))
    await stranger.sign_in()
    assert (await stranger.get("/admin/leads/export")).status_code == 200


async def test_who_has_to_sign_in_first_is_led_on_to_the_act_u5(account: Account, stranger: Browser) -> None:
    asked = await stranger.get(
        "/admin/confirm?act=rotate&next=%2Fadmin%2Foperations%2Fhandover%2Fep_1%3Fkeep%3D1"
    )
    form = await stranger.page(asked.headers["location"])
    sent = {"email": account.email, "password": PASSWORD, "next": form.field("next")}
    there = await stranger.get((await stranger.post("/admin/sign-in", sent)).headers["location"])

    assert there.headers["location"] == f"{HANDOVER}/ep_1?keep=1&confirmed=1#secret"


async def test_a_session_from_before_that_question_is_asked_u5(host: Harbour, admin: Browser) -> None:
    session = await session_of(host, admin)
    await host.storage.accounts.close_session(session.id)
    await host.storage.accounts.open_session(attrs.evolve(session, proved_at=None))

    assert (await admin.get("/admin/leads")).status_code == 200
    assert (await confirm(admin, await admin.get("/admin/leads/export"))).status_code == 303
    assert (await admin.get("/admin/leads/export")).status_code == 200


async def test_a_proof_changes_the_cookie_and_nothing_else_of_the_session_u5(
    host: Harbour, late: Browser
) -> None:
    """Whoever had the old cookie has nothing; forms in other tabs and a begun connection go on."""
    cookie, before = late.cookie, await session_of(host, late)
    answer = await confirm(late, await late.get("/admin/leads/export"))
    after, now = await session_of(host, late), host.clock.now()

    assert late.cookie != cookie
    assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in answer.headers["set-cookie"].split(";")}
    assert await host.storage.accounts.session(token_hash(cookie)) is None
    changed = attrs.evolve(before, token_hash=token_hash(late.cookie), proved_at=now, last_seen_at=now)
    assert after == changed


async def test_a_wrong_password_tells_nothing_and_proves_nothing_u5(host: Harbour, late: Browser) -> None:
    asked = await late.get("/admin/leads/export")
    cookie, before = late.cookie, await session_of(host, late)
    for wrong in ("not this one at all", "", PASSWORD + " ", "x" * 5_000):
        answer = await confirm(late, asked, wrong)
        assert answer.status_code == 422
        assert "The password is not right." in Page(answer.text).text
        assert "set-cookie" not in answer.headers
        assert not wrong.strip() or wrong not in answer.text
    assert (late.cookie, await session_of(host, late)) == (cookie, before)
    asks(await late.get("/admin/leads/export"))


async def test_guesses_count_with_those_at_the_sign_in_u5(host: Harbour, late: Browser) -> None:
    asked = await late.get("/admin/leads/export")
    for _ in range(PER_ACCOUNT):
        assert (await confirm(late, asked, "guess guess guess")).status_code == 422
    limited = await confirm(late, asked)
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) == WINDOW.total_seconds()
    assert "Wait 15 minutes" in Page(limited.text).text
    assert (await browser_of(host).sign_in()).status_code == 429

    host.clock.advance(WINDOW)
    assert (await confirm(late, asked)).status_code == 303


async def test_the_page_says_what_is_about_to_be_done_and_whose_password_it_wants_u5(
    account: Account, late: Browser
) -> None:
    asked = await late.submit("/admin/deliveries/replay", {})
    answer = await late.get(asked.headers["location"])
    page = Page(answer.text)
    password = next(each for each in page.all("input") if each.get("name") == "password")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "You are about to have deliveries worked on again" in page.text
    assert page.field("email") == account.email
    assert password["autocomplete"] == "current-password"
    assert {"required", "autofocus"} <= password.keys()
    assert [each["href"] for each in page.all("a")] == ["/admin"]
    assert (await late.get("/admin/confirm?act=what")).status_code == 404
    assert (await late.submit("/admin/confirm", {"act": "what", "password": PASSWORD})).status_code == 404


async def test_what_says_it_is_confirmed_is_not_said_by_a_link_u5(late: Browser) -> None:
    assert "You confirmed" not in (await late.page("/admin/leads?confirmed=1&take=csv")).text


async def test_pages_and_looks_for_news_ask_for_nothing_u5(late: Browser) -> None:
    for path in ("/admin", "/admin/leads", HANDOVER, PRIVACY):
        for headers in ({}, {"x-moorage-live": "1"}):
            assert (await late.get(path, **headers)).status_code == 200, path
    assert "Confirm that it is you …" in (await late.page(HANDOVER)).text, "before an address is typed"


async def test_only_what_takes_data_away_asks_u5(host: Harbour, late: Browser) -> None:
    """To keep it for longer, to change a description or to pause are none of that."""
    ids = await stocked(host)
    longer = {**DAYS, "leadDays": "400", "personDays": ""}
    path = f"{HANDOVER}/{ids['e']}/change"

    assert (await late.submit(f"{PRIVACY}/retention", longer)).headers["location"] == f"{PRIVACY}?saved=1"
    assert (await late.submit(path, {"state": "paused"})).headers["location"].endswith("?saved=1")
    same = {"url": URL, "description": "The shop’s", "event": "lead.created"}
    assert (await late.submit(path, same)).headers["location"].endswith("?saved=1")
    for name, days in (
        ("personDays", "9"),
        ("deliveryDays", "6"),
        ("waitingDays", "89"),
        ("leadDays", "399"),
    ):
        asks(await late.submit(f"{PRIVACY}/retention", {**longer, name: days}))
    await set_retention(host.services, ADMIN, SetRetention(lead_days=None))
    asks(await late.submit(f"{PRIVACY}/retention", longer))


async def test_whom_to_erase_stands_in_no_address_u5(host: Harbour, late: Browser) -> None:
    await stocked(host)
    asked = await late.submit(f"{PRIVACY}/erase", {"email": "ines@customer.example", "sure": "1"})

    assert asks(asked) == {"act": "erase", "next": PRIVACY}
    assert len(await host.leads()) == 1


async def test_who_may_not_do_it_is_told_so_and_not_asked_u5(host: Harbour) -> None:
    agent = await browser_as(host, Role.AGENT)
    host.clock.advance(LATE)
    for path in PROTECTED:
        assert (await agent.submit(path, {"sure": "1"})).status_code == 403, path


@pytest.mark.parametrize("ends", ["idle", "another password"])
async def test_a_session_that_ended_meanwhile_is_not_proved_u5(
    host: Harbour, account: Account, late: Browser, ends: str
) -> None:
    asked = await late.get("/admin/leads/export")
    token = await late.token()
    if ends == "idle":
        host.clock.advance(IDLE)
    else:
        await host.storage.accounts.save(attrs.evolve(account, role=Role.VIEWER))
    answer = await late.post("/admin/confirm", {**asks(asked), "csrf": token, "password": PASSWORD})

    assert answer.headers["location"] == "/admin/sign-in"
    assert "set-cookie" not in answer.headers


# Where it leads back to ----------------------------------------------------------------------


ELSEWHERE: Final = [
    "https://evil.example/admin/leads",
    "//evil.example/admin/leads",
    "/admin//evil.example",
    "/admin/leads/../../connect",
    "/admin/leads\\@evil.example",
    "/admin/sign-out",
    "/admin/leads\r\nSet-Cookie: a=b",
    "javascript:alert(1)",
    "http://[",
    "",
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_it_leads_to_no_page_but_the_acts_own_u5(elsewhere: str) -> None:
    assert {act.page(elsewhere).partition("?")[0] for act in ACTS.values()} <= {
        act.home for act in ACTS.values()
    }


async def test_a_forged_way_back_leads_to_the_acts_own_page_u5(host: Harbour, late: Browser) -> None:
    token = await late.token()
    sent = {"act": "export", "next": "https://evil.example/", "csrf": token}
    wrong = await late.post("/admin/confirm", {**sent, "password": "not this one at all"})
    right = await late.post("/admin/confirm", {**sent, "password": PASSWORD})

    assert "evil.example" not in wrong.text
    assert right.headers["location"] == "/admin/leads?confirmed=1"
    again = await late.get("/admin/confirm?act=export&next=//evil.example")
    assert again.headers["location"] == "/admin/leads?confirmed=1"


paths = st.sampled_from(
    [act.home for act in ACTS.values()] + [f"{HANDOVER}/ep_1", "/admin/operations/replay", f"{PRIVACY}/erase"]
)
addresses = st.text() | st.builds("{}?{}#{}".format, paths, st.text(), st.text())


@given(act=st.sampled_from(list(ACTS.values())), asked=addresses)
def test_whatever_is_asked_for_the_way_back_is_one_of_ours_u5(act: Act, asked: str) -> None:
    """It is made anew, of what is known: so it says the same when it is asked for again."""
    page = act.page(asked)
    parts = urlsplit(page)

    assert page.startswith("/admin")
    assert not page.startswith("/admin//")
    assert page.isascii()
    assert page.isprintable()
    assert (parts.scheme, parts.netloc, parts.fragment) == ("", "", "")
    assert parse_qs(parts.query).keys() <= act.keeps
    assert act.page(page) == page


def test_what_was_chosen_comes_along_u5() -> None:
    many = "&".join(f"ids={number:032x}" for number in range(500))
    for act, page in (
        (REPLAY, "/admin/operations/replay?state=dead&error=not_found&back=deliveries"),
        (REPLAY, f"/admin/operations/replay?{many}"),
        (EXPORT, "/admin/leads?q=in%C3%A9s+m&tests=only&take=csv"),
        (ERASE, f"{PRIVACY}/erase?contact=ct_1&only=1"),
        (ROTATE, f"{HANDOVER}/ep_1?keep=168"),
    ):
        assert act.page(page) == page
    assert REPLAY.page("/admin/operations/replay?" + many + many) == REPLAY.home
