"""What people say below notes, and how they like them; in the order in which it happened."""

from datetime import datetime

import attrs

from moorage_adapters.memory.things import Person

LINES_PER_PAGE = 3  # so few that whoever forgets the second page notices


@attrs.frozen(kw_only=True)
class Remark:
    """What somebody wrote below a note, or below another remark (`answers`). `by`: `None` is the board."""

    id: str
    note_id: str
    board_id: str
    by: Person | None
    text: str
    answers: str = ""
    is_covered: bool = False
    made_at: datetime
    told_at: datetime  # when it came to be as it is


@attrs.frozen(kw_only=True)
class Cheer:
    """How somebody likes a note."""

    note_id: str
    board_id: str
    by: Person
    face: str
    told_at: datetime


@attrs.define
class Chatter:
    """All of it, one line for each thing that was said, changed or cheered."""

    lines: list[Remark | Cheer] = attrs.field(factory=list)
    remarks: dict[str, Remark] = attrs.field(factory=dict)

    def add(self, line: Remark | Cheer) -> None:
        """Say it."""
        self.lines.append(line)
        if isinstance(line, Remark):
            self.remarks[line.id] = line

    def hush(self, cheer: Cheer) -> None:
        """Take back how somebody liked a note: nobody reads of it any more."""
        self.lines = [
            line
            for line in self.lines
            if not isinstance(line, Cheer) or (line.note_id, line.by) != (cheer.note_id, cheer.by)
        ]

    def page(self, board_id: str, start: int) -> tuple[tuple[Remark | Cheer, ...], int, bool]:
        """Some lines about a board from place `start` on, the place behind them, and whether that is the end.

        A remark is handed out as it is now, also where its first line stands; one that was taken back, not.
        """
        found: list[Remark | Cheer] = []
        place = start
        while place < len(self.lines) and len(found) < LINES_PER_PAGE:
            line = self.lines[place]
            place += 1
            if line.board_id != board_id:
                continue
            now = self.remarks.get(line.id) if isinstance(line, Remark) else line
            if now is not None:
                found.append(now)
        return tuple(found), place, place >= len(self.lines)
