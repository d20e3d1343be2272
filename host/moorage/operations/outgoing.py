"""Sending to people: a record before anything else, one call, and never a second one to find out.

An attempt (see `moorage.crm.attempts`) stands in its conversation as `pending` from before the call. Then the
vendor has it (`sent`), refused it (`failed`, and whoever waits is told), or no answer came (`unknown`): an
echo, a status or a sync that shows it settles that. A process that dies in the middle leaves it `pending`; a
sweep says `unknown` of it some minutes later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import attrs
import structlog

from moorage.committing import certainly
from moorage.crm import attempts
from moorage.crm.apply import apply_events
from moorage.crm.messages import message_view
from moorage.metrics import MESSAGES_SENT
from moorage.operations import publication_steps as steps
from moorage.operations.standing import act_on_vendor_error
from moorage.services import OperationCall, Services
from moorage_ports.answering_operations import MessagePart, MessageView
from moorage_ports.conversations import Message
from moorage_ports.crm_records import MessageRecord, attempt_record_id
from moorage_ports.errors import (
    InvalidRequestError,
    MoorageError,
    OutcomeUnknownError,
    UnavailableError,
    VendorError,
)
from moorage_ports.events import CommentSeen, CrmEvent, DeliveryState, MessageSeen, Person, PersonLinked
from moorage_ports.failpoints import fail_point

log = structlog.get_logger(__name__)

BUDGET: Final = timedelta(seconds=15)  # after which the caller is answered, whatever is still going on
SENDING: Final = timedelta(seconds=25)  # for one call
LOST_AFTER: Final = timedelta(minutes=5)  # what is `pending` for longer has lost its process
NOT_SENT: Final = "not_sent"
NOT_REACHED: Final = "What came before it did not arrive, so this was not sent: send it again."

Sent: TypeAlias = CommentSeen | MessageSeen


@attrs.frozen(kw_only=True)
class Outgoing:
    """One thing to send: the record of the attempt, and the one call that sends it."""

    attempt: MessageRecord
    send: Callable[[], Awaitable[Sent]]
    author: Person | None = None  # whom it goes to, as somebody else may be known (see `_proof`)


async def send_once(call: OperationCall, parts: Sequence[Outgoing], *, author_name: str) -> MessageView:
    """Write `parts` down, send them in order, and say how far they came.

    Raises:
        UnavailableError: Nothing was sent: the database is out of reach, or the process is about to end.
        CommitUnknownError: Nothing was sent, but the attempts may stand there until a sweep gives them up.
        MoorageError: The first part was refused; nothing was sent.
    """
    give_up_at = asyncio.get_running_loop().time() + BUDGET.total_seconds()
    services = call.services
    if services.background.is_draining:
        msg = "this process is about to end; nothing was sent"
        raise UnavailableError(msg)
    await certainly(lambda: _keep(services, call.caller.org_id, parts))
    run = _Run(services=services, org_id=call.caller.org_id, parts=tuple(parts))
    task = services.background.start(run.run(), name=f"send {parts[0].attempt.attempt_id}")
    try:
        await asyncio.wait({task}, timeout=give_up_at - asyncio.get_running_loop().time())
    finally:
        run.is_awaited = False
    if task.done() and (refusal := task.result()) is not None:
        raise refusal
    return await _shown(services, call.caller.org_id, parts, author_name)


async def _keep(services: Services, org_id: str, parts: Sequence[Outgoing]) -> None:
    """Write the attempts down, if they are not."""
    async with services.storage.unit_of_work(org_id) as uow:
        if await uow.conversations.attempt(parts[0].attempt.attempt_id) is None:
            await attempts.begin(uow.crm_records, [part.attempt for part in parts])


@attrs.define(kw_only=True)
class _Run:
    """Parts being sent. `is_awaited`: somebody waits who can be told of a refusal, and try again himself."""

    services: Services
    org_id: str
    parts: tuple[Outgoing, ...]
    is_awaited: bool = True

    async def run(self) -> MoorageError | None:
        """Send what can be sent; answers why nothing was, if nothing was."""
        for number, part in enumerate(self.parts):
            asked_at = self.services.clock.now()
            try:
                fail_point("M1-before")
                async with asyncio.timeout(SENDING.total_seconds()):
                    sent = await part.send()
                fail_point("M1")
            except (OutcomeUnknownError, TimeoutError) as lost:
                await self._lost(number, lost)
                return None
            except MoorageError as refusal:  # every other one says that nothing was sent
                if isinstance(refusal, VendorError):
                    await self._act_on(refusal, part, asked_at)
                await self._refused(number, refusal)
                return refusal if number == 0 else None
            except Exception as broken:
                # A plugin's own mistake may have happened before or after it left: nobody knows.
                log.exception("send_broke", vendor=part.attempt.vendor, attempt=part.attempt.attempt_id)
                await self._lost(number, broken)
                return None
            await self._arrived(part, sent)
        return None

    async def _arrived(self, part: Outgoing, sent: Sent) -> None:
        """It is there, whether or not we can write: then an echo, a status or a sync writes it down."""
        attempt = part.attempt
        attempt.state, attempt.state_at = DeliveryState.SENT, sent.at
        events: list[tuple[str, CrmEvent]] = [
            (attempt.vendor, attrs.evolve(sent, reference=attempt.attempt_id)),
            *((attempt.vendor, link) for link in _proof(part, sent)),
        ]
        MESSAGES_SENT.labels(attempt.vendor, attempt.state.value).inc()
        try:
            async with self.services.storage.unit_of_work(self.org_id) as uow:
                await apply_events(uow.crm_records, events)
        except UnavailableError:
            log.exception("message_not_recorded", attempt=attempt.attempt_id)

    async def _lost(self, number: int, lost: Exception) -> None:
        part = self.parts[number]
        log.warning("message_outcome_unknown", attempt=part.attempt.attempt_id, how=steps.outcome_of(lost))
        remedy = lost.remedy if isinstance(lost, MoorageError) else OutcomeUnknownError.default_remedy
        await self._note([part], DeliveryState.UNKNOWN, OutcomeUnknownError.code, remedy)
        await self._note(self.parts[number + 1 :], DeliveryState.FAILED, NOT_SENT, NOT_REACHED)

    async def _refused(self, number: int, refusal: MoorageError) -> None:
        """What its sender is told of and may send again, changed or in a moment, leaves nothing behind."""
        left = self.parts[number:]
        is_theirs = steps.passes(refusal) or isinstance(refusal, InvalidRequestError)
        if number == 0 and self.is_awaited and is_theirs:
            await self._drop(left)
            return
        await self._note(left[:1], DeliveryState.FAILED, refusal.code, refusal.remedy)
        await self._note(left[1:], DeliveryState.FAILED, NOT_SENT, NOT_REACHED)

    async def _note(self, parts: Sequence[Outgoing], state: DeliveryState, code: str, error: str) -> None:
        if not parts:
            return
        now = self.services.clock.now()
        for part in parts:
            part.attempt.state, part.attempt.state_at = state, now
            part.attempt.error_code, part.attempt.error = code, error
            MESSAGES_SENT.labels(part.attempt.vendor, state.value).inc()
        ids = [part.attempt.id for part in parts]
        try:
            async with self.services.storage.unit_of_work(self.org_id) as uow:
                await attempts.note(uow.crm_records, ids, state, now, code, error)
        except UnavailableError:
            log.exception("attempt_not_noted", attempts=ids, state=state.value)

    async def _drop(self, parts: Sequence[Outgoing]) -> None:
        ids = [part.attempt.id for part in parts]
        try:
            async with self.services.storage.unit_of_work(self.org_id) as uow:
                await attempts.drop(uow.crm_records, ids)
        except UnavailableError:
            log.exception("attempt_not_dropped", attempts=ids)

    async def _act_on(self, refusal: VendorError, part: Outgoing, asked_at: datetime) -> None:
        await act_on_refusal(
            self.services,
            self.org_id,
            refusal,
            part.attempt.vendor,
            part.attempt.channel_external_id,
            asked_at,
        )


async def act_on_refusal(
    services: Services,
    org_id: str,
    refusal: VendorError,
    vendor: str,
    channel_external_id: str,
    asked_at: datetime,
) -> None:
    """Record what a refusal says about the integration. That may wait: the next refusal says it again."""
    try:
        await act_on_vendor_error(
            services, org_id, vendor, refusal, asked_at=asked_at, channel_external_id=channel_external_id
        )
    except UnavailableError:
        log.warning("standing_not_recorded", vendor=vendor, org=org_id)


async def give_up_on_lost(services: Services) -> None:
    """Say of everything that is `pending` for too long that nobody knows what became of it."""
    now = services.clock.now()
    code, remedy = OutcomeUnknownError.code, OutcomeUnknownError.default_remedy
    for org_id, vendor, attempt_id in await services.storage.backlog.pending_attempts(now - LOST_AFTER):
        log.warning("message_outcome_unknown", attempt=attempt_id, how=steps.INTERRUPTED)
        key = attempt_record_id(vendor, attempt_id)
        async with services.storage.unit_of_work(org_id) as uow:
            await attempts.note(uow.crm_records, [key], DeliveryState.UNKNOWN, now, code, remedy)


def _proof(part: Outgoing, sent: Sent) -> list[CrmEvent]:
    """The vendor itself brought it to whoever wrote the comment: so these are one person."""
    if part.author is None or not isinstance(sent, MessageSeen) or _same(part.author, sent.person):
        return []
    persons = (part.author, sent.person)
    return [PersonLinked(channel_external_id=sent.channel_external_id, persons=persons, at=sent.at)]


def _same(one: Person, other: Person) -> bool:
    return (one.realm, one.external_id) == (other.realm, other.external_id)


async def _shown(services: Services, org_id: str, parts: Sequence[Outgoing], author_name: str) -> MessageView:
    """The first part as it stands in the CRM by now; how far all came, where it was taken apart."""
    found: list[Message] = []
    try:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            for part in parts:
                stands = await uow.conversations.attempt(part.attempt.attempt_id)
                found.append(stands or Message(record=part.attempt, contact_id="", author_name=author_name))
    except UnavailableError:
        # It was sent (or not) all the same: what this process knows has to do.
        found = [Message(record=part.attempt, contact_id="", author_name=author_name) for part in parts]
    return view_of_parts(found)


def view_of_parts(found: Sequence[Message]) -> MessageView:
    """The first of them, with what became of all."""
    views = [message_view(one) for one in found]
    told = [
        MessagePart(id=view.id, state=view.state or DeliveryState.PENDING, error_code=view.error_code)
        for view in views
    ]
    return attrs.evolve(views[0], parts=tuple(told) if len(told) > 1 else ())
