"""What the app hears of: one piece of news, who listens to it, and how it travels.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started ·
https://developers.facebook.com/docs/messenger-platform/webhooks
"""

import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

import attrs

from moorage_facebook.sandbox.entities import App, AppSubscription, Delivery
from moorage_facebook.sandbox.jsontext import Json, meta_json
from moorage_facebook.sandbox.state import World

Object = Literal["page", "instagram", "whatsapp_business_account"]
Mode = Literal["send", "lose", "double", "late", "shuffle"]

_shuffler = random.SystemRandom()


@attrs.frozen(kw_only=True)
class News:
    """One change, or one element of `messaging`, about the Page or account `entry_id`.

    `owner_id` is whose subscriptions count: the Page (also for its Instagram account), or the WhatsApp
    business account.
    """

    object: Object
    field: str
    owner_id: str
    entry_id: str
    item: Json
    is_messaging: bool = False


@attrs.frozen(kw_only=True)
class Manner:
    """How news travels: as it should, or by rule not at all, twice, late, or in another order."""

    mode: Mode = "send"
    delay_seconds: float = 3.0
    per_delivery: int = 1


AS_IT_SHOULD = Manner()


def change(owner_id: str, field: str, value: Json, *, object: Object = "page", entry_id: str = "") -> News:
    """News as one of `changes`."""
    item = {"value": value, "field": field}
    return News(object=object, field=field, owner_id=owner_id, entry_id=entry_id or owner_id, item=item)


def listeners(world: World, news: News) -> Iterator[tuple[App, AppSubscription]]:
    """The apps that hear this: installed on the Page (or account), and subscribed in their dashboards.

    Of an Instagram account all fields that the app has arrive, whatever the Page's own choice was.
    https://developers.facebook.com/docs/instagram-platform/webhooks
    """
    for app_id in _installed(world, news):
        app = world.apps.get(app_id)
        wanted = world.app_subscriptions.get(f"{app_id}:{news.object}")
        if app and wanted and wanted.active and news.field in wanted.fields:
            yield app, wanted


def _installed(world: World, news: News) -> list[str]:
    if news.object == "whatsapp_business_account":
        account = world.whatsapp_accounts.get(news.owner_id)
        return list(account.app_ids) if account else []
    rows = world.page_subscriptions.of(news.owner_id)
    return [row.app_id for row in rows if news.object == "instagram" or news.field in row.fields]


def deliveries(world: World, news: Sequence[News], manner: Manner = AS_IT_SHOULD) -> Iterator[Delivery]:
    """The requests that tell of `news`, in order, each for one app, up to `per_delivery` pieces together."""
    ordered = list(news)
    if manner.mode == "shuffle":
        _shuffler.shuffle(ordered)
    size = max(1, manner.per_delivery)
    now = world.now()
    delay = manner.delay_seconds if manner.mode == "late" else 0.0
    for start in range(0, len(ordered), size):
        for alike in _alike(ordered[start : start + size]):
            text = body_of(alike, now)
            for app, wanted in listeners(world, alike[0]):
                for _ in range(2 if manner.mode == "double" else 1):
                    yield Delivery(
                        id=world.new_id(),
                        app_id=app.id,
                        url=wanted.callback_url,
                        topic=f"{alike[0].object}/{alike[0].field}",
                        body=text,
                        state="lost" if manner.mode == "lose" else "queued",
                        created_at=now,
                        due_at=now + delay,
                    )


def _alike(news: Sequence[News]) -> Iterator[list[News]]:
    """Neighbours that one app hears in one request: the same object and field."""
    for _, group in groupby(news, key=lambda one: (one.object, one.field, one.owner_id, one.is_messaging)):
        yield list(group)


def body_of(news: Sequence[News], at: float) -> str:
    """The bytes of a delivery. `entry.time` is when it was sent: in seconds, for messages in milliseconds."""
    first = news[0]
    entries: list[Json] = []
    for entry_id, group in groupby(news, key=lambda one: one.entry_id):
        items = [one.item for one in group]
        if first.is_messaging:  # Messenger puts one event into an entry
            entries += [{"id": entry_id, "time": int(at * 1000), "messaging": [item]} for item in items]
        elif first.object == "whatsapp_business_account":
            entries.append({"id": entry_id, "changes": items})
        else:
            entries.append({"id": entry_id, "time": int(at), "changes": items})
    return meta_json({"object": first.object, "entry": entries})
