"""Lists are read by cursor to their end, and Graph's own "next" is never touched."""

from collections.abc import Mapping

import pytest

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.paging import fetch_all, page_from_graph
from moorage_ports.errors import VendorError
from tests.unit.facebook.graph.support import TOKEN, answer, bench, query_of

CALL = GraphCall(path=("me", "accounts"), query={"fields": "id", "limit": "2"}, token=TOKEN)
HOSTILE = "https://evil.test/v26.0/me/accounts?access_token=EAAB-user-token&after=x"


def listed(*ids: str, after: str = "", is_last: bool = False) -> Mapping[str, object]:
    paging: dict[str, object] = {"cursors": {"before": "b", "after": after}} if after else {}
    if not is_last:
        paging["next"] = HOSTILE
    return {"data": [{"id": one} for one in ids], "paging": paging}


async def test_s5_the_next_page_is_asked_for_by_cursor() -> None:
    """S5: `paging.next` carries the token and any host it likes; it is neither followed nor kept."""
    there = bench(
        answer(listed("1", "2", after="A")), answer(listed("3", after="B")), answer(listed("4", is_last=True))
    )

    nodes = await fetch_all(there.client, CALL)

    assert [node["id"] for node in nodes] == ["1", "2", "3", "4"]
    assert [query_of(request).get("after") for request in there.graph.sent] == [None, "A", "B"]
    assert all(query_of(request)["fields"] == "id" for request in there.graph.sent)
    assert all(
        request.url.startswith("https://graph.test/v26.0/me/accounts?") for request in there.graph.sent
    )
    assert all(TOKEN.reveal() not in request.url for request in there.graph.sent)


async def test_an_empty_page_is_not_the_end() -> None:
    """Graph filters after it cuts pages."""
    there = bench(answer(listed(after="A")), answer(listed("1", is_last=True)))

    assert [node["id"] for node in await fetch_all(there.client, CALL)] == ["1"]


def test_the_end_is_where_there_is_no_next() -> None:
    """Cursors stand on the last page, too; before and after may be the same."""
    last = {"data": [{"id": "1"}], "paging": {"cursors": {"before": "X", "after": "X"}}}

    assert page_from_graph(last).next_cursor is None
    assert page_from_graph({"data": [{"id": "1"}]}).next_cursor is None


async def test_a_list_that_turns_in_circles_ends() -> None:
    there = bench(answer(listed("1", after="A")))

    with pytest.raises(VendorError, match="does not end"):
        await fetch_all(there.client, CALL)

    assert len(there.graph.sent) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": None},
        {"data": {}},
        {"data": [1, "x", None]},
        {"paging": []},
        {"paging": {"cursors": 3, "next": 1}},
    ],
)
def test_odd_lists_are_empty_ones(body: Mapping[str, object]) -> None:
    page = page_from_graph(body)

    assert (page.items, page.next_cursor) == ((), None)
