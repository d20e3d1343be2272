"""What a consent and a choice mean for an org's channels: pure rules, so tried on many cases."""

from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.operations.channels import choose, merged_views
from moorage.operations.grants import merge_channels
from moorage_ports.authorizer import ChannelGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import InvalidRequestError
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.secret import Secret

NOW = datetime(2030, 1, 1, tzinfo=UTC)
INTEGRATION = Integration(
    id="i", vendor="memory", status=IntegrationStatus.ACTIVE, app_id="app", created_at=NOW, updated_at=NOW
)


def row(external_id: str, *, grant: str = "mine", selected: bool = False, selectable: bool = True) -> Channel:
    return Channel(
        id=f"our-{external_id}",
        integration_id="i",
        grant_id=grant,
        vendor="memory",
        external_id=external_id,
        type="board",
        name=external_id,
        selected=selected,
        subscribed=selected and selectable,
        selectable=selectable,
    )


def granted(external_id: str, *, token: bool = True) -> ChannelGrant:
    offer = ChannelOffer(external_id=external_id, type="board", name=external_id.upper())
    return ChannelGrant(offer=offer, token=Secret("t") if token else None)


def test_a_reconnection_keeps_ids_and_selection_and_names_what_was_gained_and_lost() -> None:
    merge = merge_channels(
        INTEGRATION,
        "mine",
        (row("a", selected=True), row("b", selected=True)),
        (granted("a"), granted("c")),
        is_first=False,
    )
    channels = {channel.external_id: channel for channel in merge.channels}

    assert (channels["a"].id, channels["a"].selected, channels["a"].name) == ("our-a", True, "A")
    assert (merge.gained, merge.lost) == (("c",), ("b",))
    assert channels["b"].selected, "its news still belongs to the org and waits"
    assert not channels["b"].selectable
    assert channels["b"].reason


def test_a_first_connection_gains_nothing_that_would_be_news() -> None:
    merge = merge_channels(INTEGRATION, "mine", (), (granted("a"),), is_first=True)

    assert (merge.gained, merge.lost) == ((), ())
    assert not merge.channels[0].selected


def test_a_channel_that_came_back_is_gained_and_can_be_chosen_again() -> None:
    merge = merge_channels(
        INTEGRATION, "mine", (row("a", selected=True, selectable=False),), (granted("a"),), is_first=False
    )

    assert merge.gained == ("a",)
    assert merge.channels[0].selectable
    assert not merge.channels[0].reason


def test_what_the_vendor_could_not_list_just_now_is_as_it_was() -> None:
    """Its hiccup says nothing about what was allowed: the others are lost, and these are not."""
    kept = attrs.evolve(row("n", selected=True), type="number")
    merge = merge_channels(
        INTEGRATION, "mine", (row("a"), kept), (granted("c"),), is_first=False, unread_types=("number",)
    )

    assert kept in merge.channels
    assert (merge.gained, merge.lost) == (("c",), ("a",))


def test_another_persons_channels_are_not_lost_by_my_consent() -> None:
    theirs = row("a", grant="theirs", selected=True)
    merge = merge_channels(INTEGRATION, "mine", (theirs,), (granted("a", token=False),), is_first=False)
    assert merge.channels == (theirs,)

    merge = merge_channels(INTEGRATION, "mine", (theirs,), (), is_first=False)
    assert (merge.channels, merge.lost) == ((theirs,), ())


def test_a_channel_without_a_token_says_why_it_cannot_be_chosen() -> None:
    merge = merge_channels(INTEGRATION, "mine", (), (granted("a", token=False),), is_first=True)

    assert not merge.channels[0].selectable
    assert merge.channels[0].reason


rows = st.builds(
    row,
    st.sampled_from("abcdef"),
    grant=st.sampled_from(["mine", "theirs"]),
    selected=st.booleans(),
    selectable=st.booleans(),
)


@given(
    st.lists(rows, unique_by=lambda each: each.external_id),
    st.lists(
        st.builds(granted, st.sampled_from("abcdefgh"), token=st.booleans()),
        unique_by=lambda each: each.offer.external_id,
    ),
)
def test_a_consent_never_forgets_a_channel_nor_a_selection(
    before: list[Channel], offers: list[ChannelGrant]
) -> None:
    merge = merge_channels(INTEGRATION, "mine", tuple(before), tuple(offers), is_first=False)
    after = {channel.external_id: channel for channel in merge.channels}

    assert len(after) == len(merge.channels)
    assert after.keys() == {each.external_id for each in before} | {each.offer.external_id for each in offers}
    for each in before:
        assert after[each.external_id].id == each.id
        assert after[each.external_id].selected == each.selected
    assert not any(
        channel.subscribed and not channel.selectable and channel.grant_id == "mine"
        for channel in merge.channels
    )


def test_channels_are_chosen_by_our_id_or_theirs() -> None:
    choice = choose((row("a"), row("b"), row("c", selected=True)), ["our-a", "b"])

    assert [each.external_id for each in choice.selected] == ["a", "b"]
    assert [each.external_id for each in choice.removed] == ["c"]


def test_an_unknown_channel_is_named_by_its_place_in_the_request() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        choose((row("a"),), ["a", "nobody"])

    assert refusal.value.fields == {"channels[1]": "no channel of this organisation"}


def test_what_cannot_be_acted_as_is_a_problem_but_stays_selected_if_it_was() -> None:
    broken, kept = row("a", selectable=False), row("b", selectable=False, selected=True)
    choice = choose((broken, kept), ["a", "b"])

    assert choice.selected == (kept,)
    assert [problem.id for problem in choice.problems] == ["our-a", "our-b"]
    assert choice.added == ()


@given(st.lists(rows, unique_by=lambda each: each.external_id), st.lists(st.sampled_from("abcdef")))
def test_a_choice_replaces_the_set(before: list[Channel], wanted: list[str]) -> None:
    wanted = [each for each in wanted if each in {row.external_id for row in before}]
    choice = choose(before, wanted)
    selected = {each.external_id for each in choice.selected}

    assert selected <= set(wanted)
    assert {each.external_id for each in choice.removed} == {
        each.external_id for each in before if each.selected and each.external_id not in wanted
    }
    assert all(each.selectable for each in choice.added)


def test_the_list_joins_what_is_kept_with_what_the_vendor_says_now() -> None:
    offers = [
        ChannelOffer(external_id="a", type="board", name="New name"),
        ChannelOffer(external_id="b", type="board", name="B", selectable=False, reason="no role"),
        ChannelOffer(external_id="new", type="board", name="New"),
    ]
    views = {
        view.external_id: view
        for view in merged_views(
            "memory", (row("a", selected=True), row("b"), row("gone")), offers, is_whole=True
        )
    }

    assert (views["a"].name, views["a"].selected, views["a"].selectable) == ("New name", True, True)
    assert (views["b"].selectable, views["b"].reason) == (False, "no role")
    assert not views["gone"].selectable
    assert not views["new"].selectable, "there is no token for it yet"
    assert views["new"].reason


def test_one_businesss_list_leaves_the_others_out() -> None:
    offers = [ChannelOffer(external_id="a", type="board", name="A")]

    views = merged_views("memory", (row("a"), row("b")), offers, is_whole=False)

    assert [view.external_id for view in views] == ["a"]


def test_a_broken_row_stays_unselectable_until_somebody_connects_again() -> None:
    broken = attrs.evolve(row("a"), selectable=False, reason="connect again")

    (view,) = merged_views(
        "memory", (broken,), [ChannelOffer(external_id="a", type="board", name="A")], is_whole=True
    )

    assert (view.selectable, view.reason) == (False, "connect again")
