"""Facebook Login: nothing is kept that Graph did not confirm, and what was declined is known."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from moorage_facebook.authorizer import GraphAuthorizer
from moorage_facebook.sandbox.scopes import PERMISSIONS
from moorage_facebook.scopes import KNOWN, NEEDED, plan_scopes
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.authorizer import AuthorizationRequest, Consented, RedeemedGrant, Refused
from moorage_ports.capabilities import Capability
from moorage_ports.errors import (
    InvalidCodeError,
    InvalidRequestError,
    OutcomeUnknownError,
    VendorUnavailableError,
)
from moorage_ports.http import HttpAnswer, HttpRequest, NeverSentError, NoAnswerError
from moorage_ports.secret import Secret
from moorage_ports.testing.connected import REDIRECT_URI
from moorage_ports.testing.lent import BEGINNING, FakeClock, FakeSecretStore
from tests.contract.facebook_weather import PAGE
from tests.unit.facebook.conftest import Org
from tests.unit.facebook.graph.support import (
    APP,
    Bench,
    ScriptedGraph,
    answer,
    form_of,
    query_of,
    refusal,
)

USER = "10206266332119368"
SCOPES = ["public_profile", "pages_show_list", "pages_manage_posts", "leads_retrieval"]
SIXTY_DAYS = int((BEGINNING + timedelta(days=60)).timestamp())


def facts(**changes: object) -> dict[str, object]:
    return {
        "app_id": APP.app_id,
        "user_id": USER,
        "is_valid": True,
        "scopes": SCOPES,
        "expires_at": SIXTY_DAYS,
        "data_access_expires_at": SIXTY_DAYS,
        **changes,
    }


def page(page_id: str = PAGE, **changes: object) -> dict[str, object]:
    return {
        "id": page_id,
        "name": "Shop",
        "access_token": f"token-of-{page_id}",
        "tasks": ["MANAGE"],
        **changes,
    }


@attrs.define(kw_only=True)
class Login:
    """A Graph that redeems one code; each part of what it says can be bent."""

    user: Mapping[str, object] = attrs.field(factory=facts)
    me: Mapping[str, object] = attrs.field(factory=lambda: {"id": USER, "name": "Dana"})
    pages: list[Mapping[str, object]] = attrs.field(factory=lambda: [page()])
    page_facts: Callable[[str], Mapping[str, object] | HttpAnswer | Exception] = lambda token: facts(
        profile_id=token.removeprefix("token-of-")
    )
    page_me: Callable[[str], Mapping[str, object]] = lambda token: {"id": token.removeprefix("token-of-")}
    exchange: HttpAnswer | Exception | None = None
    extend: HttpAnswer | Exception | None = None
    permissions: HttpAnswer | None = None

    def __call__(self, request: HttpRequest) -> HttpAnswer:
        path = urlsplit(request.url).path.removeprefix("/v26.0")
        if path == "/oauth/access_token":
            return self._token(form_of(request))
        if path == "/debug_token":
            token = query_of(request)["input_token"]
            return _said(self.user if token == "long" else self.page_facts(token))
        if path == "/me":
            token = request.headers["authorization"].removeprefix("Bearer ")
            return answer(self.me if token == "long" else self.page_me(token))
        if path == "/me/accounts":
            return answer({"data": self.pages})
        assert path == "/me/permissions"
        return self.permissions or answer({"data": [{"permission": "email", "status": "declined"}]})

    def _token(self, form: Mapping[str, str]) -> HttpAnswer:
        is_exchange = "code" in form
        bent = self.exchange if is_exchange else self.extend
        if isinstance(bent, Exception):
            raise bent
        return bent or answer({"access_token": "short" if is_exchange else "long", "token_type": "bearer"})


def _said(facts_of_token: Mapping[str, object] | HttpAnswer | Exception) -> HttpAnswer:
    if isinstance(facts_of_token, Exception):
        raise facts_of_token
    return facts_of_token if isinstance(facts_of_token, HttpAnswer) else answer({"data": facts_of_token})


def authorizer_at(login: Login) -> tuple[GraphAuthorizer, ScriptedGraph]:
    there = Bench(graph=ScriptedGraph(login), clock=FakeClock())
    return GraphAuthorizer(client=there.client, vault=GraphTokenVault(FakeSecretStore())), there.graph


async def redeem(login: Login) -> RedeemedGrant:
    return await authorizer_at(login)[0].redeem(Secret("code"), REDIRECT_URI)


async def test_a_code_becomes_a_proven_grant() -> None:
    grant = await redeem(Login())

    assert grant.token == Secret("long")
    assert grant.subject == Secret(USER)
    assert grant.granted_scopes == tuple(SCOPES)
    assert grant.declined_scopes == ("email",)
    assert grant.expires_at == BEGINNING + timedelta(days=60)
    (channel,) = grant.channels
    assert (channel.offer.external_id, channel.offer.selectable) == (PAGE, True)
    assert channel.token == Secret(f"token-of-{PAGE}")


async def test_codes_secrets_and_tokens_stay_out_of_urls() -> None:
    """But for `debug_token`'s own parameter, which Graph takes nowhere else."""
    authorizer, graph = authorizer_at(Login())

    await authorizer.redeem(Secret("code"), REDIRECT_URI)

    for request in graph.sent:
        url = request.url if "/debug_token" not in request.url else ""
        for secret in ("code=", "short", "long", "token-of-", APP.secret.reveal()):
            assert secret not in url


# What must not be believed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "user",
    [
        facts(app_id="999"),
        facts(is_valid=False),
        facts(is_valid=None),
        facts(user_id=None),
        facts(expires_at=int((BEGINNING + timedelta(days=49)).timestamp())),
        {},
    ],
)
async def test_o8_a_token_that_is_not_ours_is_refused(user: Mapping[str, object]) -> None:
    """O8: made for another app, invalid, nobody's, or short-lived though a long-lived one was asked for."""
    with pytest.raises(InvalidCodeError) as failure:
        await redeem(Login(user=user))

    assert failure.value.remedy


async def test_o8_two_people_behind_one_token_are_refused() -> None:
    """O8: what `debug_token` and `me` say must agree."""
    with pytest.raises(InvalidCodeError):
        await redeem(Login(me={"id": "4", "name": "Mallory"}))


@pytest.mark.parametrize(
    "page_facts",
    [
        lambda token: facts(profile_id="61558812340917265"),
        lambda token: facts(profile_id=PAGE, app_id="999"),
        lambda token: facts(profile_id=PAGE, is_valid=False),
        lambda token: {},
    ],
)
async def test_a_page_token_that_is_another_pages_is_not_kept(
    page_facts: Callable[[str], Mapping[str, object]],
) -> None:
    """Swapped, foreign or dead: the Page is shown with the reason, without a token."""
    (channel,) = (await redeem(Login(page_facts=page_facts))).channels

    assert channel.token is None
    assert not channel.offer.selectable
    assert channel.offer.reason


@pytest.mark.parametrize(("acts_as", "is_kept"), [(PAGE, True), (USER, False), ("61558812340917265", False)])
async def test_a_page_token_without_a_profile_is_asked_who_it_is(acts_as: str, is_kept: bool) -> None:
    """Old answers lack `profile_id`; with a Page's token `me` is that Page."""
    login = Login(page_facts=lambda token: facts(), page_me=lambda token: {"id": acts_as})

    (channel,) = (await redeem(login)).channels

    assert (channel.token is not None) is is_kept
    assert channel.offer.selectable is is_kept


@pytest.mark.parametrize(
    "trouble",
    [NeverSentError("x"), NoAnswerError("cut"), answer(b"<html>", status=502), refusal(2, status=500)],
)
async def test_o8_a_page_that_nobody_could_ask_about_is_not_lost(trouble: HttpAnswer | Exception) -> None:
    """O8: a hiccup after the first proof says nothing about any token: what was kept before has to stay."""
    asked: list[str] = []

    def hiccup(token: str) -> HttpAnswer | Exception | Mapping[str, object]:
        asked.append(token)
        return trouble if len(asked) > 1 else facts(profile_id=PAGE)

    with pytest.raises(OutcomeUnknownError) as failure:
        await redeem(Login(pages=[page(), page("61558812340917265")], page_facts=hiccup))

    assert "again" in failure.value.remedy


# What the person allowed -----------------------------------------------------------------------


async def test_o8_what_was_declined_is_missing_and_no_crash() -> None:
    """O8: a partial grant connects, and each Page says what it lacks: a scope may be for some Pages only."""
    granular = [
        {"scope": "pages_manage_posts", "target_ids": ["61558812340917265"]},
        {"scope": "pages_show_list"},
    ]
    grant = await redeem(Login(user=facts(granular_scopes=granular)))

    (channel,) = grant.channels
    assert channel.offer.selectable
    assert set(channel.offer.missing_scopes) == {
        "pages_manage_posts",
        "pages_read_engagement",
        "pages_manage_metadata",
    }


@pytest.mark.parametrize(
    ("node", "selectable"),
    [
        (page(), True),
        (page(tasks=["PROFILE_PLUS_FULL_CONTROL"]), True),
        (page(tasks=["PROFILE_PLUS_CREATE_CONTENT", "ANALYZE"]), True),
        (page(tasks=None), True),
        (page(tasks=["ANALYZE"]), False),
        (page(tasks=["PROFILE_PLUS_ANALYZE"]), False),
        (page(tasks=[]), False),
        (page(access_token=None), False),
        (page(access_token=""), False),
    ],
)
async def test_a_page_that_cannot_be_chosen_says_why(node: Mapping[str, object], selectable: bool) -> None:
    (channel,) = (await redeem(Login(pages=[node]))).channels

    assert channel.offer.selectable is selectable
    assert bool(channel.offer.reason) is not selectable


async def test_what_is_no_page_is_left_out() -> None:
    assert (await redeem(Login(pages=[{}, {"id": None}, {"id": "a/b"}]))).channels == ()


async def test_the_address_is_read_only_where_it_was_allowed() -> None:
    """`email` is asked for with the scope, not without."""
    asked: list[str] = []

    @attrs.define(kw_only=True)
    class Watched(Login):
        def __call__(self, request: HttpRequest) -> HttpAnswer:
            if urlsplit(request.url).path.endswith("/me"):
                asked.append(query_of(request)["fields"])
            return super().__call__(request)

    await redeem(Watched())
    await redeem(Watched(user=facts(scopes=["email"])))

    assert asked == ["id,name", "id,name,email"]


async def test_what_was_declined_is_only_told() -> None:
    """Not being able to read it is no reason to lose the grant."""
    grant = await redeem(Login(permissions=refusal(200)))

    assert grant.declined_scopes == ()


async def test_a_token_that_never_expires_is_welcome() -> None:
    grant = await redeem(Login(user=facts(expires_at=0, data_access_expires_at=0)))

    assert (grant.expires_at, grant.data_access_expires_at) == (None, None)


# When it does not work -------------------------------------------------------------------------


@pytest.mark.parametrize("said", [refusal(100, 36009), refusal(100, 36007), refusal(100), refusal(100, 33)])
async def test_a_code_that_is_no_good_means_begin_again(said: HttpAnswer) -> None:
    with pytest.raises(InvalidCodeError) as failure:
        await redeem(Login(exchange=said))

    assert failure.value.vendor_code == "100"
    assert "again" in failure.value.remedy


async def test_a_code_is_sent_once() -> None:
    """It works once: after silence it may be spent, after "never sent" it is still good."""
    for trouble, kind in (
        (NoAnswerError("cut"), OutcomeUnknownError),
        (NeverSentError("x"), VendorUnavailableError),
    ):
        authorizer, graph = authorizer_at(Login(exchange=trouble))
        with pytest.raises(kind):
            await authorizer.redeem(Secret("code"), REDIRECT_URI)
        assert len(graph.sent) == 1


@pytest.mark.parametrize("trouble", [NoAnswerError("cut"), NeverSentError("x"), answer(b"", status=502)])
async def test_after_the_exchange_the_code_is_never_called_good(trouble: HttpAnswer | Exception) -> None:
    """To say that nothing happened would send the person round in circles."""
    with pytest.raises(OutcomeUnknownError):
        await redeem(Login(extend=trouble))


# Asking and coming back ------------------------------------------------------------------------


async def test_the_dialog_is_asked_in_facebooks_words() -> None:
    authorizer, _ = authorizer_at(Login())
    request = AuthorizationRequest(
        state="s&1", redirect_uri=REDIRECT_URI, scopes=("email", "pages_show_list"), rerequest=True
    )

    parts = urlsplit(authorizer.authorization_url(request))

    assert (parts.netloc, parts.path) == ("www.facebook.com", "/v26.0/dialog/oauth")
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "client_id": APP.app_id,
        "redirect_uri": REDIRECT_URI,
        "state": "s&1",
        "scope": "email,pages_show_list",
        "response_type": "code",
        "auth_type": "rerequest",
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"code": "AQD"}, Consented(code=Secret("AQD"))),
        ({"error": "access_denied", "error_reason": "user_denied"}, Refused(reason="user_denied")),
        ({"error": "access_denied", "error_reason": "<b>"}, Refused(reason="access_denied")),
        ({"error": "Ünfug"}, Refused(reason="refused")),
        (
            {"error_code": "1349126", "error_message": "App not set up"},
            Refused(reason="vendor_error_1349126"),
        ),
        ({"error_code": "x", "error_message": "App not set up"}, Refused(reason="refused")),
        ({"error": "access_denied", "code": "AQD"}, Refused(reason="access_denied")),
        ({"code": ""}, Refused(reason="no_code")),
        ({"code": "x" * 5_000}, Refused(reason="no_code")),
        ({}, Refused(reason="no_code")),
    ],
)
async def test_each_way_of_coming_back(query: Mapping[str, str], said: Consented | Refused) -> None:
    assert authorizer_at(Login())[0].read_return(query) == said


def test_scopes_left_out_are_added_and_reported() -> None:
    """The caller's come first and stay as they are."""
    plan = plan_scopes(["pages_manage_posts", "email", "email"], [Capability.PUBLISH_POSTS])

    assert plan.scopes[:2] == ("pages_manage_posts", "email")
    assert plan.added == (
        "public_profile",
        "pages_show_list",
        "pages_read_engagement",
        "pages_manage_metadata",
    )
    assert plan.scopes == ("pages_manage_posts", "email", *plan.added)


def test_nothing_unknown_is_asked_for() -> None:
    """The dialog refuses the whole visit for one unknown name."""
    with pytest.raises(InvalidRequestError) as failure:
        plan_scopes(["pages_show_list", "manage_pages"], [])

    assert "manage_pages" in failure.value.fields["scopes"]
    assert {scope for scopes in NEEDED.values() for scope in scopes} <= KNOWN
    assert set(PERMISSIONS) <= KNOWN


async def test_revoking_takes_the_app_out_of_the_persons_account(org: Org) -> None:
    await org.authorizer.revoke(org.connected.grant_id)

    assert not (await org.authorizer.inspect(org.connected.grant_id)).is_valid


async def test_v7_what_is_kept_is_sealed_and_never_printed(org: Org) -> None:
    """V7: tokens and the person stand in secrets only."""
    grant = org.connected.grant
    printed = repr(org.secrets) + repr(grant) + repr(org.context) + repr(org.authorizer)

    for channel in grant.channels:
        assert channel.token is not None
        assert channel.token.reveal() not in printed
    assert grant.token.reveal() not in printed
    assert "Dana" not in printed
    assert "dana.demo" not in printed
