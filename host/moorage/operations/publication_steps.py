"""What can become of a publication: its transitions, pure, and how long each of its states may last.

`pending` (nothing that people can see was begun) -> `publishing` (the one call was begun) -> `published`,
`draft`, `scheduled`, `failed`, or `unconfirmed` (no answer came). From `publishing` on only looking tells.
"""

from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage_ports.errors import (
    MoorageError,
    RateLimitError,
    UnavailableError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.operations import PublicationStatus, Step
from moorage_ports.publications import Publication
from moorage_ports.publisher import PostState, PublishedPost

PREPARING: Final = timedelta(seconds=60)  # for all that comes before the publishing call
SENDING: Final = timedelta(seconds=25)  # for the publishing call: its deadline, and its turn before it
LEASE_MARGIN: Final = timedelta(seconds=5)  # a step older than it may last has lost its process
RETRIED_FOR: Final = timedelta(hours=1)  # a post that comes later than this is no longer what was wanted
FIRST_WAIT: Final = timedelta(seconds=3)
LONGEST_WAIT: Final = timedelta(minutes=5)
LOOKS: Final = 9  # 3 s, 6 s, 12 s … 5 min: a quarter of an hour in all
AFTER_ITS_TIME: Final = timedelta(seconds=30)  # when a scheduled post should be out

PREPARE, PUBLISH, LOOK, CHECK = "prepare", "publish", "look", "check"
STARTED: Final = "started"
INTERRUPTED: Final = "interrupted"  # its process ended
BROKE: Final = "broke"  # a mistake of a plugin's
UNSETTLED: Final = frozenset(
    {PublicationStatus.PENDING, PublicationStatus.PUBLISHING, PublicationStatus.UNCONFIRMED}
)


def with_step(publication: Publication, name: str, now: datetime, outcome: str) -> Publication:
    """The publication with one more thing done for it."""
    step = Step(name=name, at=now, outcome=outcome)
    return attrs.evolve(publication, steps=(*publication.steps, step), updated_at=now)


def preparing(publication: Publication, now: datetime) -> Publication:
    """Somebody begins with it, or begins again."""
    begun = with_step(publication, PREPARE, now, STARTED)
    return attrs.evolve(begun, status=PublicationStatus.PENDING)


def sending(publication: Publication, now: datetime) -> Publication:
    """The publishing call is about to begin: after this is durable, only looking tells."""
    begun = with_step(publication, PUBLISH, now, STARTED)
    return attrs.evolve(begun, status=PublicationStatus.PUBLISHING)


def given_back(publication: Publication, now: datetime, outcome: str) -> Publication:
    """Nothing happened: it waits to be begun again."""
    waits = with_step(publication, current_step(publication), now, outcome)
    return attrs.evolve(waits, status=PublicationStatus.PENDING)


def arrived(publication: Publication, post: PublishedPost, now: datetime, step: str) -> Publication:
    """The vendor has it: people see it, or it waits there as was asked."""
    post_wanted = publication.post
    if post_wanted.is_draft:
        status = PublicationStatus.DRAFT
    else:
        status = PublicationStatus.SCHEDULED if post_wanted.publish_at else PublicationStatus.PUBLISHED
    return attrs.evolve(
        with_step(publication, step, now, status.value),
        status=status,
        external_id=post.external_id,
        permalink=post.permalink,
        notes=tuple(dict.fromkeys((*publication.notes, *post.notes))),
    )


def came_out(publication: Publication, state: PostState, now: datetime) -> Publication:
    """What was scheduled can be seen now."""
    published = PublicationStatus.PUBLISHED
    seen = with_step(publication, CHECK, now, published.value)
    return attrs.evolve(seen, status=published, permalink=state.permalink)


def taken_down(publication: Publication, now: datetime) -> Publication:
    """Somebody removed at the vendor what was scheduled."""
    withdrawn = PublicationStatus.WITHDRAWN
    return attrs.evolve(with_step(publication, CHECK, now, withdrawn.value), status=withdrawn)


def unconfirmed(publication: Publication, now: datetime, outcome: str) -> Publication:
    """It left us and no answer came."""
    lost = with_step(publication, PUBLISH, now, outcome)
    return attrs.evolve(lost, status=PublicationStatus.UNCONFIRMED)


def failed(
    publication: Publication, now: datetime, code: str, *, step: str, outcome: str = ""
) -> Publication:
    """It is not there and will not be."""
    ended = with_step(publication, step, now, outcome or code)
    return attrs.evolve(ended, status=PublicationStatus.FAILED, error_code=code)


def current_step(publication: Publication) -> str:
    """What was done last."""
    return publication.steps[-1].name if publication.steps else PREPARE


def outcome_of(failure: Exception) -> str:
    """What happened, as a step tells it: how it showed, where the kind of error leaves that open."""
    if not isinstance(failure, MoorageError):
        return BROKE
    symptom = failure.symptom if isinstance(failure, VendorError) else ""
    return symptom or failure.code


def passes(failure: Exception) -> bool:
    """Whether nothing happened and the same may go through later."""
    return isinstance(failure, RateLimitError | VendorUnavailableError | UnavailableError)


def due_at(publication: Publication) -> datetime:
    """When somebody other than its present owner, if it has one, may go on with it."""
    since, looks = publication.updated_at, count(publication, LOOK)
    last = publication.steps[-1] if publication.steps else None
    if publication.status is PublicationStatus.PUBLISHING:
        return since + SENDING + LEASE_MARGIN
    if publication.status is PublicationStatus.UNCONFIRMED:
        return since + longer(looks)
    if publication.status is PublicationStatus.SCHEDULED and publication.post.publish_at is not None:
        checks = count(publication, CHECK)
        out_at = publication.post.publish_at + AFTER_ITS_TIME
        return max(out_at, since + longer(checks)) if checks else out_at
    if last is not None and last.outcome == STARTED:
        return since + PREPARING + LEASE_MARGIN
    if last is not None and last.outcome == INTERRUPTED:
        return since
    return since + longer(count(publication, PREPARE, STARTED) - 1)


def count(publication: Publication, name: str, outcome: str | None = None) -> int:
    """How often a step was taken, with this outcome if one is named."""
    return sum(step.name == name and outcome in {None, step.outcome} for step in publication.steps)


def longer(times: int) -> timedelta:
    """How long to wait after so many times: longer from one to the next."""
    return min(FIRST_WAIT * (1 << min(max(times, 0), 10)), LONGEST_WAIT)
