"""Many leads at once, what hides a lead, and test leads: against a sandbox that refuses what Graph does."""

from datetime import timedelta
from urllib.parse import parse_qs

import httpx
import msgspec
import pytest

from moorage_ports.errors import Hits, MissingScopeError, RejectedError, VendorError, VendorNotFoundError
from moorage_ports.lead_source import Lead, LeadCounts, Meaning
from tests.contract.facebook_weather import FORM, PAGE
from tests.unit.facebook.conftest import Org

SALON, SALON_FORM = "104857600012345", "18400199387756201"


# Many at once ----------------------------------------------------------------------------------------


async def many(org: Org, count: int, **more: object) -> list[str]:
    body = {"pageId": PAGE, "formId": FORM, "answers": {"email": ["a@b.example"]}, "delivery": "lose"}
    made = await org.world.control("leads", **{**body, "count": count, **more})
    leads = made["leads"]
    assert isinstance(leads, list)
    return [str(row["id"]) for row in leads]


def batches(org: Org) -> list[int]:
    """How many calls each batch bore, of those that were sent."""
    bodies = [parse_qs((request.body or b"").decode()) for request in org.world.http.sent]
    return [len(msgspec.json.decode(body["batch"][0])) for body in bodies if "batch" in body]


async def test_fifty_leads_are_one_request(org: Org) -> None:
    ids = await many(org, 120)
    before = len(org.world.http.sent)

    found = await org.leads.leads(PAGE, ids)

    assert batches(org) == [50, 50, 20]
    assert len(org.world.http.sent) - before == 3
    assert all(isinstance(found[one], Lead) for one in ids)


async def test_what_graph_left_out_of_a_batch_is_asked_for_again(org: Org) -> None:
    """It answers null for calls that it did not get to."""
    ids = await many(org, 3)
    whole = org.world.http.client
    nulled = False

    class Nulls(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal nulled
            answer = await whole.send(
                whole.build_request(
                    request.method, request.url, headers=request.headers, content=request.content
                )
            )
            rows = msgspec.json.decode(answer.content)
            if isinstance(rows, list) and not nulled:
                nulled = True
                answer = httpx.Response(200, content=msgspec.json.encode([rows[0], None, None]))
            return answer

    org.world.http.client = httpx.AsyncClient(transport=Nulls())

    found = await org.leads.leads(PAGE, ids)

    assert nulled
    assert batches(org) == [3, 2]
    assert all(isinstance(found[one], Lead) for one in ids)


async def test_many_leads_without_the_permission_for_ads_are_read_without_their_ads(org: Org) -> None:
    ids = await many(org, 2, adId="23850000000000123")
    await org.world.control("faults", match={"method": "GET", "path": f"/{ids[0]}"}, times=1, code=200)

    found = await org.leads.leads(PAGE, ids)

    one, other = found[ids[0]], found[ids[1]]
    assert isinstance(one, Lead)
    assert isinstance(other, Lead)
    assert (one.ad_external_id, other.ad_external_id) == ("", "23850000000000123")


async def test_ids_that_are_none_cost_no_other(org: Org) -> None:
    ids = await many(org, 1)

    found = await org.leads.leads(PAGE, [*ids, "../me", ""])

    assert isinstance(found[ids[0]], Lead)
    assert isinstance(found["../me"], VendorNotFoundError)
    assert isinstance(found[""], VendorNotFoundError)


async def test_forms_in_a_foreign_language_are_asked_once_for_many_leads(org: Org) -> None:
    answers = {"nom_complet": ["Zoé"], "e-mail": ["zoe@mail.example"]}
    ids = await many(org, 5, pageId=SALON, formId=SALON_FORM, answers=answers)
    before = len(org.world.http.sent)

    found = await org.leads.leads(SALON, ids)

    assert len(org.world.http.sent) - before == 2, "the batch, and the form"
    for one in found.values():
        assert isinstance(one, Lead)
        assert {answer.meaning for answer in one.answers} == {Meaning.FULL_NAME, Meaning.EMAIL}


# What hides a lead -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closed_to", "word"), [("app", "choose the Page, then CRMs"), ("person", "choose the Page, then People")]
)
async def test_leads_access_manager_says_no_and_the_remedy_names_to_whom(
    org: Org, closed_to: str, word: str
) -> None:
    """It is for a person to change, so the lead waits: `MissingScopeError`, of this channel only."""
    ids = await many(org, 2)
    await org.world.control("pages", pages=[{"id": PAGE, "leadsClosedTo": closed_to}])

    with pytest.raises(MissingScopeError) as one:
        await org.leads.lead(PAGE, ids[0])
    with pytest.raises(MissingScopeError) as listed:
        await org.leads.leads_since(PAGE, FORM, org.context.clock.now() - timedelta(days=1))
    found = await org.leads.leads(PAGE, ids)

    failures = [one.value, listed.value, *found.values()]
    assert all(isinstance(failure, MissingScopeError) for failure in failures)
    assert all(isinstance(failure, VendorError) and word in failure.remedy for failure in failures)
    assert {failure.hits for failure in failures if isinstance(failure, VendorError)} == {Hits.CHANNEL}


async def test_what_hides_many_leads_is_asked_for_once(org: Org) -> None:
    ids = await many(org, 30)
    await org.world.control("pages", pages=[{"id": PAGE, "leadsClosedTo": "app"}])
    before = len(org.world.http.sent)

    await org.leads.leads(PAGE, ids)

    assert len(org.world.http.sent) - before == 3, "the batch, the token and the Page"


async def test_a_lead_that_is_gone_says_so_and_names_the_app_that_is_not_live(org: Org) -> None:
    """Access is in order: what is left is age, deletion, or development mode."""
    (lead_id,) = await many(org, 1)
    await org.world.pass_time(timedelta(days=91))
    await org.world.control("consent", authUrl=org.world._auth_url, decision="grant")

    with pytest.raises(VendorNotFoundError) as gone:
        await org.leads.lead(PAGE, lead_id)

    assert "90 days" in gone.value.remedy
    assert "Live" in gone.value.remedy


async def test_expired_leads_are_counted_and_not_listed(org: Org) -> None:
    await many(org, 3)
    await org.world.pass_time(timedelta(days=91))
    await org.world.control("consent", authUrl=org.world._auth_url, decision="grant")
    await many(org, 2)

    form = await org.leads.form(PAGE, FORM)
    page = await org.leads.leads_since(PAGE, FORM, org.context.clock.now() - timedelta(days=120))

    assert form.counts == LeadCounts(total=5, expired=3, organic=5)
    assert len(page.items) == 2


async def test_a_permission_given_for_other_pages_only_is_missed_here(org: Org) -> None:
    """The person unticked this Page in the dialog: the token covers leads, but not of this one."""
    (lead_id,) = await many(org, 1)
    debugged = {
        "data": {
            "app_id": org.world.app.app_id,
            "is_valid": True,
            "scopes": ["leads_retrieval"],
            "granular_scopes": [{"scope": "leads_retrieval", "target_ids": [SALON]}],
        }
    }
    await org.world.control("faults", match={"path": "/debug_token"}, status=200, body=debugged)
    await org.world.control("faults", match={"method": "GET", "path": f"/{lead_id}"}, code=100, subcode=33)

    with pytest.raises(MissingScopeError) as missing:
        await org.leads.lead(PAGE, lead_id)

    assert "for this Page" in missing.value.remedy


async def test_a_lead_is_read_with_the_pages_own_token(org: Org) -> None:
    """The person's token would be told that there is no such lead."""
    (lead_id,) = await many(org, 1)

    await org.leads.lead(PAGE, lead_id)

    (request,) = [sent for sent in org.world.http.sent if f"/{lead_id}?" in sent.url]
    token = await org.leads.vault.channel_token(PAGE)
    assert request.headers["authorization"] == f"Bearer {token.reveal()}"


async def test_counts_that_may_not_be_seen_cost_no_form(org: Org) -> None:
    for path in ("/leadgen_forms", "/{form}"):
        await org.world.control("faults", match={"method": "GET", "path": path}, times=1, code=200)

    (form, *_) = await org.leads.forms(PAGE)
    alone = await org.leads.form(PAGE, FORM)

    assert form.counts is alone.counts is None
    assert form.questions
    assert alone.questions
    assert not form.knows_consents
    assert not alone.knows_consents
    assert (await org.leads.form(PAGE, FORM)).knows_consents


# Test leads ------------------------------------------------------------------------------------------


async def test_a_test_lead_takes_the_place_of_the_one_before(org: Org) -> None:
    """Graph keeps one per form; people's own leads are not touched."""
    ids = await many(org, 2)
    first = await org.leads.create_test_lead(PAGE, FORM)
    second = await org.leads.create_test_lead(PAGE, FORM, answers={"email": ("t@mail.example",)})

    rows = {str(row["id"]): row["isTest"] for row in await org.world.state("leads")}
    assert rows == {ids[0]: False, ids[1]: False, second: True}
    assert first != second


async def test_a_refusal_with_another_reason_deletes_nothing(org: Org) -> None:
    kept = await org.leads.create_test_lead(PAGE, FORM)

    with pytest.raises(RejectedError):
        await org.leads.create_test_lead(PAGE, FORM, answers={"shoe size": ("44",)})

    assert kept in {str(row["id"]) for row in await org.world.state("leads")}
    assert not [sent for sent in org.world.http.sent if sent.method == "DELETE"]
