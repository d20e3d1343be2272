"""From `{vendor}-provider/{operation}` and a body to the operation's result, and back to JSON.

Vendor and operation are looked up in what plugins registered, never by attribute; the body is read by the
binding's declared type. Publishing calls that carry an Idempotency-Key are remembered.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs
import msgspec
import structlog

from moorage import codec
from moorage.auth import require_role
from moorage.committing import certainly
from moorage.constraints import sentence_of
from moorage.crm.messages import message_view
from moorage.errors import problem_document, status_of
from moorage.ids import new_id
from moorage.logging import REQUEST_ID
from moorage.operations.views import publication_view
from moorage.services import Caller, OperationCall, OperationHandler, Services
from moorage.vendors import Vendors, binding_named
from moorage_ports.answering_operations import MessageView
from moorage_ports.errors import (
    ConflictError,
    IdempotencyMismatchError,
    InvalidRequestError,
    MoorageError,
    OutcomeUnknownError,
    UnavailableError,
    UnknownOperationError,
    UnknownVendorError,
    UnsupportedError,
)
from moorage_ports.events import DeliveryState
from moorage_ports.lead_operations import BackfillView, TestLeadView
from moorage_ports.lead_orders import OrderState
from moorage_ports.operations import Binding, Effect, PublicationStatus, PublicationView
from moorage_ports.plugin import Vendor
from moorage_ports.publications import RememberedCall
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

# `Any`: handlers of different types stand in one table; the declaration beside each name checks the bodies.
Handlers: TypeAlias = Mapping[str, OperationHandler[Any, Any]]

MAX_BODY: Final = 1_000_000
PROVIDER: Final = re.compile(r"([a-z][a-z0-9]{1,30})-provider", re.ASCII)
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")
_COME_BACK: Final = timedelta(seconds=2)
# A first call that has made nothing after so long died before it could: nobody waits this long for preflight.
_GIVEN_UP: Final = timedelta(minutes=5)
_ANSWERED_WITHIN: Final = timedelta(seconds=20)  # a caller is: by then somebody may ask again


@attrs.frozen(kw_only=True)
class Answer:
    """What goes back to the caller."""

    status: int
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Addressed:
    """A call that found its vendor, operation and handler, from a caller who may make it."""

    services: Services
    caller: Caller
    vendor: Vendor
    binding: Binding
    handler: OperationHandler[Any, Any]

    @property
    def effect(self) -> Effect:
        """What the operation does to the world."""
        return self.binding.operation.effect

    def call(self, *, subject_id: str = "", dry_run: bool = False) -> OperationCall:
        """The call as handlers take it."""
        return OperationCall(
            services=self.services,
            caller=self.caller,
            vendor=self.vendor,
            subject_id=subject_id,
            dry_run=dry_run,
        )


def vendor_of(vendors: Vendors, provider: str) -> Vendor:
    """The vendor that `{slug}-provider` names.

    Raises:
        UnknownVendorError: It names none.
    """
    found = PROVIDER.fullmatch(provider)
    if found is None:
        msg = "no installed vendor answers to that name"
        raise UnknownVendorError(msg)
    return vendors.get(found.group(1))


def address(
    services: Services, handlers: Handlers, caller: Caller, *, provider: str, operation: str
) -> Addressed:
    """Find what is asked for and check that the caller may ask it.

    Raises:
        UnknownVendorError: No such vendor.
        UnknownOperationError: The vendor has no such operation.
        ForbiddenError: The caller's role is too low.
        UnsupportedError: A plugin declares an operation that this host does not know.
    """
    vendor = vendor_of(services.vendors, provider)
    binding = binding_named(vendor, operation)
    if binding is None:
        msg = "this vendor has no such operation"
        raise UnknownOperationError(msg)
    require_role(caller, binding.operation.role)
    handler = handlers.get(binding.operation.name)
    if handler is None:
        msg = "this host does not know that operation yet"
        raise UnsupportedError(msg)
    return Addressed(services=services, caller=caller, vendor=vendor, binding=binding, handler=handler)


def request_from_body(binding: Binding, raw: bytes) -> object:
    """The binding's own request, from a JSON body.

    Raises:
        MalformedError: Not JSON.
        InvalidRequestError: It does not fit.
    """
    return codec.decode(raw, binding.request)


def request_from_query(binding: Binding, pairs: Iterable[tuple[str, str]]) -> object:
    """The binding's own request, from query parameters.

    Raises:
        InvalidRequestError: It does not fit.
    """
    return codec.structure_query(pairs, binding.request)


def idempotency_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The Idempotency-Key header, if one was sent.

    Raises:
        InvalidRequestError: It was sent twice or is not 1 to 255 printable ASCII characters.
    """
    keys = [value for name, value in headers if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        msg = "the Idempotency-Key does not fit"
        fields = {"Idempotency-Key": "must be sent once: 1 to 255 printable ASCII characters without blanks"}
        raise InvalidRequestError(msg, fields=fields)
    return keys[0].decode("ascii")


async def perform(addressed: Addressed, request: object, *, key: str | None = None) -> Answer:
    """Do it, once for each idempotency key.

    Raises:
        MoorageError: Whatever the operation raises.
    """
    if key is None or addressed.effect is not Effect.PUBLISHES:
        return await _perform(addressed, _neutral(addressed.binding, request), addressed.call())
    return await _Remembered(addressed, key).perform(request)


async def rehearse(addressed: Addressed, request: object) -> Answer:
    """Everything that can be checked without changing anything, here or at the vendor.

    Raises:
        MoorageError: What the real call would raise.
    """
    neutral = _neutral(addressed.binding, request)
    notes: tuple[str, ...] = ()
    if addressed.effect is not Effect.READS:
        result = await addressed.handler(addressed.call(dry_run=True), neutral)
        notes = result.notes if isinstance(result, PublicationView) else ()
    org_id, slug = addressed.caller.org_id, addressed.vendor.slug
    async with addressed.services.storage.unit_of_work(org_id, reads_only=True) as uow:
        integration = await uow.integrations.of_vendor(slug)
    rehearsed = {
        "valid": True,
        "operation": addressed.binding.name,
        "effect": addressed.effect.value,
        "integration": integration.status.value if integration else None,
        "missingScopes": list(integration.missing_scopes) if integration else [],
        "notes": list(notes),
    }
    return Answer(status=200, body=msgspec.json.encode(rehearsed))


def _neutral(binding: Binding, request: object) -> object:
    try:
        return binding.to_neutral(request)
    except ValueError as wrong:
        msg = f"the request does not fit: {sentence_of(wrong)}"
        raise InvalidRequestError(msg) from None


async def _perform(addressed: Addressed, neutral: object, call: OperationCall) -> Answer:
    services = addressed.services
    org_id, vendor, now = addressed.caller.org_id, addressed.vendor.slug, services.clock.now()
    with services.calls.counted(services.storage, org_id, vendor, at=now):
        return _answer(addressed, await addressed.handler(call, neutral))


@attrs.frozen
class _Made:
    """What a call under a key has made, and whether it may still be waiting to hear what became of that."""

    view: PublicationView | MessageView
    is_under_way: bool
    began_at: datetime

    @property
    def has_failed(self) -> bool:
        """Whether it is over and never reached anybody."""
        if isinstance(self.view, PublicationView):
            return self.view.status is PublicationStatus.FAILED
        return self.view.state is DeliveryState.FAILED


async def _made(uow: UnitOfWork, subject_id: str) -> _Made | None:
    """The publication or the message that bears the id which the call was given."""
    publication = await uow.publications.get(subject_id)
    if publication is not None:
        is_under_way = publication.status in {PublicationStatus.PENDING, PublicationStatus.PUBLISHING}
        return _Made(publication_view(publication), is_under_way, publication.created_at)
    message = await uow.conversations.attempt(subject_id)
    if message is None:
        return None
    is_under_way = message.record.state is DeliveryState.PENDING
    return _Made(message_view(message), is_under_way, message.record.at)


def _answer(addressed: Addressed, result: object) -> Answer:
    """200, or 202 for what more will be known of later."""
    status = 202 if _is_open(result) and addressed.effect is not Effect.READS else 200
    return Answer(status=status, body=codec.encode(addressed.binding.from_neutral(result)))


def _is_open(result: object) -> bool:
    """Whether more will become of it by itself."""
    match result:
        case PublicationView():
            return not result.status.is_final
        case MessageView():
            return result.state in {DeliveryState.PENDING, DeliveryState.UNKNOWN}
        case BackfillView() | TestLeadView():
            return result.state is OrderState.RUNNING
        case _:
            return False


class _Remembered:
    """A publishing call under its Idempotency-Key: done at most once, answered alike every time."""

    def __init__(self, addressed: Addressed, key: str) -> None:
        self._addressed = addressed
        self._key = key
        self._operation = f"{addressed.vendor.slug}/{addressed.binding.name}"
        self._org_id = addressed.caller.org_id
        self._storage = addressed.services.storage
        self._clock = addressed.services.clock

    async def perform(self, request: object) -> Answer:
        """The first answer, or the same one again.

        Raises:
            IdempotencyMismatchError: The key stands for another body.
            ConflictError: The first call is still at it.
            MoorageError: What the operation raises; the key is free again if nothing came of it.
        """
        neutral = _neutral(self._addressed.binding, request)
        digest = hashlib.sha256(msgspec.json.encode(codec.to_plain(request), order="sorted")).hexdigest()
        mine = RememberedCall(body_hash=digest, subject_id=new_id())
        first = await self._claim(mine)
        if first is not None:
            return await self._again(first, digest)
        call = self._addressed.call(subject_id=mine.subject_id)
        try:
            answer = await _perform(self._addressed, neutral, call)
        except OutcomeUnknownError as unknown:
            problem = problem_document(unknown, REQUEST_ID.get())
            await self._finish(Answer(status=status_of(unknown), body=msgspec.json.encode(problem)))
            raise
        except MoorageError:  # what it says is believed only if the records say so, too
            await self._forget(mine.subject_id)
            raise
        await self._finish(answer)
        return answer

    async def _claim(self, mine: RememberedCall) -> RememberedCall | None:
        """Take the key, or say what it stands for. A claim whose process died is taken over."""
        first = await certainly(lambda: self._begin(mine))
        return None if first is not None and first.subject_id == mine.subject_id else first

    async def _begin(self, mine: RememberedCall) -> RememberedCall | None:
        now = self._clock.now()
        async with self._storage.unit_of_work(self._org_id) as uow:
            calls = uow.remembered_calls
            first = await calls.begin(self._operation, self._key, mine, now=now)
            if first is None or first.status or first.body_hash != mine.body_hash:
                return first
            if first.begun_at is None or now - first.begun_at < _GIVEN_UP:
                return first
            if await _made(uow, first.subject_id) is not None:
                return first
            await calls.forget(self._operation, self._key)
            return await calls.begin(self._operation, self._key, mine, now=now)

    async def _again(self, first: RememberedCall, digest: str) -> Answer:
        if first.body_hash != digest:
            msg = "the Idempotency-Key stands for another body"
            raise IdempotencyMismatchError(msg)
        if first.status:
            return Answer(status=first.status, body=first.response)
        async with self._storage.unit_of_work(self._org_id, reads_only=True) as uow:
            made = await _made(uow, first.subject_id)
        if made is None or (made.is_under_way and self._clock.now() - made.began_at < _ANSWERED_WITHIN):
            raise StillRunningError
        return _answer(self._addressed, made.view)

    async def _finish(self, answer: Answer) -> None:
        """Keep the answer. It happened, so a database out of reach must not make it look as if it had not."""
        try:
            async with self._storage.unit_of_work(self._org_id) as uow:
                await uow.remembered_calls.finish(
                    self._operation, self._key, status=answer.status, response=answer.body
                )
        except UnavailableError:
            log.warning("answer_not_remembered", operation=self._operation, org=self._org_id)

    async def _forget(self, subject_id: str) -> None:
        """Free the key, unless what was begun under it may yet reach people: then the key stands for that."""
        try:
            async with self._storage.unit_of_work(self._org_id) as uow:
                made = await _made(uow, subject_id)
                if made is None or made.has_failed:
                    await uow.remembered_calls.forget(self._operation, self._key)
        except UnavailableError:
            log.warning("key_not_freed", operation=self._operation, org=self._org_id)


class StillRunningError(ConflictError):
    """The first call under this key has not ended: ask again in a moment."""

    default_remedy = "Wait, then send the same request with the same Idempotency-Key again."

    def __init__(self) -> None:
        super().__init__("the first request with this Idempotency-Key is still running")
        self.retry_after = _COME_BACK
