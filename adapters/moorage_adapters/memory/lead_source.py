"""`MemoryLeadSource`: forms and slips become forms and leads."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from moorage_adapters.memory.door import reading
from moorage_adapters.memory.things import Form, Slip
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.errors import InvalidRequestError
from moorage_ports.lead_source import Answer, Lead, LeadForm, Meaning, Question
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
    )


def form_from_memory(form: Form) -> LeadForm:
    """A form in the ports' words."""
    return LeadForm(
        external_id=form.id,
        channel_external_id=form.board_id,
        name=form.name,
        status="open",
        questions=tuple(
            Question(key=key, label=label, meaning=_MEANINGS.get(key)) for key, label in form.asks.items()
        ),
    )


@attrs.frozen
class MemoryLeadSource:
    """A `LeadSource`: reads with the board's own token."""

    world: MemoryWorld
    vault: MemoryTokenVault

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            return tuple(form_from_memory(form) for form in self.world.forms_on(token, channel_external_id))

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            return lead_from_slip(self.world.slip(token, channel_external_id, lead_external_id))

    async def leads_since(
        self, channel_external_id: str, form_external_id: str, since: datetime, cursor: str | None = None
    ) -> Page[Lead]:
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            msg = "this cursor is not one that was handed out"
            raise InvalidRequestError(msg, fields={"cursor": "unknown"})
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            slips, following = self.world.slips_since(
                token, channel_external_id, form_external_id, since, int(cursor or 0)
            )
        return Page(
            items=tuple(lead_from_slip(slip) for slip in slips),
            next_cursor=None if following is None else str(following),
        )
