"""The lead forms of an org for pages: read at the vendor, and remembered for pages that look by themselves.

A page that is left open asks every two seconds. What the vendor said stays as it is for those looks; what is
known here is told anew each time.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import attrs

from moorage.admin import words
from moorage.admin.desk import Visit
from moorage.admin.form_shelf import Key, Reading
from moorage.admin.standing import VendorStanding
from moorage.admin.words import Trouble
from moorage.operations.lead_reading import forms_again, forms_remembered
from moorage.vendors import binding_of
from moorage_ports.capabilities import Capability
from moorage_ports.errors import MoorageError, UnavailableError
from moorage_ports.integrations import Channel
from moorage_ports.lead_operations import (
    GET_LEAD_FORM,
    LIST_LEAD_FORMS,
    GetLeadForm,
    LeadFormView,
    ListLeadForms,
)
from moorage_ports.storage import UnitOfWork

_AT_ONCE: Final = 4
_DEADLINE: Final = timedelta(seconds=10)


@attrs.frozen(kw_only=True)
class ChannelForms:
    """A channel that may have forms, and those that it has. `failure`: why they could not be read now."""

    standing: VendorStanding
    channel: Channel
    forms: tuple[LeadFormView, ...]
    failure: Trouble | None


def channels_with_forms(
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


async def forms_of_channels(
    visit: Visit, standings: Iterable[VendorStanding], *, is_look: bool
) -> tuple[ChannelForms, ...]:
    """Every channel's forms. Of one that cannot be read now, those that it had when last compared."""
    having, gate = channels_with_forms(standings), asyncio.Semaphore(_AT_ONCE)

    async def reading(standing: VendorStanding, channel: Channel) -> Reading | None:
        if not (standing.is_live and channel.selectable):
            return None
        key = (visit.org_id, standing.slug, "channel", channel.id)
        async with gate:
            return await _reading(visit, standing, key, ListLeadForms(channel=channel.id), is_look=is_look)

    readings = await asyncio.gather(*(reading(*each) for each in having))
    found = []
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        for (standing, channel), read in zip(having, readings, strict=True):
            found.append(
                ChannelForms(
                    standing=standing,
                    channel=channel,
                    forms=await _known(uow, standing.slug, channel.external_id, read),
                    failure=read.failure if read else None,
                )
            )
    return tuple(found)


async def form_of(
    visit: Visit, standing: VendorStanding, form_id: str, *, is_look: bool
) -> tuple[LeadFormView | None, Trouble | None]:
    """One form, and why it could not be read now; `None` if nothing is known of it at all."""
    key, read = (visit.org_id, standing.slug, "form", form_id), None
    if standing.is_live:
        read = await _reading(visit, standing, key, GetLeadForm(form=form_id), is_look=is_look)
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        if read is not None and read.failure is None:
            forms = await forms_again(uow, standing.slug, read.forms, read.at)
        else:
            channels = [channel.external_id for channel in standing.channels]
            remembered = await forms_remembered(uow, standing.slug, channels)
            forms = tuple(form for form in remembered if form.id == form_id)
    return (forms[0] if forms else None), (read.failure if read else None)


async def _known(
    uow: UnitOfWork, vendor: str, channel: str, read: Reading | None
) -> tuple[LeadFormView, ...]:
    if read is None or read.failure is not None:
        return await forms_remembered(uow, vendor, (channel,))
    return await forms_again(uow, vendor, read.forms, read.at)


async def _reading(
    visit: Visit,
    standing: VendorStanding,
    key: Key,
    request: ListLeadForms | GetLeadForm,
    *,
    is_look: bool,
) -> Reading:
    """What the vendor says; for a mere look, what it said last if that is known."""
    shelf = visit.desk.forms
    kept = shelf.get(key) if is_look else None
    if kept is not None:
        return kept
    at = visit.desk.now()
    try:
        async with asyncio.timeout(_DEADLINE.total_seconds()):
            if isinstance(request, ListLeadForms):
                forms = (await visit.ask(standing.vendor, LIST_LEAD_FORMS, request)).forms
            else:
                forms = (await visit.ask(standing.vendor, GET_LEAD_FORM, request),)
        reading = Reading(at=at, forms=forms)
    except MoorageError as failure:
        reading = Reading(at=at, failure=words.trouble(failure))
    except TimeoutError:
        msg = f"{standing.title} takes too long to answer"
        reading = Reading(at=at, failure=words.trouble(UnavailableError(msg)))
    shelf.put(key, reading)
    return reading
