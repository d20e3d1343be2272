"""`GraphPublisher`: posts on Pages, with links or with photos.

https://developers.facebook.com/docs/graph-api/reference/page/feed
https://developers.facebook.com/docs/graph-api/reference/page/photos
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_page
from moorage_facebook.graph.values import canonical, moment, node_id, record, records, text
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.errors import (
    OutcomeUnknownError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.publisher import Preflight, PublishedPost, PublishPost
from moorage_ports.secret import Secret

LINK_MOVED: Final = "Facebook shows photos or a link card, not both: the link stands at the end of the text."
LONGEST_TEXT: Final = 63_206
_SCOPES: Final = ("pages_manage_posts", "pages_read_engagement")
_POST_FIELDS: Final = (
    "id,message,created_time,permalink_url,status_type,application,attachments{media_type,unshimmed_url}"
)
_CLOCKS_DIFFER = timedelta(seconds=30)  # how far Facebook's clock may be behind ours
_PERMALINK_DEADLINE = timedelta(seconds=4)
_PAGES_TO_SEARCH: Final = 10


def post_text(post: PublishPost) -> str:
    """The text as Facebook gets it: beside photos a link moves to its end, unless it stands in it already."""
    if not (post.images and post.link) or post.link in post.text:
        return post.text
    return f"{post.text}\n\n{post.link}" if post.text else post.link


def notes_on(post: PublishPost) -> tuple[str, ...]:
    """What Facebook forces to be otherwise than asked."""
    return (LINK_MOVED,) if post.images and post.link else ()


def page_feed_post(post: PublishPost, token: Secret, photo_ids: Sequence[str] = ()) -> GraphCall:
    """`POST /{page}/feed`: a text, a link card, or photos that were uploaded before."""
    data = {"message": post_text(post)} if post_text(post) else {}
    if photo_ids:
        data["attached_media"] = canonical([{"media_fbid": photo_id} for photo_id in photo_ids]).decode()
    elif post.link:
        data["link"] = post.link
    return GraphCall(
        method="POST",
        path=(post.channel_external_id, "feed"),
        data=data,
        expects=frozenset({"id"}),
        token=token,
        owner=post.channel_external_id,
        use_case=PAGES,
        publishes=True,
    )


def page_photo_post(post: PublishPost, token: Secret) -> GraphCall:
    """`POST /{page}/photos`: one photo is a post of its own."""
    caption = {"caption": post_text(post)} if post_text(post) else {}
    return GraphCall(
        method="POST",
        path=(post.channel_external_id, "photos"),
        data={"url": post.images[0], **caption},
        expects=frozenset({"id"}),
        token=token,
        owner=post.channel_external_id,
        use_case=PAGES,
        publishes=True,
    )


def unpublished_photo(page_id: str, url: str, token: Secret) -> GraphCall:
    """`POST /{page}/photos` with `published=false`: nobody sees it until a post carries it."""
    return GraphCall(
        method="POST",
        path=(page_id, "photos"),
        data={"url": url, "published": "false"},
        expects=frozenset({"id"}),
        token=token,
        owner=page_id,
        use_case=PAGES,
        publishes=True,
    )


def recent_posts(page_id: str, since: datetime, token: Secret) -> GraphCall:
    """`GET /{page}/published_posts`, newest first."""
    query = {"fields": _POST_FIELDS, "since": str(int(since.timestamp())), "limit": "50"}
    return GraphCall(
        path=(page_id, "published_posts"), query=query, token=token, owner=page_id, use_case=PAGES
    )


def is_this_post(node: Mapping[str, object], post: PublishPost, *, app_id: str, since: datetime) -> bool:
    """Whether a post that stands on the Page is `post`, made by this app no earlier than `since`."""
    made_at, made_by = moment(node.get("created_time")), node_id(record(node.get("application")).get("id"))
    if made_at is None or made_at < since.replace(microsecond=0) or made_by not in {"", app_id}:
        return False
    attachments = records(record(node.get("attachments")).get("data"))
    has_photos = text(node.get("status_type")) == "added_photos" or any(
        text(part.get("media_type")) in {"photo", "album"} for part in attachments
    )
    if has_photos != bool(post.images) or _plain(text(node.get("message"))) != _plain(post_text(post)):
        return False
    links = {text(part.get("unshimmed_url")) for part in attachments} - {""}
    return bool(post.text or post.images) or post.link in links


def _plain(prose: str) -> str:
    """Facebook trims texts and knows one kind of line end."""
    return "\n".join(line.rstrip() for line in prose.replace("\r\n", "\n").strip().split("\n"))


@attrs.frozen(kw_only=True)
class GraphPublisher:
    """A `Publisher` for the Pages of one org."""

    client: GraphClient
    vault: GraphTokenVault

    async def preflight(self, post: PublishPost) -> Preflight:
        """Ask whether the Page's token still works; look at what we know about its scopes and at the text."""
        page_id = post.channel_external_id
        token = await self.vault.channel_token(page_id)
        scopes = await self.vault.channel_scopes(page_id)
        missing = [scope for scope in _SCOPES if scope not in scopes]
        problems = [f"The permission {scope} is missing: connect again and allow it." for scope in missing]
        if len(post_text(post)) > LONGEST_TEXT:
            problems.append("With the link at its end the text is longer than Facebook takes.")
        await self.client.send(
            GraphCall(path=(page_id,), query={"fields": "id"}, token=token, owner=page_id, use_case=PAGES)
        )
        return Preflight(problems=tuple(problems), notes=notes_on(post))

    async def publish(self, post: PublishPost) -> PublishedPost:
        """One call for a text, a link or a photo; several photos are uploaded unseen, then posted at once."""
        token = await self.vault.channel_token(post.channel_external_id)
        if len(post.images) > 1:
            photo_ids = [await self._upload(post.channel_external_id, url, token) for url in post.images]
            answer = await self.client.send(page_feed_post(post, token, photo_ids))
        elif post.images:
            answer = await self.client.send(page_photo_post(post, token))
        else:
            answer = await self.client.send(page_feed_post(post, token))
        external_id = node_id(answer.get("post_id")) or node_id(answer.get("id"))
        if not external_id:
            msg = "Facebook did not say where the post went"
            raise OutcomeUnknownError(msg, vendor=VENDOR)
        return PublishedPost(
            external_id=external_id,
            permalink=await self._permalink(post.channel_external_id, external_id, token),
            notes=notes_on(post),
        )

    async def find(self, post: PublishPost, *, since: datetime) -> PublishedPost | None:
        """The earliest post on the Page since then that reads like `post` and came from this app."""
        token = await self.vault.channel_token(post.channel_external_id)
        earliest = since - _CLOCKS_DIFFER
        call = recent_posts(post.channel_external_id, earliest, token)
        found: Mapping[str, object] | None = None
        cursor: str | None = None
        for _ in range(_PAGES_TO_SEARCH):
            page = await fetch_page(self.client, call, cursor)
            for node in page.items:
                if is_this_post(node, post, app_id=self.client.app.app_id, since=earliest):
                    found = node
            cursor = page.next_cursor
            if cursor is None:
                break
        if found is None or not node_id(found.get("id")):
            return None
        return PublishedPost(
            external_id=node_id(found["id"]),
            permalink=text(found.get("permalink_url")) or None,
            notes=notes_on(post),
        )

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        """`DELETE /{post}`; only posts that this app made can be taken down."""
        token = await self.vault.channel_token(channel_external_id)
        try:
            await self.client.send(
                GraphCall(
                    method="DELETE",
                    path=(external_id,),
                    token=token,
                    is_repeatable=True,
                    owner=channel_external_id,
                    use_case=PAGES,
                )
            )
        except VendorNotFoundError:
            return

    async def _upload(self, page_id: str, url: str, token: Secret) -> str:
        """Put a photo where nobody sees it. Whatever became of it, nothing is published yet."""
        try:
            return node_id((await self.client.send(unpublished_photo(page_id, url, token))).get("id"))
        except OutcomeUnknownError as lost:
            msg = "Facebook did not answer while it took the photos in; nothing was published"
            raise VendorUnavailableError(msg, vendor=VENDOR) from lost

    async def _permalink(self, page_id: str, post_id: str, token: Secret) -> str | None:
        """Where people see the post. It stands already, so no trouble here may look like a failure."""
        call = GraphCall(
            path=(post_id,),
            query={"fields": "permalink_url"},
            token=token,
            owner=page_id,
            use_case=PAGES,
            deadline=_PERMALINK_DEADLINE,
            tries=1,
        )
        try:
            return text((await self.client.send(call)).get("permalink_url")) or None
        except VendorError:
            return None


def publisher(context: VendorContext) -> GraphPublisher:
    """The publisher of one org."""
    return GraphPublisher(client=graph_client(context), vault=token_vault(context))
