"""The embedded CRM over HTTP: every route below `/crm`."""

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.handlers import BaseRouteHandler

from moorage.auth import caller_of
from moorage.bodies import query_of
from moorage.codec import encode
from moorage.crm.activity import (
    ActivityQuery,
    NoticeQuery,
    PostQuery,
    list_activity,
    list_notices,
    list_posts,
)
from moorage.crm.contacts import ContactQuery, get_contact, list_contacts
from moorage.routes.inbox import inbox_handlers
from moorage.routes.lead_forms import lead_form_handlers
from moorage.routes.leads import lead_handlers
from moorage.services import Services


def crm_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes of leads, contacts, the inbox, activity and notices."""
    return [
        *lead_handlers(services),
        *lead_form_handlers(services),
        *_contacts(services),
        *inbox_handlers(services),
        *_social(services),
    ]


def _contacts(services: Services) -> list[BaseRouteHandler]:
    @get("/crm/contacts", name="list_contacts", summary="List contacts, the most engaged first.")
    async def contacts(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = query_of(request, ContactQuery)
        return _json(await list_contacts(services, caller_of(request).org_id, query))

    @get("/crm/contacts/{contact_id:str}", name="get_contact", summary="Read one contact.")
    async def contact(request: Request[Any, Any, Any]) -> Response[bytes]:
        found = await get_contact(services, caller_of(request).org_id, request.path_params["contact_id"])
        return _json(found)

    return [contacts, contact]


def _social(services: Services) -> list[BaseRouteHandler]:
    @get("/crm/social/activity", name="list_activity", summary="List what people did, newest first.")
    async def activity(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = query_of(request, ActivityQuery)
        return _json(await list_activity(services, caller_of(request).org_id, query))

    @get("/crm/social/posts", name="list_posts", summary="List the channels' posts, newest first.")
    async def posts(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = query_of(request, PostQuery)
        return _json(await list_posts(services, caller_of(request).org_id, query))

    @get("/crm/notices", name="list_notices", summary="List what vendors told the channels' owner.")
    async def notices(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = query_of(request, NoticeQuery)
        return _json(await list_notices(services, caller_of(request).org_id, query))

    return [activity, posts, notices]


def _json(value: object) -> Response[bytes]:
    return Response(encode(value), media_type=MediaType.JSON)
