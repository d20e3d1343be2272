"""A Graph with one Page's wall or one Instagram account, as an `HttpClient`: small, and it behaves.

It expands fields, pages by cursor, counts, answers batches, and refuses what it finds too large; as the
sandbox does, but with a wall that a test (or Hypothesis) writes down itself.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec

from moorage_facebook.sandbox.fields import Field, parse_fields
from moorage_ports.http import HttpAnswer, HttpRequest, NoAnswerError

PAGE: Final = "104857600012345"
FIRST: Final = datetime(2029, 6, 1, tzinfo=UTC)

Json = dict[str, object]


@attrs.define(kw_only=True)
class Comment:
    """A comment, or what answers one."""

    id: str
    text: str
    at: datetime
    author: str
    parent: str = ""
    replies: list["Comment"] = attrs.field(factory=list)  # Instagram keeps them apart


@attrs.define(kw_only=True)
class Post:
    """A post; the newest comment and the newest reaction stand last."""

    id: str
    at: datetime
    updated: datetime
    comments: list[Comment] = attrs.field(factory=list)
    reactions: dict[str, str] = attrs.field(factory=dict)  # by person, in the order in which they came


class RefusalError(Exception):
    """An error of Graph's."""

    def __init__(self, code: int, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status


@attrs.define(slots=False)
class Wall:
    """One channel. `most` is how many nested items a call may ask for (posts times what is inside each)."""

    most: int = 10_000
    is_instagram: bool = False
    posts: dict[str, Post] = attrs.field(factory=dict)
    now: datetime = FIRST
    calls: Counter[str] = attrs.field(factory=Counter)
    served: int = 0  # comments and reactions handed out
    troubles: dict[str, list[RefusalError | None]] = attrs.field(factory=dict)  # by edge: what comes next
    _numbers: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(1))

    # What people do --------------------------------------------------------------------------

    def post(self) -> Post:
        """The Page writes something."""
        self.now += timedelta(minutes=1)
        number = next(self._numbers)
        post_id = str(17_000_000_000 + number) if self.is_instagram else f"{PAGE}_{800_000 + number}"
        self.posts[post_id] = Post(id=post_id, at=self.now, updated=self.now)
        return self.posts[post_id]

    def comment(self, post: Post, parent: str = "", *, author: str = "") -> Comment:
        """Somebody writes below a post, or below a comment."""
        self.now += timedelta(seconds=1)
        number = next(self._numbers)
        comment = Comment(
            id=str(18_000_000 + number) if self.is_instagram else f"{post.id.split('_')[1]}_{number}",
            text=f"Comment {number}",
            at=self.now,
            author=author or f"9{number}",
            parent=parent,
        )
        above = next((c for c in post.comments if c.id == parent), None)
        (above.replies if self.is_instagram and above else post.comments).append(comment)
        post.updated = self.now
        return comment

    def react(self, post: Post, person: str = "", kind: str = "LIKE") -> None:
        """Somebody reacts to a post; that moves no `updated_time`."""
        self.now += timedelta(seconds=1)
        post.reactions[person or f"7{next(self._numbers)}"] = kind

    def everything(self) -> tuple[set[str], set[tuple[str, str, str]]]:
        """The ids of all comments, and all reactions as (post, person, kind in small letters)."""
        comments = {
            each.id for post in self.posts.values() for c in post.comments for each in (c, *c.replies)
        }
        reactions = {
            (post.id, person, kind.lower())
            for post in self.posts.values()
            for person, kind in post.reactions.items()
        }
        return comments, reactions

    # What an app asks ------------------------------------------------------------------------

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Answer one request."""
        url = urlsplit(request.url)
        path = url.path.strip("/").split("/")[1:]
        if request.method == "POST" and not path:
            return _json(200, self._batch(dict(parse_qsl(request.body.decode()))["batch"]))
        status, body = self._answer(request.method, path, dict(parse_qsl(url.query)))
        return _json(status, body)

    def _batch(self, items: str) -> list[Json | None]:
        answers: list[Json | None] = []
        for item in msgspec.json.decode(items, type=list[dict[str, str]]):
            url = urlsplit(item["relative_url"])
            try:
                status, body = self._answer(item["method"], url.path.split("/"), dict(parse_qsl(url.query)))
            except NoAnswerError:
                answers.append(None)
                continue
            answers.append({"code": status, "body": msgspec.json.encode(body).decode()})
        return answers

    def _answer(self, method: str, path: list[str], query: Mapping[str, str]) -> tuple[int, Json]:
        edge = path[1] if len(path) > 1 else ""
        self.calls[f"{method} {edge}"] += 1
        waiting = self.troubles.get(edge)
        trouble = waiting.pop(0) if waiting else None
        try:
            if trouble is not None:
                if trouble.status == 0:
                    raise NoAnswerError
                raise trouble
            return 200, self._get(path[0], edge, query)
        except RefusalError as refused:
            error = {"message": "no", "type": "OAuthException", "code": refused.code, "fbtrace_id": "A1"}
            return refused.status, {"error": error}

    def _get(self, node_id: str, edge: str, query: Mapping[str, str]) -> Json:
        newest_first = [*reversed(self.posts.values())]
        fields = parse_fields(query.get("fields", "id"))
        if edge == "published_posts":
            return {"data": [], "summary": {"total_count": len(self.posts)}}
        if not edge:
            return {"media_count": len(self.posts)}
        if edge in {"feed", "media"}:
            wanted = [field for field in fields if field.name in {"comments", "reactions"}]
            asked = sum(int(field.arguments.get("limit", "25")) for field in wanted)
            if asked * int(query["limit"]) > self.most:
                raise RefusalError(1, 500)
            return _page([self._post(post, fields) for post in newest_first], query)
        if edge == "replies":
            found = next((c for p in newest_first for c in p.comments if c.id == node_id), None)
            if found is None:
                raise RefusalError(100)
            return self._list(found.replies, query, fields)
        post = self.posts.get(node_id)
        if post is None:
            raise RefusalError(100)
        return self._edge(post, Field(name=edge, arguments=dict(query), sub=fields))

    def _post(self, post: Post, fields: tuple[Field, ...]) -> Json:
        whole: Json = {
            "id": post.id,
            "message": "Hello",
            "caption": "Hello",
            "created_time": _time(post.at),
            "timestamp": _time(post.at),
            "updated_time": _time(post.updated),
            "comments_count": sum(1 + len(comment.replies) for comment in post.comments),
            "from": {"id": PAGE, "name": "The Page"},
        }
        answer = {field.name: whole[field.name] for field in fields if field.name in whole}
        for field in fields:
            if field.name in {"comments", "reactions"}:
                answer[field.name] = self._edge(post, field)
        return answer

    def _edge(self, post: Post, field: Field) -> Json:
        if field.name == "reactions":
            people: list[Json] = [
                {"id": person, "name": f"P {person}", "type": kind}
                for person, kind in reversed(post.reactions.items())
            ]
            return self._count(_page(people, field.arguments), len(people))
        return self._list(post.comments, field.arguments, field.sub)

    def _list(self, comments: list[Comment], query: Mapping[str, str], fields: tuple[Field, ...]) -> Json:
        inner = next((field for field in fields if field.name == "replies"), None)
        rows = [self._comment(comment, inner) for comment in reversed(comments)]
        return self._count(_page(rows, query), len(rows))

    def _comment(self, comment: Comment, inner: Field | None) -> Json:
        row: Json = {
            "id": comment.id,
            "message": comment.text,
            "text": comment.text,
            "created_time": _time(comment.at),
            "timestamp": _time(comment.at),
            "from": {"id": comment.author, "name": "Somebody", "username": f"u{comment.author}"},
        }
        if comment.parent:
            row["parent"] = {"id": comment.parent}
        if inner is not None and comment.replies:
            row["replies"] = self._list(comment.replies, inner.arguments, ())
        return row

    def _count(self, page: Json, total: int) -> Json:
        data = page["data"]
        assert isinstance(data, list)
        self.served += len(data)
        return {**page, "summary": {"total_count": total}}


def _page(rows: list[Json], query: Mapping[str, str]) -> Json:
    """Behind the row whose id the cursor is: also when rows came before it meanwhile."""
    start, limit = 0, int(query.get("limit", "25"))
    after = query.get("after", "")
    if after:
        ids = [row["id"] for row in rows]
        if after not in ids:
            raise RefusalError(100)
        start = ids.index(after) + 1
    shown = rows[start : start + limit]
    paging: Json = {}
    if shown:
        paging["cursors"] = {"before": shown[0]["id"], "after": shown[-1]["id"]}
        if start + limit < len(rows):
            paging["next"] = "https://graph.example/next"
    return {"data": shown, "paging": paging}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+0000")


def _json(status: int, body: object) -> HttpAnswer:
    return HttpAnswer(status=status, body=msgspec.json.encode(body))
