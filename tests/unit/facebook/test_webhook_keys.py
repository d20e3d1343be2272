"""What makes a change the same one when it comes twice, and another one when it is another."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.webhooks import Change
from tests.unit.facebook.fixtures import BUSINESS, FIXTURES, NUMBER, PAGE, fixture

WEBHOOKS = GraphWebhooks()
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

DATED_BY_ITS_ENTRY: Final = {
    # What is changed again and again, and bears the moment at which it was made each time.
    *("feed__comment_edited", "feed__comment_edited_odd_text", "feed__comment_hidden", "feed__comment_shown"),
    *("feed__post_edited_by_a_visitor", "feed__post_hidden", "feed__post_shown", "feed__share_hidden"),
    "feed__share_hidden_of_somebody",
    *("feed__album_edited_without_a_post", "feed__reaction_changed", "mention__edited"),
    "ratings__recommendation_edited",
    # What says neither when nor by which id.
    *("ad_account__field_changed", "ad_account__in_process", "ad_account__with_issues"),
    *("feed__post_removed_of_a_visitor", "feed__video_blocked", "feed__video_unmuted", "mention__of_nobody"),
    *("messages__account_linked", "page__hours_changed", "page__live_video", "page__names_only"),
    *("page__odd_entries", "page__unknown_item_and_verb", "permissions__app_removed"),
    *("permissions__granted_for_pages", "permissions__taken", "user__likes", "user__names_only"),
    *("user__work_history", "whatsapp__account_alert", "whatsapp__account_deleted"),
    *("whatsapp__account_restricted", "whatsapp__account_reviewed", "whatsapp__account_verified"),
    *("whatsapp__names_only", "whatsapp__number_flagged", "whatsapp__number_in_trouble"),
    *("whatsapp__number_named", "whatsapp__partner_added_without_object", "whatsapp__template_approved"),
    *("whatsapp__template_quality", "whatsapp__template_rejected", "whatsapp__template_shown_again"),
    *("whatsapp__account_has_a_blocked_flow", "whatsapp__number_limited"),
    *("whatsapp__history_declined", "whatsapp__history_of_nothing"),
}


def split(delivery: object) -> tuple[Change, ...]:
    return WEBHOOKS.split(json.dumps(delivery).encode())


def keys(delivery: object) -> list[str]:
    return [change.business_key for change in split(delivery)]


def delivery_of(name: str) -> Any:
    return json.loads(fixture(name))


def entries(delivery: Any) -> Iterator[dict[str, Any]]:
    for envelope in delivery if isinstance(delivery, list) else [delivery]:
        yield from (entry for entry in envelope["entry"] if isinstance(entry, dict))


@pytest.mark.parametrize("name", NAMES)
def test_company_makes_no_difference(name: str) -> None:
    """Behind another page's entry, in a list of deliveries, with its objects' fields in another order."""
    delivery, stranger = delivery_of(name), {"id": "1", "time": 7, "changes": [{"field": "feed", "value": 7}]}
    once = keys(delivery)
    assert keys(delivery) == once

    envelopes = delivery if isinstance(delivery, list) else [delivery]
    crowded = [{**envelope, "entry": [stranger, *envelope["entry"]]} for envelope in envelopes]
    assert [key for key in keys(crowded) if key in once] == once
    assert keys(json.loads(json.dumps(delivery, sort_keys=True))) == once


@pytest.mark.parametrize("name", NAMES)
def test_when_it_is_sent_makes_a_difference_only_where_nothing_else_does(name: str) -> None:
    """`entry.time` is when Meta sent it: a second try of the same thing has another one."""
    delivery = delivery_of(name)
    once = keys(delivery)
    for entry in entries(delivery):
        entry["time"] = 1893999999

    assert (keys(delivery) != once) == (name in DATED_BY_ITS_ENTRY)


def test_whatsapp_mixes_anew_and_nothing_changes() -> None:
    """Contacts of others, other messages, other calls: each thing is still itself."""
    names = ("whatsapp__called", "whatsapp__preference_stop", "whatsapp__new_user_id", "whatsapp__group_made")
    for name in (*names, "whatsapp__text", "whatsapp__failed"):
        delivery = delivery_of(name)
        (once,) = keys(delivery)
        value = delivery["entry"][0]["changes"][0]["value"]
        value["contacts"] = [{"wa_id": "491700000077"}, *value.get("contacts", ())]
        value["statuses"] = [*value.get("statuses", ()), {"id": "wamid.ZZ==", "status": "sent"}]

        assert once in keys(delivery)
        assert len(set(keys(delivery))) == 2


DIFFERENT: Final[Mapping[str, tuple[dict[str, object], ...]]] = {
    "feed": (
        {"item": "reaction", "verb": "add", "post_id": "1_1", "created_time": 7, "reaction_type": "like"},
        {"item": "reaction", "verb": "add", "post_id": "1_1", "created_time": 8, "reaction_type": "like"},
        {"item": "reaction", "verb": "add", "post_id": "1_2", "created_time": 7, "reaction_type": "like"},
        {"item": "reaction", "verb": "edit", "post_id": "1_1", "created_time": 7, "reaction_type": "like"},
        {"item": "reaction", "verb": "remove", "post_id": "1_1", "created_time": 7, "reaction_type": "like"},
        {"item": "comment", "verb": "add", "comment_id": "1_3", "created_time": 7},
        {"item": "comment", "verb": "remove", "comment_id": "1_3", "created_time": 7},
        {"item": "comment", "verb": "hide", "comment_id": "1_3", "created_time": 7},
        {"item": "comment", "verb": "edited", "comment_id": "1_3", "created_time": 7, "message": "a"},
        {"item": "comment", "verb": "edited", "comment_id": "1_3", "created_time": 7, "message": "b"},
        {"item": "comment", "verb": "add", "comment_id": "1_4", "created_time": 7},
    ),
    "mention": ({"item": "comment", "verb": "add", "comment_id": "1_3", "created_time": 7},),
    "ratings": ({"item": "comment", "verb": "add", "comment_id": "1_3", "created_time": 7},),
    "leadgen": ({"leadgen_id": "1", "created_time": 7}, {"leadgen_id": 2, "created_time": 7}),
}


def test_different_things_on_a_page_differ() -> None:
    """Else the second of them would be taken for the first, and be lost."""
    changes = [{"field": field, "value": value} for field, values in DIFFERENT.items() for value in values]
    here = [{"id": PAGE, "time": 9, "changes": changes}]
    there = [{"id": "6103920011778888", "time": 9, "changes": changes[:1]}]

    found = keys({"object": "page", "entry": here + there})
    assert len(set(found)) == len(found) == len(changes) + 1


def test_different_messages_differ() -> None:
    """The same id in another inbox, its being taken back, the echo, the next mark, the next reaction."""
    one, two = {"id": "1"}, {"id": "2"}
    events: list[dict[str, object]] = [
        {"timestamp": 5, "message": {"mid": "m"}},
        {"timestamp": 5, "message": {"mid": "m", "is_deleted": True}},
        {"timestamp": 5, "message": {"mid": "n"}},
        {"timestamp": 5, "message_edit": {"mid": "m", "text": "x"}},
        {"timestamp": 6, "message_edit": {"mid": "m", "text": "x"}},
        {"timestamp": 5, "reaction": {"mid": "m", "action": "react"}},
        {"timestamp": 6, "reaction": {"mid": "m", "action": "react"}},
        {"timestamp": 5, "read": {"watermark": 4}},
        {"timestamp": 5, "delivery": {"watermark": 4}},
        {"delivery": {"watermark": 4}},
        {"delivery": {"watermark": 5}},
        {"timestamp": 5, "postback": {"payload": "a"}},
        {"timestamp": 5, "postback": {"payload": "b"}},
    ]
    talks = [{"sender": one, "recipient": two, **event} for event in events]
    inboxes = [{"id": name, "messaging": talks} for name in ("2", "3")]

    found = keys({"object": "page", "entry": inboxes})
    assert len(set(found)) == len(found) == 2 * len(events)


def test_different_whatsapp_things_differ() -> None:
    """Each step of a message, in a group of each participant; each event of a call; each number."""
    statuses: list[dict[str, object]] = [
        {"id": "w", "status": status, "timestamp": "5", "recipient_participant_id": participant}
        for status in ("sent", "delivered", "read")
        for participant in ("1", "2")
    ]
    value: dict[str, object] = {
        "messaging_product": "whatsapp",
        "messages": [{"id": "w", "type": kind, "timestamp": "5"} for kind in ("unsupported", "text")],
        "statuses": statuses,
        "calls": [{"id": "c", "event": event, "timestamp": "5"} for event in ("connect", "terminate")],
        "user_preferences": [{"wa_id": "1", "value": word, "timestamp": 5} for word in ("stop", "resume")],
    }
    changes = [
        {"field": "messages", "value": {**value, "metadata": {"phone_number_id": number}}}
        for number in (NUMBER, "109900770012")
    ]

    found = keys({"object": "whatsapp_business_account", "entry": [{"id": BUSINESS, "changes": changes}]})
    assert len(set(found)) == len(found) == 2 * (2 + 6 + 2 + 2)


def test_what_is_told_of_a_person_is_nobodys() -> None:
    """Only a permission that was given for some channels belongs to those."""
    assert [change.owner_keys for change in split(delivery_of("user__likes"))] == [()]
    assert [change.owner_keys for change in split(delivery_of("permissions__app_removed"))] == [()]
    assert [change.owner_keys for change in split(delivery_of("permissions__granted_for_pages"))] == [
        (PAGE, "6103920011778888")
    ]


def test_a_test_button_names_the_channel_in_the_message() -> None:
    """The entry's id is 0: the page is who receives it, or who sends an echo."""
    (change,) = split(delivery_of("messages__test_button"))
    assert change.owner_keys == (PAGE,)
    echo = delivery_of("messages__echo")
    echo["entry"][0]["id"] = "0"
    (change,) = split(echo)
    assert change.owner_keys == (PAGE,)


def test_an_ad_account_is_known_by_both_of_its_names() -> None:
    """`act_7` and `7`."""
    assert split(delivery_of("ad_account__with_issues"))[0].owner_keys == ("act_700100", "700100")
    assert split(delivery_of("ad_account__field_changed"))[0].owner_keys == ("700100", "act_700100")


def test_parts_of_a_large_delivery_stay_small() -> None:
    """Four thousand messages with as many contacts and a heavy rest: not four thousand times all of it."""
    many = 4_000
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": NUMBER},
        "padding": "x" * 200_000,
        "contacts": [{"wa_id": f"4917{n:08}", "profile": {"name": f"P{n}"}} for n in range(many)],
        "messages": [{"from": f"4917{n:08}", "id": f"w{n}", "type": "text"} for n in range(many)],
    }
    entry = {"id": BUSINESS, "uid": "y" * 200_000, "changes": [{"field": "messages", "value": value}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()

    changes = WEBHOOKS.split(body)

    assert len(changes) == many
    assert sum(len(change.body) for change in changes) < 8 * len(body)
    assert b'"P3999"' in changes[-1].body
    assert b"padding" in changes[0].body
