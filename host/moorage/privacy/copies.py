"""Sealed copies: what vendors sent and what we answered, looked through for whoever is to be forgotten.

No column says whom a copy is about. What is still to be worked on is read as the worker would read it, and
goes if it tells of them. What had its effect is only compared: its texts and numbers, whole, where it is
JSON; else names are looked for between whatever can be no part of one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, get_args

import attrs
import msgspec
import structlog

from moorage.crm.forgotten import is_about
from moorage.errors import problem_document, status_of
from moorage.services import Services
from moorage_ports.erasure import KeptCopy
from moorage_ports.errors import NotFoundError
from moorage_ports.events import CrmEvent
from moorage_ports.plugin import Vendor

log = structlog.get_logger(__name__)

AT_ONCE: Final = 200  # copies that are opened in one transaction
_DECODER: Final = msgspec.json.Decoder()
_CRM_EVENTS: Final = get_args(CrmEvent)
_PART: Final = re.compile(r"[0-9A-Za-z_.@+-]+")


@attrs.frozen(kw_only=True)
class Looker:
    """Knows whom to look for: by `names`, compared without case, and by the ids of records about them."""

    names: frozenset[str] = attrs.field(repr=False)
    records: frozenset[str] = frozenset()

    def tells_of(self, copy: KeptCopy, vendor: Vendor | None) -> bool:
        """Whether a copy is about them."""
        if copy.is_worked_on and vendor is not None and vendor.webhooks is not None:
            try:
                events = vendor.webhooks.events(copy.body, copy.received_at)
            except Exception as failure:  # noqa: BLE001 - it is a stranger's code on a stranger's bytes
                log.warning("copy_not_understood", vendor=copy.vendor, error=type(failure).__name__)
                events = ()
            known = [event for event in events if isinstance(event, _CRM_EVENTS)]
            if any(is_about(copy.vendor, event, self.records) for event in known):
                return True
            if known and len(known) == len(events):
                return False  # somebody else's, which may well mention something of theirs
        return self.finds(copy.name, copy.body)

    def finds(self, name: str, body: bytes) -> bool:
        """Whether one of the names stands in it, or in what the plugin calls it."""
        if not self.names.isdisjoint(_parts(name)):
            return True
        try:
            value = _DECODER.decode(body)
        except (ValueError, RecursionError):
            text = body.decode("utf-8", "replace")
            return not self.names.isdisjoint(_parts(text)) or any(odd in text for odd in self._odd_names())
        return any(told in self.names or told.casefold() in self.names for told in _told(value))

    def _odd_names(self) -> Iterator[str]:
        """Names that are no one part of a text."""
        return (name for name in self.names if not _PART.fullmatch(name))


def _parts(text: str) -> set[str]:
    """What stands by itself in a text, not as a part of something longer; in either case."""
    parts = set(_PART.findall(text))
    return parts | {part.casefold() for part in parts}


def _told(value: object) -> Iterator[str]:
    """Every text and whole number in parsed JSON, also those that are keys."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        match one:
            case str():
                yield one
            case bool() | None:
                continue
            case int():
                yield str(one)
            case list():
                waiting.extend(one)
            case dict():
                yield from (str(key) for key in one)
                waiting.extend(one.values())


async def erase_copies(services: Services, org_id: str, looker: Looker) -> Mapping[str, int]:
    """Empty every sealed copy that tells of them; answers how many of which kind."""
    deliveries = await _erase_deliveries(services, org_id, looker)
    answers = await _erase_answers(services, org_id, looker)
    await _erase_aside(services, looker)
    return {"deliveries": deliveries, "answers": answers}


async def _erase_deliveries(services: Services, org_id: str, looker: Looker) -> int:
    removed = after = 0
    while True:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            copies = await uow.kept_copies.deliveries(after=after, limit=AT_ONCE)
        if not copies:
            return removed
        after = copies[-1].place
        by_vendor: dict[str, list[str]] = {}
        for copy in copies:
            if looker.tells_of(copy, services.vendors.by_slug.get(copy.vendor)):
                by_vendor.setdefault(copy.vendor, []).append(copy.id)
        if by_vendor:
            async with services.storage.unit_of_work(org_id) as uow:
                for vendor, ids in by_vendor.items():
                    removed += await uow.kept_copies.erase_deliveries(vendor, ids)


async def _erase_answers(services: Services, org_id: str, looker: Looker) -> int:
    """What a call was answered is replaced: under its key nothing may be done a second time."""
    gone = NotFoundError("what this request made was deleted")
    response = msgspec.json.encode(problem_document(gone, ""))
    ours = attrs.evolve(looker, names=looker.names | looker.records)
    removed = after = 0
    while True:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            copies = await uow.kept_copies.answers(after=after, limit=AT_ONCE)
        if not copies:
            return removed
        after = copies[-1].place
        ids = [copy.id for copy in copies if copy.body and ours.finds(copy.name, copy.body)]
        if ids:
            async with services.storage.unit_of_work(org_id) as uow:
                status = status_of(gone)
                removed += await uow.kept_copies.replace_answers(ids, status=status, response=response)


async def _erase_aside(services: Services, looker: Looker) -> None:
    """What nobody owned, or nobody could read, and that names them. Not counted: it is no org's."""
    after = ""
    while True:
        copies = await services.storage.aside.some(after=after, limit=AT_ONCE)
        if not copies:
            return
        after = copies[-1].id
        ids = [copy.id for copy in copies if looker.finds(copy.name, copy.body)]
        if ids:
            await services.storage.aside.erase(ids)
