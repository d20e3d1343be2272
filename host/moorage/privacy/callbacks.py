"""A person tells their vendor to have their data deleted by everybody who uses an app: M2 of the bar.

The request is a row before it is answered, and its code is made of what it says: the same notice twice is one
request. A job does the work, and does it again until it is done everywhere.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.operations.withdrawing import carry_out, read_notice
from moorage.privacy.erasing import Reason, erase
from moorage.privacy.people import Clue, find
from moorage.services import Services
from moorage_ports.erasure import Cause, DeletionRequest
from moorage_ports.errors import NotFoundError, SignatureError
from moorage_ports.plugin import Vendor
from moorage_ports.secret import Secret
from moorage_ports.values import is_aware
from moorage_ports.webhooks import VendorApp
from moorage_ports.withdrawals import Withdrawal

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(seconds=15)
_AT_ONCE: Final = 20
_REASON: Final = Reason(cause=Cause.PERSON)


@attrs.frozen(kw_only=True)
class DeletionView:
    """How far a request is, for whoever has its code. It says nothing of whom it is about."""

    code: str
    status: str
    requested_at: datetime = attrs.field(validator=is_aware)
    done_at: datetime | None = attrs.field(validator=is_aware)


async def request_deletion(
    services: Services, vendor_slug: str, body: bytes, org_id: str | None
) -> Mapping[str, str]:
    """Write a person's request down, durably; answers what the vendor wants to hear.

    Raises:
        UnknownVendorError: No such vendor is installed, or it sends no such notices.
        SignatureError: Nobody who holds an app's secret signed it freshly, or it names no person.
        UnavailableError: It was not written down: the vendor may send it again.
    """
    vendor, notice = await read_notice(services, vendor_slug, body, org_id)
    if notice.subject is None or vendor.withdrawals is None:
        msg = "the request names no person"
        raise SignatureError(msg)
    kept = await services.storage.deletion_requests.add(
        DeletionRequest(
            code=await _code(services, vendor, notice, notice.subject),
            vendor=vendor.slug,
            app_id=notice.app.app_id,
            subject=notice.subject,
            app_org_id=notice.app.org_id or "",
            issued_at=notice.issued_at,
            received_at=services.clock.now(),
        )
    )
    log.info("deletion_requested", vendor=vendor.slug)
    status_url = f"{services.settings.public_url}/connect/data-deletion/{vendor.slug}/{kept.code}"
    return vendor.withdrawals.deletion_answer(status_url=status_url, code=kept.code)


async def deletion_status(services: Services, vendor_slug: str, code: str) -> DeletionView:
    """How far a request is.

    Raises:
        NotFoundError: There is none of this code, or it was done too long ago.
    """
    found = await services.storage.deletion_requests.get(vendor_slug, code)
    if found is None:
        msg = "there is no request of this code"
        raise NotFoundError(msg)
    return DeletionView(
        code=found.code, status=found.state.value, requested_at=found.received_at, done_at=found.done_at
    )


async def work_on_requests(services: Services) -> None:
    """Do what people asked for. What cannot be done now is done the next time."""
    requests = services.storage.deletion_requests
    after: DeletionRequest | None = None
    # Each is looked at once, however many of those before it cannot be done.
    while some := await requests.pending(after=after, limit=_AT_ONCE):
        for request in some:
            await _try_to_fulfil(services, request)
        after = some[-1]


async def _try_to_fulfil(services: Services, request: DeletionRequest) -> None:
    """Whatever one person's trouble is, the others' requests do not wait for it."""
    try:
        is_done = await _fulfil(services, request)
    except Exception:
        log.exception("deletion_not_done", vendor=request.vendor)
        return
    if is_done:
        await services.storage.deletion_requests.finish(request.code, at=services.clock.now())
        log.info("deletion_done", vendor=request.vendor)


async def _code(services: Services, vendor: Vendor, notice: Withdrawal, subject: Secret) -> str:
    """Nobody can guess it, and the same notice has the same one."""
    named = (notice.app.app_id, subject.reveal(), notice.issued_at.isoformat())
    return await services.storage.blind_index(f"data deletion:{vendor.slug}", Secret("\n".join(named)))


async def _fulfil(services: Services, request: DeletionRequest) -> bool:
    """Everything of one person: what they granted, then what orgs have of them as a contact.

    Not done, where it does not open or its vendor is not installed: an operator can mend either.
    """
    vendor = services.vendors.by_slug.get(request.vendor)
    if request.subject is None or vendor is None:
        log.warning("deletion_of_nobody", vendor=request.vendor, is_installed=vendor is not None)
        return False
    app = VendorApp(
        vendor=vendor.slug,
        app_id=request.app_id,
        secrets=(),
        verify_token=Secret(""),
        org_id=request.app_org_id or None,
    )
    notice = Withdrawal(app=app, subject=request.subject, issued_at=request.issued_at)
    await carry_out(services, vendor, notice)
    clue = Clue(external_ids=frozenset({request.subject.reveal()}), vendor=vendor.slug)
    for org_id in await services.storage.orgs_of_app(vendor.slug, request.app_id):
        # Whoever brought an app can sign anything with it: it speaks for that org alone.
        if request.app_org_id in {"", org_id}:
            await _forget_in(services, org_id, clue)
    return True


async def _forget_in(services: Services, org_id: str, clue: Clue) -> None:
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        somebody = await find(uow, clue)
    if somebody:
        await erase(services, org_id, somebody, _REASON)
