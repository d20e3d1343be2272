"""The org's channels by what records know them by: those have the vendor's ids, callers want ours."""

from collections.abc import Mapping

import attrs

from moorage_ports.integrations import Channel
from moorage_ports.storage import UnitOfWork


@attrs.frozen
class ChannelBook:
    """All channels of the org, chosen or not, by (vendor, the vendor's id)."""

    channels: Mapping[tuple[str, str], Channel]

    def id_of(self, vendor: str, external_id: str) -> str | None:
        """Our id; `None` of a channel that is gone."""
        channel = self.channels.get((vendor, external_id))
        return channel.id if channel else None

    def meant_by(self, asked: str, vendor: str = "") -> tuple[str, str]:
        """(vendor, the vendor's id) of the channel that a caller calls so, by our id or by the vendor's."""
        for (slug, external_id), channel in self.channels.items():
            if channel.id == asked:
                return slug, external_id
        return vendor, asked


async def channel_book(uow: UnitOfWork) -> ChannelBook:
    """The book of this org."""
    found = [
        channel
        for integration in await uow.integrations.all()
        for channel in await uow.integrations.channels(integration.id)
    ]
    return ChannelBook({(channel.vendor, channel.external_id): channel for channel in found})
