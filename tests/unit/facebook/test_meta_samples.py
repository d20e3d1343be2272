"""Bodies that nobody here wrote, where they lie beside the checkout: what Meta and others show in public.

They belong to others and are not part of this project. Without that folder nothing is collected from it.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest

from moorage.crm.mapping import crm_lead
from moorage_facebook.graph.errors import error_from_graph, read_graph_error
from moorage_facebook.graph.paging import page_from_graph
from moorage_facebook.graph.usage import usage_from_headers
from moorage_facebook.graph.values import decode, encode, record, records, text
from moorage_facebook.reach import page_offer
from moorage_facebook.token_facts import TokenFacts, token_facts
from moorage_facebook.translate.lead_nodes import form_from_graph, lead_from_graph
from moorage_facebook.translate.table import ANY, Key, keys_of, row_of
from moorage_facebook.webhooks import GraphWebhooks, happening_of
from moorage_ports.errors import VendorError
from moorage_ports.events import LeadArrived, Unmapped
from moorage_ports.lead_mapping import FormMapping, MappingRule
from moorage_ports.lead_source import Lead
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery, VendorApp
from tests.unit.facebook.fixtures import RECEIVED_AT

SAMPLES = Path(__file__).parents[4] / "shared" / "graph"
WEBHOOKS = GraphWebhooks()
# A change of nothing, and a field that somebody made up.
NOT_TRANSLATED = {
    "page__entry_without_body__1": "page.entry",
    "page__foo_bar_remove__1": "page.foo.bar.remove",
}
PAGE_OF_KINDS = Path(__file__).parents[3] / "docs" / "vendors" / "facebook-webhooks.md"
NOBODY = TokenFacts(is_valid=False, app_id="")


def kinds_on_the_page() -> Iterator[Key]:
    """Every key in its tables, read as a person would."""
    topic = ""
    for line in PAGE_OF_KINDS.read_text(encoding="utf-8").splitlines():
        topic = line.removeprefix("## ").strip("`") if line.startswith("## ") else topic
        cells = [[word.strip("` ") for word in cell.split(",")] for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0] != ["field"]:
            words = [[ANY if word == "any" else word for word in cell] for cell in cells[:3]]
            yield from product([topic], words[0], words[1], words[2])


def bodies(folder: str, pattern: str = "*.json") -> Mapping[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted((SAMPLES / folder).glob(pattern))}


def _by_their_names(lead: Lead) -> FormMapping:
    """Every question to a property of its own, the first of them to the company, as it is called."""
    names = [answer.name for answer in lead.answers]
    targets = ["company", *(f"properties.{number}" for number in range(1, len(names)))]
    rules = [MappingRule(target=target, sources=(name,)) for target, name in zip(targets, names, strict=True)]
    return FormMapping(
        vendor="facebook", form_external_id="1", version=1, rules=tuple(rules), saved_at=RECEIVED_AT
    )


def test_without_samples_nothing_is_judged_by_them() -> None:
    """Either the folder is there with something in it, or no test below pretends to have seen it."""
    assert bool(bodies("webhooks")) is (SAMPLES / "webhooks").is_dir()


if (SAMPLES / "webhooks").is_dir():

    @pytest.mark.parametrize("name", bodies("webhooks"))
    def test_every_sample_delivery_comes_apart_and_is_read(name: str) -> None:
        """Each change once, each with a key of its own, each by a row of the table, but for two."""
        changes = WEBHOOKS.split(bodies("webhooks")[name])

        assert len({change.business_key for change in changes}) == len(changes)
        for change in changes:
            happening = happening_of(record(decode(change.body)), RECEIVED_AT)
            row, events = row_of(happening), WEBHOOKS.events(change.body, RECEIVED_AT)
            assert change.kind != "unknown"
            if name in NOT_TRANSLATED:
                assert [type(event) for event in events] == [Unmapped]
                continue
            assert row is not None
            assert not row.is_guess
            assert events
            assert {type(event) for event in events} <= set(row.events)

    def test_the_page_about_kinds_knows_every_kind_among_them() -> None:
        """By object, field, item and verb; at most one in ten kinds is left unmapped, each for a reason."""
        listed = set(kinds_on_the_page())
        is_known = {
            change.kind: not listed.isdisjoint(
                keys_of(happening_of(record(decode(change.body)), RECEIVED_AT))
            )
            for body in bodies("webhooks").values()
            for change in WEBHOOKS.split(body)
        }

        unknown = {kind for kind, is_there in is_known.items() if not is_there}
        assert unknown == set(NOT_TRANSLATED.values())
        assert len(unknown) * 10 <= len(is_known)

    def test_the_three_leads_among_them_are_found() -> None:
        arrived = [
            event
            for body in bodies("webhooks").values()
            for change in WEBHOOKS.split(body)
            for event in WEBHOOKS.events(change.body, RECEIVED_AT)
            if isinstance(event, LeadArrived)
        ]

        assert len(arrived) == 3
        assert {lead.lead_external_id for lead in arrived} == {
            "1636129430026801",
            "134171078138870",
            "233370042045345",
        }

    @pytest.mark.parametrize("name", bodies("responses"))
    def test_every_sample_answer_is_read_without_a_crash(name: str) -> None:
        """By every reader there is: most of them are not meant for it, and all of them are total."""
        answer = decode(bodies("responses")[name])
        assert decode(encode(answer)) == answer
        page = page_from_graph(record(answer))
        assert page.next_cursor is None or "http" not in page.next_cursor
        for node in (record(answer), *page.items):
            lead_from_graph(node, page_id="1")
            form_from_graph(node, page_id="1")
            page_offer(node, NOBODY)
            token_facts(node)
        assert isinstance(error_from_graph(400, answer, {}, writes=False), VendorError)
        assert (read_graph_error(answer) is not None) == isinstance(record(answer).get("error"), dict)

    @pytest.mark.parametrize("name", bodies("responses", "error_*"))
    def test_sample_errors_keep_their_codes(name: str) -> None:
        body = bodies("responses")[name]
        code = text(record(record(decode(body)).get("error")).get("code"))

        assert error_from_graph(400, decode(body), {}, writes=False).vendor_code == code

    def test_sample_accounts_are_offers() -> None:
        """Two pages of a real list and two single ones."""
        found = [
            page_offer(node, NOBODY)
            for body in bodies("responses", "facebook_users_user_accounts*").values()
            for node in page_from_graph(record(decode(body))).items
        ]

        assert len(found) == 6
        assert all(offer and offer.selectable for offer in found)

    @pytest.mark.parametrize("name", ["base_token_info__1", "restfb_data_debug_token_info__1"])
    def test_sample_tokens_are_understood(name: str) -> None:
        facts = token_facts(record(decode(bodies("responses")[name])))

        assert facts.is_valid
        assert facts.app_id in {"appId", "100000000000"}
        assert facts.user_id in {"userId", "1207059"}
        assert facts.expires_at is not None

    def test_sample_leads_keep_their_questions() -> None:
        """Spanish and Chinese question names."""
        for name in ("lead_field_data_2021__1", "lead_non_ascii_field_names__1"):
            node = {**record(decode(bodies("responses")[name])), "id": "1"}
            lead = lead_from_graph(node, page_id="1")
            assert lead is not None
            assert [answer.name for answer in lead.answers] == [
                text(entry.get("name")) for entry in records(node["field_data"])
            ]
            assert all(len(answer.values) == 1 for answer in lead.answers)
            for mapping in (None, _by_their_names(lead)):
                mapped = crm_lead(lead, mapping=mapping, lead_id="l", vendor="facebook", now=RECEIVED_AT)
                there = {mapped.email, mapped.first_name, mapped.last_name, mapped.phone, mapped.company}
                there |= {value for values in mapped.properties.values() for value in values}
                assert {value for answer in lead.answers for value in answer.values} <= there

    def test_w1_sample_signatures_verify_and_their_rewritten_forms_do_not() -> None:
        """W1: bytes as sent, with their escapes."""
        vectors = record(decode((SAMPLES / "SIGNATURE_VECTORS.json").read_bytes()))
        for vector in records(vectors["x_hub_vectors_CONSTRUCTED"]):
            secret, body = text(vector["app_secret"]), text(vector["body_bytes_ascii"]).encode()
            app = VendorApp(
                vendor="facebook", app_id="1", secrets=(Secret(secret),), verify_token=Secret("v")
            )
            header = text(vector["X-Hub-Signature-256"])
            signed = Delivery(headers=[("x-hub-signature-256", header)], body=body)
            assert WEBHOOKS.verify(signed, [app]) is app
            digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
            assert base64.b16encode(digest).decode().lower() in header

    def test_sample_usage_headers_are_read() -> None:
        samples = record(decode((SAMPLES / "RATE_LIMIT_HEADERS.json").read_bytes()))
        headers = {name: encode(value).decode() for name, value in samples.items() if isinstance(value, dict)}

        readings = usage_from_headers(headers)

        assert {reading.limit for reading in readings} >= {
            "app",
            "ad account",
            "ads_management",
            "ads_insights",
        }
