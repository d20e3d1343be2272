"""What a test must be able to do to a vendor: consent there, look at it, and make the weather.

A vendor's own tests write one class that satisfies these Protocols, over a sandbox, a fake transport or
plain dictionaries; the promises drive it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import attrs

from moorage_ports.events import LeadArrived, Person
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery, VendorApp


class World(Protocol):
    """The vendor, with one person who may connect `channel_external_id`."""

    @property
    def app(self) -> VendorApp:
        """The app that the vendor knows."""
        ...

    @property
    def channel_external_id(self) -> str:
        """A channel that the person may choose."""
        ...

    async def consent(self, authorization_url: str, *, without: Collection[str] = ()) -> Mapping[str, str]:
        """Be the person: say yes to everything but the scopes `without`. Answers the redirect's query."""
        ...

    async def decline(self, authorization_url: str) -> Mapping[str, str]:
        """Be the person: say no. Answers the redirect's query."""
        ...

    async def revoke_grant(self) -> None:
        """The person removes the app: every token ends."""
        ...

    async def withdraw_scopes(self) -> None:
        """The grant stands, but covers nothing any more."""
        ...

    async def limit(self, wait: timedelta) -> None:
        """Every call is refused, to be sent again after `wait`."""
        ...

    async def go_down(self) -> None:
        """No call gets through."""
        ...

    async def drop_answers(self) -> None:
        """Every call is carried out, and its answer is lost."""
        ...

    async def clear_up(self) -> None:
        """`limit`, `go_down`, `drop_answers` and `refuse_content` are over."""
        ...


class PublisherWorld(World, Protocol):
    """A vendor where people read posts."""

    async def texts_on(self, channel_external_id: str) -> Sequence[str]:
        """What people can read on the channel now."""
        ...

    async def refuse_content(self) -> None:
        """The vendor objects to whatever is posted."""
        ...


class SchedulingWorld(PublisherWorld, Protocol):
    """A vendor that publishes later, by itself."""

    async def pass_time(self, duration: timedelta) -> None:
        """Let time pass at the vendor, and on the clock that the vendor's ports were lent."""
        ...


@attrs.frozen(kw_only=True)
class FilledIn:
    """A form that a person submitted, as the person knows it. `answers` by question key."""

    form_external_id: str
    lead_external_id: str
    answers: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)


class LeadWorld(World, Protocol):
    """A vendor where people fill in forms."""

    async def fill_in(self) -> FilledIn:
        """Be a person: submit a form of `channel_external_id`, always the same one, with several answers."""
        ...

    async def pass_time(self, duration: timedelta) -> None:
        """Let time pass at the vendor, and on the clock that the vendor's ports were lent."""
        ...


class ActivityWorld(World, Protocol):
    """A vendor where people comment and react below posts of `channel_external_id`; there is one post."""

    async def comment(self, text: str, *, answers: str = "") -> str:
        """Be a person: write below the post, or below the comment `answers`; the comment's id."""
        ...

    async def react(self) -> str:
        """Be a person: react to the post; that person's id, as the channel gets to know it."""
        ...

    async def comments_shown(self) -> Sequence[str]:
        """The texts of all comments that anybody can read now."""
        ...

    async def pass_time(self, duration: timedelta) -> None:
        """Let time pass at the vendor, and on the clock that the vendor's ports were lent."""
        ...


class MessagesWorld(World, Protocol):
    """A vendor where people write to `channel_external_id`, and comment below its one post."""

    async def write(self, text: str) -> Person:
        """Be a person, always the same one: write to the channel; as whom the channel knows that person."""
        ...

    async def comment(self, text: str) -> str:
        """Be a person: write below the post; the comment's id."""
        ...

    async def messages_got(self) -> Sequence[str]:
        """What people read that the channel wrote to them: the texts, and the URLs of what was attached."""
        ...

    async def calls_made(self) -> int:
        """How often the vendor was asked anything."""
        ...

    async def refuse_content(self) -> None:
        """The vendor objects to whatever is sent."""
        ...

    async def pass_time(self, duration: timedelta) -> None:
        """Let time pass at the vendor, and on the clock that the vendor's ports were lent."""
        ...

    @property
    def message_surface(self) -> str:
        """Where these messages are written, in the vendor's word."""
        ...

    @property
    def comment_surface(self) -> str:
        """Where these comments are written, in the vendor's word."""
        ...


class ProfilesWorld(MessagesWorld, Protocol):
    """A vendor that tells what people are called."""

    async def name_of_writer(self) -> str:
        """What the person is called who `write`s."""
        ...

    async def hide_writer(self) -> None:
        """Be that person: have the vendor tell nobody what you are called."""
        ...


class WebhookWorld(Protocol):
    """A vendor that sends deliveries. Nothing here needs a connection."""

    @property
    def app(self) -> VendorApp:
        """The app that deliveries are signed for."""
        ...

    def handshake(self, verify_token: str, challenge: str) -> Mapping[str, str]:
        """The query of a subscription handshake."""
        ...

    def some_leads(self) -> Sequence[LeadArrived]:
        """Three leads or more, on two channels or more, with ids as this vendor writes them."""
        ...

    def delivery_body(self, leads: Sequence[LeadArrived]) -> bytes:
        """One delivery that tells of all these leads, unsigned."""
        ...

    def signed(self, body: bytes, secret: Secret) -> Delivery:
        """`body` as the vendor would send it."""
        ...
