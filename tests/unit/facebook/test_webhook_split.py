"""A delivery comes apart into changes that can each belong to one org, whatever shape Meta gave it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.errors import MalformedError
from moorage_ports.events import ChannelNotice, CommentSeen, LeadArrived, Unmapped
from moorage_ports.webhooks import Change
from tests.unit.facebook.fixtures import FIXTURES, PAGE, RECEIVED_AT, fixture

WEBHOOKS = GraphWebhooks()
OTHER_PAGE = "6103920011778888"


def split_json(delivery: object) -> tuple[Change, ...]:
    return WEBHOOKS.split(msgspec.json.encode(delivery))


def page_change(change: object, **entry: object) -> dict[str, object]:
    head: dict[str, object] = {"id": PAGE, "time": 1893459600, **entry}
    return {"object": "page", "entry": [{**head, "changes": [change]}]}


def comment(verb: str, **value: object) -> dict[str, object]:
    common = {"item": "comment", "verb": verb, "comment_id": "1_2", "post_id": f"{PAGE}_1", "created_time": 5}
    return {"field": "feed", "value": common | value}


def test_one_delivery_may_hold_many_orgs() -> None:
    """Each change names the Page it belongs to; the two Pages may be two orgs'."""
    changes = WEBHOOKS.split(fixture("leadgen__two_pages"))

    assert [change.owner_keys for change in changes] == [(PAGE,), (PAGE,), (OTHER_PAGE,)]
    assert [change.business_key for change in changes] == [
        "leadgen:9007199254740993117",
        "leadgen:9007199254740993118",
        "leadgen:9007199254740993119",
    ]
    assert {change.kind for change in changes} == {"page.leadgen"}
    assert len({change.partition for change in changes}) == 3


def test_a_lead_is_announced_with_what_the_change_says() -> None:
    change = WEBHOOKS.split(fixture("leadgen__two_pages"))[0]

    assert WEBHOOKS.events(change.body, RECEIVED_AT) == (
        LeadArrived(
            lead_external_id="9007199254740993117",
            channel_external_id=PAGE,
            form_external_id="7712200100345",
            ad_external_id="23851100990011",
            occurred_at=datetime(2030, 1, 1, 1, 0, tzinfo=UTC),
        ),
    )


def test_numeric_ids_keep_every_digit() -> None:
    """Ids beyond 2**53 arrive as numbers, too; 0 is Graph's way to say that there is no ad."""
    (change,) = WEBHOOKS.split(fixture("leadgen__numeric_ids"))
    (event,) = WEBHOOKS.events(change.body, RECEIVED_AT)

    assert change.owner_keys == (PAGE,)
    assert change.business_key == "leadgen:9007199254740993117"
    assert isinstance(event, LeadArrived)
    assert (event.lead_external_id, event.channel_external_id) == ("9007199254740993117", PAGE)
    assert event.ad_external_id == ""


def test_a_lead_sent_as_text_and_as_number_is_one_lead() -> None:
    """The business key is the same, or it would be stored twice."""
    (number,) = WEBHOOKS.split(fixture("leadgen__numeric_ids"))
    text = WEBHOOKS.split(fixture("leadgen__two_pages"))[0]

    assert number.business_key == text.business_key


def test_the_dashboards_test_button_is_understood() -> None:
    """A list around the delivery, entry 0, the time as text: the Page is named in the value."""
    (change,) = WEBHOOKS.split(fixture("leadgen__test_button_in_a_list"))
    (event,) = WEBHOOKS.events(change.body, RECEIVED_AT)

    assert change.owner_keys == (PAGE,)
    assert isinstance(event, LeadArrived)
    assert event.channel_external_id == PAGE
    assert event.occurred_at == datetime(2030, 1, 1, 1, 0, tzinfo=UTC)


def test_half_an_emoji_does_not_cost_a_delivery() -> None:
    """Meta cuts texts in the middle of a surrogate pair; the whole ones stay as they are."""
    (change,) = WEBHOOKS.split(fixture("feed__comment_edited_odd_text"))
    (event,) = WEBHOOKS.events(change.body, RECEIVED_AT)

    assert change.kind == "page.feed.comment.edited"
    assert isinstance(event, CommentSeen)
    assert event.text == "half an emoji: \ufffd, a line\u2028end and \x00"
    assert event.author is not None
    assert event.author.name == "Zoë 😀"


def test_messages_are_changes_one_by_one() -> None:
    """An echo, an unsent message, a notice without a sender, one that another app owns."""
    changes = WEBHOOKS.split(fixture("messages__echo_unsend_policy_standby"))

    assert [change.kind for change in changes] == [
        "page.messaging.message",
        "page.messaging.message",
        "page.messaging.policy-enforcement",
        "page.standby.message",
    ]
    assert {change.owner_keys for change in changes} == {(PAGE,)}
    assert len({change.business_key for change in changes}) == 4
    assert changes[1].business_key.endswith(":deleted")
    assert changes[0].partition == changes[1].partition == changes[3].partition


def test_whatsapp_messages_come_apart() -> None:
    """Two messages and a status in one change: whatever company they come in, their keys stay."""
    whole = fixture("whatsapp__two_messages_and_a_status")
    alone = json.loads(whole)
    del alone["entry"][0]["changes"][0]["value"]["messages"][0]
    del alone["entry"][0]["changes"][0]["value"]["statuses"]

    one, two, status = WEBHOOKS.split(whole)
    (two_again,) = split_json(alone)

    assert one.owner_keys == ("104400110022", "109900770011")
    assert two.business_key == two_again.business_key != one.business_key
    assert two.partition == one.partition != status.partition
    assert [change.kind for change in (one, status)] == [
        "whatsapp_business_account.messages.text",
        "whatsapp_business_account.messages.statuses.read",
    ]
    kept = msgspec.json.decode(one.body)["change"]["value"]
    assert kept["contacts"][0]["profile"]["name"] == "Ada"
    assert [message["text"]["body"] for message in kept["messages"]] == ["one"]


def test_every_message_of_a_large_whatsapp_change_names_its_number() -> None:
    """What is too large to go with each part costs none of them its owner, its place in line or its key."""
    whole = json.loads(fixture("whatsapp__two_messages_and_a_status"))
    small = split_json(whole)
    value = whole["entry"][0]["changes"][0]["value"]
    value["news"] = "x" * 3_000
    value["metadata"]["tale"] = "y" * 3_000

    large = split_json(whole)

    for told in (lambda c: c.owner_keys, lambda c: c.business_key, lambda c: c.partition, lambda c: c.kind):
        assert list(map(told, large)) == list(map(told, small))
    assert all(b"xxx" not in change.body and b"yyy" not in change.body for change in large[1:])
    assert [WEBHOOKS.events(change.body, RECEIVED_AT) for change in large] == [
        WEBHOOKS.events(change.body, RECEIVED_AT) for change in small
    ]


def test_keys_hold_nobodys_number_or_words() -> None:
    """Index columns are not sealed: no phone number, no message id that contains one, no text."""
    for change in WEBHOOKS.split(fixture("whatsapp__two_messages_and_a_status")):
        in_the_clear = f"{change.kind} {change.business_key} {change.partition}"
        assert "49170000000" not in in_the_clear
        assert "wamid" not in in_the_clear


def test_names_alone_are_dated_by_their_entry() -> None:
    """Without values Meta only says that "photos" changed: next week's change is not a duplicate of it."""
    once = json.loads(fixture("user__names_only"))
    later = json.loads(fixture("user__names_only"))
    later["entry"][0]["time"] += 604_800

    first, second = split_json(once), split_json(later)

    assert [change.kind for change in first] == ["user.photos", "user.name"]
    assert {change.business_key for change in first}.isdisjoint(change.business_key for change in second)
    assert [c.business_key for c in first] == [c.business_key for c in split_json(once)]


def test_a_delivery_without_an_object_is_kept_by_its_owner() -> None:
    (change,) = WEBHOOKS.split(fixture("whatsapp__partner_added_without_object"))

    assert change.kind == "account_update"
    assert change.owner_keys == ("2949482758682047", "980198427658004")


def test_odd_entries_cost_nothing_else() -> None:
    """Empty ones, ones that are none, a change that is no list: each is kept as what it is."""
    changes = WEBHOOKS.split(fixture("page__odd_entries"))

    assert [change.kind for change in changes] == [
        "page.entry",
        "page.parking",
        "page.entry",
        "page.entry",
        "page.feed",
    ]
    events = [event for change in changes for event in WEBHOOKS.events(change.body, RECEIVED_AT)]
    assert [type(event) for event in events] == [Unmapped, ChannelNotice, Unmapped, Unmapped, Unmapped]


def test_the_second_delivery_of_a_change_has_the_same_key() -> None:
    """Meta sends again with another entry time and in other company."""
    for change in (
        comment("add"),
        {"field": "feed", "value": {"item": "reaction", "verb": "add", "created_time": 7, "post_id": "1_1"}},
        {"field": "leadgen", "value": {"leadgen_id": "7", "created_time": 7}},
    ):
        (first,) = split_json(page_change(change))
        second = split_json(
            {"object": "page", "entry": [{"id": PAGE, "time": 1893459999, "changes": [comment("x"), change]}]}
        )[-1]
        assert first.business_key == second.business_key


def test_what_can_happen_again_is_not_taken_for_a_duplicate() -> None:
    """A comment is edited twice, hidden, shown and hidden again, all under the time of its writing."""
    keys = {
        split_json(page_change(comment(verb, message=text), time=time))[0].business_key
        for verb, text, time in [
            ("add", "a", 1),
            ("edited", "b", 2),
            ("edited", "c", 3),
            ("hide", "c", 4),
            ("unhide", "c", 5),
            ("hide", "c", 6),
            ("remove", "c", 7),
        ]
    }

    assert len(keys) == 7


def test_replies_stand_in_line_behind_their_post() -> None:
    """What belongs together is applied in order; another post does not wait for it."""
    first, reply = (split_json(page_change(comment("add", comment_id=f"1_{n}")))[0] for n in (1, 2))
    (elsewhere,) = split_json(page_change(comment("add", post_id=f"{PAGE}_9")))

    assert first.partition == reply.partition != elsewhere.partition


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b'{"object":"page"}',
        b'{"object":"page","entry":[]}',
        b'{"object":"page","entry":null}',
        b"\xff\xfe",
        b'{"entry":[NaN]}',
        b"[" * 100_000,
        b'{"entry":[' * 50_000,
        b'"\\ud800',
    ],
)
def test_w13_what_is_no_delivery_says_so(body: bytes) -> None:
    """W13: `MalformedError`, so that the host can keep it aside and say 200; never another exception."""
    with pytest.raises(MalformedError):
        WEBHOOKS.split(body)


def test_w13_a_delivery_that_nests_too_deep_says_so() -> None:
    """W13: also where only the parts are too deep to be written again."""
    for depth in (10, 100, 500, 900, 2_000, 20_000):
        deep = "[" * depth + "]" * depth
        body = f'{{"object":"page","entry":[{{"id":"1","changes":[{{"value":{deep}}}]}}]}}'.encode()
        try:
            changes = WEBHOOKS.split(body)
        except MalformedError:
            continue
        assert len(changes) == 1


@pytest.mark.parametrize(
    "change", [b"", b"{", b"null", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"change":7}']
)
def test_anything_kept_can_be_read(change: bytes) -> None:
    """`events` is total: an old row, a cut row, somebody's row."""
    (event,) = WEBHOOKS.events(change, RECEIVED_AT)

    assert isinstance(event, Unmapped)


def test_a_lead_without_an_id_is_kept_as_it_is() -> None:
    (change,) = split_json(page_change({"field": "leadgen", "value": {"page_id": PAGE}}))

    assert [type(event) for event in WEBHOOKS.events(change.body, RECEIVED_AT)] == [Unmapped]


def test_an_id_that_could_not_be_asked_for_is_no_lead() -> None:
    """Slashes, blanks and line ends in an id would end up in a path."""
    for lead_id in ("1/../2", "1 2", "1\n", "", "0", None, {"a": 1}, "9" * 300):
        (change,) = split_json(page_change({"field": "leadgen", "value": {"leadgen_id": lead_id}}))
        assert [type(event) for event in WEBHOOKS.events(change.body, RECEIVED_AT)] == [Unmapped]


FIELDS = [
    *("object", "entry", "id", "time", "changes", "messaging", "standby", "changed_fields", "field", "value"),
    *("item", "verb", "sender", "recipient", "message", "mid", "is_echo", "leadgen_id", "page_id", "from"),
    *("comment_id", "post_id", "metadata", "statuses", "messages", "phone_number_id", "messaging_product"),
    "created_time",
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["page", "feed", "leadgen", "comment", "add", "0", PAGE, "whatsapp"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from(FIELDS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


def shaped(part: Callable[[object], object]) -> st.SearchStrategy[object]:
    return json_values.map(part)


deliveries = (
    json_values
    | shaped(lambda entry: {"object": "page", "entry": [entry]})
    | shaped(lambda change: {"object": "page", "entry": [{"id": PAGE, "changes": [change]}]})
    | shaped(
        lambda value: {
            "object": "page",
            "entry": [{"id": PAGE, "changes": [{"field": "leadgen", "value": value}]}],
        }
    )
    | shaped(lambda event: {"object": "instagram", "entry": [{"id": PAGE, "messaging": [event]}]})
    | shaped(
        lambda value: {
            "object": "whatsapp_business_account",
            "entry": [{"changes": [{"value": {"messaging_product": "whatsapp", "statuses": value}}]}],
        }
    )
)


@settings(deadline=None)  # machines that test several things at once are slow for a moment
@given(delivery=deliveries)
def test_w13_any_json_splits_or_says_that_it_is_none(delivery: object) -> None:
    """W13: total over whatever is signed; the same bytes give the same keys; every change can be read."""
    body = json.dumps(delivery).encode()
    try:
        changes = WEBHOOKS.split(body)
    except MalformedError:
        return

    assert changes == WEBHOOKS.split(body)
    for change in changes:
        assert change.business_key
        assert all(key and key != "0" for key in change.owner_keys)
        in_the_clear = [change.kind, change.business_key, change.partition, *change.owner_keys]
        assert all(text.isascii() and text.isprintable() and len(text) < 300 for text in in_the_clear)
        assert WEBHOOKS.events(change.body, RECEIVED_AT) == WEBHOOKS.events(change.body, RECEIVED_AT)


@given(body=st.binary(max_size=300))
def test_w13_any_bytes_split_or_say_that_they_are_none(body: bytes) -> None:
    """W13."""
    try:
        assert WEBHOOKS.split(body)
    except MalformedError:
        return


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_nothing_of_a_change_is_lost(path: object) -> None:
    """What was in the delivery is in the parts, number for number."""
    from pathlib import Path

    assert isinstance(path, Path)
    body = path.read_bytes()
    kept = b"".join(change.body for change in WEBHOOKS.split(body))
    for number in (b"9007199254740993117", b"10206266332119368"):
        assert (number in body) == (number in kept)
