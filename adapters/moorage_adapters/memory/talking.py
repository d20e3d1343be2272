"""What people do below notes and by letter, and the news of it that goes to the apps that hear the board."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime

import attrs

from moorage_adapters.memory.chatter import Chatter, Cheer, Remark
from moorage_adapters.memory.letters import Mail, Receipt
from moorage_adapters.memory.news import news_of_cheer, news_of_receipt, news_of_remark
from moorage_adapters.memory.things import Note, Person
from moorage_adapters.memory.town import ADA


class Talking(ABC):
    """A part of `MemoryWorld`."""

    now: Callable[[], datetime]
    notes: dict[str, Note]
    chatter: Chatter
    mail: Mail

    def say(self, note_id: str, text: str, *, by: Person | None = ADA, answers: str = "") -> Remark:
        """Write below a note, or below another remark; `by` nobody is the board itself."""
        remark = Remark(
            id=self._number("remark"),
            note_id=note_id,
            board_id=self.notes[note_id].board_id,
            by=by,
            text=text,
            answers=answers,
            made_at=self.now(),
            told_at=self.now(),
        )
        return self._spread(remark)

    def say_otherwise(self, remark_id: str, text: str) -> Remark:
        """Change what one wrote."""
        remark = self.chatter.remarks[remark_id]
        return self._spread(attrs.evolve(remark, text=text, told_at=self.now()), is_changed=True)

    def cover(self, remark_id: str, *, is_covered: bool = True) -> Remark:
        """Cover a remark, so that others do not see it, or uncover it."""
        remark = self.chatter.remarks[remark_id]
        return self._spread(attrs.evolve(remark, is_covered=is_covered, told_at=self.now()))

    def take_back(self, remark_id: str) -> None:
        """Remove what one wrote. Nobody can read it any more; only the news says that it was there."""
        remark = attrs.evolve(self.chatter.remarks.pop(remark_id), told_at=self.now())
        self._tell(remark.board_id, news_of_remark(remark, is_gone=True))

    def cheer(self, note_id: str, face: str, *, by: Person = ADA) -> Cheer:
        """Like a note, or like it differently."""
        board_id = self.notes[note_id].board_id
        cheer = Cheer(note_id=note_id, board_id=board_id, by=by, face=face, told_at=self.now())
        self.chatter.add(cheer)
        self._tell(board_id, news_of_cheer(cheer))
        return cheer

    def hush(self, note_id: str, *, by: Person = ADA) -> None:
        """Like a note no more."""
        board_id = self.notes[note_id].board_id
        cheer = Cheer(note_id=note_id, board_id=board_id, by=by, face="", told_at=self.now())
        self.chatter.hush(cheer)
        self._tell(board_id, news_of_cheer(cheer))

    def take_note(self, letter_id: str, what: str) -> None:
        """A board's letter `arrived`, was `opened` or `returned`; apps that hear the board are told."""
        letter = self.mail.letters[letter_id]
        receipt = Receipt(letter=self.mail.as_told(letter), what=what, at=self.now())
        self._tell(letter.board_id, news_of_receipt(receipt))

    def _spread(self, remark: Remark, *, is_changed: bool = False) -> Remark:
        self.chatter.add(remark)
        self._tell(remark.board_id, news_of_remark(remark, is_changed=is_changed))
        return remark

    @abstractmethod
    def _number(self, kind: str) -> str: ...

    @abstractmethod
    def _tell(self, board_id: str, news: bytes) -> None: ...
