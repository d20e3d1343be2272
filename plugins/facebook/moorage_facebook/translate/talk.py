"""Who talks with whom, in Messenger and on Instagram, and what their events have in common."""

from collections.abc import Mapping

import attrs

from moorage_facebook.graph.values import record, truth
from moorage_facebook.translate.happening import Happening, first_text, loose_id, person_of
from moorage_ports.events import ContactMoment, ContactMoved, Event, Person, PersonLinked


@attrs.frozen
class Talk:
    """Who talks with whom, and where."""

    happening: Happening
    person: Person
    is_ours: bool

    @property
    def surface(self) -> str:
        """The plugin's word for it."""
        return surface_of(self.happening)


def surface_of(happening: Happening) -> str:
    """Which inbox of the two."""
    return "instagram" if happening.topic == "instagram" else "messenger"


def talk_of(happening: Happening) -> Talk | None:
    """The other side of the conversation; `None` if nobody is named."""
    change, channel = happening.change, happening.channel
    is_echo = truth(record(change.get("message")).get("is_echo")) is True
    sender, recipient = record(change.get("sender")), record(change.get("recipient"))
    is_ours = is_echo or loose_id(sender.get("id")) == channel
    person = person_by(recipient if is_ours else sender, channel)
    return Talk(happening, person, is_ours=is_ours) if person is not None else None


def person_by(told: Mapping[str, object], channel: str) -> Person | None:
    """A person by their id or, until they write, by the reference that a plugin on a website made up."""
    known = person_of(told, channel)
    reference = loose_id(told.get("user_ref"))
    if known is not None or not reference:
        return known
    return Person(external_id=reference, realm=reference_realm(channel))


def reference_realm(channel: str) -> str:
    """Where references of the checkbox and chat plugins mean something."""
    return f"{channel}:user_ref"


def linked(happening: Happening, one: Person, other: Person) -> PersonLinked:
    """Meta says that these are one."""
    return PersonLinked(channel_external_id=happening.channel, persons=(one, other), at=happening.at)


def referred(talk: Talk, referral: object, moment_id: str) -> tuple[Event, ...]:
    """What brought the person here, if anything did."""
    told = record(referral)
    if not told or talk.is_ours:
        return ()
    return (
        ContactMoved(
            channel_external_id=talk.happening.channel,
            person=talk.person,
            moment=ContactMoment.REFERRAL,
            moment_external_id=moment_id,
            at=talk.happening.at,
            surface=talk.surface,
            text=first_text(told, "ref", "source"),
            ad_external_id=loose_id(told.get("ad_id")),
        ),
    )
