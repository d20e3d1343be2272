"""The people an org deals with, and what they do."""

from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.crm_records import (
    ActivityRecord,
    ContactRecord,
    IdentityRecord,
    NoticeRecord,
    PostRecord,
    UnmappedRecord,
)
from moorage_ports.listing import Listing


@attrs.frozen(kw_only=True)
class Contact:
    """A person with everything they are known by."""

    record: ContactRecord
    identities: tuple[IdentityRecord, ...]


@attrs.frozen(kw_only=True)
class Activity:
    """What somebody did, and who that is."""

    record: ActivityRecord
    contact_id: str
    contact_name: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ActivityFilter:
    """Which activity; an empty field leaves all in."""

    kind: str = ""
    vendor: str = ""
    channel_external_id: str = ""
    post_external_id: str = ""
    contact_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    search: str = attrs.field(default="", repr=False)


class Contacts(Protocol):
    """The org's contacts and their activity, to read."""

    async def page(
        self, *, page: int, page_size: int, search: str = "", vendor: str = "", by: str = "heat"
    ) -> Listing[Contact]:
        """The most engaged first (`heat`), the last seen (`seen`), or by `name`."""
        ...

    async def get(self, contact_id: str) -> Contact | None:
        """One by our id; by the id of one that was joined to another, that other."""
        ...

    async def activity(self, wanted: ActivityFilter, *, page: int, page_size: int) -> Listing[Activity]:
        """What is (still) there, the newest first."""
        ...

    async def posts(self, *, page: int, page_size: int, channel_external_id: str = "") -> Listing[PostRecord]:
        """The channels' posts that are not removed, the newest first."""
        ...

    async def notices(self, *, page: int, page_size: int) -> Listing[NoticeRecord]:
        """What vendors told the owner of a channel, the newest first."""
        ...

    async def unmapped(self) -> tuple[UnmappedRecord, ...]:
        """The kinds that nobody has mapped, the most frequent first."""
        ...
