"""What strangers write into addresses: webhook queries, OAuth returns, targets we send browsers to."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.auth import InvalidOrgIdError
from moorage.operations.connecting import with_query
from moorage.routes.connect import single_parameters
from moorage.routes.webhook import narrowing_org
from moorage_ports.errors import InvalidStateError

org_ids = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(st.binary(max_size=120))
def test_any_query_narrows_to_a_well_formed_org_or_to_none_or_is_refused_w8(query: bytes) -> None:
    try:
        org_id = narrowing_org(query)
    except InvalidOrgIdError:
        return
    assert org_id is None or (0 < len(org_id) <= 64 and org_id.isascii())


@given(org_ids, st.lists(st.tuples(names.filter(lambda name: name != "orgid"), names), max_size=4))
def test_a_well_formed_orgid_is_found_wherever_it_stands_w8(
    org_id: str, others: list[tuple[str, str]]
) -> None:
    for place in range(len(others) + 1):
        pairs = [*others[:place], ("orgid", org_id), *others[place:]]
        assert narrowing_org(urlencode(pairs).encode()) == org_id


@given(org_ids, org_ids)
def test_two_orgids_are_refused_also_when_they_agree_w8(one: str, other: str) -> None:
    for second in (one, other):
        with pytest.raises(InvalidOrgIdError):
            narrowing_org(f"orgid={one}&orgid={second}".encode())


@given(st.binary(max_size=120))
def test_any_return_query_is_read_once_or_refused(query: bytes) -> None:
    try:
        parameters = single_parameters(query)
    except InvalidStateError:
        return
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    assert sorted(parameters.items()) == sorted(pairs)


queries = st.lists(st.tuples(names, names), max_size=3).map(urlencode)


@given(queries, st.sampled_from(["", "#place"]), st.dictionaries(names, names, min_size=1, max_size=3))
def test_what_is_added_to_a_target_changes_only_its_query_o6(
    query: str, fragment: str, added: dict[str, str]
) -> None:
    """O6: whatever a vendor calls its error, the browser ends at the stored origin and path."""
    target = "https://admin.example/integrations" + (f"?{query}" if query else "") + fragment
    before, after = urlsplit(target), urlsplit(with_query(target, added))

    assert after._replace(query="") == before._replace(query="")
    told = parse_qsl(after.query, keep_blank_values=True)
    assert told == [*parse_qsl(before.query, keep_blank_values=True), *added.items()]
