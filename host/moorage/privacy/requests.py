"""Forgetting somebody because an administrator says so: what would go, then that it goes."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import attrs
from attrs.validators import ge, le, max_len

from moorage.privacy.erasing import Reason, erase
from moorage.privacy.people import Clue, Somebody, find
from moorage.services import Caller, Services
from moorage_ports.erasure import Cause, Erasure
from moorage_ports.errors import InvalidRequestError
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class ErasePerson:
    """Whom to forget, by exactly one of these. Nothing is changed unless `dry_run` is false.

    What else has the same e-mail address or phone number goes along; `only_this` leaves it.
    """

    contact_id: str = attrs.field(default="", validator=max_len(64))
    lead_id: str = attrs.field(default="", validator=max_len(64))
    email: str = attrs.field(default="", validator=max_len(320), repr=False)
    phone: str = attrs.field(default="", validator=max_len(64), repr=False)
    only_this: bool = False
    dry_run: bool = True

    def clue(self) -> Clue:
        """What is known of them.

        Raises:
            InvalidRequestError: That is nothing, or more than one thing.
        """
        clue = Clue(
            contact_ids=_one(self.contact_id),
            lead_ids=_one(self.lead_id),
            emails=_one(self.email),
            phones=_one(self.phone),
            is_alone=self.only_this,
        )
        said = [one for one in (clue.contact_ids, clue.lead_ids, clue.emails, clue.phones) if one]
        if len(said) != 1:
            msg = "say exactly one of contactId, leadId, email and phone"
            raise InvalidRequestError(msg)
        if self.phone and sum(character.isdigit() for character in self.phone) < 6:
            msg = "the phone number is too short to be one person's"
            raise InvalidRequestError(msg, fields={"phone": "has at least 6 digits"})
        return clue


def _one(text: str) -> frozenset[str]:
    return frozenset({text.strip()}) - {""}


@attrs.frozen(kw_only=True)
class ErasedView:
    """Whom that was about, and how much: what would go in a dry run, else what went.

    What went counts sealed copies, too (`deliveries`, `answers`). A dry run leaves them out: which of them
    tell of somebody is only known once each was opened, and all that they may call them by was collected.
    """

    dry_run: bool
    contact_ids: tuple[str, ...]
    lead_ids: tuple[str, ...]
    counts: Mapping[str, int]


@attrs.frozen(kw_only=True)
class ErasureQuery:
    """Which page of what was erased."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])


@attrs.frozen(kw_only=True)
class ErasureView:
    """That something was erased: when, why, who said so, and how many of which kind."""

    id: str
    at: datetime = attrs.field(validator=is_aware)
    cause: str
    by: str
    removed: Mapping[str, int]


@attrs.frozen(kw_only=True)
class ErasureList:
    """One page of what was erased, the newest first."""

    items: tuple[ErasureView, ...]
    total: int
    page: int
    page_size: int


async def erase_person(services: Services, caller: Caller, asked: ErasePerson) -> ErasedView:
    """Say what there is of somebody, and forget it unless that was all that was asked.

    Whoever hangs up does not stop it.

    Raises:
        InvalidRequestError: Nobody was named, or two.
        ConflictError: So many leads have that address or number that it is no single person's.
    """
    clue = asked.clue()
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        somebody = await find(uow, clue)
        traces = await uow.erasures.trace_counts(somebody.identity_ids)
    if asked.dry_run:
        found = {
            "contacts": len(somebody.contact_ids),
            "identities": len(somebody.identities),
            "leads": len(somebody.leads),
            **attrs.asdict(traces),
        }
        return _view(asked, somebody, {kind: number for kind, number in found.items() if number})
    if not somebody:
        return _view(asked, somebody, {})
    reason = Reason(cause=Cause.REQUEST, by=caller.user_id)
    erasing = services.background.start(
        erase(services, caller.org_id, somebody, reason), name="moorage-erasing"
    )
    return _view(asked, somebody, await asyncio.shield(erasing))


async def list_erasures(services: Services, org_id: str, query: ErasureQuery) -> ErasureList:
    """What was erased, and why."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        page = await uow.erasures.noted(page=query.p, page_size=query.ps)
    return ErasureList(
        items=tuple(map(_noted, page.items)), total=page.total, page=page.page, page_size=page.page_size
    )


def _view(asked: ErasePerson, somebody: Somebody, counts: Mapping[str, int]) -> ErasedView:
    return ErasedView(
        dry_run=asked.dry_run,
        contact_ids=tuple(sorted(somebody.contact_ids)),
        lead_ids=tuple(sorted(somebody.lead_ids)),
        counts=counts,
    )


def _noted(erasure: Erasure) -> ErasureView:
    return ErasureView(
        id=erasure.id, at=erasure.at, cause=erasure.cause.value, by=erasure.by, removed=erasure.removed
    )
