"""The consent dialog and the token endpoints."""

from urllib.parse import parse_qs, urlsplit

from tests.unit.facebook.sandbox.driver import CALLBACK, PAGE, SCOPES, Driver


async def test_a_code_is_good_once(sandbox: Driver) -> None:
    code = await sandbox.code()

    first = await sandbox.exchange(code=code, redirect_uri=CALLBACK)
    second = await sandbox.exchange(code=code, redirect_uri=CALLBACK)

    assert first.json().keys() == {"access_token", "token_type", "expires_in"}
    assert 3_600 <= first.json()["expires_in"] <= 7_200
    assert (second.status_code, second.json()["error"]["code"]) == (400, 100)


async def test_the_redirect_uri_must_be_identical(sandbox: Driver) -> None:
    refused = await sandbox.exchange(code=await sandbox.code(), redirect_uri=CALLBACK + "/")

    assert refused.json()["error"]["error_subcode"] == 36008


async def test_a_code_expires_after_ten_minutes(sandbox: Driver) -> None:
    code = await sandbox.code()
    await sandbox.control("clock", advanceSeconds=601)

    assert (await sandbox.exchange(code=code, redirect_uri=CALLBACK)).json()["error"][
        "error_subcode"
    ] == 36007


async def test_a_wrong_secret_gets_nothing(sandbox: Driver) -> None:
    refused = await sandbox.exchange(code=await sandbox.code(), redirect_uri=CALLBACK, client_secret="no")

    assert refused.json()["error"]["code"] == 1


async def test_exchange_works_as_get_too(sandbox: Driver) -> None:
    params = {
        "client_id": sandbox.settings["app_id"],
        "client_secret": sandbox.settings["app_secret"],
        "redirect_uri": CALLBACK,
        "code": await sandbox.code(),
    }

    assert "access_token" in (await sandbox.client.get("/oauth/access_token", params=params)).json()


async def test_a_long_lived_token_lives_sixty_days(sandbox: Driver) -> None:
    code = await sandbox.code()
    short = (await sandbox.exchange(code=code, redirect_uri=CALLBACK)).json()["access_token"]
    long = await sandbox.exchange(grant_type="fb_exchange_token", fb_exchange_token=short)

    assert abs(long.json()["expires_in"] - 5_183_944) <= 1


async def test_debug_token_tells_scopes_expiry_and_pages(sandbox: Driver) -> None:
    token = await sandbox.user_token(pages=[PAGE])
    answer = await sandbox.graph("GET", "debug_token", sandbox.app_token, input_token=token)
    data = answer.json()["data"]

    assert data["is_valid"]
    assert data["type"] == "USER"
    assert data["app_id"] == sandbox.settings["app_id"]
    assert set(data["scopes"]) == {*SCOPES, "public_profile"}
    assert {"scope": "leads_retrieval", "target_ids": [PAGE]} in data["granular_scopes"]
    assert data["data_access_expires_at"] > data["expires_at"] > 0


async def test_a_page_token_of_a_long_lived_token_has_no_date(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    data = (await sandbox.graph("GET", "debug_token", sandbox.app_token, input_token=token)).json()["data"]

    assert (data["type"], data["expires_at"], data["profile_id"]) == ("PAGE", 0, PAGE)


async def test_a_removed_app_kills_every_token(sandbox: Driver) -> None:
    user = await sandbox.user_token()
    page = await sandbox.page_token(token=user)
    user_id = (await sandbox.state())["users"][0]["id"]
    await sandbox.control("revoke", userId=user_id)

    for token in (user, page):
        error = (await sandbox.graph("GET", "me", token)).json()["error"]
        assert (error["code"], error["error_subcode"]) == (190, 458)
    data = (await sandbox.graph("GET", "debug_token", sandbox.app_token, input_token=page)).json()["data"]
    assert data["is_valid"] is False
    assert data["error"]["subcode"] == 458


async def test_tokens_from_before_the_removal_stay_dead(sandbox: Driver) -> None:
    old = await sandbox.user_token()
    await sandbox.graph("DELETE", "me/permissions", old)
    new = await sandbox.user_token()

    assert (await sandbox.graph("GET", "me", old)).json()["error"]["error_subcode"] == 467
    assert (await sandbox.graph("GET", "me", new)).status_code == 200


async def test_an_expired_token_answers_401(sandbox: Driver) -> None:
    token = await sandbox.user_token()
    await sandbox.control("clock", advanceSeconds=61 * 86_400)
    refused = await sandbox.graph("GET", "me", token)

    assert (refused.status_code, refused.json()["error"]["error_subcode"]) == (401, 463)


async def test_data_access_ends_after_ninety_days_also_for_page_tokens(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    await sandbox.control("clock", advanceSeconds=91 * 86_400)

    assert (await sandbox.graph("GET", "me", token)).json()["error"]["code"] == 190


async def test_only_the_ticked_pages_and_permissions_are_granted(sandbox: Driver) -> None:
    token = await sandbox.user_token(pages=[PAGE], scopes=["pages_show_list"])
    accounts = (await sandbox.graph("GET", "me/accounts", token)).json()["data"]
    permissions = (await sandbox.graph("GET", "me/permissions", token)).json()["data"]

    assert [row["id"] for row in accounts] == [PAGE]
    assert {"permission": "leads_retrieval", "status": "declined"} in permissions
    assert {"permission": "pages_show_list", "status": "granted"} in permissions


async def test_denying_returns_the_error_and_the_state(sandbox: Driver) -> None:
    answer = await sandbox.control("consent", authUrl=sandbox.dialog_url(), decision="deny")
    query = parse_qs(urlsplit(answer["redirect"]).query)

    assert (query["error"], query["state"]) == (["access_denied"], ["s1"])


async def test_the_dialog_works_without_script(sandbox: Driver) -> None:
    """What a browser does: open the page, send the form, follow the redirect."""
    shown = await sandbox.client.get(sandbox.dialog_url())
    assert shown.status_code == 200
    assert "Harbour Street Shop" in shown.text
    assert "leads_retrieval" in shown.text
    assert "form-action 'self' http: https:" in shown.headers["content-security-policy"]
    form = {
        "client_id": sandbox.settings["app_id"],
        "redirect_uri": CALLBACK,
        "state": "s<1>",
        "scope": ",".join(SCOPES),
        "user": (await sandbox.state())["users"][0]["id"],
        f"page:{PAGE}": "1",
        "scope:pages_show_list": "1",
        "decision": "continue",
    }
    answer = await sandbox.client.post("/v26.0/dialog/oauth", data=form, follow_redirects=False)
    query = parse_qs(urlsplit(answer.headers["location"]).query)

    assert answer.status_code == 303
    assert query["state"] == ["s<1>"]
    assert "access_token" in (await sandbox.exchange(code=query["code"][0], redirect_uri=CALLBACK)).json()


async def test_the_dialog_never_redirects_to_strangers(sandbox: Driver) -> None:
    shown = await sandbox.client.get(
        sandbox.dialog_url(redirect_uri="https://evil.example/x"), follow_redirects=False
    )

    assert shown.status_code == 400
    assert "URL blocked" in shown.text


async def test_what_was_declined_is_only_asked_again_on_rerequest(sandbox: Driver) -> None:
    await sandbox.control(
        "consent", authUrl=sandbox.dialog_url(), decision="grant", scopes=["pages_show_list"]
    )
    again = (await sandbox.client.get(sandbox.dialog_url())).text
    rerequest = (await sandbox.client.get(sandbox.dialog_url(auth_type="rerequest"))).text

    assert "leads_retrieval, " not in again
    assert 'name="scope:leads_retrieval"' not in again
    assert 'name="scope:leads_retrieval"' in rerequest
