"""The lead forms of an org for pages: read at the vendor when somebody comes, remembered for all else.

A page that is left open asks every two seconds, and a form that is posted needs an answer at once: neither
waits for the vendor. What it asks was kept when it was last read.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from datetime import timedelta
from typing import Final, TypeVar

import attrs

from moorage.admin import words
from moorage.admin.desk import Visit
from moorage.admin.standing import VendorStanding
from moorage.admin.words import Trouble
from moorage.operations.lead_reading import form_remembered, forms_remembered
from moorage.vendors import binding_of
from moorage_ports.capabilities import Capability
from moorage_ports.errors import MoorageError, UnavailableError
from moorage_ports.integrations import Channel
from moorage_ports.lead_operations import (
    GET_LEAD_FORM,
    LIST_LEAD_FORMS,
    GetLeadForm,
    LeadFormList,
    LeadFormView,
    ListLeadForms,
)

T = TypeVar("T")

_AT_ONCE: Final = 4
_DEADLINE: Final = timedelta(seconds=10)


@attrs.frozen(kw_only=True)
class ChannelForms:
    """A channel that may have forms, and those that it has. `failure`: why they could not be read now."""

    standing: VendorStanding
    channel: Channel
    forms: tuple[LeadFormView, ...]
    failure: Trouble | None = None


async def forms_of_channels(
    visit: Visit, standings: Iterable[VendorStanding], *, is_look: bool
) -> tuple[ChannelForms, ...]:
    """Every channel's forms: read now, or for a mere look as they were; so, too, if they cannot be read.

    All of them together get as long as one: somebody waits for the page.
    """
    having, gate = _channels_with_forms(standings), asyncio.Semaphore(_AT_ONCE)
    until = asyncio.get_running_loop().time() + _DEADLINE.total_seconds()

    async def read(standing: VendorStanding, channel: Channel) -> tuple[LeadFormList | None, Trouble | None]:
        if not standing.is_live or not channel.selectable or is_look:
            return None, None

        async def asked() -> LeadFormList:
            async with gate:
                return await visit.ask(standing.vendor, LIST_LEAD_FORMS, ListLeadForms(channel=channel.id))

        return await _in_time(asked(), standing, until)

    answers = await asyncio.gather(*(read(*each) for each in having))
    unread = [each for each, (listed, _) in zip(having, answers, strict=True) if listed is None]
    known = await _remembered(visit, unread)
    return tuple(
        ChannelForms(
            standing=standing,
            channel=channel,
            forms=listed.forms if listed is not None else known.get((standing.slug, channel.external_id), ()),
            failure=failure,
        )
        for (standing, channel), (listed, failure) in zip(having, answers, strict=True)
    )


async def _remembered(
    visit: Visit, channels: Iterable[tuple[VendorStanding, Channel]]
) -> Mapping[tuple[str, str], tuple[LeadFormView, ...]]:
    """The forms that these channels had, by vendor and channel: asked for once for each vendor."""
    wanted: dict[str, list[str]] = {}
    for standing, channel in channels:
        wanted.setdefault(standing.slug, []).append(channel.external_id)
    found: dict[tuple[str, str], tuple[LeadFormView, ...]] = {}
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        for slug, external_ids in wanted.items():
            for form in await forms_remembered(uow, slug, external_ids):
                key = (slug, form.channel_id)
                found[key] = (*found.get(key, ()), form)
    return found


async def form_of(
    visit: Visit, standing: VendorStanding, form_id: str, *, is_look: bool
) -> tuple[LeadFormView | None, Trouble | None]:
    """One form, and why it could not be read now; `None` if nothing is known of it at all."""
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        known = await form_remembered(uow, standing.slug, form_id)
    if not standing.is_live or (is_look and known is not None):
        return known, None
    asked = visit.ask(standing.vendor, GET_LEAD_FORM, GetLeadForm(form=form_id))
    until = asyncio.get_running_loop().time() + _DEADLINE.total_seconds()
    form, failure = await _in_time(asked, standing, until)
    return form or known, failure


def _channels_with_forms(
    standings: Iterable[VendorStanding],
) -> tuple[tuple[VendorStanding, Channel], ...]:
    """The channels of the org that forms may hang on."""
    return tuple(
        (standing, channel)
        for standing in standings
        if binding_of(standing.vendor, LIST_LEAD_FORMS) is not None
        for channel in standing.selected
        if standing.vendor.suits(channel.type, Capability.RECEIVE_LEADS)
    )


async def _in_time(
    asked: Awaitable[T], standing: VendorStanding, until: float
) -> tuple[T | None, Trouble | None]:
    """What the vendor answers until then (as the loop counts), or why there is no answer."""
    try:
        async with asyncio.timeout_at(until):
            return await asked, None
    except MoorageError as failure:
        return None, words.trouble(failure)
    except TimeoutError:
        msg = f"{standing.title} takes too long to answer"
        return None, words.trouble(UnavailableError(msg))
