"""Edges of people, businesses and the app: `me`, `accounts`, `permissions`, `businesses`, `subscriptions`.

https://developers.facebook.com/docs/graph-api/reference/user/accounts
"""

import attrs

from moorage_facebook.sandbox.entities import App, AppSubscription, Business, User
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, app_token_required, invalid, not_found
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.paging import connection, plain
from moorage_facebook.sandbox.scopes import WEBHOOK_FIELDS
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing, picture, render

_ACCOUNT_FIELDS = "access_token,category,category_list,name,id,tasks"


async def read_user(call: Call, user: User) -> Json:
    """`GET /me` and `GET /{user}`: only ever the token's own person."""
    _only_self(call, user)
    return await render(call, user, call.fields())


async def user_accounts(call: Call, user: User) -> Json:
    """The Pages that the person picked, with a Page token each."""
    _only_self(call, user)
    if not call.who.may("pages_show_list"):
        return {"data": []}
    if not call.param("fields"):
        call = attrs.evolve(call, params={**call.params, "fields": _ACCOUNT_FIELDS})
    return await connection(call, [page for page in call.world.pages if call.who.reaches(page)])


async def user_businesses(call: Call, user: User) -> Json:
    """`GET /{user}/businesses`."""
    _only_self(call, user)
    if not call.who.may("business_management"):
        message = "(#100) Requires business_management permission to manage the object"
        raise GraphError(GraphFailure(message=message, code=100))
    return await connection(call, [row for row in call.world.businesses if user.id in row.user_ids])


async def user_permissions(call: Call, user: User) -> Json:
    """`GET /{user}/permissions`: granted and declined ones."""
    _only_self(call, user)
    consent = call.who.consent
    if consent is None:
        return {"data": []}
    granted: list[Json] = [{"permission": scope, "status": "granted"} for scope in consent.scopes]
    declined: list[Json] = [{"permission": scope, "status": "declined"} for scope in consent.declined]
    return {"data": granted + declined}


async def drop_permissions(call: Call, user: User) -> Json:
    """Without `permission` the app is removed altogether and every token dies."""
    _only_self(call, user)
    consent = call.who.consent
    if consent is None:
        raise invalid("No permissions to remove")
    one = call.param("permission")
    if one:
        kept = tuple(scope for scope in consent.scopes if scope != one)
        declined = (*consent.declined, one) if one in consent.scopes else consent.declined
        call.world.consents.put(attrs.evolve(consent, scopes=kept, declined=declined))
    else:
        call.world.consents.put(attrs.evolve(consent, scopes=(), declined=(), page_ids=(), removed=True))
    return {"success": True}


async def read_business(call: Call, business: Business) -> Json:
    """`GET /{business}`."""
    _member(call, business)
    return await render(call, business, call.fields())


async def business_pages(call: Call, business: Business) -> Json:
    """`GET /{business}/owned_pages`."""
    _member(call, business)
    owned = [page for page in call.world.pages if page.business_id == business.id and call.who.reaches(page)]
    return await connection(call, owned)


async def business_ad_accounts(call: Call, business: Business) -> Json:
    """`GET /{business}/owned_ad_accounts` and `client_ad_accounts`: none so far."""
    _member(call, business)
    return plain(call, [])


async def read_app(call: Call, app: App) -> Json:
    """`GET /{app}`."""
    return await render(call, app, call.fields())


async def read_subscriptions(call: Call, app: App) -> Json:
    """https://developers.facebook.com/docs/graph-api/reference/app/subscriptions"""
    _only_app(call, app)
    rows: list[Json] = [
        {
            "object": row.object,
            "callback_url": row.callback_url,
            "active": row.active,
            "fields": [{"name": name, "version": call.version} for name in row.fields],
        }
        for row in call.world.app_subscriptions.of(app.id)
    ]
    return plain(call, rows)


async def write_subscription(call: Call, app: App) -> Json:
    """Shake hands with `callback_url`, then send it the object's fields from now on.

    Raises:
        GraphError: 100 for a missing or unknown parameter, 2200 when the callback did not echo the challenge.
    """
    _only_app(call, app)
    wanted = call.param("object")
    if wanted not in WEBHOOK_FIELDS:
        raise invalid(f"Param object must be one of {', '.join(WEBHOOK_FIELDS)}")
    callback_url, verify_token = call.param("callback_url"), call.param("verify_token")
    if not callback_url or not verify_token:
        raise invalid("The parameters callback_url and verify_token are required")
    fields = tuple(name.strip() for name in call.param("fields").split(",") if name.strip())
    unknown = [name for name in fields if name not in WEBHOOK_FIELDS[wanted]]
    if not fields or unknown:
        raise invalid(
            f"Param fields must name fields of {wanted}" + (f", not {unknown[0]}" if unknown else "")
        )
    problem = await call.webhooks.shake_hands(callback_url, verify_token)
    if problem:
        message = f"(#2200) Callback verification failed with the following errors: {problem}"
        raise GraphError(GraphFailure(message=message, code=2200))
    row = AppSubscription(
        id=f"{app.id}:{wanted}", app_id=app.id, object=wanted, callback_url=callback_url, fields=fields
    )
    call.world.app_subscriptions.put(row)
    return {"success": True}


async def drop_subscription(call: Call, app: App) -> Json:
    """`DELETE /{app}/subscriptions`, of one object or of all."""
    _only_app(call, app)
    for row in call.world.app_subscriptions.of(app.id):
        if call.param("object") in {"", row.object}:
            call.world.app_subscriptions.drop(row.id)
    return {"success": True}


def _only_self(call: Call, user: User) -> None:
    if call.who.user is None or call.who.user.id != user.id or call.who.page is not None:
        raise not_found(call.method, user.id)


def _only_app(call: Call, app: App) -> None:
    if call.who.token.kind != "APP" or call.who.app.id != app.id:
        raise app_token_required()


def _member(call: Call, business: Business) -> None:
    user = call.who.user
    if user is None or user.id not in business.user_ids or not call.who.may("business_management"):
        raise not_found(call.method, business.id)


def _email(call: Call, user: User) -> Json:
    return user.email if call.who.may("email") else None


def _created(_: Call, business: Business) -> Json:
    return graph_time(business.created_at)


_NO_BUSINESS_HAS = ("link", "profile_picture_uri")
_NO_APP_HAS = ("description", "namespace")


ROUTES: tuple[AnyRoute, ...] = (
    Route[User](method="GET", node=User, handle=read_user),
    Route[User](method="GET", node=User, edge="accounts", handle=user_accounts),
    Route[User](method="GET", node=User, edge="businesses", handle=user_businesses),
    Route[User](method="GET", node=User, edge="permissions", handle=user_permissions),
    Route[User](method="DELETE", node=User, edge="permissions", handle=drop_permissions),
    Route[Business](method="GET", node=Business, handle=read_business),
    Route[Business](method="GET", node=Business, edge="owned_pages", handle=business_pages),
    Route[Business](method="GET", node=Business, edge="owned_ad_accounts", handle=business_ad_accounts),
    Route[Business](method="GET", node=Business, edge="client_ad_accounts", handle=business_ad_accounts),
    Route[App](method="GET", node=App, handle=read_app),
    Route[App](method="GET", node=App, edge="subscriptions", handle=read_subscriptions),
    Route[App](method="POST", node=App, edge="subscriptions", handle=write_subscription),
    Route[App](method="DELETE", node=App, edge="subscriptions", handle=drop_subscription),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[User](
        node=User,
        title="User",
        default=("name",),
        readers={
            "name": lambda _, user: user.name,
            "first_name": lambda _, user: user.first_name or user.name.split(" ")[0],
            "last_name": lambda _, user: user.last_name or user.name.rpartition(" ")[2],
            "email": _email,
            "picture": picture,
            "name_format": lambda _, __: "{first} {last}",
            "short_name": lambda _, user: user.first_name or user.name.split(" ")[0],
            "middle_name": nothing,
        },
    ),
    Shape[Business](
        node=Business,
        title="Business",
        default=("name",),
        readers={
            "name": lambda _, business: business.name,
            "created_time": _created,
            "updated_time": _created,
            "verification_status": lambda _, __: "not_verified",
            **dict.fromkeys(_NO_BUSINESS_HAS, nothing),
        },
    ),
    Shape[App](
        node=App,
        title="Application",
        default=("category", "link", "name"),
        readers={
            "name": lambda _, app: app.name,
            "category": lambda _, __: "Business and Pages",
            "link": lambda call, __: call.world.plan.host_url,
            **dict.fromkeys(_NO_APP_HAS, nothing),
        },
    ),
)
