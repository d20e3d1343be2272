"""`/{page}/subscribed_apps`: which apps hear what of a Page.

https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps
"""

from moorage_facebook.sandbox.entities import Page, PageSubscription
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.paging import plain
from moorage_facebook.sandbox.scopes import FIELD_NEEDS, PAGE_FIELDS
from moorage_facebook.sandbox.wire import AnyRoute, Call, Route


async def subscribe_page(call: Call, page: Page) -> Json:
    """Install the app on the Page for these fields; it replaces what was subscribed before.

    Raises:
        GraphError: 100 without fields or with an unknown one, 200 when a field's own permission is missing.
    """
    fields = _subscribed_fields(call)
    for name in fields:
        needed = FIELD_NEEDS.get(name)
        if needed and not call.who.may(needed):
            message = (
                f"(#200) To subscribe to the {name} field, one of these permissions is needed: {needed}."
            )
            raise GraphError(GraphFailure(message=message, code=200))
    app = call.who.app
    row = PageSubscription(id=f"{page.id}:{app.id}", page_id=page.id, app_id=app.id, fields=fields)
    call.world.page_subscriptions.put(row)
    return {"success": True}


async def read_page_subscriptions(call: Call, page: Page) -> Json:
    """`GET /{page}/subscribed_apps`: the apps installed on the Page, with their fields."""
    rows: list[Json] = []
    for row in call.world.page_subscriptions.of(page.id):
        app = call.world.apps.get(row.app_id)
        if app is not None:
            link = call.world.plan.host_url
            rows.append({"link": link, "name": app.name, "id": app.id, "subscribed_fields": list(row.fields)})
    return plain(call, rows)


async def unsubscribe_page(call: Call, page: Page) -> Json:
    """`DELETE /{page}/subscribed_apps`: this app hears nothing of the Page any more."""
    call.world.page_subscriptions.drop(f"{page.id}:{call.who.app.id}")
    return {"success": True}


def _subscribed_fields(call: Call) -> tuple[str, ...]:
    text = call.param("subscribed_fields").replace("[", "").replace("]", "").replace('"', "")
    fields = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not fields:
        raise invalid("The parameter subscribed_fields is required")
    for index, name in enumerate(fields):
        if name not in PAGE_FIELDS:
            raise invalid(
                f"Param subscribed_fields[{index}] must be one of {{{', '.join(PAGE_FIELDS).upper()}}}"
            )
    return fields


ROUTES: tuple[AnyRoute, ...] = (
    Route[Page](
        method="POST",
        node=Page,
        edge="subscribed_apps",
        handle=subscribe_page,
        scopes=("pages_manage_metadata",),
        page_token=True,
    ),
    Route[Page](
        method="GET", node=Page, edge="subscribed_apps", handle=read_page_subscriptions, page_token=True
    ),
    Route[Page](
        method="DELETE",
        node=Page,
        edge="subscribed_apps",
        handle=unsubscribe_page,
        scopes=("pages_manage_metadata",),
        page_token=True,
    ),
)
