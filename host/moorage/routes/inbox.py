"""The inbox over HTTP: conversations to read and to tend, and their messages."""

from typing import Any

from litestar import MediaType, Request, Response, get, patch
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import query_of, read_body
from moorage.crm.inbox import (
    ConversationQuery,
    MessageQuery,
    get_conversation,
    list_conversations,
    list_messages,
)
from moorage.crm.tending import TendConversation, tend_conversation, tending_of
from moorage.services import Services
from moorage_ports.operations import Role

_ONE = "/crm/inbox/conversations/{conversation_id:str}"


def inbox_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes below `/crm/inbox`."""

    @get("/crm/inbox/conversations", name="list_conversations")
    async def conversations(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List conversations, the last changed first."""
        query = query_of(request, ConversationQuery)
        return _json(await list_conversations(services, caller_of(request), query))

    @get(_ONE, name="get_conversation")
    async def conversation(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read one conversation."""
        key = request.path_params["conversation_id"]
        return _json(await get_conversation(services, caller_of(request), key))

    @patch(_ONE, name="tend_conversation", request_max_body_size=None)
    async def tend(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Change who sees to it, whether it is done, its tags, and what is read."""
        caller = caller_of(request)
        require_role(caller, Role.AGENT)
        body = codec.parse_object(await read_body(request, limit=dispatch.MAX_BODY))
        asked = codec.structure(tending_of(body), TendConversation)
        key = request.path_params["conversation_id"]
        return _json(await tend_conversation(services, caller, key, asked))

    @get("/crm/inbox/messages", name="list_messages")
    async def messages(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List the messages of a conversation, or those that have some words, newest first."""
        query = query_of(request, MessageQuery)
        return _json(await list_messages(services, caller_of(request), query))

    return [conversations, conversation, tend, messages]


def _json(value: object) -> Response[bytes]:
    return Response(codec.encode(value), media_type=MediaType.JSON)
