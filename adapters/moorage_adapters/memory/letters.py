"""Letters between people and boards, and what the post says about those that a board has sent."""

from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage_adapters.memory.things import Person

WINDOW: Final = timedelta(hours=24)  # how long a board may answer a letter by whatever means
BY_HAND: Final = timedelta(days=7)  # and how long if somebody wrote the answer by hand
LONGEST_LETTER: Final = 1_000


@attrs.frozen(kw_only=True)
class Enclosure:
    """What lies in a letter in place of words. A letter has either."""

    kind: str
    url: str


@attrs.frozen(kw_only=True)
class Letter:
    """One letter. `mark` is what the sender wrote on the back: who sent it gets to read it again."""

    id: str
    board_id: str
    person: Person
    is_from_board: bool
    text: str = ""
    enclosure: Enclosure | None = None
    answers: str = ""
    mark: str = ""
    written_at: datetime


@attrs.frozen(kw_only=True)
class Receipt:
    """How far a board's letter got: `arrived`, `opened` or `returned`."""

    letter: Letter
    what: str
    at: datetime


@attrs.define
class Mail:
    """All letters, and which remarks were answered by one."""

    letters: dict[str, Letter] = attrs.field(factory=dict)
    answered: set[str] = attrs.field(factory=set)
    keeps_marks: bool = True  # whether news of a letter says what is written on its back
    names_people: bool = True  # whether news of a letter says what its person is called
    hidden: set[str] = attrs.field(factory=set)  # people of whom nobody is told what they are called

    def writer(self, board_id: str, person_id: str) -> Person | None:
        """Whoever wrote to a board, unless they hide."""
        if person_id in self.hidden:
            return None
        wrote = (
            letter.person
            for letter in self.letters.values()
            if (letter.board_id, letter.person.id) == (board_id, person_id) and not letter.is_from_board
        )
        return next(wrote, None)

    def as_told(self, letter: Letter) -> Letter:
        """What the news says of a letter."""
        person = letter.person if self.names_people else attrs.evolve(letter.person, name="")
        return attrs.evolve(letter, person=person, mark=letter.mark if self.keeps_marks else "")

    def last_to(self, board_id: str, person_id: str) -> datetime | None:
        """When a person last wrote to a board."""
        moments = [
            letter.written_at
            for letter in self.letters.values()
            if (letter.board_id, letter.person.id) == (board_id, person_id) and not letter.is_from_board
        ]
        return max(moments, default=None)
