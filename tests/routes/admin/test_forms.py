"""Who may make this UI change something (BAR U3): only a page of ours, in the session it was made for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.handlers import HTTPRouteHandler

from moorage.admin.accounts import create_account
from moorage.admin.forms import TOKEN_FIELD, Form
from moorage_ports.accounts import Account
from moorage_ports.operations import Role
from tests.support.harbour import ORIGIN, Harbour
from tests.support.visitor import PASSWORD, Browser, Page, browser_of, connect

POSTS = [
    "/admin/sign-out",
    "/admin/confirm",
    "/admin/posts",
    "/admin/inbox/cv_1/answer",
    "/admin/inbox/cv_1/private",
    "/admin/inbox/cv_1/hide",
    "/admin/inbox/cv_1/tend",
    "/admin/deliveries/replay",
    "/admin/leads/lead-1",
    "/admin/operations/replay",
    "/admin/operations/handover",
    "/admin/operations/handover/ep-1/change",
    "/admin/operations/handover/ep-1/rotate",
    "/admin/operations/handover/ep-1/test",
    "/admin/operations/handover/ep-1/replay",
    "/admin/operations/handover/ep-1/delete",
    "/admin/operations/privacy/retention",
    "/admin/operations/privacy/look",
    "/admin/operations/privacy/erase",
    "/admin/leads/forms/memory/form-1/backfill",
    "/admin/leads/forms/memory/form-1/mapping",
    "/admin/leads/forms/memory/form-1/remap",
    "/admin/leads/forms/memory/form-1/tests",
    "/admin/integrations/memory/connect",
    "/admin/integrations/memory/channels",
]
FOREIGN = [
    {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
    {"origin": "https://evil.example", "sec_fetch_site": ""},
    {"origin": "", "sec_fetch_site": "cross-site"},
    {"origin": "", "sec_fetch_site": "same-site"},
    {"origin": "", "sec_fetch_site": "none"},
    {"origin": "null", "sec_fetch_site": ""},
    {"origin": "null", "sec_fetch_site": "same-origin"},
    {"origin": "http://127.0.0.1:8081", "sec_fetch_site": ""},
    {"origin": "https://127.0.0.1:8080", "sec_fetch_site": ""},
    {"origin": "http://127.0.0.1:8080.evil.example", "sec_fetch_site": ""},
    {"origin": "", "sec_fetch_site": ""},
]


def test_the_list_of_posts_is_whole(host: Harbour) -> None:
    """Whatever changes something is in the tables of this file; sign-in has no session yet."""
    found = set()
    for route in host.app.routes:
        if not route.path.startswith("/admin"):
            continue
        for handler in getattr(route, "route_handlers", ()):
            assert isinstance(handler, HTTPRouteHandler)
            changing = set(handler.http_methods) - {"GET", "HEAD", "OPTIONS"}
            path = (
                route.path.replace("{lead_id:str}", "lead-1")
                .replace("{endpoint_id:str}", "ep-1")
                .replace("{form_id:str}", "form-1")
            )
            path = path.replace("{slug:str}", "memory").replace("{conversation_id:str}", "cv_1")
            found |= {(method, path) for method in changing}

    assert found == {("POST", path) for path in [*POSTS, "/admin/sign-in"]}


async def test_a_form_without_the_sessions_token_is_refused_u3(admin: Browser) -> None:
    for path in POSTS:
        for token in ({"other": "x"}, {TOKEN_FIELD: ""}, {TOKEN_FIELD: "x" * 43}, {TOKEN_FIELD: "ä\0"}):
            answer = await admin.post(path, token)
            assert answer.status_code == 403, path
            assert "Open the page again" in Page(answer.text).text


async def test_another_sessions_token_is_refused_u3(host: Harbour, admin: Browser) -> None:
    """Also that of the same person in another browser."""
    second = browser_of(host)
    await second.sign_in()
    for path in POSTS:
        answer = await admin.post(path, {TOKEN_FIELD: await second.token()})
        assert answer.status_code == 403, path
    assert (await admin.get("/admin")).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_form_from_elsewhere_is_refused_even_with_a_good_token_u3(
    host: Harbour, admin: Browser, headers: dict[str, str]
) -> None:
    fields = {TOKEN_FIELD: await admin.token(), "email": "boss@a.example", "password": PASSWORD}
    for path in (*POSTS, "/admin/sign-in"):
        answer = await admin.post(path, fields, **headers)
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers


async def test_a_form_is_taken_under_the_name_the_host_was_asked_by(host: Harbour, admin: Browser) -> None:
    """A tunnel or a second name: the browser's own word is that page and target are one origin."""
    fields = {"email": "boss@a.example", "password": PASSWORD}
    answer = await admin.post("/admin/sign-in", fields, host="moorage.test", origin="http://moorage.test")

    assert answer.status_code == 303


async def test_nothing_changes_on_a_get(admin: Browser) -> None:
    for path in POSTS:
        answer = await admin.get(f"{path}?{TOKEN_FIELD}={await admin.token()}")
        assert answer.status_code in {200, 404, 405, 422}, path  # 422: it asks for nothing
    assert (await admin.get("/admin")).status_code == 200


async def test_nobody_signed_in_is_sent_to_sign_in(stranger: Browser) -> None:
    for path in POSTS:
        answer = await stranger.post(path, {TOKEN_FIELD: "x"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sign-in"), path


async def test_only_urlencoded_forms_are_read(admin: Browser) -> None:
    for kind, body in [
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"csrf=x"),
        ("application/x-www-form-urlencoded", b"csrf=%ff%fe"),
        ("application/x-www-form-urlencoded", "csrf=ä".encode()),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(5000))),
    ]:
        answer = await admin.http.post(
            "/admin/posts",
            content=body,
            headers={"content-type": kind, "origin": ORIGIN, "sec-fetch-site": "same-origin"},
        )
        assert answer.status_code == 422, kind


async def test_a_form_that_is_too_large_is_refused(admin: Browser) -> None:
    answer = await admin.submit("/admin/posts", {"text": "x" * 1_100_000})

    assert answer.status_code == 413
    assert "shorter" in Page(answer.text).text


# Roles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT])
async def test_a_role_reaches_as_far_as_the_api_lets_it(host: Harbour, account: Account, role: Role) -> None:
    await host.connect()
    await host.select("board-1")
    await create_account(host.storage, org_id="org-a", email="helper@a.example", password=PASSWORD, role=role)
    helper = browser_of(host)
    await helper.sign_in("helper@a.example")
    page = await helper.page("/admin/integrations/memory")
    assert "Save the choice" not in page.text
    token = page.field("csrf")

    for path in ("/admin/integrations/memory/connect", "/admin/integrations/memory/channels"):
        answer = await helper.post(path, {TOKEN_FIELD: token})
        assert answer.status_code == 403
        assert "needs the role admin" in Page(answer.text).text
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        channel = await uow.integrations.channel("memory", "board-1")
    assert channel is not None
    assert channel.selected
    written = await helper.post("/admin/posts", {TOKEN_FIELD: token, "channel": channel.id, "text": "hello"})
    assert written.status_code == (303 if role is Role.AGENT else 403)
    assert len(host.world.notes) == (1 if role is Role.AGENT else 0)


# The connection belongs to the session --------------------------------------------------------


async def test_only_the_browser_that_began_a_connection_can_finish_it_o2(
    host: Harbour, admin: Browser
) -> None:
    """O2: somebody else's click, even the same person's in another browser, ends with nothing."""
    leaving = await admin.submit("/admin/integrations/memory/connect", {})
    (refresh,) = [each for each in Page(leaving.text).all("meta") if each.get("http-equiv") == "refresh"]
    victim = browser_of(host)
    await victim.sign_in()
    back = await victim.get(host.world.consent(refresh["content"].removeprefix("0; url=")))

    assert back.status_code == 303
    assert "integration=error" in back.headers["location"]
    assert host.world.calls == 0
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        assert await uow.integrations.all() == ()


async def test_the_browser_that_began_a_connection_finishes_it(host: Harbour, admin: Browser) -> None:
    back = await connect(host, admin)

    assert back.headers["location"].endswith("/admin/integrations/memory?integration=connected")


# Reading a form is total ----------------------------------------------------------------------


@given(st.dictionaries(st.text(), st.lists(st.text(), max_size=3).map(tuple)))
def test_a_forms_fields_can_always_be_asked_for(fields: dict[str, tuple[str, ...]]) -> None:
    form = Form({name: values for name, values in fields.items() if values})
    for name in ["csrf", "channel", *fields]:
        assert form.text(name) == form.exact(name).strip()
        assert all(form.all(name))
