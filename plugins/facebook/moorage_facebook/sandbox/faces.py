"""Who is who: people by name, and the ids under which each channel knows them.

https://developers.facebook.com/docs/messenger-platform/identity/id-matching
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence

from moorage_facebook.sandbox.entities import Page
from moorage_facebook.sandbox.social import Face, InstagramAccount, Person
from moorage_facebook.sandbox.state import World

FIRST_NAMES = ("Grace", "Omar", "Mei", "Jonas", "Aylin", "Pavel", "Zoë", "Kofi", "Lucía", "Søren")
LAST_NAMES = ("Müller", "Haddad", "Chen", "Weber", "Yılmaz", "Novák", "Dubois", "Mensah", "García", "Holm")
WHATSAPP = "whatsapp"  # where a phone number is the same person for every business


def person_named(world: World, name: str) -> Person:
    """The one person of this name, invented if nobody has it yet."""
    known = next(iter(world.persons.of(name)), None)
    if known is not None:
        return known
    latin = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", ".", latin).strip(".") or "someone"
    number = f"4915{secrets.randbelow(10**9):09d}"
    return world.persons.put(Person(id=world.new_id(), name=name, username=plain[:30], phone=number))


def names(size: int) -> Sequence[str]:
    """What `size` people are called, the same ones every time."""
    first, last = len(FIRST_NAMES), len(LAST_NAMES)
    found = []
    for number in range(size):
        suffix = f" {number // (first * last) + 1}" if number >= first * last else ""
        found.append(f"{FIRST_NAMES[number % first]} {LAST_NAMES[number // first % last]}{suffix}")
    return found


def crowd(world: World, size: int) -> Sequence[Person]:
    """`size` people."""
    return [person_named(world, name) for name in names(size)]


def face_on(world: World, person: Person, channel: Page | InstagramAccount) -> Face:
    """The person as a Page or an Instagram account knows them."""
    known = next(iter(world.faces.of(f"{person.id}:{channel.id}")), None)
    if known is not None:
        return known
    return world.faces.put(
        Face(
            id=world.new_id(),
            person_id=person.id,
            channel_id=channel.id,
            name=person.name,
            username=person.username,
        )
    )


def face_by_phone(world: World, digits: str, person: Person | None = None) -> Face:
    """The person behind a phone number; a number that nobody has gets somebody new."""
    known = world.faces.get(digits)
    if known is not None:
        return known
    owner = person or person_named(world, f"+{digits}")
    return world.faces.put(
        Face(
            id=digits,
            person_id=owner.id,
            channel_id=WHATSAPP,
            name=owner.name,
            username=owner.username,
            user_id=f"DE.{secrets.randbelow(9 * 10**15) + 10**15}",
        )
    )


def author_name(world: World, author_id: str) -> str:
    """How an author is called: a person, or the Page itself."""
    face = world.faces.get(author_id)
    if face is not None:
        return face.name
    page = world.pages.get(author_id)
    return page.name if page else ""
