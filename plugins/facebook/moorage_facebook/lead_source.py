"""`GraphLeadSource`: lead forms and what people answered, read with the Page's own token.

https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final

import attrs

from moorage_facebook.channel_types import PAGE
from moorage_facebook.graph.batch import Outcome, send_batch
from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import Node, fetch_all, fetch_page
from moorage_facebook.graph.values import node_id
from moorage_facebook.lead_access import says_no_such_object, why_hidden
from moorage_facebook.lead_calls import (
    BARE_FORM_FIELDS,
    CORE_FIELDS,
    FORM_FIELDS,
    LEAD_FIELDS,
    delete_lead,
    form_leads,
    form_test_leads,
    make_test_lead,
    page_forms,
    read_form,
    read_lead,
)
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_facebook.translate.lead_nodes import form_from_graph, lead_from_graph
from moorage_ports.errors import (
    InvalidRequestError,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.lead_source import Lead, LeadForm, Meaning
from moorage_ports.paging import Page
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

# With one of these a person can be reached; for a lead with none, the form is asked what its questions mean.
_REACHES: Final = frozenset({Meaning.EMAIL, Meaning.PHONE})


@attrs.frozen(kw_only=True)
class GraphLeadSource:
    """A `LeadSource` for the Pages of one org."""

    client: GraphClient
    vault: GraphTokenVault

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        """Every form of the Page, archived ones too; nothing else has forms."""
        if await self.vault.channel_type(channel_external_id) not in {"", PAGE}:
            return ()
        token, is_bare = await self.vault.channel_token(channel_external_id), False
        async with self._explained(channel_external_id, token):
            try:
                nodes = await fetch_all(self.client, page_forms(channel_external_id, token))
            except MissingScopeError:  # for what it counts, perhaps: the questions are worth more
                call = page_forms(channel_external_id, token, BARE_FORM_FIELDS)
                nodes, is_bare = await fetch_all(self.client, call), True
        found = (form_from_graph(node, page_id=channel_external_id) for node in nodes)
        return tuple(attrs.evolve(form, knows_consents=not is_bare) for form in found if form)

    async def form(self, channel_external_id: str, form_external_id: str) -> LeadForm:
        """One form, in whatever state; without counts where they may not be seen."""
        token = await self.vault.channel_token(channel_external_id)
        read, is_bare = partial(read_form, channel_external_id, form_external_id, token), False
        async with self._explained(channel_external_id, token):
            try:
                node = await self.client.send(read(FORM_FIELDS))
            except MissingScopeError:
                node, is_bare = await self.client.send(read(BARE_FORM_FIELDS)), True
        form = form_from_graph(node, page_id=channel_external_id)
        if form is None:
            msg = "Facebook sent a form without an id"
            raise VendorNotFoundError(msg, vendor=VENDOR)
        return attrs.evolve(form, knows_consents=not is_bare)

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        """One lead. Where its questions are in no language we know, the form is asked what they mean."""
        token = await self.vault.channel_token(channel_external_id)
        async with self._explained(channel_external_id, token):
            node = await self._read(channel_external_id, lead_external_id, token)
        lead = _lead(node, channel_external_id)
        if lead.form_external_id and not _can_be_reached(lead):
            meanings = await self._meanings(channel_external_id, lead.form_external_id, token)
            lead = lead_from_graph(node, page_id=channel_external_id, meanings=meanings) or lead
        return lead

    async def leads(
        self, channel_external_id: str, lead_external_ids: Sequence[str]
    ) -> Mapping[str, Lead | VendorError]:
        """Fifty in a request, each with an outcome of its own; what Graph left out is asked for again."""
        token = await self.vault.channel_token(channel_external_id)
        outcomes = await self._read_many(channel_external_id, lead_external_ids, token)
        nodes = {one: node for one, node in outcomes.items() if not isinstance(node, VendorError)}
        refused = {one: error for one, error in outcomes.items() if isinstance(error, VendorError)}
        leads = await self._understood(channel_external_id, nodes, token)
        return {**leads, **await self._told_apart(channel_external_id, refused, token)}

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        """Newest first, a hundred at a time."""
        token = await self.vault.channel_token(channel_external_id)
        call = partial(form_leads, channel_external_id, form_external_id, since, token, until=until)
        async with self._explained(channel_external_id, token):
            try:
                page = await fetch_page(self.client, call(), cursor)
            except MissingScopeError:
                page = await fetch_page(self.client, call(fields=CORE_FIELDS), cursor)
        read = partial(lead_from_graph, page_id=channel_external_id, form_id=form_external_id)
        leads = tuple(filter(None, map(read, page.items)))
        if not all(map(_can_be_reached, leads)):
            meanings = await self._meanings(channel_external_id, form_external_id, token)
            read = partial(read, meanings=meanings)
            leads = tuple(filter(None, map(read, page.items)))
        return Page(items=leads, next_cursor=page.next_cursor)

    async def create_test_lead(
        self,
        channel_external_id: str,
        form_external_id: str,
        *,
        answers: Mapping[str, tuple[str, ...]] | None = None,
    ) -> str:
        """Graph keeps one test lead per form: where it refuses another, the one that is there makes room."""
        token = await self.vault.channel_token(channel_external_id)
        make = make_test_lead(channel_external_id, form_external_id, answers or {}, token)
        async with self._explained(channel_external_id, token, writes=True):
            try:
                made = await self.client.send(make)
            except RejectedError as refused:
                await self._make_room(channel_external_id, form_external_id, answers or {}, token, refused)
                made = await self.client.send(make)
        lead_id = node_id(made.get("id"))
        if not lead_id:
            msg = "Facebook made a test lead and did not say which"
            raise OutcomeUnknownError(msg, vendor=VENDOR)
        return lead_id

    async def _make_room(
        self, page_id: str, form_id: str, answers: Collection[str], token: Secret, refused: RejectedError
    ) -> None:
        """Delete the form's test leads, and nothing else, where nothing else is seen to be wrong.

        Raises:
            RejectedError: There are none, or what was answered is no question of the form: they stay.
        """
        form = form_from_graph(await self.client.send(read_form(page_id, form_id, token)), page_id=page_id)
        asked = {question.key for question in form.questions} if form else set()
        nodes = await fetch_all(self.client, form_test_leads(page_id, form_id, token))
        known = [lead_id for lead_id in (node_id(node.get("id")) for node in nodes) if lead_id]
        if not known or not asked.issuperset(answers):
            raise refused
        for lead_id in known:
            await self.client.send(delete_lead(page_id, lead_id, token))

    async def _read(self, page_id: str, lead_id: str, token: Secret) -> Node:
        """The lead with its ad; without the permissions for ads, the answers alone: they are what counts."""
        try:
            return await self.client.send(read_lead(page_id, lead_id, token))
        except MissingScopeError:
            return await self.client.send(read_lead(page_id, lead_id, token, CORE_FIELDS))

    async def _read_many(
        self, page_id: str, lead_ids: Sequence[str], token: Secret
    ) -> dict[str, Node | VendorError]:
        """The same for many, in two batches at most."""
        outcomes = await self._batch({one: _call(page_id, one, token) for one in lead_ids})
        hides_ads = [one for one, outcome in outcomes.items() if isinstance(outcome, MissingScopeError)]
        core = {one: _call(page_id, one, token, CORE_FIELDS) for one in hides_ads}
        return outcomes | await self._batch(core)

    async def _batch(self, calls: Mapping[str, GraphCall | None]) -> dict[str, Outcome]:
        """What became of each call; `None` stands for an id that is none of Graph's."""
        sent = {one: call for one, call in calls.items() if call is not None}
        answered = dict(zip(sent, await send_batch(self.client, tuple(sent.values())), strict=True))
        msg = "this is no id of a lead"
        return {one: answered.get(one) or VendorNotFoundError(msg, vendor=VENDOR) for one in calls}

    async def _understood(
        self, page_id: str, nodes: Mapping[str, Node], token: Secret
    ) -> dict[str, Lead | VendorError]:
        """Nodes as leads; each form is asked once what its questions mean, where that is needed."""
        found: dict[str, Lead | VendorError] = {}
        meanings: dict[str, Mapping[str, Meaning] | VendorError] = {}
        for one, node in nodes.items():
            try:
                lead = _lead(node, page_id)
                form_id = lead.form_external_id
                if form_id and not _can_be_reached(lead):
                    if form_id not in meanings:
                        meanings[form_id] = await self._meanings_or_limit(page_id, form_id, token)
                    known = meanings[form_id]
                    if isinstance(known, VendorError):
                        raise known
                    lead = lead_from_graph(node, page_id=page_id, meanings=known) or lead
                found[one] = lead
            except VendorError as failure:
                found[one] = failure
        return found

    async def _told_apart(
        self, page_id: str, refused: Mapping[str, VendorError], token: Secret
    ) -> Mapping[str, VendorError]:
        """Errors as what they are; whatever hides leads is asked for once, and hides them all."""
        if not any(map(says_no_such_object, refused.values())):
            return refused
        try:
            why = await why_hidden(self.client, page_id, token)
        except VendorError as failure:
            return {one: failure if says_no_such_object(error) else error for one, error in refused.items()}
        return {
            one: why.said_of(error) if says_no_such_object(error) else error for one, error in refused.items()
        }

    @asynccontextmanager
    async def _explained(self, page_id: str, token: Secret, *, writes: bool = False) -> AsyncIterator[None]:
        """Graph says "no such object" to whoever lacks something, too: ask which of the two it is."""
        try:
            yield
        except (VendorNotFoundError, RejectedError) as refused:
            if not says_no_such_object(refused, writes=writes):
                raise
            why = await why_hidden(self.client, page_id, token)
            raise why.said_of(refused) from refused

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

    async def _meanings_or_limit(
        self, page_id: str, form_id: str, token: Secret
    ) -> Mapping[str, Meaning] | VendorError:
        try:
            return await self._meanings(page_id, form_id, token)
        except RateLimitError as limit:
            return limit


def _call(page_id: str, lead_id: str, token: Secret, fields: str = LEAD_FIELDS) -> GraphCall | None:
    """The call that reads a lead; `None` if Graph has no such ids."""
    try:
        return read_lead(page_id, lead_id, token, fields)
    except InvalidRequestError:
        return None


def _lead(node: Node, page_id: str) -> Lead:
    """The lead in a node.

    Raises:
        VendorNotFoundError: It has no id.
    """
    lead = lead_from_graph(node, page_id=page_id)
    if lead is None:
        msg = "Facebook sent a lead without an id"
        raise VendorNotFoundError(msg, vendor=VENDOR)
    return lead


def _can_be_reached(lead: Lead) -> bool:
    return any(answer.meaning in _REACHES and any(answer.values) for answer in lead.answers)


def lead_source(context: VendorContext) -> GraphLeadSource:
    """The leads of one org."""
    return GraphLeadSource(client=graph_client(context), vault=token_vault(context))
