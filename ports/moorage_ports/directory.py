"""`Directory`: what a grant lets an org choose from, with the reason where it can't."""

from typing import Protocol

import attrs
from attrs.validators import min_len


@attrs.frozen(kw_only=True)
class ChannelOffer:
    """A place to publish or listen, as the vendor lists it."""

    external_id: str = attrs.field(validator=min_len(1))
    type: str = attrs.field(validator=min_len(1))  # the vendor's word for this kind of channel
    name: str
    selectable: bool = True
    reason: str = ""  # why not, in a sentence for people; empty when selectable
    missing_scopes: tuple[str, ...] = ()


class Directory(Protocol):
    """Lists what the org's grants cover."""

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        """Every channel that any of the org's grants covers, each once; only that business's when given.

        Raises:
            ReauthorizationError: No grant is left that could be asked.
        """
        ...
