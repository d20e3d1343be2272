"""What no column tells: whether a sealed copy is about somebody."""

from datetime import UTC, datetime

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.crm.merge import identity_id_of, message_id_of
from moorage.privacy.copies import Looker
from moorage_adapters.memory.news import news_of_letter
from moorage_adapters.memory.plugin import MemoryPlugin
from moorage_adapters.memory.world import ADA, CAFE, MemoryWorld
from moorage_ports.erasure import KeptCopy
from moorage_ports.events import Person

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
LOOKER = Looker(names=frozenset({"10203040", "ada@harbour.example", "wamid.HB/x=", "+15550100199"}))


@pytest.mark.parametrize(
    "body",
    [
        b'{"from": {"id": "10203040"}}',
        b'{"from": {"id": 10203040}}',
        b'{"email": ["Ada@Harbour.example"]}',
        b'{"id": "wamid.HB\\/x="}',
        b'{"10203040": 1}',
        b"\xff not JSON, 10203040, it is",
        b"nor this: <wamid.HB/x=>",
        b"tel:+15550100199",
    ],
)
def test_a_copy_that_names_them_is_found(body: bytes) -> None:
    assert LOOKER.finds("", body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"from": {"id": "102030405"}}',
        b'{"text": "call 10203040 or not"}',  # somebody else's words: a text is compared whole
        b'{"id": 1020304}',
        b"not JSON, 102030405",
        b"x@ada@harbour.example.org",
        b"[" * 10_000,
    ],
)
def test_a_copy_that_only_looks_like_it_is_not(body: bytes) -> None:
    assert not LOOKER.finds("", body)


def test_what_the_plugin_calls_it_counts_too() -> None:
    assert LOOKER.finds("board-1:10203040", b"{}")
    assert not LOOKER.finds("board-1:102030401", b"{}")


@given(st.binary(max_size=400), st.text(max_size=40))
def test_whatever_a_stranger_sent_can_be_looked_through(body: bytes, name: str) -> None:
    """Total: no body stops an erasure."""
    LOOKER.finds(name, body)


@given(st.recursive(st.text() | st.integers() | st.none() | st.booleans(), st.lists))
def test_a_name_is_found_wherever_it_stands_in_json(around: object) -> None:
    assert LOOKER.finds("", msgspec.json.encode({"a": around, "b": [[{"c": "10203040"}]]}))


def test_what_is_to_be_worked_on_is_read_as_the_worker_reads_it() -> None:
    """Bo answers a letter of Ada's: his letter names hers, and is not hers."""
    vendor = MemoryPlugin(MemoryWorld()).moorage_vendor()
    world = MemoryWorld()
    letter = world.write_to(CAFE.id, "hello", by=ADA)
    assert vendor.webhooks is not None
    (change,) = vendor.webhooks.split(news_of_letter(letter))
    copy = KeptCopy(
        place=1,
        id="00",
        vendor="memory",
        name=change.partition,
        body=change.body,
        received_at=NOW,
        is_worked_on=True,
    )
    ada = Person(external_id=ADA.id, realm="town")

    for records in ({identity_id_of("memory", ada)}, {message_id_of("memory", letter.id)}):
        assert Looker(names=frozenset(), records=frozenset(records)).tells_of(copy, vendor)
    mentioning = Looker(names=frozenset({CAFE.id}), records=frozenset({"pi_somebody"}))
    assert not mentioning.tells_of(copy, vendor)
    assert mentioning.tells_of(attrs.evolve(copy, is_worked_on=False), vendor), "had its effect already"
    assert mentioning.tells_of(copy, None), "nobody can read it"
