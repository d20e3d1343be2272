"""What vendors said last of lead forms, for pages that look again by themselves."""

from collections import OrderedDict
from datetime import datetime
from typing import Final, TypeAlias

import attrs

from moorage.admin.words import Trouble
from moorage_ports.lead_operations import LeadFormView

Key: TypeAlias = tuple[str, ...]

_MOST_KEPT: Final = 500


@attrs.frozen(kw_only=True)
class Reading:
    """What a vendor said when it was asked about a channel's forms, or about one form."""

    at: datetime
    forms: tuple[LeadFormView, ...] = ()
    failure: Trouble | None = None


@attrs.define
class FormShelf:
    """The last readings, of this process alone; those that nobody asked for longest go first."""

    kept: OrderedDict[Key, Reading] = attrs.field(factory=OrderedDict)

    def get(self, key: Key) -> Reading | None:
        """What was said last."""
        if key in self.kept:
            self.kept.move_to_end(key)
        return self.kept.get(key)

    def put(self, key: Key, reading: Reading) -> None:
        """Remember it."""
        self.kept[key] = reading
        self.kept.move_to_end(key)
        while len(self.kept) > _MOST_KEPT:
            self.kept.popitem(last=False)
