"""Edges of WhatsApp business accounts and their phone numbers: what is needed to send one person one text.

https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account ·
https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

import base64
import re
import secrets
from collections.abc import Mapping
from typing import TypeVar

import attrs
import msgspec

from moorage_facebook.sandbox.entities import Business, Message, PhoneNumber, WhatsAppAccount
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid, not_found
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.paging import connection, plain
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing, render

_MANAGE = "whatsapp_business_management"
_SEND = "whatsapp_business_messaging"
_LONGEST_TEXT = 4_096
_NUMBER = re.compile(r"[0-9]{7,15}")
_USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,128}")  # what may stand in for a number since 2026

S = TypeVar("S", bound=msgspec.Struct)


class _Text(msgspec.Struct):
    """The `text` object of a message."""

    body: str = ""
    preview_url: bool | str = False


class _Context(msgspec.Struct):
    """The `context` object of a message: what it answers."""

    message_id: str = ""


async def list_accounts(call: Call, business: Business) -> Json:
    """`GET /{business}/owned_whatsapp_business_accounts`."""
    _may(call, business, _MANAGE)
    return await connection(call, call.world.whatsapp_accounts.of(business.id))


async def read_account(call: Call, account: WhatsAppAccount) -> Json:
    """`GET /{whatsapp-business-account}`."""
    _may(call, account, _MANAGE)
    return await render(call, account, call.fields())


async def list_numbers(call: Call, account: WhatsAppAccount) -> Json:
    """`GET /{whatsapp-business-account}/phone_numbers`."""
    _may(call, account, _MANAGE)
    return await connection(call, call.world.phone_numbers.of(account.id))


async def list_apps(call: Call, account: WhatsAppAccount) -> Json:
    """`GET /{whatsapp-business-account}/subscribed_apps`."""
    _may(call, account, _MANAGE)
    apps = [app for app in call.world.apps if app.id in account.app_ids]
    link = call.world.plan.host_url
    return plain(
        call, [{"whatsapp_business_api_data": {"link": link, "name": app.name, "id": app.id}} for app in apps]
    )


async def subscribe(call: Call, account: WhatsAppAccount) -> Json:
    """`POST /{whatsapp-business-account}/subscribed_apps`: the app hears of this account."""
    _may(call, account, _MANAGE)
    app_ids = tuple(dict.fromkeys([*account.app_ids, call.who.app.id]))
    call.world.whatsapp_accounts.put(attrs.evolve(account, app_ids=app_ids))
    return {"success": True}


async def unsubscribe(call: Call, account: WhatsAppAccount) -> Json:
    """`DELETE /{whatsapp-business-account}/subscribed_apps`."""
    _may(call, account, _MANAGE)
    app_ids = tuple(app_id for app_id in account.app_ids if app_id != call.who.app.id)
    call.world.whatsapp_accounts.put(attrs.evolve(account, app_ids=app_ids))
    return {"success": True}


async def read_number(call: Call, number: PhoneNumber) -> Json:
    """`GET /{phone-number}`."""
    _may(call, number, _MANAGE)
    return await render(call, number, call.fields())


async def send_message(call: Call, number: PhoneNumber) -> Json:
    """`POST /{phone-number}/messages`: a text to one person, who is told by number or by user id.

    Raises:
        GraphError: 100 and 131008 for what is missing, 131009 for what is wrong, 131021 for a message to
            oneself, 131051 for a kind of message that is no text.
    """
    _may(call, number, _SEND)
    if call.param("messaging_product") != "whatsapp":
        raise invalid("The parameter messaging_product is required.")
    kind = call.param("type") or "text"
    if kind != "text":
        raise _refusal(
            131051, "Unsupported message type", f"This sandbox sends no messages of type {kind[:40]}"
        )
    message = Message(
        id=_message_id(),
        channel="whatsapp",
        channel_id=number.id,
        person_id=_recipient(call, number),
        text=_text(call),
        reply_to=_answered(call, number),
        direction="out",
        created_at=call.world.seconds(),
    )
    call.world.messages.put(message)
    told = "wa_id" if call.param("to") else "user_id"
    given = call.param("to") or call.param("recipient")
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": given, told: message.person_id}],
        "messages": [{"id": message.id}],
    }


def _recipient(call: Call, number: PhoneNumber) -> str:
    """The digits of a phone number however it was written, or a user id."""
    given = call.param("to")
    if not given:
        user_id = call.param("recipient")
        if not user_id:
            raise invalid("The parameter to is required.")
        if not _USER_ID.fullmatch(user_id):
            raise _wrong("recipient is no user id")
        return user_id
    digits = re.sub(r"[\s()+\-]", "", given)
    if not _NUMBER.fullmatch(digits):
        raise _wrong("to is no phone number")
    if digits == number.digits:
        raise _refusal(131021, "Recipient cannot be sender", "to is the number that sends")
    return digits


def _text(call: Call) -> str:
    if not call.param("text"):
        raise _refusal(131008, "Required parameter is missing", "text is missing")
    body = _read(call, "text", _Text).body
    if not body.strip():
        raise _refusal(131008, "Required parameter is missing", "text.body is missing")
    if len(body) > _LONGEST_TEXT:
        raise _wrong(f"text.body is longer than {_LONGEST_TEXT} characters")
    return body


def _answered(call: Call, number: PhoneNumber) -> str:
    """The message of the same number that this one answers."""
    if not call.param("context"):
        return ""
    message_id = _read(call, "context", _Context).message_id
    known = call.world.messages.get(message_id)
    if known is None or known.channel_id != number.id:
        raise _wrong("context.message_id is no message of this number")
    return message_id


def _read(call: Call, name: str, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(call.param(name).encode("utf-8", "replace"), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _wrong(f"{name} is no such object") from error


def _wrong(details: str) -> GraphError:
    return _refusal(131009, "Parameter value is not valid", details)


def _refusal(code: int, meaning: str, details: str) -> GraphError:
    """How the Cloud API refuses: the meaning of the code, and in `error_data` what it is about.

    https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
    """
    data: Mapping[str, Json] = {"messaging_product": "whatsapp", "details": details}
    return GraphError(GraphFailure(message=f"(#{code}) {meaning}", code=code, data=data))


def _may(call: Call, node: Business | WhatsAppAccount | PhoneNumber, scope: str) -> None:
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


def _message_id() -> str:
    return "wamid." + base64.b64encode(secrets.token_bytes(36)).decode()


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
    Route[PhoneNumber](
        method="POST", node=PhoneNumber, edge="messages", handle=send_message, usage="whatsapp"
    ),
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
