"""Which channel a form or a lead belongs to, and asking the vendor about it with that channel's token."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from moorage.leads.forms import remember_form
from moorage.operations.standing import act_on_vendor_error, check_selectable, usable_integration
from moorage.services import OperationCall, port
from moorage_ports.capabilities import Capability
from moorage_ports.errors import (
    InvalidRequestError,
    NotFoundError,
    UnsupportedError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.integrations import Channel
from moorage_ports.lead_source import LeadForm, LeadSource
from moorage_ports.storage import UnitOfWork

A = TypeVar("A")


@attrs.frozen(kw_only=True)
class LeadChannels:
    """The selected channels of an org that forms may hang on, and what they are asked with."""

    call: OperationCall
    source: LeadSource
    channels: tuple[Channel, ...]

    async def ask(self, channel: Channel, question: Callable[[], Awaitable[A]]) -> A:
        """Ask the vendor about one channel; what its answer says about the grant is written down.

        Raises:
            VendorError: What the vendor said.
        """
        services, asked_at = self.call.services, self.call.services.clock.now()
        try:
            return await question()
        except VendorError as failure:
            await act_on_vendor_error(
                services,
                self.call.caller.org_id,
                self.call.vendor.slug,
                failure,
                asked_at=asked_at,
                channel_external_id=channel.external_id,
            )
            raise

    async def form(self, form_id: str) -> tuple[Channel, LeadForm]:
        """The form, on whichever of the channels it is; what it asks is kept.

        Raises:
            VendorNotFoundError: On none of them, or none of their grants may see it.
            VendorError: What the vendor said of the only channel, or of one that could not be asked.
        """

        async def read(channel: Channel) -> LeadForm:
            return await self.source.form(channel.external_id, form_id)

        channel, form = await self.first(read)
        if not self.call.dry_run:
            services, slug = self.call.services, self.call.vendor.slug
            async with services.storage.unit_of_work(self.call.caller.org_id) as uow:
                await remember_form(uow, slug, form, services.clock.now())
        return channel, form

    async def first(self, read: Callable[[Channel], Awaitable[A]]) -> tuple[Channel, A]:
        """What the first channel answers that knows the thing at all.

        Raises:
            VendorNotFoundError: None does.
            VendorError: What the vendor said of one that could not be asked.
        """
        refused: VendorError | None = None
        for channel in self.channels:

            async def question(channel: Channel = channel) -> A:
                return await read(channel)

            try:
                return channel, await self.ask(channel, question)
            except VendorNotFoundError as missing:
                refused = refused or missing
            except VendorError as failure:
                refused = failure
        if refused is not None:
            raise refused
        msg = "the organisation has no selected channel with forms"
        raise NotFoundError(msg, remedy="Select the channel that the form belongs to.")


async def lead_channels(call: OperationCall, name: str = "", *, form_id: str = "") -> LeadChannels:
    """The channel that `name` says (our id or the vendor's), or all that may have forms.

    Without a name those come first on which the form was seen before.

    Raises:
        UnsupportedError: The vendor has no leads, or this channel has none.
        NotConnectedError, ReauthorizationError: The integration cannot be used now.
        NotFoundError: The org has no such channel.
        InvalidRequestError: It is not selected.
        MissingScopeError, ReauthorizationError: That channel cannot be read now.
    """
    services, vendor, org_id = call.services, call.vendor, call.caller.org_id
    factory = port(vendor.lead_source, "leads")
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        channels = await _channels(uow, call, name)
        if form_id and len(channels) > 1:
            seen = {
                check.channel_external_id
                for check in await uow.form_checks.all()
                if (check.vendor, check.form_external_id) == (vendor.slug, form_id)
            }
            channels = tuple(sorted(channels, key=lambda each: each.external_id not in seen))
    return LeadChannels(call=call, source=factory(await services.context(vendor, org_id)), channels=channels)


async def _channels(uow: UnitOfWork, call: OperationCall, name: str) -> tuple[Channel, ...]:
    vendor = call.vendor
    integration = await usable_integration(uow, vendor.slug)
    channels = await uow.integrations.channels(integration.id)
    fitting = tuple(each for each in channels if vendor.suits(each.type, Capability.RECEIVE_LEADS))
    if not name:
        return tuple(each for each in fitting if each.selected and each.selectable)
    named = next((each for each in channels if name in {each.id, each.external_id}), None)
    if named is None:
        msg = "the organisation has no such channel"
        raise NotFoundError(msg, remedy="List the channels; connect again if it should be among them.")
    if named not in fitting:
        msg = "this kind of channel has no forms"
        raise UnsupportedError(msg)
    if not named.selected:
        msg = "this channel is not selected"
        raise InvalidRequestError(msg, remedy="Select the channel first, then send the request again.")
    check_selectable(named, vendor.slug)
    return (named,)
