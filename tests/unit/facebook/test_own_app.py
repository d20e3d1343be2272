"""An org's own app: what Graph has to say before it is believed."""

import pytest

from moorage_facebook.authorizer import GraphAuthorizer
from moorage_facebook.settings import MetaApp
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.errors import RateLimitError, RejectedError, VendorError, VendorUnavailableError
from moorage_ports.http import HttpAnswer, NeverSentError, NoAnswerError
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeSecretStore
from tests.unit.facebook.graph.support import Bench, answer, bench, query_of, refusal


def authorizer(there: Bench) -> GraphAuthorizer:
    return GraphAuthorizer(client=there.client, vault=GraphTokenVault(FakeSecretStore()))


async def test_the_app_is_asked_about_itself_with_its_own_token() -> None:
    """The secret travels in the header, never in the address."""
    there = bench(answer({"id": "0", "name": "Acme"}))
    app = there.client.app
    there = bench(answer({"id": app.app_id, "name": "Acme"}))

    proven = await authorizer(there).prove_app()

    (request,) = there.graph.sent
    assert (proven.app_id, proven.name) == (app.app_id, "Acme")
    assert request.method == "GET"
    assert request.url.split("?")[0].endswith(f"/{app.app_id}")
    assert query_of(request) == {"fields": "id,name"}
    assert request.headers["authorization"] == f"Bearer {app.app_id}|{app.secret.reveal()}"
    assert app.secret.reveal() not in request.url


@pytest.mark.parametrize(
    "said",
    [
        refusal(190),
        refusal(190, 460),
        refusal(101),
        refusal(100, 33),
        refusal(803, status=404),
        refusal(200),
        answer({"id": "999", "name": "Somebody else's"}),
        answer({"id": None}),
    ],
)
async def test_anything_but_its_own_id_proves_nothing(said: HttpAnswer) -> None:
    with pytest.raises(RejectedError) as refused:
        await authorizer(bench(said)).prove_app()

    assert refused.value.remedy


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (NeverSentError(), VendorUnavailableError),
        (NoAnswerError(), VendorUnavailableError),
        (refusal(2, status=500), VendorUnavailableError),
        (refusal(4), RateLimitError),
    ],
)
async def test_trouble_at_facebook_is_no_wrong_secret(
    said: HttpAnswer | NeverSentError | NoAnswerError, kind: type[VendorError]
) -> None:
    with pytest.raises(kind):
        await authorizer(bench(*[said] * 3)).prove_app()


@pytest.mark.parametrize("app_id", ["", "12", "12a45", "1" * 33, "../me", "１２３４５"])
def test_an_app_id_is_a_number(app_id: str) -> None:
    with pytest.raises(ValueError, match="app_id"):
        MetaApp(app_id=app_id, app_secret=Secret("s" * 32), verify_token=Secret("v" * 32))
