"""`MemoryLeadSource`: forms and slips become forms and leads."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from moorage_adapters.memory.door import SLUG, reading, writing
from moorage_adapters.memory.things import Form, Slip
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.errors import InvalidRequestError, VendorError, VendorNotFoundError
from moorage_ports.lead_source import (
    Answer,
    Consent,
    Lead,
    LeadCounts,
    LeadForm,
    Meaning,
    Option,
    Question,
)
from moorage_ports.paging import Page

_MEANINGS: Mapping[str, Meaning] = {meaning.value: meaning for meaning in Meaning}


def lead_from_slip(slip: Slip) -> Lead:
    """A filled-in form in the ports' words. Boards carry no advertisements, so every lead is organic."""
    return Lead(
        external_id=slip.id,
        channel_external_id=slip.board_id,
        form_external_id=slip.form_id,
        answers=tuple(
            Answer(name=key, values=tuple(values), meaning=_MEANINGS.get(key))
            for key, values in slip.answers.items()
        ),
        submitted_at=slip.handed_in_at,
        is_organic=True,
        consents=tuple(Consent(key=key, is_given=agreed) for key, agreed in slip.agreed.items()),
        is_test=slip.is_trial,
    )


def form_from_memory(form: Form, filled_in: int, shredded: int) -> LeadForm:
    """A form in the ports' words."""
    return LeadForm(
        external_id=form.id,
        channel_external_id=form.board_id,
        name=form.name,
        status="open",
        questions=tuple(
            Question(
                key=key,
                label=label,
                meaning=_MEANINGS.get(key),
                options=tuple(Option(key=choice, label=choice) for choice in form.choices.get(key, ())),
            )
            for key, label in form.asks.items()
        ),
        consents=tuple(Consent(key=key, text=text, is_required=False) for key, text in form.pledges.items()),
        counts=LeadCounts(total=filled_in, expired=shredded, organic=filled_in),
    )


@attrs.frozen
class MemoryLeadSource:
    """A `LeadSource`: reads with the board's own token."""

    world: MemoryWorld
    vault: MemoryTokenVault

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            forms = self.world.forms_on(token, channel_external_id)
        return tuple(form_from_memory(*form) for form in forms)

    async def form(self, channel_external_id: str, form_external_id: str) -> LeadForm:
        for form in await self.forms(channel_external_id):
            if form.external_id == form_external_id:
                return form
        msg = "no such form hangs on this board"
        raise VendorNotFoundError(msg, vendor=SLUG)

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            return lead_from_slip(self.world.slip(token, channel_external_id, lead_external_id))

    async def leads(
        self, channel_external_id: str, lead_external_ids: Sequence[str]
    ) -> Mapping[str, Lead | VendorError]:
        await self.vault.channel_token(channel_external_id)
        found: dict[str, Lead | VendorError] = {}
        for lead_id in lead_external_ids:
            try:
                found[lead_id] = await self.lead(channel_external_id, lead_id)
            except VendorError as failure:
                found[lead_id] = failure
        return found

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            msg = "this cursor is not one that was handed out"
            raise InvalidRequestError(msg, fields={"cursor": "unknown"})
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            slips, following = self.world.slips_since(
                token, channel_external_id, form_external_id, since, until, int(cursor or 0)
            )
        return Page(
            items=tuple(lead_from_slip(slip) for slip in slips),
            next_cursor=None if following is None else str(following),
        )

    async def create_test_lead(
        self,
        channel_external_id: str,
        form_external_id: str,
        *,
        answers: Mapping[str, tuple[str, ...]] | None = None,
    ) -> str:
        token = await self.vault.channel_token(channel_external_id)
        with writing():
            return self.world.try_form(token, channel_external_id, form_external_id, answers or {}).id
