"""Connecting an org to a vendor: from the link a person follows to the integration that comes of it.

The callback trusts nothing in its query but the state, and the state only to find the row that says whose
connection this is. Two ways to finish: at the callback, or (`complete: "ticket"`) by an authenticated call
of the user who began, which keeps a stranger's click from finishing somebody else's connection
(cross-user session fixation, RFC 9700 and its security update draft).
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import attrs
import structlog

from moorage.operations.grants import connect_grant
from moorage.return_urls import check_return_url
from moorage.services import OperationCall, Services, port
from moorage.state import StateSigner, random_id
from moorage_ports.authorizer import AuthorizationRequest, Refused
from moorage_ports.capabilities import Capability, Support
from moorage_ports.errors import InvalidRequestError, InvalidStateError, MoorageError
from moorage_ports.integrations import ConnectAttempt, ConnectMode, Integration
from moorage_ports.jobs import Nudge
from moorage_ports.operations import BeginConnect, CompleteConnect, ConnectBegun, IntegrationView
from moorage_ports.plugin import Vendor
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef

log = structlog.get_logger(__name__)

STATE_LIFE = timedelta(minutes=10)
TICKET_LIFE = timedelta(minutes=5)
TICKETS = "tickets"  # the queue that shreds the codes of tickets nobody came back with
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def redirect_uri(services: Services, vendor: Vendor) -> str:
    """Where the vendor sends the browser back to: one exact address per vendor (RFC 9700, 4.4)."""
    return f"{services.settings.public_url.rstrip('/')}/connect/oauth2callback/{vendor.slug}"


def enabled_capabilities(vendor: Vendor, integration: Integration | None = None) -> tuple[Capability, ...]:
    """What an org wants a vendor for, unless it says otherwise: everything that works."""
    chosen = integration.capabilities if integration else None
    works = tuple(each for each in Capability if vendor.support(each) is Support.FULL)
    return works if chosen is None else tuple(each for each in works if each in chosen)


async def begin_connect(call: OperationCall, request: BeginConnect) -> ConnectBegun:
    """Write down whose connection begins, and answer the link to the vendor's consent page.

    A dry run writes nothing, so its link leads to the consent page but not back.

    Raises:
        ReturnUrlError: The return target is not on the org's list.
        InvalidRequestError: The vendor knows no such scope, or the org wants connections to be finished by
            a ticket.
    """
    services, caller, vendor = call.services, call.caller, call.vendor
    return_url = check_return_url(
        request.return_url,
        org_id=caller.org_id,
        targets=services.settings.return_urls,
        public_url=services.settings.public_url,
    )
    integration = await _integration(services, vendor, caller.org_id)
    mode = ConnectMode(request.complete)
    if _may_be_finished_by_anybody(mode, caller.session_id, integration):
        msg = "this organisation finishes connections with a ticket"
        raise InvalidRequestError(msg, fields={"complete": 'must be "ticket" in this organisation'})
    context = await services.context(vendor, caller.org_id)
    authorizer = port(vendor.authorizer, "sign-in")(context)
    plan = authorizer.plan_scopes(request.scopes, enabled_capabilities(vendor, integration))
    now = services.clock.now()
    attempt = ConnectAttempt(
        id=random_id(),
        org_id=caller.org_id,
        user_id=caller.user_id,
        email=caller.email,
        vendor=vendor.slug,
        app_id=context.app.app_id,
        redirect_uri=redirect_uri(services, vendor),
        return_url=return_url,
        scopes=plan.scopes,
        mode=mode,
        session_id=caller.session_id,
        created_at=now,
        expires_at=now + STATE_LIFE,
    )
    if not call.dry_run:
        await services.storage.connect_attempts.begin(attempt)
    state = _signer(services).sign("state", attempt.id)
    asked = AuthorizationRequest(
        state=state, redirect_uri=attempt.redirect_uri, scopes=plan.scopes, rerequest=request.rerequest
    )
    return ConnectBegun(
        auth_url=authorizer.authorization_url(asked),
        state=state,
        scopes=plan.scopes,
        added_scopes=plan.added,
    )


async def receive_return(
    services: Services, vendor_slug: str, query: Mapping[str, str], *, session_id: str
) -> str:
    """What the vendor's redirect back means: the address to send the browser on to.

    `session_id` is that of the admin UI's session in this browser, if there is one.

    Raises:
        UnknownVendorError: No such vendor.
        InvalidStateError: The state is not ours, was used, ran out, or is another vendor's: there is no
            return target that could be trusted.
        UnavailableError: The database is out of reach; the state is still good.
    """
    vendor = services.vendors.get(vendor_slug)
    attempt_id = _signer(services).read("state", query.get("state", ""))
    attempt = await services.storage.connect_attempts.consume(
        attempt_id, vendor=vendor.slug, now=services.clock.now()
    )
    if attempt is None:
        msg = "this state was used before, has run out, or is for another vendor"
        raise InvalidStateError(msg)
    try:
        outcome = await _outcome(services, vendor, attempt, query, session_id)
    except MoorageError as failure:
        log.warning("connect_failed", vendor=vendor.slug, org=attempt.org_id, code=failure.code)
        outcome = {"integration": "error", "code": failure.code}
    except Exception:
        # The person is between two sites and gets back to theirs, whatever broke here.
        log.exception("connect_broke", vendor=vendor.slug, org=attempt.org_id)
        outcome = {"integration": "error", "code": "internal"}
    return with_query(attempt.return_url, outcome)


async def _outcome(
    services: Services, vendor: Vendor, attempt: ConnectAttempt, query: Mapping[str, str], session_id: str
) -> dict[str, str]:
    """What to tell the return target."""
    if attempt.session_id and attempt.session_id != session_id:
        msg = "another browser session began this connection"
        raise InvalidStateError(msg)
    integration = await _integration(services, vendor, attempt.org_id)
    if _may_be_finished_by_anybody(attempt.mode, attempt.session_id, integration):
        msg = "the organisation has decided since that connections are finished with a ticket"
        raise InvalidStateError(msg)
    context = await services.context(vendor, attempt.org_id)
    answer = port(vendor.authorizer, "sign-in")(context).read_return(query)
    if isinstance(answer, Refused):
        code = answer.reason if _REASON.fullmatch(answer.reason) else "refused"
        log.info("connect_refused", vendor=vendor.slug, org=attempt.org_id, code=code)
        return {"integration": "error", "code": code}
    if attempt.mode is ConnectMode.TICKET:
        return {"integration": "pending", "ticket": await _issue_ticket(services, attempt, answer.code)}
    await connect_grant(services, vendor, attempt, answer.code)
    return {"integration": "connected"}


async def complete_connect(call: OperationCall, request: CompleteConnect) -> IntegrationView:
    """Finish what `begin_connect` began in ticket mode: the same user of the same org, once, in five minutes.

    Raises:
        InvalidStateError: The ticket is not this caller's, was used, or ran out.
        ReauthorizationError: The vendor no longer takes the code.
    """
    services, caller, vendor = call.services, call.caller, call.vendor
    bound = (caller.org_id, caller.user_id, vendor.slug)
    ticket_id = _signer(services).read("ticket", request.ticket, *bound)
    if call.dry_run:
        msg = "a ticket works once: trying it out would use it up"
        raise InvalidStateError(msg, remedy="Send it for real.")
    attempt = await services.storage.connect_attempts.consume(
        ticket_id, vendor=vendor.slug, now=services.clock.now()
    )
    if attempt is None or (attempt.org_id, attempt.user_id) != (caller.org_id, caller.user_id):
        msg = "this ticket was used before or has run out"
        raise InvalidStateError(msg)
    code = await _take_code(services, attempt)
    return await connect_grant(services, vendor, attempt, code)


async def _issue_ticket(services: Services, attempt: ConnectAttempt, code: Secret) -> str:
    """Keep the code sealed, unspent, and hand out what its owner (and nobody else) can finish with."""
    now = services.clock.now()
    ticket = attrs.evolve(attempt, id=random_id(), created_at=now, expires_at=now + TICKET_LIFE)
    shred = Nudge(
        queue=TICKETS,
        group=f"{attempt.vendor}:{ticket.id}",
        org_id=attempt.org_id,
        not_before=now + 2 * TICKET_LIFE,
    )
    async with services.storage.unit_of_work(attempt.org_id) as uow:
        await uow.secrets(attempt.vendor).put(_code_ref(ticket.id), code, expected_version=0)
        await uow.jobs.nudge(shred)
    await services.storage.connect_attempts.begin(ticket)
    return _signer(services).sign("ticket", ticket.id, attempt.org_id, attempt.user_id, attempt.vendor)


async def _take_code(services: Services, ticket: ConnectAttempt) -> Secret:
    async with services.storage.unit_of_work(ticket.org_id) as uow:
        kept = await uow.secrets(ticket.vendor).get(_code_ref(ticket.id))
        await uow.secrets(ticket.vendor).forget(owner_type="ticket", owner_id=ticket.id)
    if kept is None:
        msg = "the code of this ticket is gone"
        raise InvalidStateError(msg)
    return kept.value


async def shred_ticket(services: Services, nudge: Nudge) -> None:
    """Forget the code of a ticket that ran out; one that was used has none any more."""
    vendor, _, ticket_id = nudge.group.partition(":")
    async with services.storage.unit_of_work(nudge.org_id) as uow:
        await uow.secrets(vendor).forget(owner_type="ticket", owner_id=ticket_id)


async def _integration(services: Services, vendor: Vendor, org_id: str) -> Integration | None:
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        return await uow.integrations.of_vendor(vendor.slug)


def _may_be_finished_by_anybody(mode: ConnectMode, session_id: str, integration: Integration | None) -> bool:
    """Whether a stranger's click could finish a connection although the org rules that out.

    One that the admin UI began is bound to its browser session and as good as one with a ticket.
    """
    is_strict = integration is not None and integration.require_ticket
    return is_strict and mode is ConnectMode.CALLBACK and not session_id


def with_query(url: str, added: Mapping[str, str]) -> str:
    """`url` with more query parameters; those that it has are kept as they are, and so is its fragment."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(added)) if part)
    return parts._replace(query=query).geturl()


def _code_ref(ticket_id: str) -> SecretRef:
    return SecretRef(owner_type="ticket", owner_id=ticket_id, field="code")


def _signer(services: Services) -> StateSigner:
    return StateSigner((services.settings.state_secret,))
