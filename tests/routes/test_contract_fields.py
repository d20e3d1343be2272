"""What the contract tables without a question mark is always there, however empty it is."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage.auth import issue_token
from moorage.codec import encode
from moorage.crm.activity import ActivityList, ActivityView
from moorage.crm.contacts import ContactDetail, ContactList
from moorage.crm.inbox import ConversationList, ConversationView, LastMessage, MessageList
from moorage.crm.leads import LeadList, LeadView
from moorage.schemas import result_schema
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.answering_operations import MessageView
from moorage_ports.operations import (
    ChannelList,
    ChannelView,
    ConnectBegun,
    IntegrationView,
    PublicationView,
    Role,
    Selection,
)
from tests.support.harbour import RETURN_URL, Harbour, harbour

CHANNEL = {"id", "externalId", "vendor", "type", "name", "selected", "selectable"}
LEAD = {
    *("id", "externalId", "email", "firstName", "lastName", "phone", "company", "status", "stage", "source"),
    *("formId", "campaignId", "adId", "contactId", "properties", "createdAt"),
}
CONVERSATION = {
    *("id", "vendor", "kind", "surface", "subject", "contactId", "status", "unreadCount", "lastMessage"),
    *("channelId", "assignee", "tags", "updatedAt"),
}
MESSAGE = {
    *("id", "externalId", "conversationId", "direction", "author", "text", "attachments", "state", "at"),
}
ACTIVITY = {"id", "vendor", "kind", "channelId", "postExternalId", "contactId", "at"}
CONTACT = {"id", "name", "score", "identities", "firstSeenAt", "lastSeenAt", "signals"}
PAGE = {"items", "total", "page", "pageSize"}
TABLE: list[tuple[type[object], set[str]]] = [
    (ConnectBegun, {"authUrl", "state", "scopes", "addedScopes"}),
    (IntegrationView, {"id", "vendor", "status", "channels", "grantedScopes", "missingScopes"}),
    (ChannelList, {"channels"}),
    (ChannelView, CHANNEL),
    (Selection, {"selected", "subscribed", "problems"}),
    (PublicationView, {"id", "status", "steps"}),
    (LeadView, LEAD),
    (ConversationView, CONVERSATION),
    (LastMessage, {"id", "text", "at", "direction"}),
    (MessageView, MESSAGE),
    (ActivityView, ACTIVITY),
    (ContactDetail, CONTACT),
    *((kind, PAGE) for kind in (LeadList, ConversationList, MessageList, ActivityList, ContactList)),
]
BASE = "/upstream/call/memory-provider"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        yield made


@pytest.mark.parametrize(("kind", "fields"), TABLE, ids=lambda each: getattr(each, "__name__", ""))
def test_the_schema_promises_every_field_of_the_table(kind: type[object], fields: set[str]) -> None:
    schema: Any = result_schema(kind)
    assert fields <= set(schema["required"])


async def test_answers_in_which_all_went_well_have_every_field(host: Harbour) -> None:
    """`answer.problems.length` must not throw exactly when there is no problem."""
    selection = await _call(host, "choose-channels", {"channels": [CAFE.id]})
    assert selection["problems"] == []
    nothing = await _call(host, "choose-channels", {"channels": []})
    assert nothing == {"selected": [], "subscribed": [], "problems": []}

    (channel, *_) = (await _call(host, "channels", {}))["channels"]
    assert set(channel) >= CHANNEL
    assert channel["vendor"] == "memory"
    begun = await _call(host, "connect", {"returnUrl": RETURN_URL})
    assert set(begun) == {"authUrl", "state", "scopes", "addedScopes"}


async def test_a_lead_that_says_nothing_still_has_every_field(host: Harbour) -> None:
    await host.select(CAFE.id)
    host.world.fill_in(NEWSLETTER.id, {})
    await host.deliver_all()
    await host.work()

    answer = await host.http.get("/crm/leads/detail", headers=_headers(host))
    (lead,) = answer.json()["items"]
    assert set(lead) >= LEAD | {"isOrganic", "submittedAt"}
    assert (lead["contactId"], lead["email"], lead["properties"]) == (None, "", {})


async def test_a_channel_that_came_after_the_consent_says_its_vendor_too(host: Harbour) -> None:
    views = msgspec.json.decode(encode(await host.channels()))["channels"]
    assert {view["vendor"] for view in views} == {"memory"}


async def _call(host: Harbour, operation: str, body: object) -> dict[str, Any]:
    answer = await host.http.post(f"{BASE}/{operation}", json=body, headers=_headers(host))
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=dict[str, Any])


def _headers(host: Harbour) -> dict[str, str]:
    token = issue_token(
        host.services.settings.jwt,
        org_id="org-a",
        user_id="user-1",
        role=Role.ADMIN,
        now=host.clock.now(),
        lifetime=timedelta(minutes=10),
    )
    return {"Authorization": f"Bearer {token}", "orgid": "org-a"}
