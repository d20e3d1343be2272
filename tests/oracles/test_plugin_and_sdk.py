"""What the plugin does at Graph, the official SDK finds there."""

import asyncio
from typing import Any

import pytest
from facebook_business.adobjects.lead import Lead
from facebook_business.adobjects.page import Page
from facebook_business.adobjects.pagepost import PagePost

from moorage_ports.publisher import PublishPost
from tests.oracles.official_sdk import official_sdk
from tests.oracles.plugin import ConnectedPlugin, connect, http_client, ports
from tests.oracles.sandbox import FORM, PAGE, ServedSandbox

PICTURES = ("https://shop.example/one.jpg", "https://shop.example/two.jpg")


async def seen_by_the_sdk(plugin: ConnectedPlugin, sandbox: ServedSandbox, post_id: str) -> dict[str, Any]:
    """The post as the SDK reads it off the Page's feed, with its attachments and the plugin's own token."""
    token = (await plugin.token_vault.channel_token(PAGE)).reveal()

    def read() -> dict[str, Any]:
        with official_sdk(sandbox, token) as api:
            feed = Page(PAGE, api=api).get_feed(fields=["message", "permalink_url"], params={"limit": 1})
            post = next(post for post in feed if post["id"] == post_id)
            parts = PagePost(post_id, api=api).get_attachments()
            return {**post.export_all_data(), "attachments": [part.export_all_data() for part in parts]}

    return await asyncio.to_thread(read)


@pytest.mark.parametrize(
    ("post", "attachments"),
    [
        (PublishPost(channel_external_id=PAGE, text="Grüße ☕\nzweite Zeile"), []),
        (PublishPost(channel_external_id=PAGE, text="look", link="https://shop.example/a?b=c&d"), ["link"]),
        (PublishPost(channel_external_id=PAGE, text="one", images=PICTURES[:1]), ["photo"]),
        (PublishPost(channel_external_id=PAGE, text="two", images=PICTURES), ["photo", "photo"]),
    ],
    ids=["text", "link", "photo", "photos"],
)
async def test_the_sdk_reads_the_post_that_the_plugin_made(
    sandbox: ServedSandbox, post: PublishPost, attachments: list[str]
) -> None:
    async with http_client() as http:
        plugin = ports(sandbox, http)
        await connect(plugin, sandbox)
        await plugin.publisher.publish(PublishPost(channel_external_id=PAGE, text="an older one"))

        made = await plugin.publisher.publish(post)
        found = await seen_by_the_sdk(plugin, sandbox, made.external_id)
        state = await plugin.publisher.check(PAGE, made.external_id)

    assert found["message"] == post.text
    assert found["permalink_url"] == state.permalink
    assert [part["media_type"] for part in found["attachments"]] == attachments


async def test_the_plugin_finds_the_post_that_was_made_behind_its_back(sandbox: ServedSandbox) -> None:
    """An unconfirmed publication is settled by looking: whoever made the post, the same app made it."""
    post = PublishPost(channel_external_id=PAGE, text="made by the SDK", link="https://shop.example/")
    async with http_client() as http:
        plugin = ports(sandbox, http)
        since = plugin.publisher.client.clock.now()
        await connect(plugin, sandbox)
        token = (await plugin.token_vault.channel_token(PAGE)).reveal()
        with official_sdk(sandbox, token) as api:
            made = await asyncio.to_thread(
                Page(PAGE, api=api).create_feed, params={"message": post.text, "link": post.link}
            )

        found = await plugin.publisher.find(post, since=since)

    assert found is not None
    assert found.external_id == made["id"]


async def test_the_sdk_sees_the_subscription_that_the_plugin_made(sandbox: ServedSandbox) -> None:
    async with http_client() as http:
        plugin = ports(sandbox, http)
        await connect(plugin, sandbox)
        await plugin.subscriptions.subscribe(PAGE)
        token = (await plugin.token_vault.channel_token(PAGE)).reveal()
        with official_sdk(sandbox, token) as api:
            apps = await asyncio.to_thread(lambda: list(Page(PAGE, api=api).get_subscribed_apps()))

    assert [app["id"] for app in apps] == [sandbox.app_id]
    assert {"leadgen", "feed"} <= set(apps[0]["subscribed_fields"])


async def test_the_plugin_and_the_sdk_read_the_same_lead(sandbox: ServedSandbox) -> None:
    answers = {"full_name": ["Grace Müller ☕"], "email": ["grace@example.org", "second@example.org"]}
    (lead_id,) = sandbox.fill_in(answers, adId="120210000000000001")
    async with http_client() as http:
        plugin = ports(sandbox, http)
        await connect(plugin, sandbox)
        ours = await plugin.lead_source.lead(PAGE, lead_id)
        token = (await plugin.token_vault.channel_token(PAGE)).reveal()
        with official_sdk(sandbox, token) as api:
            theirs = await asyncio.to_thread(
                Lead(lead_id, api=api).api_get, fields=["field_data", "form_id", "ad_id", "created_time"]
            )

    assert {answer.name: list(answer.values) for answer in ours.answers} == answers
    assert {entry["name"]: entry["values"] for entry in theirs["field_data"]} == answers
    assert (ours.form_external_id, ours.ad_external_id) == (theirs["form_id"], theirs["ad_id"])
    assert ours.form_external_id == FORM
    assert ours.submitted_at is not None
    assert ours.submitted_at.strftime("%Y-%m-%dT%H:%M:%S+0000") == theirs["created_time"]
