"""The vendor's count of a form's leads against ours: is anything missing that no reading brought?

The vendor counts all leads that a form ever had; here are those since the org listens, and what was
backfilled. The difference between the two has to stay what it is.

It is watched for a day before anything is concluded from it: a vendor's count may lag behind its leads. After
that, when it rises, a lead was counted that nobody here ever heard of: a gap. A gap that is there twice has
everything read again; one that is still there after that is told to people. When the difference falls, the
vendor forgot leads, or some of before were fetched after all: what stays so for a day is taken for granted.
Test leads count as ours: of a vendor that does not count them it looks as if it had forgotten some.
"""

from datetime import datetime, timedelta
from typing import Final, TypeGuard

import attrs

from moorage_ports.form_checks import FormCheck
from moorage_ports.lead_source import LeadForm

WATCHED: Final = timedelta(days=1)
REREAD_EVERY: Final = timedelta(hours=6)  # while a gap stays: what is hidden may be shown again


def first_check(
    vendor: str, form: LeadForm, ours: int, *, listens_since: datetime | None, now: datetime
) -> FormCheck:
    """A form that was never compared, or not since the org listens again."""
    counts = form.counts
    return FormCheck(
        vendor=vendor,
        channel_external_id=form.channel_external_id,
        form_external_id=form.external_id,
        name=form.name,
        theirs=counts.total if counts else None,
        expired=counts.expired if counts else 0,
        ours=ours,
        listens_since=listens_since,
        first_at=now,
        checked_at=now,
    )


def next_check(before: FormCheck, form: LeadForm, ours: int, *, now: datetime) -> FormCheck:
    """What the form's counts say, after `before`. Pure."""
    counts = form.counts
    seen = attrs.evolve(
        before,
        name=form.name,
        theirs=counts.total if counts else None,
        expired=counts.expired if counts else 0,
        ours=ours,
        checked_at=now,
    )
    last, current = _difference(before), _difference(seen)
    if current is None:
        return _settled(seen, seen.before)
    if seen.before is None or now - before.first_at < WATCHED:
        return _settled(seen, max(filter(_is_known, (seen.before, last, current)), default=current))
    if current > seen.before:
        return _with_gap(attrs.evolve(seen, gap=current - seen.before), before, now)
    if current == seen.before:
        return _settled(seen, seen.before)
    return _fallen(attrs.evolve(seen, gap=current - seen.before), before, now)


def wants_rereading(before: FormCheck | None, after: FormCheck) -> bool:
    """Whether this check found that everything has to be read again."""
    return after.reread_at is not None and (before is None or before.reread_at != after.reread_at)


def _difference(check: FormCheck) -> int | None:
    return None if check.theirs is None else check.theirs - check.ours


def _is_known(difference: int | None) -> TypeGuard[int]:
    return difference is not None


def _settled(check: FormCheck, before: int | None) -> FormCheck:
    """Nothing is missing."""
    return attrs.evolve(check, before=before, gap=0, gap_since=None, reread_at=None, alarmed_at=None)


def _fallen(seen: FormCheck, before: FormCheck, now: datetime) -> FormCheck:
    """There are more here than there should be; after a day that is how it is."""
    since = before.gap_since if before.gap < 0 and before.gap_since else now
    if now - since >= WATCHED and seen.gap == before.gap and seen.before is not None:
        return _settled(seen, seen.before + seen.gap)
    return attrs.evolve(seen, gap_since=since, reread_at=None, alarmed_at=None)


def _with_gap(seen: FormCheck, before: FormCheck, now: datetime) -> FormCheck:
    if before.gap <= 0:
        return attrs.evolve(seen, gap_since=now, reread_at=None, alarmed_at=None)
    if before.reread_at is None:
        return attrs.evolve(seen, reread_at=now)
    reread_at = now if now - before.reread_at >= REREAD_EVERY else before.reread_at
    return attrs.evolve(seen, reread_at=reread_at, alarmed_at=before.alarmed_at or now)
