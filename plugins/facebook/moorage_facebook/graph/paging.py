"""Graph's lists: `data` and the cursor of the next page.

`paging.next` only says whether there is one. It is an address from outside with the access token in it, so it
is never followed, kept or logged; the next page is asked for by `cursors.after`.
https://developers.facebook.com/docs/graph-api/results
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient
from moorage_facebook.graph.values import record, records, text
from moorage_facebook.settings import VENDOR
from moorage_ports.errors import VendorError
from moorage_ports.paging import Page, PagingLoopError, iterate

Node: TypeAlias = Mapping[str, object]

MAX_PAGES = 1_000
_MAX_CURSOR = 4_096


def page_from_graph(body: Mapping[str, object]) -> Page[Node]:
    """One page of a list. An empty one may have a next; one whose cursors are equal may be the last."""
    paging = record(body.get("paging"))
    after = text(record(paging.get("cursors")).get("after"))
    has_next = bool(paging.get("next")) and 0 < len(after) <= _MAX_CURSOR
    return Page(items=tuple(records(body.get("data"))), next_cursor=after if has_next else None)


async def fetch_page(client: GraphClient, call: GraphCall, cursor: str | None) -> Page[Node]:
    """The page of `call` behind `cursor` (`None`: the first)."""
    query = {**call.query, "after": cursor} if cursor else call.query
    return page_from_graph(await client.send(attrs.evolve(call, query=query)))


async def fetch_all(client: GraphClient, call: GraphCall) -> tuple[Node, ...]:
    """Every item of a list.

    Raises:
        VendorError: The list does not end: a cursor came twice, or there are more than `MAX_PAGES` pages.
    """

    async def fetch(cursor: str | None) -> Page[Node]:
        return await fetch_page(client, call, cursor)

    try:
        return tuple([node async for node in iterate(fetch, max_pages=MAX_PAGES)])
    except PagingLoopError as loop:
        msg = "Graph sent a list that does not end"
        raise VendorError(msg, vendor=VENDOR) from loop
