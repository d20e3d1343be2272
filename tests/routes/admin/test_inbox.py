"""Inbox and contacts as a person uses them: without script, every state, every button."""

import re
from datetime import timedelta

import attrs
import httpx
import pytest
from sqlalchemy import text

from moorage.admin.sessions import open_session
from moorage.naming import Namer, naming_nudge
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.letters import WINDOW
from moorage_adapters.memory.things import Note, Person
from moorage_adapters.memory.world import CAFE
from moorage_ports.accounts import Account
from moorage_ports.direct_messages import ReplyWindow
from moorage_ports.events import DeliveryState, MessageDelivery, ReactionSet, Target
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import Role
from tests.support.crm import at, comment, letter, person, read, tell
from tests.support.harbour import ADMIN, NOON, Harbour
from tests.support.visitor import Browser, Page, browser_of

BO = Person(id="person-2", name="Bo Quay")
CONVERSATIONS = "/crm/inbox/conversations"


@pytest.fixture
async def town(host: Harbour, account: Account) -> Harbour:
    """Bo asks below a note, and by letter; Ada likes the note."""
    await host.connect()
    await host.select(CAFE.id)
    host.world.notes["note-1"] = Note(
        id="note-1", board_id=CAFE.id, text="Fresh scones today", link=None, images=(), pinned_at=NOON
    )
    host.world.people[BO.id] = BO
    host.world.say("note-1", "Are you open tomorrow?", by=BO)
    host.world.write_to(CAFE.id, "A table for two, please", by=BO)
    host.world.cheer("note-1", "love")
    await host.deliver_all()
    await host.work()
    return host


async def key_of(host: Harbour, kind: str) -> str:
    [one] = (await read(host, CONVERSATIONS, kind=kind))["items"]
    return str(one["id"])


async def press(browser: Browser, talk: str, action: str = "tend", /, **fields: str) -> httpx.Response:
    answer = await browser.submit(f"/admin/inbox/{talk}/{action}", fields)
    assert answer.status_code == 303, Page(answer.text).text
    assert answer.headers["location"].startswith(f"/admin/inbox/{talk}")
    return answer


# The list --------------------------------------------------------------------------------------------


async def test_the_inbox_lists_who_wrote_what_where(town: Harbour, admin: Browser) -> None:
    page = await admin.page("/admin/inbox")
    for told in (
        "2 conversations, 2 unread in all",
        "Bo Quay",
        "A table for two, please",
        CAFE.name,
        "board",
    ):
        assert told in page.text, told
    assert {f"/admin/inbox/{await key_of(town, kind)}" for kind in ("comment", "direct")} <= {
        each["href"] for each in page.all("a")
    }


async def test_who_was_named_by_an_id_only_is_shown_by_name_once_the_vendor_was_asked(
    town: Harbour, admin: Browser
) -> None:
    """In the list, in the conversation and among the contacts."""
    town.world.mail.names_people = False
    town.world.write_to(CAFE.id, "And on Sunday?", by=Person(id="person-7", name="Cy Moor"))
    await town.deliver_all()
    await town.work()
    assert "Cy Moor" not in (await admin.page("/admin/inbox")).text

    await Namer(town.services).look(naming_nudge(ADMIN.org_id, "memory"))

    (talk,) = (await read(town, CONVERSATIONS, search="Sunday"))["items"]
    for path in ("/admin/inbox", f"/admin/inbox/{talk['id']}", f"/admin/contacts/{talk['contactId']}"):
        assert "Cy Moor" in (await admin.page(path)).text, path


NARROWED = [
    ("kind=comment", "Are you open", "A table for two"),
    ("kind=direct", "A table for two", "Are you open"),
    ("q=tab+TWO", "A table for two", "Are you open"),
    ("who=none&unread=1", "A table for two", "Nothing fits"),
    ("who=me", "Nothing fits", "A table for two"),
    ("tag=vip", "Nothing fits", "A table for two"),
    ("channel=nowhere", "Nothing fits", "A table for two"),
    ("status=closed", "Nothing is closed", "A table for two"),
    ("status=snoozed", "Nothing sleeps", "A table for two"),
    ("status=pending", "Nothing waits for somebody else", "A table for two"),
    ("status=all&p=9", "past the end", "A table for two"),
    ("status=nonsense&kind=%00&p=x", "A table for two", "Nothing fits"),
]


async def test_tabs_filters_and_the_search_narrow_it(town: Harbour, admin: Browser) -> None:
    for query, shown, hidden in NARROWED:
        page = await admin.page(f"/admin/inbox?{query}")
        assert shown in page.text, query
        assert hidden not in page.text, query


async def test_every_empty_inbox_names_the_one_next_step(host: Harbour, admin: Browser) -> None:
    assert "Connect one first" in (await admin.page("/admin/inbox")).text
    assert "Connect one first" in (await admin.page("/admin/contacts")).text
    await host.connect()
    assert "No channel is heard yet" in (await admin.page("/admin/inbox")).text
    await host.select(CAFE.id)
    assert "appear here by themselves" in (await admin.page("/admin/inbox")).text
    assert "Nobody is known yet" in (await admin.page("/admin/contacts")).text


async def test_while_expired_it_says_what_waits_and_how_to_go_on(town: Harbour, admin: Browser) -> None:
    async with town.storage.unit_of_work(ADMIN.org_id) as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.save(attrs.evolve(integration, status=IntegrationStatus.EXPIRED))
    town.world.say("note-1", "Hello?", by=BO)
    await town.deliver_all()
    await town.work()

    page = await admin.page("/admin/inbox")
    assert "One piece of news waits for the connection" in page.text
    assert any(each.get("action") == "/admin/integrations/memory/connect" for each in page.all("form"))
    one = await admin.page(f"/admin/inbox/{await key_of(town, 'direct')}")
    assert "has to be connected again" in one.text
    assert not any(str(each.get("action")).endswith("/answer") for each in one.all("form"))


# One conversation ------------------------------------------------------------------------------------


async def test_looking_changes_nothing_and_the_button_marks_as_read(town: Harbour, admin: Browser) -> None:
    key = await key_of(town, "direct")
    page = await admin.page(f"/admin/inbox/{key}")
    assert "1 unread message" in page.text
    assert (await read(town, f"{CONVERSATIONS}/{key}"))["unreadCount"] == 1
    later = letter(7, 60, person=person(2, "Bo Quay"))
    await tell(town, later)
    await press(admin, key, do="read", upto=page.field("upto"))
    assert (await read(town, f"{CONVERSATIONS}/{key}"))["unreadCount"] == 1, "the one that came meanwhile"
    await press(admin, key, do="read")
    assert (await read(town, f"{CONVERSATIONS}/{key}"))["unreadCount"] == 0
    await press(admin, key, do="unread")
    assert (await read(town, f"{CONVERSATIONS}/{key}"))["unreadCount"] == 1


async def test_close_open_snooze_assign_and_tag(town: Harbour, account: Account, admin: Browser) -> None:
    key = await key_of(town, "comment")

    async def stands() -> dict[str, object]:
        return await read(town, f"{CONVERSATIONS}/{key}")

    await press(admin, key, do="closed")
    assert ((await stands())["status"], (await stands())["unreadCount"]) == ("closed", 0)
    assert "Open again" in (await admin.page(f"/admin/inbox/{key}")).text
    await press(admin, key, do="open")
    await press(admin, key, do="pending")
    assert (await stands())["status"] == "pending"
    await press(admin, key, do="snooze", until="day")
    assert (await stands())["snoozedUntil"] == "2030-06-02T12:00:00Z"
    assert "Comes back" in (await admin.page(f"/admin/inbox/{key}")).text
    await press(admin, key, do="snooze", until="written")
    assert "snoozedUntil" not in await stands()
    await press(admin, key, do="assign", assignee=account.id)
    assert (await stands())["assignee"] == account.id
    assert "boss@a.example (you)" in (await admin.page(f"/admin/inbox/{key}")).text
    assert "you" in (await admin.page("/admin/inbox?status=snoozed&who=me")).text
    await press(admin, key, do="assign", assignee="")
    assert (await stands())["assignee"] is None
    await press(admin, key, do="tag", tags=" vip, größe ,,vip")
    assert (await stands())["tags"] == ["vip", "größe"]
    assert "größe" in (await admin.page("/admin/inbox?status=snoozed")).text


async def test_a_button_that_is_none_changes_nothing(town: Harbour, admin: Browser) -> None:
    key = await key_of(town, "comment")
    before = await read(town, f"{CONVERSATIONS}/{key}")
    nothing: list[dict[str, str]] = [{"do": "explode"}, {}, {"do": "tag", "tags": "x" * 65}]
    for fields in nothing:
        answer = await admin.submit(f"/admin/inbox/{key}/tend", fields)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
    assert await read(town, f"{CONVERSATIONS}/{key}") == before


async def test_a_reply_stands_below_the_comment_and_a_form_sent_twice_replies_once(
    town: Harbour, admin: Browser
) -> None:
    key = await key_of(town, "comment")
    page = await admin.page(f"/admin/inbox/{key}")
    fields = {"text": "Until five", "key": page.field("key"), "upto": page.field("upto")}
    for _ in range(2):
        answer = await press(admin, key, "answer", **fields)
        assert answer.headers["location"].endswith("#latest")
    said = [one for one in town.world.chatter.remarks.values() if one.by is None]
    assert [one.text for one in said] == ["Until five"]
    page = await admin.page(f"/admin/inbox/{key}")
    assert page.text.count("Until five") == 1
    assert (await read(town, f"{CONVERSATIONS}/{key}"))["unreadCount"] == 0, "who answers has read it"


async def test_another_text_in_a_form_that_was_sent_is_no_repetition_of_it(
    town: Harbour, admin: Browser
) -> None:
    """Back in the browser, the text changed, sent again: it neither vanishes nor goes out unasked."""
    talk = await key_of(town, "comment")
    fields = {"key": (await admin.page(f"/admin/inbox/{talk}")).field("key")}
    await press(admin, talk, "answer", **fields, text="Until five")
    other = await admin.submit(f"/admin/inbox/{talk}/answer", {**fields, "text": "Until six"})
    page = Page(other.text)
    assert (other.status_code, "sent before" in page.text, "Until six" in page.text) == (409, True, True)
    assert page.field("key") != fields["key"]
    await press(admin, talk, "answer", key=page.field("key"), text="Until six")
    said = [one.text for one in town.world.chatter.remarks.values() if one.by is None]
    assert said == ["Until five", "Until six"]


async def test_a_message_goes_to_the_person_and_says_how_far_it_got(town: Harbour, admin: Browser) -> None:
    key = await key_of(town, "direct")
    await press(admin, key, "answer", text="At seven?")
    assert "The reply window closes" in (await admin.page(f"/admin/inbox/{key}")).text
    [sent] = [one for one in town.world.mail.letters.values() if one.is_from_board]
    assert sent.text == "At seven?"
    page = await admin.page(f"/admin/inbox/{key}")
    assert "At seven?" in page.text
    assert "Sent" in page.text
    await tell(
        town,
        MessageDelivery(
            channel_external_id=CAFE.id, message_external_id=sent.id, state=DeliveryState.READ, at=at(5)
        ),
    )
    assert "Read" in (await admin.page(f"/admin/inbox/{key}")).text


async def test_what_the_vendor_refuses_is_told_and_nothing_has_to_be_typed_again(
    town: Harbour, admin: Browser
) -> None:
    key = await key_of(town, "comment")
    for trouble, status in ((town.world.refuse_notes, 422), (town.world.go_down, 503)):
        town.world.clear_up()
        trouble()
        answer = await admin.submit(f"/admin/inbox/{key}/answer", {"text": "x" * 501})
        assert answer.status_code in {status, 422}
        page = Page(answer.text)
        assert 'role="alert"' in answer.text
        assert "x" * 501 in page.text
    empty = await admin.submit(f"/admin/inbox/{key}/answer", {"text": "  "})
    assert (empty.status_code, "Write something first" in Page(empty.text).text) == (422, True)


async def back_again(town: Harbour) -> Browser:
    """The admin, whose session is over by now, in a new one."""
    account = await town.storage.accounts.by_email("boss@a.example")
    assert account is not None
    _, token = await open_session(town.services, account)
    fresh = browser_of(town)
    fresh.http.cookies.set("moorage_session", token, domain="127.0.0.1", path="/")
    return fresh


async def test_what_is_typed_here_is_a_persons_own_and_may_come_later(town: Harbour, admin: Browser) -> None:
    key = await key_of(town, "direct")
    town.clock.advance(WINDOW + timedelta(hours=1))
    fresh = await back_again(town)
    await press(fresh, key, "answer", text="Sorry to be late: yes")
    assert "Sorry to be late: yes" in [one.text for one in town.world.mail.letters.values()]
    await fresh.http.aclose()


async def test_a_closed_window_is_said_in_place_of_the_box(town: Harbour, admin: Browser) -> None:
    key = await key_of(town, "direct")
    town.clock.advance(timedelta(days=30))
    fresh = await back_again(town)
    page = await fresh.page(f"/admin/inbox/{key}")
    assert "takes an answer only for a while" in page.text
    assert not any(str(each.get("action")).endswith("/answer") for each in page.all("form"))
    refused = await fresh.submit(f"/admin/inbox/{key}/answer", {"text": "Still there?"})
    assert refused.status_code == 422
    await fresh.http.aclose()


async def test_where_waiting_does_not_help_the_remedy_stands_in_place_of_the_box(
    town: Harbour, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        MemoryDirectMessages, "window", lambda *_: ReplyWindow(remedy="Answer in the hall itself.")
    )
    page = await admin.page(f"/admin/inbox/{await key_of(town, 'direct')}")

    assert "Answer in the hall itself." in page.text
    assert "as soon as" not in page.text
    assert not any(str(each.get("action")).endswith("/answer") for each in page.all("form"))


async def test_a_comment_is_hidden_shown_again_and_answered_in_private(town: Harbour, admin: Browser) -> None:
    key = await key_of(town, "comment")
    [said] = (await read(town, "/crm/inbox/messages", conversationId=key))["items"]
    await press(admin, key, "hide", message=said["id"], hidden="1")
    page = await admin.page(f"/admin/inbox/{key}")
    assert "Hidden" in page.text
    assert "Show again" in page.text
    assert town.world.chatter.remarks[said["externalId"]].is_covered
    await press(admin, key, "hide", message=said["id"], hidden="0")
    assert not town.world.chatter.remarks[said["externalId"]].is_covered

    await press(admin, key, "private", message=said["id"], text="Between us: yes", key="k1")
    assert [one.text for one in town.world.mail.letters.values() if one.is_from_board] == ["Between us: yes"]
    again = await admin.submit(f"/admin/inbox/{key}/private", {"message": said["id"], "text": "Once more"})
    assert again.status_code == 422
    assert "Once more" in Page(again.text).text


async def test_removed_and_odd_messages_have_words(town: Harbour, admin: Browser) -> None:
    remark = next(iter(town.world.chatter.remarks))
    town.world.take_back(remark)
    await town.deliver_all()
    await town.work()
    page = await admin.page(f"/admin/inbox/{await key_of(town, 'comment')}")
    assert "Removed" in page.text
    assert "Are you open" not in page.text


async def test_a_long_thread_has_earlier_messages(town: Harbour, admin: Browser) -> None:
    await tell(town, *(letter(n, n, person=person(2)) for n in range(100, 160)))
    key = await key_of(town, "direct")
    page = await admin.page(f"/admin/inbox/{key}")
    assert "Letter 159" in page.text
    assert "Letter 101" not in page.text
    earlier = await admin.page(f"/admin/inbox/{key}?p=2")
    assert "Letter 101" in earlier.text
    assert "To the newest messages" in earlier.text
    assert "past the end" in (await admin.page(f"/admin/inbox/{key}?p=99")).text


async def test_who_may_only_look_has_no_buttons(town: Harbour, admin: Browser, account: Account) -> None:
    viewer = attrs.evolve(account, id="account-2", email="looker@a.example", role=Role.VIEWER)
    await town.storage.accounts.save(viewer)
    browser = browser_of(town)
    _, token = await open_session(town.services, viewer)
    browser.http.cookies.set("moorage_session", token, domain="127.0.0.1", path="/")
    key = await key_of(town, "comment")
    page = await browser.page(f"/admin/inbox/{key}")
    assert [each["action"] for each in page.all("form")] == ["/admin/sign-out"]
    for action, fields in (
        ("answer", {"text": "x"}),
        ("private", {"text": "x", "message": "ms_1"}),
        ("hide", {"message": "ms_1", "hidden": "1"}),
        ("tend", {"do": "closed"}),
    ):
        answer = await browser.submit(f"/admin/inbox/{key}/{action}", fields)
        assert answer.status_code == 403, action
    refused = await browser.submit("/admin/deliveries/replay", {})
    assert refused.status_code == 403
    await browser.http.aclose()


async def test_what_is_not_there_is_not_found(town: Harbour, admin: Browser) -> None:
    for path in ("/admin/inbox/cv_nothing", "/admin/contacts/ct_nothing"):
        assert (await admin.get(path)).status_code == 404
    for action in ("answer", "private", "hide", "tend"):
        answer = await admin.submit(f"/admin/inbox/cv_nothing/{action}", {"text": "x", "do": "open"})
        assert answer.status_code == 404, action


# Contacts --------------------------------------------------------------------------------------------


async def test_contacts_are_listed_with_their_score_and_shown_with_what_made_it(
    town: Harbour, admin: Browser
) -> None:
    page = await admin.page("/admin/contacts")
    assert re.search(r"Bo Quay .*7\.0", page.text)
    assert page.text.index("Bo Quay") < page.text.index("Ada")
    [bo] = (await read(town, "/crm/contacts", search="bo"))["items"]
    one = await admin.page(f"/admin/contacts/{bo['id']}")
    for told in (
        "7.0",
        "14 days",
        "Commented",
        "+4.0",
        "Are you open tomorrow?",
    ):
        assert told in one.text, told
    assert "A table for two" in one.text
    assert "Nobody is called" in (await admin.page("/admin/contacts?q=nobody")).text
    by_name = await admin.page("/admin/contacts?sort=name")
    assert by_name.text.index("Ada") < by_name.text.index("Bo Quay")
    assert "past the end" in (await admin.page("/admin/contacts?p=9")).text


async def test_what_people_did_is_told_in_words(town: Harbour, admin: Browser) -> None:
    await tell(
        town,
        ReactionSet(
            channel_external_id=CAFE.id,
            target=Target.POST,
            target_external_id="note-1",
            person=person(9),
            reaction="👍",
            at=at(0),
        ),
        comment(9, 1, author=person(9)),
    )
    contacts = (await read(town, "/crm/contacts", sort="name"))["items"]
    nameless = next(one for one in contacts if not one["name"])
    page = await admin.page(f"/admin/contacts/{nameless['id']}")
    assert "Somebody without a name" in page.text
    assert "Reacted: 👍" in page.text


# The overview ----------------------------------------------------------------------------------------


async def test_the_overview_says_what_came_and_what_waits(town: Harbour, admin: Browser) -> None:
    page = await admin.page("/admin")
    for told in ("2 conversations are unread", "2 comments and reactions today", "Latest in the inbox"):
        assert told in page.text, told
    key = await key_of(town, "direct")
    await press(admin, await key_of(town, "comment"), do="closed")
    page = await admin.page("/admin")
    assert "1 conversation is unread" in page.text
    assert f"/admin/inbox/{key}" in {each["href"] for each in page.all("a")}


async def test_what_was_given_up_is_tried_again_by_a_button(town: Harbour, admin: Browser) -> None:
    async with town.storage.database.write(org_id=ADMIN.org_id) as transaction:
        given_up = text("UPDATE inbox SET state = 'dead', settled_at = '2030-06-01 12:00:00.000000'")
        await transaction.run(lambda connection: connection.execute(given_up))
    page = await admin.page("/admin")
    assert "3 deliveries could not be worked on" in page.text
    answer = await admin.submit("/admin/deliveries/replay", {})
    assert answer.status_code == 303
    await town.work()
    assert "could not be worked on" not in (await admin.page("/admin")).text
    assert (await read(town, CONVERSATIONS))["total"] == 2


async def test_our_own_words_are_not_put_into_somebody_elses_mouth(town: Harbour, admin: Browser) -> None:
    """Two letters are unread, and the last word is ours: that one is not quoted as theirs."""
    await tell(town, letter(70, 60, person=person(2, "Bo Quay"), is_ours=True, text="We answered elsewhere"))
    page = await admin.page("/admin")
    assert "The newest is from Bo Quay." in page.text
    assert "You: We answered elsewhere" in page.text
