"""Merging leads: whatever two of them say, the one that stays says it all."""

from collections.abc import Iterable
from datetime import UTC, datetime

import attrs
from hypothesis import given
from hypothesis import strategies as st

from moorage.leads.merging import COLUMNS, merged
from moorage_ports.crm import CrmLead
from moorage_ports.lead_source import Answer, Consent

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
WORDS = st.sampled_from(("", "a", "b", "ä", "電"))
VALUES = st.lists(WORDS, max_size=3).map(tuple)
NAMES = st.sampled_from((*COLUMNS, "size", "größe"))
LEADS = st.builds(
    CrmLead,
    id=st.just("ours"),
    external_id=st.just("theirs"),
    vendor=st.just("memory"),
    channel_external_id=st.just("board"),
    source=st.just("memory"),
    email=WORDS,
    first_name=WORDS,
    last_name=WORDS,
    phone=WORDS,
    company=WORDS,
    properties=st.dictionaries(NAMES, VALUES, max_size=4),
    answers=st.lists(st.builds(Answer, name=NAMES, values=VALUES), max_size=3).map(tuple),
    consents=st.lists(st.builds(Consent, key=NAMES, text=WORDS), max_size=2).map(tuple),
    edited=st.lists(st.sampled_from(COLUMNS), max_size=3, unique=True).map(tuple),
    created_at=st.just(NOON),
    updated_at=st.none(),
)


def said(lead: CrmLead) -> set[tuple[str, str]]:
    """Every word under the name of its column or property."""
    columns = {(name, str(getattr(lead, name))) for name in COLUMNS}
    return {(name, word) for name, word in (*columns, *_words(lead.properties.items())) if word}


def _words(properties: Iterable[tuple[str, tuple[str, ...]]]) -> Iterable[tuple[str, str]]:
    return ((name, word) for name, words in properties for word in words)


@given(older=LEADS, newer=LEADS)
def test_merging_loses_nothing_and_changes_nothing_that_was_there(older: CrmLead, newer: CrmLead) -> None:
    both = merged(older, newer, NOON)

    assert said(both) == said(older) | said(newer)
    assert set(both.properties) >= {*older.properties, *newer.properties}
    assert set(both.answers) == {*older.answers, *newer.answers}
    assert set(both.consents) == {*older.consents, *newer.consents}
    for name in COLUMNS:
        if getattr(older, name) or name in older.edited:
            assert getattr(both, name) == getattr(older, name)


@given(older=LEADS, newer=LEADS)
def test_merging_the_same_again_changes_nothing(older: CrmLead, newer: CrmLead) -> None:
    once = merged(older, newer, NOON)

    assert merged(once, newer, NOON) == once
    assert merged(once, attrs.evolve(older, updated_at=NOON), NOON) == once
