"""What each form's leads add up to: the vendor's count and ours, and what is missing between them."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class FormCheck:
    """One form as it was last compared.

    `theirs` is what the vendor counts (`None`: it does not), `expired` of them nobody can read any more.
    `ours` is what was heard of here, test leads too, whatever became of it. `before` is what the vendor
    counts and nobody here was to have: leads from before the org listened, mostly; watched for a day from
    `first_at` on. What is left is the `gap`, since `gap_since`, below zero if more are here; `alarmed_at`
    says when somebody was told of one that stays.
    """

    vendor: str = attrs.field(validator=min_len(1))
    channel_external_id: str = attrs.field(validator=min_len(1))
    form_external_id: str = attrs.field(validator=min_len(1))
    name: str = ""
    theirs: int | None = None
    expired: int = 0
    ours: int = 0
    before: int | None = None
    gap: int = 0
    gap_since: datetime | None = attrs.field(default=None, validator=is_aware)
    reread_at: datetime | None = attrs.field(default=None, validator=is_aware)
    alarmed_at: datetime | None = attrs.field(default=None, validator=is_aware)
    listens_since: datetime | None = attrs.field(default=None, validator=is_aware)
    first_at: datetime = attrs.field(validator=is_aware)
    checked_at: datetime = attrs.field(validator=is_aware)

    @property
    def is_alarming(self) -> bool:
        """Whether leads are missing and reading everything again did not bring them."""
        return self.alarmed_at is not None


class FormChecks(Protocol):
    """The org's checks, in a unit of work."""

    async def get(self, vendor: str, channel_external_id: str, form_external_id: str) -> FormCheck | None:
        """One form's."""
        ...

    async def all(self) -> tuple[FormCheck, ...]:
        """Every form's that was ever compared, those with a gap first."""
        ...

    async def save(self, check: FormCheck) -> None:
        """Insert or replace (one per channel and form)."""
        ...

    async def keep_only(
        self, vendor: str, channel_external_id: str, form_external_ids: Collection[str]
    ) -> None:
        """The channel has these forms and no others: nothing is missing of one that is gone."""
        ...
