"""`GraphPublisher`: posts on Pages, with links or with photos, at once, later, or as drafts.

https://developers.facebook.com/docs/graph-api/reference/page/feed
https://developers.facebook.com/docs/graph-api/reference/page/photos
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import attrs

from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_page
from moorage_facebook.graph.values import canonical, moment, node_id, record, records, text, truth
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.errors import (
    InvalidRequestError,
    OutcomeUnknownError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.publisher import PostState, Preflight, PublishedPost, PublishPost
from moorage_ports.secret import Secret

LINK_MOVED: Final = "Facebook shows photos or a link card, not both: the link stands at the end of the text."
TOO_LONG: Final = "With the link at its end the text is longer than Facebook takes."
LONGEST_TEXT: Final = 63_206
SOONEST, LATEST = timedelta(minutes=10), timedelta(days=30)  # for a post that is published later
_SCOPES: Final = ("pages_manage_posts", "pages_read_engagement")
_POST_FIELDS: Final = (
    "id,message,created_time,permalink_url,status_type,application,attachments{media_type,unshimmed_url}"
)
_SCHEDULED_FIELDS: Final = f"{_POST_FIELDS},scheduled_publish_time"
_CLOCKS_DIFFER = timedelta(seconds=30)  # how far Facebook's clock may be behind ours
_CHECK_DEADLINE = timedelta(seconds=4)
_PAGES_TO_SEARCH: Final = 10
_UPLOADS_AT_ONCE: Final = 4


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
    data |= _unseen(post)
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


def _unseen(post: PublishPost) -> Mapping[str, str]:
    """What keeps a post from being seen, for now or until somebody publishes the draft."""
    if post.publish_at is not None:
        return {"published": "false", "scheduled_publish_time": str(int(post.publish_at.timestamp()))}
    return {"published": "false", "unpublished_content_type": "DRAFT"} if post.is_draft else {}


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


def unpublished_photo(page_id: str, url: str, token: Secret, *, is_for_later: bool = False) -> GraphCall:
    """`POST /{page}/photos` with `published=false`: nobody sees it until a post carries it."""
    temporary = {"temporary": "true"} if is_for_later else {}
    return GraphCall(
        method="POST",
        path=(page_id, "photos"),
        data={"url": url, "published": "false", **temporary},
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


def scheduled_posts(page_id: str, token: Secret) -> GraphCall:
    """`GET /{page}/scheduled_posts`: what waits for its time."""
    query = {"fields": _SCHEDULED_FIELDS, "limit": "50"}
    return GraphCall(
        path=(page_id, "scheduled_posts"), query=query, token=token, owner=page_id, use_case=PAGES
    )


def waits_for_its_time(node: Mapping[str, object], post: PublishPost) -> bool:
    """Whether a post that waits has the time that `post` was given; Graph keeps whole seconds."""
    due = moment(node.get("scheduled_publish_time"))
    return due is not None and post.publish_at is not None and due == post.publish_at.replace(microsecond=0)


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
    if post.images or not post.link:
        return True
    links = {_same_address(text(part.get("unshimmed_url"))) for part in attachments} - {""}
    # A card that could not be made says nothing about the link; then the text has to do.
    return _same_address(post.link) in links if links else bool(post.text)


def _same_address(url: str) -> str:
    """An address without what makes no difference, so that Facebook's spelling of it is recognised."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    host = (parts.hostname or "").removeprefix("www.")
    port = "" if parts.port in {None, 80, 443} else f":{parts.port}"
    return f"{host}{port}{parts.path.rstrip('/')}?{parts.query}" if host else ""


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
            problems.append(TOO_LONG)
        if post.publish_at is not None and (reason := self._wrong_time(post.publish_at)):
            problems.append(reason)
        await self.client.send(
            GraphCall(path=(page_id,), query={"fields": "id"}, token=token, owner=page_id, use_case=PAGES)
        )
        return Preflight(problems=tuple(problems), notes=notes_on(post))

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        """Upload photos where nobody sees them, if the post is one that carries uploaded photos."""
        self._check_fit(post)
        token = await self.vault.channel_token(post.channel_external_id)
        if len(post.images) < 2 and post.is_visible_at_once:
            return ()  # a text needs nothing, and a photo is a post of its own
        turns = asyncio.Semaphore(_UPLOADS_AT_ONCE)
        uploads = [asyncio.create_task(self._upload(post, url, token, turns)) for url in post.images]
        try:
            return tuple(await asyncio.gather(*uploads))
        finally:
            for upload in uploads:  # of no use once one of them failed
                upload.cancel()
            await asyncio.gather(*uploads, return_exceptions=True)

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        """One call: for a text or a link, for one photo, or for the photos that `prepare` uploaded."""
        parts = parts or await self.prepare(post)
        token = await self.vault.channel_token(post.channel_external_id)
        is_photo = post.images and not parts
        call = page_photo_post(post, token) if is_photo else page_feed_post(post, token, parts)
        try:
            answer = await self.client.send(call)
        except OutcomeUnknownError as lost:
            if not post.is_draft:
                raise
            msg = "Facebook did not answer; at most there is a draft that nobody sees"
            raise VendorUnavailableError(msg, vendor=VENDOR, symptom=lost.symptom) from lost
        external_id = node_id(answer.get("post_id")) or node_id(answer.get("id"))
        if not external_id:
            msg = "Facebook did not say where the post went"
            raise OutcomeUnknownError(msg, vendor=VENDOR, symptom="no_id")
        return PublishedPost(external_id=external_id, notes=notes_on(post))

    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        """`GET /{post}`: whether it can be seen, and where."""
        token = await self.vault.channel_token(channel_external_id)
        call = GraphCall(
            path=(external_id,),
            query={"fields": "permalink_url,is_published"},
            token=token,
            owner=channel_external_id,
            use_case=PAGES,
            deadline=_CHECK_DEADLINE,
            tries=1,
        )
        answer = await self.client.send(call)
        return PostState(
            is_visible=truth(answer.get("is_published")) is not False,
            permalink=text(answer.get("permalink_url")) or None,
        )

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        """The earliest post on the Page since then that reads like `post`, came from this app and is new.

        A draft is on no list that Graph has; sending it again shows nothing to anybody.
        """
        if post.is_draft:
            return None
        page_id, earliest = post.channel_external_id, since - _CLOCKS_DIFFER
        token = await self.vault.channel_token(page_id)
        if post.publish_at is not None:
            waiting = await self._search(scheduled_posts(page_id, token), post, earliest, known)
            due = [node for node in waiting if waits_for_its_time(node, post)]
            if due:
                return PublishedPost(external_id=node_id(due[-1]["id"]), notes=notes_on(post))
        found = await self._search(recent_posts(page_id, earliest, token), post, earliest, known)
        if not found:
            return None
        return PublishedPost(
            external_id=node_id(found[-1]["id"]),
            permalink=text(found[-1].get("permalink_url")) or None,
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

    def _check_fit(self, post: PublishPost) -> None:
        """Refuse what Facebook would refuse anyway.

        Raises:
            InvalidRequestError: The text is too long, or the time too near or too far.
        """
        if len(post_text(post)) > LONGEST_TEXT:
            raise InvalidRequestError(TOO_LONG, fields={"message": TOO_LONG})
        if post.publish_at is not None and (reason := self._wrong_time(post.publish_at)):
            raise InvalidRequestError(reason, fields={"publishAt": reason})

    def _wrong_time(self, publish_at: datetime) -> str:
        ahead = publish_at - self.client.clock.now()
        if SOONEST <= ahead <= LATEST:
            return ""
        return "Facebook publishes later between 10 minutes and 30 days from now."

    async def _search(
        self, call: GraphCall, post: PublishPost, since: datetime, known: frozenset[str]
    ) -> list[Mapping[str, object]]:
        """The posts of a list that are this one, as the list orders them."""
        found: list[Mapping[str, object]] = []
        cursor: str | None = None
        for _ in range(_PAGES_TO_SEARCH):
            page = await fetch_page(self.client, call, cursor)
            found += [
                node
                for node in page.items
                if node_id(node.get("id"))
                and node_id(node.get("id")) not in known
                and is_this_post(node, post, app_id=self.client.app.app_id, since=since)
            ]
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _upload(self, post: PublishPost, url: str, token: Secret, turns: asyncio.Semaphore) -> str:
        """Put a photo where nobody sees it. Whatever became of it, nothing is published yet."""
        call = unpublished_photo(
            post.channel_external_id, url, token, is_for_later=post.publish_at is not None
        )
        async with turns:
            try:
                answer = await self.client.send(call)
            except OutcomeUnknownError as lost:
                msg = "Facebook did not answer while it took the photos in; nothing was published"
                raise VendorUnavailableError(msg, vendor=VENDOR, symptom=lost.symptom) from lost
        return node_id(answer.get("id"))


def publisher(context: VendorContext) -> GraphPublisher:
    """The publisher of one org."""
    return GraphPublisher(client=graph_client(context), vault=token_vault(context))
