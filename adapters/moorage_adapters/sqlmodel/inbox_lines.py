"""What the intake writes, and the statements it needs of a database."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

import attrs

from moorage_ports.inbox import HeardBy


@attrs.frozen
class InboxLine:
    """A row of the inbox as it is inserted."""

    org_id: str
    vendor: str
    key_digest: bytes
    partition_digest: bytes
    bucket: int
    kind: str
    received_at: datetime
    body_sealed: bytes
    heard_by: HeardBy = HeardBy.WEBHOOK

    @property
    def key(self) -> "Key":
        """What makes it one of a kind."""
        return (self.org_id, self.vendor, self.key_digest)


Key: TypeAlias = tuple[str, str, bytes]  # (org, vendor, digest of the business key): what is unique


class Rows(Protocol):
    """The statements of the hot path, in one database's own words."""

    def owners(self, vendor: str, external_ids: Sequence[str]) -> Iterable[tuple[str, str, str]]:
        """(channel, org, app) of whoever has one of these channels selected and is not inactive."""
        ...

    def insert(self, lines: Sequence[InboxLine]) -> Iterable[Key]:
        """Insert what is new; answers the keys of that, each once."""
        ...

    def note_doubles(self, lines: Sequence[InboxLine]) -> None:
        """Note that these came again."""
        ...

    def nudge(self, groups: Iterable[tuple[str, str]]) -> None:
        """Put these (group, org) in line, or mark those that stand there as nudged again."""
        ...
