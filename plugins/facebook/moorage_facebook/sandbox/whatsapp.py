"""Edges of WhatsApp business accounts and their phone numbers.

https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account
"""

import attrs

from moorage_facebook.sandbox.entities import Business, PhoneNumber, WhatsAppAccount
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, not_found
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.paging import connection, plain
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing, render

_MANAGE = "whatsapp_business_management"


async def list_accounts(call: Call, business: Business) -> Json:
    """`GET /{business}/owned_whatsapp_business_accounts`."""
    may(call, business, _MANAGE)
    return await connection(call, call.world.whatsapp_accounts.of(business.id))


async def list_clients(call: Call, business: Business) -> Json:
    """`GET /{business}/client_whatsapp_business_accounts`: nobody has shared any with it."""
    may(call, business, _MANAGE)
    return plain(call, [])


async def read_account(call: Call, account: WhatsAppAccount) -> Json:
    """`GET /{whatsapp-business-account}`."""
    may(call, account, _MANAGE)
    return await render(call, account, call.fields())


async def list_numbers(call: Call, account: WhatsAppAccount) -> Json:
    """`GET /{whatsapp-business-account}/phone_numbers`."""
    may(call, account, _MANAGE)
    return await connection(call, call.world.phone_numbers.of(account.id))


async def list_apps(call: Call, account: WhatsAppAccount) -> Json:
    """`GET /{whatsapp-business-account}/subscribed_apps`."""
    may(call, account, _MANAGE)
    apps = [app for app in call.world.apps if app.id in account.app_ids]
    link = call.world.plan.host_url
    return plain(
        call, [{"whatsapp_business_api_data": {"link": link, "name": app.name, "id": app.id}} for app in apps]
    )


async def subscribe(call: Call, account: WhatsAppAccount) -> Json:
    """`POST /{whatsapp-business-account}/subscribed_apps`: the app hears of this account."""
    may(call, account, _MANAGE)
    app_ids = tuple(dict.fromkeys([*account.app_ids, call.who.app.id]))
    call.world.whatsapp_accounts.put(attrs.evolve(account, app_ids=app_ids))
    return {"success": True}


async def unsubscribe(call: Call, account: WhatsAppAccount) -> Json:
    """`DELETE /{whatsapp-business-account}/subscribed_apps`."""
    may(call, account, _MANAGE)
    app_ids = tuple(app_id for app_id in account.app_ids if app_id != call.who.app.id)
    call.world.whatsapp_accounts.put(attrs.evolve(account, app_ids=app_ids))
    return {"success": True}


async def read_number(call: Call, number: PhoneNumber) -> Json:
    """`GET /{phone-number}`."""
    may(call, number, _MANAGE)
    return await render(call, number, call.fields())


def may(call: Call, node: Business | WhatsAppAccount | PhoneNumber, scope: str) -> None:
    """Only people of the business that owns it, who allowed the app to do this.

    Raises:
        GraphError: 100/33 for everybody else, 10 where the permission is missing.
    """
    business = _business_of(call, node)
    user = call.who.user
    if user is None or call.who.page is not None or business is None or user.id not in business.user_ids:
        raise not_found(call.method, node.id)
    if not call.who.may(scope):
        message = "(#10) Application does not have permission for this action"
        raise GraphError(GraphFailure(message=message, code=10, status=403))


def _business_of(call: Call, node: Business | WhatsAppAccount | PhoneNumber) -> Business | None:
    if isinstance(node, Business):
        return node
    if isinstance(node, PhoneNumber):
        account = call.world.whatsapp_accounts.get(node.account_id)
        return call.world.businesses.get(account.business_id) if account else None
    return call.world.businesses.get(node.business_id)


def _owner(call: Call, account: WhatsAppAccount) -> Json:
    business = call.world.businesses.get(account.business_id)
    return {"name": business.name, "id": business.id} if business else None


_NO_ACCOUNT_HAS = (
    "disable_marketing_messages_on_cloud_api",
    "health_status",
    "is_enabled_for_insights",
    "marketing_messages_lite_api_status",
    "marketing_messages_onboarding_status",
    "on_behalf_of_business_info",
)
_NO_NUMBER_HAS = (
    "certificate",
    "conversational_automation",
    "country_code",
    "country_dial_code",
    "eligibility_for_api_business_global_search",
    "health_status",
    "last_onboarded_time",
    "new_certificate",
    "new_name_status",
    "quality_score",
    "search_visibility",
    "webhook_configuration",
    "whatsapp_business_manager_messaging_limit",
)
"""Fields that clients ask for by default and nothing here has: Graph leaves out what is empty."""

ROUTES: tuple[AnyRoute, ...] = (
    Route[Business](
        method="GET",
        node=Business,
        edge="owned_whatsapp_business_accounts",
        handle=list_accounts,
        usage="whatsapp",
    ),
    Route[Business](
        method="GET",
        node=Business,
        edge="client_whatsapp_business_accounts",
        handle=list_clients,
        usage="whatsapp",
    ),
    Route[WhatsAppAccount](method="GET", node=WhatsAppAccount, handle=read_account, usage="whatsapp"),
    Route[WhatsAppAccount](
        method="GET", node=WhatsAppAccount, edge="phone_numbers", handle=list_numbers, usage="whatsapp"
    ),
    Route[WhatsAppAccount](
        method="GET", node=WhatsAppAccount, edge="subscribed_apps", handle=list_apps, usage="whatsapp"
    ),
    Route[WhatsAppAccount](
        method="POST", node=WhatsAppAccount, edge="subscribed_apps", handle=subscribe, usage="whatsapp"
    ),
    Route[WhatsAppAccount](
        method="DELETE", node=WhatsAppAccount, edge="subscribed_apps", handle=unsubscribe, usage="whatsapp"
    ),
    Route[PhoneNumber](method="GET", node=PhoneNumber, handle=read_number, usage="whatsapp"),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[WhatsAppAccount](
        node=WhatsAppAccount,
        title="WhatsAppBusinessAccount",
        default=("name", "timezone_id", "message_template_namespace"),
        readers={
            "name": lambda _, account: account.name,
            "timezone_id": lambda _, account: account.timezone_id,
            "message_template_namespace": lambda _, account: account.template_namespace,
            "status": lambda _, __: "ACTIVE",
            "account_review_status": lambda _, __: "APPROVED",
            "business_verification_status": lambda _, __: "not_verified",
            "ownership_type": lambda _, __: "SELF",
            "owner_business_info": _owner,
            "currency": lambda _, account: account.currency,
            "country": lambda _, account: account.country,
            **dict.fromkeys(_NO_ACCOUNT_HAS, nothing),
        },
    ),
    Shape[PhoneNumber](
        node=PhoneNumber,
        title="WhatsAppBusinessPhoneNumber",
        default=(
            "verified_name",
            "code_verification_status",
            "display_phone_number",
            "quality_rating",
            "platform_type",
            "throughput",
        ),
        readers={
            "verified_name": lambda _, number: number.name,
            "display_phone_number": lambda _, number: number.display,
            "code_verification_status": lambda _, __: "VERIFIED",
            "name_status": lambda _, __: "APPROVED",
            "quality_rating": lambda _, __: "GREEN",
            "platform_type": lambda _, __: "CLOUD_API",
            "throughput": lambda _, __: {"level": "STANDARD"},
            "status": lambda _, __: "CONNECTED",
            "account_mode": lambda _, __: "LIVE",
            "is_on_biz_app": lambda _, __: False,
            "is_official_business_account": lambda _, __: False,
            "is_pin_enabled": lambda _, __: True,
            "is_preverified_number": lambda _, __: False,
            **dict.fromkeys(_NO_NUMBER_HAS, nothing),
        },
    ),
)
