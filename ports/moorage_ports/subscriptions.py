"""`Subscriptions`: whether a channel's news is sent to us at all."""

from typing import Protocol


class Subscriptions(Protocol):
    """Switches the vendor's webhooks on and off, channel by channel."""

    async def subscribe(self, channel_external_id: str) -> None:
        """Have this channel's news sent to the app's webhook, and read back that it is so.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not allow it.
        """
        ...

    async def unsubscribe(self, channel_external_id: str) -> None:
        """Stop this channel's news for this app; already stopped is no error."""
        ...

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        """Other channels whose news comes by the same subscription: `unsubscribe` would silence them, too.

        Raises:
            ReauthorizationError: The channel's token is gone.
        """
        ...

    async def is_subscribed(self, channel_external_id: str) -> bool:
        """Whether the vendor says today that all the news is sent which `subscribe` would ask for.

        `False` has it subscribed again, so a part of the news that stopped comes back.
        """
        ...
