"""What an org decides about its integration: the app that serves it, who is warned, how it is connected.

An app of the org's own is proven by the vendor before anything is kept, and belongs to one org only. What
was granted was granted to an app: with another one the integration waits (`pending`) until somebody connects
again, and keeps what it has for the case that the org changes its mind.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import structlog
from attrs.validators import max_len, optional

from moorage import codec
from moorage.apps import previous_secret_ref, secret_ref, verify_token_ref
from moorage.ids import new_id
from moorage.operations.grants import unpark
from moorage.services import Caller, Services, port
from moorage.vendors import Vendors
from moorage_ports.apps import AppCredentials, OwnApp
from moorage_ports.capabilities import Capability, Support
from moorage_ports.errors import ConflictError, InvalidRequestError, UnknownVendorError, UnsupportedError
from moorage_ports.integrations import Integration, IntegrationStatus
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.secret import Secret
from moorage_ports.storage import UnitOfWork
from moorage_ports.webhooks import VendorApp

log = structlog.get_logger(__name__)

PREVIOUS_SECRET_LIVES: Final = timedelta(hours=24)
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_MOST_EMAILS: Final = 20


def _are_addresses(
    _: object, __: "attrs.Attribute[tuple[str, ...] | None]", value: tuple[str, ...] | None
) -> None:
    if value is not None and (len(value) > _MOST_EMAILS or not all(map(_EMAIL.fullmatch, value))):
        msg = f"must be at most {_MOST_EMAILS} e-mail addresses"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class SaveIntegration:
    """What to keep about the org's integration with a vendor; what is left out stays as it is.

    The vendor is named by `vendor` or `provider`, or by a `type` that has one vendor only. `config` holds
    the org's own app as the vendor's card describes it (`appConfig`); `useSharedApp` returns to the
    operator's. An empty `capabilities` stands for everything that works.
    """

    vendor: str = attrs.field(default="", validator=max_len(64))
    provider: str = attrs.field(default="", validator=max_len(64))
    type: str = attrs.field(default="", validator=max_len(64))
    name: str | None = attrs.field(default=None, validator=optional(max_len(200)))
    description: str | None = attrs.field(default=None, validator=optional(max_len(2000)))
    config: Mapping[str, object] | None = attrs.field(default=None, repr=False)
    use_shared_app: bool = False
    notify_emails: tuple[str, ...] | None = attrs.field(default=None, validator=_are_addresses, repr=False)
    require_ticket: bool | None = None
    capabilities: tuple[Capability, ...] | None = None


async def save_integration(services: Services, caller: Caller, request: SaveIntegration) -> Integration:
    """Keep what the org decided; answers the integration as it stands now.

    Raises:
        UnknownVendorError: No such vendor.
        InvalidRequestError: Something does not fit; `fields` says what.
        UnsupportedError: The vendor does not know apps of orgs.
        RejectedError: The vendor does not confirm the app.
        VendorUnavailableError: The vendor could not be asked; nothing was kept.
        ConflictError: The app serves others already.
    """
    vendor = _named(services.vendors, request)
    credentials = _credentials(vendor, request)
    _check_capabilities(vendor, request)
    shared = services.apps.settings(vendor).app()
    if credentials is not None:
        await _prove(services, vendor, caller.org_id, credentials)
        if shared is not None and shared.app_id == credentials.app_id:
            raise _taken()  # only now: what is registered here is told to nobody but the app's owner
    now = services.clock.now()
    async with services.storage.unit_of_work(caller.org_id) as uow:
        own = await uow.own_apps.of_vendor(vendor.slug)
        if credentials is not None:
            own = await _keep_app(uow, vendor, credentials, own, now)
        elif request.use_shared_app and own is not None:
            await _forget_app(uow, own)
            own = None
        app_id = own.app_id if own else shared.app_id if shared else ""
        integration = await _keep(uow, vendor, request, caller, app_id, now)
    services.apps.forget(vendor, caller.org_id)
    log.info(
        "integration_saved",
        vendor=vendor.slug,
        org=caller.org_id,
        integration=integration.id,
        status=integration.status.value,
        app="own" if own else "shared",
    )
    return integration


# Reading what is asked ------------------------------------------------------------------------


def _named(vendors: Vendors, request: SaveIntegration) -> Vendor:
    name = request.vendor or request.provider
    if name:
        return vendors.get(name.removesuffix("-provider"))
    if not request.type:
        raise _does_not_fit({"vendor": "is required"})
    named = vendors.by_slug.get(request.type.removesuffix("-provider"))
    found = [named] if named else [each for each in vendors if request.type in each.categories]
    if not found:
        msg = "no installed vendor is of that type"
        raise UnknownVendorError(msg)
    if len(found) > 1:
        raise _does_not_fit({"vendor": "several vendors are of that type: say which one"})
    return found[0]


def _credentials(vendor: Vendor, request: SaveIntegration) -> AppCredentials | None:
    if request.config is None:
        return None
    if request.use_shared_app:
        raise _does_not_fit(
            {"useSharedApp": "an app of your own in `config` and the shared one exclude each other"}
        )
    if vendor.own_app is None:
        msg = "this vendor works with the operator's app only"
        raise UnsupportedError(msg)
    try:
        return codec.structure(request.config, vendor.own_app)
    except InvalidRequestError as wrong:
        fields = {f"config.{name}": text for name, text in wrong.fields.items()}
        raise InvalidRequestError(str(wrong), fields=fields) from None


def _check_capabilities(vendor: Vendor, request: SaveIntegration) -> None:
    not_there = {
        f"capabilities[{number}]": "is nothing that this vendor does here"
        for number, each in enumerate(request.capabilities or ())
        if vendor.support(each) is not Support.FULL
    }
    if not_there:
        raise _does_not_fit(not_there)


def _does_not_fit(fields: Mapping[str, str]) -> InvalidRequestError:
    msg = "the request does not fit"
    return InvalidRequestError(msg, fields=fields)


# The app --------------------------------------------------------------------------------------


async def _prove(services: Services, vendor: Vendor, org_id: str, credentials: AppCredentials) -> None:
    app = VendorApp(
        vendor=vendor.slug,
        app_id=credentials.app_id,
        secrets=(credentials.app_secret,),
        verify_token=credentials.verify_token,
        org_id=org_id,
    )
    context = VendorContext(
        org_id=org_id,
        app=app,
        settings=services.apps.settings(vendor),
        http=services.http,
        clock=services.clock,
        secrets=services.storage.secrets(org_id, vendor.slug),
        # Not the app's own pace: until it is proven, it may be somebody else's app that is asked about.
        governor=services.governors.of(vendor.slug, f"unproven, of {org_id}"),
    )
    proven = await port(vendor.authorizer, "sign-in")(context).prove_app()
    if proven.app_id != credentials.app_id:
        raise _does_not_fit({"config.appId": "is not the app that this secret belongs to"})


async def _keep_app(
    uow: UnitOfWork, vendor: Vendor, credentials: AppCredentials, before: OwnApp | None, now: datetime
) -> OwnApp:
    """Keep the app and its secrets; a secret that is replaced stays live for a day."""
    secrets = uow.secrets(vendor.slug)
    app_id = credentials.app_id
    since, previous, until = now, credentials.previous_app_secret, now + PREVIOUS_SECRET_LIVES
    kept = None
    if before is not None and before.app_id != app_id:
        await _forget_app(uow, before)
    elif before is not None:
        kept = await secrets.get(secret_ref(app_id))
    if before is not None and kept is not None and kept.value == credentials.app_secret:
        since = before.secret_since
        older = None if previous else await secrets.get(previous_secret_ref(app_id))
        if older is not None:  # nothing was replaced: what is live ends when it was to end
            previous, until = older.value, before.previous_secret_until or now
    elif kept is not None:
        previous = previous or kept.value
    if previous is not None and (until <= now or previous == credentials.app_secret):
        previous = None
    await secrets.put(secret_ref(app_id), credentials.app_secret)
    await secrets.put(verify_token_ref(app_id), credentials.verify_token)
    await _keep_previous(uow, vendor, app_id, previous)
    app = OwnApp(
        vendor=vendor.slug,
        app_id=app_id,
        revision=new_id(),
        secret_since=since,
        previous_secret_until=until if previous else None,
    )
    try:
        await uow.own_apps.save(app)
    except ConflictError:
        raise _taken() from None
    return app


async def _keep_previous(uow: UnitOfWork, vendor: Vendor, app_id: str, previous: Secret | None) -> None:
    ref, secrets = previous_secret_ref(app_id), uow.secrets(vendor.slug)
    if previous is None:
        await secrets.forget(owner_type=ref.owner_type, owner_id=ref.owner_id)
    else:
        await secrets.put(ref, previous)


async def forget_old_secrets(services: Services) -> None:
    """Shred the secrets that apps had before, once they are no longer live."""
    now = services.clock.now()
    for slug, org_id in await services.storage.own_app_marks():
        vendor = services.vendors.by_slug.get(slug)
        if vendor is None:
            continue
        async with services.storage.unit_of_work(org_id) as uow:
            app = await uow.own_apps.of_vendor(slug)
            if app is None or app.previous_secret_until is None or app.previous_secret_until > now:
                continue
            await _keep_previous(uow, vendor, app.app_id, None)
            await uow.own_apps.save(attrs.evolve(app, previous_secret_until=None, revision=new_id()))
        services.apps.forget(vendor, org_id)


async def _forget_app(uow: UnitOfWork, app: OwnApp) -> None:
    for ref in (secret_ref(app.app_id), previous_secret_ref(app.app_id)):
        await uow.secrets(app.vendor).forget(owner_type=ref.owner_type, owner_id=ref.owner_id)
    await uow.own_apps.remove(app.vendor)


def _taken() -> ConflictError:
    msg = "this app cannot be used here"
    return ConflictError(
        msg, remedy="Register an app of its own for this organisation; an app serves one organisation."
    )


# The integration ------------------------------------------------------------------------------


async def _keep(
    uow: UnitOfWork, vendor: Vendor, request: SaveIntegration, caller: Caller, app_id: str, now: datetime
) -> Integration:
    before = await uow.integrations.of_vendor(vendor.slug)
    if before is None:
        emails = (caller.email,) if caller.email else ()
        before = Integration(
            id=new_id(),
            vendor=vendor.slug,
            status=IntegrationStatus.PENDING,
            app_id=app_id,
            notify_emails=emails,
            created_at=now,
            updated_at=now,
        )
    integration = attrs.evolve(before, updated_at=now, **_wishes(request))
    if not await uow.integrations.grants(before.id):
        integration = attrs.evolve(integration, app_id=app_id)  # nothing was granted to any app yet
    elif before.app_id != app_id and before.status is not IntegrationStatus.INACTIVE:
        integration = attrs.evolve(integration, status=IntegrationStatus.PENDING)
    elif before.app_id == app_id and before.status is IntegrationStatus.PENDING:
        # Back with the app that everything was granted to.
        integration = attrs.evolve(integration, status=IntegrationStatus.ACTIVE)
        await unpark(uow, vendor, now)
    await uow.integrations.save(integration)
    return integration


def _wishes(request: SaveIntegration) -> dict[str, Any]:
    given = {
        "name": request.name,
        "description": request.description,
        "notify_emails": request.notify_emails,
        "require_ticket": request.require_ticket,
    }
    wishes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if request.capabilities is not None:
        wishes["capabilities"] = request.capabilities or None
    return wishes
