"""`GraphLeadSource`: lead forms and what people answered, read with the Page's own token.

https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

import attrs

from moorage_facebook.channel_types import PAGE
from moorage_facebook.graph.call import LEADGEN, GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_all, fetch_page
from moorage_facebook.graph.values import canonical, moment, node_id, record, records, text, truth
from moorage_facebook.scopes import LEADS
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_facts import inspect_token
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.errors import (
    MissingScopeError,
    RateLimitError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.lead_source import Answer, Lead, LeadForm, Meaning, Question
from moorage_ports.paging import Page
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

_CORE_FIELDS: Final = "id,created_time,form_id,is_organic,platform,field_data"
LEAD_FIELDS: Final = f"{_CORE_FIELDS},ad_id,adset_id,campaign_id"
FORM_FIELDS: Final = "id,name,status,questions"
_PAGE_SIZE: Final = "100"

_NO_ACCESS = (
    "Give the app and the person who connected access to this Page's leads in Meta Business Suite "
    "(Integrations, Leads access); if the lead is older than 90 days, Facebook has deleted it."
)

# What a standard question is called in `field_data`, and its type in a form, both in lower case.
# https://developers.facebook.com/docs/marketing-api/guides/lead-ads/create (pre-filled questions)
MEANINGS: Mapping[str, Meaning] = {
    "email": Meaning.EMAIL,
    "work_email": Meaning.EMAIL,
    "full_name": Meaning.FULL_NAME,
    "first_name": Meaning.FIRST_NAME,
    "last_name": Meaning.LAST_NAME,
    "phone": Meaning.PHONE,
    "phone_number": Meaning.PHONE,
    "work_phone_number": Meaning.PHONE,
    "company_name": Meaning.COMPANY,
}
# With one of these a person can be reached; for a lead with none, the form is asked what its questions mean.
_REACHES: Final = frozenset({Meaning.EMAIL, Meaning.PHONE})


def read_lead(page_id: str, lead_id: str, token: Secret, fields: str = LEAD_FIELDS) -> GraphCall:
    """`GET /{lead}`."""
    return GraphCall(
        path=(lead_id,),
        query={"fields": fields},
        token=token,
        expects=frozenset({"id"}),
        owner=page_id,
        use_case=LEADGEN,
    )


def page_forms(page_id: str, token: Secret) -> GraphCall:
    """`GET /{page}/leadgen_forms`, with the questions."""
    return GraphCall(
        path=(page_id, "leadgen_forms"),
        query={"fields": FORM_FIELDS, "limit": _PAGE_SIZE},
        token=token,
        owner=page_id,
        use_case=LEADGEN,
    )


def read_form(page_id: str, form_id: str, token: Secret) -> GraphCall:
    """`GET /{form}`."""
    return GraphCall(
        path=(form_id,), query={"fields": FORM_FIELDS}, token=token, owner=page_id, use_case=LEADGEN
    )


def form_leads(
    page_id: str, form_id: str, since: datetime, token: Secret, fields: str = LEAD_FIELDS
) -> GraphCall:
    """`GET /{form}/leads`, submitted at or after `since`. Graph knows "later than", in whole seconds."""
    later_than = int(since.timestamp()) - 1
    rule = [{"field": "time_created", "operator": "GREATER_THAN", "value": later_than}]
    return GraphCall(
        path=(form_id, "leads"),
        query={"fields": fields, "filtering": canonical(rule).decode(), "limit": _PAGE_SIZE},
        token=token,
        owner=page_id,
        use_case=LEADGEN,
    )


def lead_from_graph(
    node: Mapping[str, object], *, page_id: str, form_id: str = "", meanings: Mapping[str, Meaning] = MEANINGS
) -> Lead | None:
    """A lead in neutral words; `None` if it has no id. Questions may be named in any language or script."""
    lead_id = node_id(node.get("id"))
    if not lead_id:
        return None
    return Lead(
        external_id=lead_id,
        channel_external_id=page_id,
        form_external_id=node_id(node.get("form_id")) or form_id,
        answers=tuple(_answer(entry, meanings) for entry in records(node.get("field_data"))),
        submitted_at=moment(node.get("created_time")),
        campaign_external_id=node_id(node.get("campaign_id")),
        ad_set_external_id=node_id(node.get("adset_id")),
        ad_external_id=node_id(node.get("ad_id")),
        is_organic=truth(node.get("is_organic")),
        platform=text(node.get("platform")),
    )


def _answer(entry: Mapping[str, object], meanings: Mapping[str, Meaning]) -> Answer:
    name, values = text(entry.get("name")), entry.get("values")
    listed = values if isinstance(values, list) else [values]
    return Answer(
        name=name,
        values=tuple(_said(value) for value in listed if value is not None),
        meaning=meanings.get(name) or MEANINGS.get(name.lower()),
    )


def _said(value: object) -> str:
    """What a person answered; anything that is no text or number as JSON, so that nothing is lost."""
    if isinstance(value, (bool, dict, list)):
        return canonical(value).decode()
    return text(value)


def form_from_graph(node: Mapping[str, object], *, page_id: str) -> LeadForm | None:
    """A form in neutral words; `None` if it has no id."""
    form_id = node_id(node.get("id"))
    if not form_id:
        return None
    return LeadForm(
        external_id=form_id,
        channel_external_id=page_id,
        name=text(node.get("name")),
        status=text(node.get("status")).lower(),
        questions=tuple(map(_question, _listed(node.get("questions")))),
    )


def _question(node: Mapping[str, object]) -> Question:
    key, kind = text(node.get("key")), text(node.get("type")).lower()
    return Question(
        key=key,
        label=text(node.get("label")) or key,
        meaning=MEANINGS.get(kind) or MEANINGS.get(key.lower()),
        options=tuple(text(option.get("value")) for option in _listed(node.get("options"))),
    )


def _listed(value: object) -> list[Mapping[str, object]]:
    """A list as it is; an edge (`{"data": […]}`) as its list."""
    return records(record(value).get("data")) if isinstance(value, dict) else records(value)


@attrs.frozen(kw_only=True)
class GraphLeadSource:
    """A `LeadSource` for the Pages of one org."""

    client: GraphClient
    vault: GraphTokenVault

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        """Every form of the Page, archived ones too; nothing else has forms."""
        if await self.vault.channel_type(channel_external_id) not in {"", PAGE}:
            return ()
        token = await self.vault.channel_token(channel_external_id)
        try:
            nodes = await fetch_all(self.client, page_forms(channel_external_id, token))
        except (VendorNotFoundError, RejectedError) as refused:
            if not _says_no_such_object(refused):
                raise
            raise await self._hidden_or_gone(refused, token) from refused
        found = (form_from_graph(node, page_id=channel_external_id) for node in nodes)
        return tuple(form for form in found if form)

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        """One lead. Where its questions are in no language we know, the form is asked what they mean."""
        token = await self.vault.channel_token(channel_external_id)
        try:
            node = await self._read(channel_external_id, lead_external_id, token)
        except (VendorNotFoundError, RejectedError) as refused:
            if not _says_no_such_object(refused):
                raise
            raise await self._hidden_or_gone(refused, token) from refused
        lead = lead_from_graph(node, page_id=channel_external_id)
        if lead is None:
            msg = "Facebook sent a lead without an id"
            raise VendorNotFoundError(msg, vendor=VENDOR)
        if lead.form_external_id and not _can_be_reached(lead):
            meanings = await self._meanings(channel_external_id, lead.form_external_id, token)
            lead = lead_from_graph(node, page_id=channel_external_id, meanings=meanings) or lead
        return lead

    async def leads_since(
        self, channel_external_id: str, form_external_id: str, since: datetime, cursor: str | None = None
    ) -> Page[Lead]:
        """Newest first, a hundred at a time."""
        token = await self.vault.channel_token(channel_external_id)
        try:
            call = form_leads(channel_external_id, form_external_id, since, token)
            page = await fetch_page(self.client, call, cursor)
        except MissingScopeError:
            call = form_leads(channel_external_id, form_external_id, since, token, _CORE_FIELDS)
            page = await fetch_page(self.client, call, cursor)
        read = partial(lead_from_graph, page_id=channel_external_id, form_id=form_external_id)
        leads = tuple(filter(None, map(read, page.items)))
        if not all(map(_can_be_reached, leads)):
            meanings = await self._meanings(channel_external_id, form_external_id, token)
            read = partial(read, meanings=meanings)
            leads = tuple(filter(None, map(read, page.items)))
        return Page(items=leads, next_cursor=page.next_cursor)

    async def _read(self, page_id: str, lead_id: str, token: Secret) -> Mapping[str, object]:
        """The lead with its ad; without the permissions for ads, the answers alone: they are what counts."""
        try:
            return await self.client.send(read_lead(page_id, lead_id, token))
        except MissingScopeError:
            return await self.client.send(read_lead(page_id, lead_id, token, _CORE_FIELDS))

    async def _hidden_or_gone(self, refused: VendorError, token: Secret) -> VendorError:
        """Graph says "no such object" to whoever lacks a scope, too: ask which of the two it is."""
        facts = await inspect_token(self.client, token)
        if facts.is_valid and LEADS not in facts.scopes:
            return _as(MissingScopeError, refused, "Connect again and allow access to leads.")
        return _as(VendorNotFoundError, refused, _NO_ACCESS)

    async def _meanings(self, page_id: str, form_id: str, token: Secret) -> Mapping[str, Meaning]:
        """What the form's keys stand for; nothing if it can't be read: the lead is worth more than that.

        Raises:
            RateLimitError: Not now. Later the lead can be had whole.
        """
        try:
            answer = await self.client.send(read_form(page_id, form_id, token))
            form = form_from_graph(answer, page_id="")
        except RateLimitError:
            raise
        except VendorError:
            return {}
        questions = form.questions if form else ()
        return {question.key: question.meaning for question in questions if question.meaning}


def _can_be_reached(lead: Lead) -> bool:
    return any(answer.meaning in _REACHES and any(answer.values) for answer in lead.answers)


def _says_no_such_object(refused: VendorError) -> bool:
    """Graph says so, with code 100 and subcode 33 or none, also for what may only not be seen."""
    is_bare = refused.vendor_code == "100" and not refused.vendor_subcode
    return is_bare or isinstance(refused, VendorNotFoundError)


def _as(kind: type[VendorError], refused: VendorError, remedy: str) -> VendorError:
    return kind(
        str(refused),
        vendor=refused.vendor,
        vendor_code=refused.vendor_code,
        vendor_subcode=refused.vendor_subcode,
        trace_id=refused.trace_id,
        hits=refused.hits,
        remedy=remedy,
    )


def lead_source(context: VendorContext) -> GraphLeadSource:
    """The leads of one org."""
    return GraphLeadSource(client=graph_client(context), vault=token_vault(context))
