"""What people come for, without script: connect, pick channels, post, read leads, or be told why not."""

from collections.abc import Mapping
from datetime import timedelta

import attrs
import httpx
import pytest

from moorage.admin.posts import LATEST
from moorage_adapters.memory.world import CAFE
from moorage_ports.crm import CrmLead
from moorage_ports.operations import PublicationStatus
from moorage_ports.publications import Publication
from tests.support.harbour import NOON, Harbour
from tests.support.visitor import Browser, Page, connect


async def channel_id(host: Harbour, external_id: str = "board-1") -> str:
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        channel = await uow.integrations.channel("memory", external_id)
    assert channel is not None
    return channel.id


async def ready(host: Harbour) -> str:
    """Connected, one channel picked; answers that channel's id."""
    await host.connect()
    await host.select("board-1")
    return await channel_id(host)


def ticked(page: Page) -> set[str]:
    return {
        each["value"] for each in page.all("input") if each.get("name") == "channel" and "checked" in each
    }


# Connecting ----------------------------------------------------------------------------------


async def test_connecting_ends_at_the_channels_to_pick(host: Harbour, admin: Browser) -> None:
    back = await connect(host, admin)
    page = await admin.page(back.headers["location"])

    assert "is connected. Now tick the channels" in page.text
    assert "Harbour Café" in page.text
    assert "You can read this board, but you do not keep it." in page.text
    disabled = [each for each in page.all("input") if each.get("name") == "channel" and "disabled" in each]
    assert [each["value"] for each in disabled] == [await channel_id(host, "board-3")]
    assert not ticked(page)


async def test_picked_channels_stay_ticked_and_are_heard(host: Harbour, admin: Browser) -> None:
    await connect(host, admin)
    picked = await channel_id(host)
    saved = await admin.submit("/admin/integrations/memory/channels", {"channel": [picked]})
    assert saved.status_code == 303
    page = await admin.page(saved.headers["location"])

    assert ticked(page) == {picked}
    assert "Saved. 1 channel managed; their news arrives here." in page.text
    assert "Heard" in page.text
    assert host.world.sending == {CAFE.id}


async def test_unticking_everything_is_a_choice_too(host: Harbour, admin: Browser) -> None:
    await ready(host)
    saved = await admin.submit("/admin/integrations/memory/channels", {})

    assert saved.status_code == 303
    assert not ticked(await admin.page("/admin/integrations/memory"))
    assert host.world.sending == set()


async def test_a_channel_that_nobody_offered_is_refused_in_words(host: Harbour, admin: Browser) -> None:
    await ready(host)
    answer = await admin.submit("/admin/integrations/memory/channels", {"channel": ["nothing-of-ours"]})

    assert answer.status_code == 422
    assert "does not fit" in Page(answer.text).text
    assert ticked(Page(answer.text)) == {await channel_id(host)}


async def test_a_channel_that_can_not_be_heard_says_why(host: Harbour, admin: Browser) -> None:
    await connect(host, admin)
    host.world.take_board(CAFE.id)
    answer = await admin.submit("/admin/integrations/memory/channels", {"channel": [await channel_id(host)]})

    assert answer.status_code == 200
    page = Page(answer.text)
    assert "Not heard" in page.text or "connect again" in page.text.casefold()


async def test_refusing_at_the_vendor_is_told_with_the_way_out(host: Harbour, admin: Browser) -> None:
    leaving = await admin.submit("/admin/integrations/memory/connect", {})
    (refresh,) = [each for each in Page(leaving.text).all("meta") if each.get("http-equiv") == "refresh"]
    back = await admin.get(host.world.refuse(refresh["content"].removeprefix("0; url=")))
    page = await admin.page(back.headers["location"])

    assert "The permission was not given" in page.text
    assert "Try again" in page.text


@pytest.mark.parametrize("code", ["never_heard_of", "x" * 500, "%3Cb%3E", ""])
async def test_a_code_in_the_address_never_speaks_for_itself(admin: Browser, code: str) -> None:
    page = await admin.page(f"/admin/integrations/memory?integration=error&code={code}")

    assert "That did not work" in page.text
    assert "never_heard_of" not in page.text
    assert "x" * 50 not in page.text


async def test_a_vendor_that_is_away_is_said_in_place(host: Harbour, admin: Browser) -> None:
    await ready(host)
    host.world.go_down()
    page = await admin.page("/admin/integrations/memory?fresh=1")

    assert "Out of reach just now" in page.text
    assert "Harbour Café" in page.text


async def test_a_vendor_that_is_not_installed_is_not_found(admin: Browser) -> None:
    for answer in [
        await admin.get("/admin/integrations/nobody"),
        await admin.submit("/admin/integrations/nobody/connect", {}),
        await admin.submit("/admin/integrations/nobody/channels", {}),
    ]:
        assert answer.status_code == 404


# Posts ---------------------------------------------------------------------------------------


async def write(admin: Browser, fields: Mapping[str, str], key: str = "") -> httpx.Response:
    page = await admin.page("/admin/posts")
    return await admin.submit("/admin/posts", {"key": key or page.field("key"), **fields})


async def test_a_post_goes_out_and_its_page_says_so(host: Harbour, admin: Browser) -> None:
    channel = await ready(host)
    written = await write(
        admin,
        {"channel": channel, "text": "Spring sale\r\nstarts now", "link": "https://shop.example/spring"},
    )
    assert written.status_code == 303
    page = await admin.page(written.headers["location"])

    assert "Published just now" in page.text
    (note,) = host.world.notes.values()
    assert (note.text, note.link) == ("Spring sale\nstarts now", "https://shop.example/spring")
    assert "Spring sale starts now" in (await admin.page("/admin/posts")).text


async def test_one_form_sent_twice_publishes_once(host: Harbour, admin: Browser) -> None:
    channel = await ready(host)
    fields = {"channel": channel, "text": "once"}
    first = await write(admin, fields, key="the-same-key")
    second = await write(admin, fields, key="the-same-key")

    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert len(host.world.notes) == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"text": ""}, "Write a text"),
        ({"text": "x", "link": "shop.example"}, "whole web address"),
        ({"text": "x", "link": "javascript:alert(1)"}, "whole web address"),
        ({"text": "x", "images": "https://a.example/1.jpg\nno address"}, "Each line"),
        ({"text": "x", "images": "\n".join(f"https://a.example/{i}.jpg" for i in range(11))}, "ten at most"),
        ({"text": "x", "channel": ""}, "Choose a channel"),
        ({"text": "x", "channel": "nobody's"}, "Choose a channel"),
    ],
)
async def test_a_form_that_does_not_fit_comes_back_as_it_was_typed(
    host: Harbour, admin: Browser, fields: dict[str, str], told: str
) -> None:
    channel = await ready(host)
    answer = await write(admin, {"channel": channel, **fields})
    page = Page(answer.text)

    assert answer.status_code == 422
    assert told in page.text
    assert page.field("link") == fields.get("link", "")
    assert fields.get("images", "")[:20] in page.text
    assert not host.world.notes


async def test_a_refused_post_says_what_to_do_and_can_be_written_again(host: Harbour, admin: Browser) -> None:
    channel = await ready(host)
    host.world.refuse_notes()
    refused = await write(admin, {"channel": channel, "text": "buy now!!!"})
    assert refused.status_code == 422
    assert "The vendor said no" in Page(refused.text).text
    (publication,) = await _publications(host)
    page = await admin.page(f"/admin/posts/{publication.id}")
    assert "The post was not published" in page.text
    (again,) = [each["href"] for each in page.all("a") if "again=" in each.get("href", "")]

    assert "buy now!!!" in (await admin.page(again)).text


async def test_a_lost_answer_is_never_told_as_a_failure(host: Harbour, admin: Browser) -> None:
    channel = await ready(host)
    form = await admin.page("/admin/posts")
    # The preflight asks nothing of the vendor that could get lost before the post itself.
    host.world.drop_answers()
    written = await admin.submit(
        "/admin/posts", {"key": form.field("key"), "channel": channel, "text": "did it arrive?"}
    )
    (publication,) = await _publications(host)

    assert written.status_code == 303
    assert publication.status is PublicationStatus.UNCONFIRMED
    assert "never send it twice" in (await admin.page(written.headers["location"])).text
    assert "A post is not confirmed yet" in (await admin.page("/admin")).text


async def test_the_list_holds_the_latest(host: Harbour, admin: Browser) -> None:
    await ready(host)
    for number in range(LATEST + 3):
        host.clock.advance(timedelta(seconds=1))
        await host.publish(f"post number {number}.")
    page = await admin.page("/admin/posts")

    assert f"post number {LATEST + 2}." in page.text
    assert "post number 2." not in page.text


async def _publications(host: Harbour) -> tuple[Publication, ...]:
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        return await uow.publications.latest(limit=10)


# Leads ---------------------------------------------------------------------------------------


async def add_leads(host: Harbour, number: int) -> None:
    lead = CrmLead(
        id="",
        external_id="",
        vendor="memory",
        channel_external_id="board-1",
        source="memory",
        created_at=NOON,
    )
    async with host.storage.unit_of_work("org-a") as uow:
        for place in range(number):
            await uow.leads.add(
                attrs.evolve(
                    lead,
                    id=f"lead-{place}",
                    external_id=f"x-{place}",
                    first_name=f"Person{place}",
                    email=f"person{place}@customer.example",
                    phone="+49 30 901820",
                    created_at=NOON - timedelta(hours=place),
                )
            )


async def test_a_lead_that_the_vendor_sends_is_on_the_page(host: Harbour, admin: Browser) -> None:
    await ready(host)
    assert "Listening for the first lead" in (await admin.page("/admin/leads")).text
    host.world.fill_in(
        "form-1",
        {"email": ("ines@customer.example",), "full_name": ("Ines Müller",), "roast": ("Dark", "Light")},
    )
    await host.deliver_all()
    await host.work()
    page = await admin.page("/admin/leads")
    (lead_id,) = [each["data-key"] for each in page.all("tr") if "data-key" in each]
    lead = await admin.page(f"/admin/leads/{lead_id}")

    assert "Ines Müller" in page.text
    assert "Ines Müller" in (await admin.page("/admin")).text
    for answer in ["ines@customer.example", "Dark", "Light", "Roast", "Harbour Café"]:
        assert answer in lead.text


async def test_lists_shorten_addresses_and_numbers_and_a_record_shows_them_u6(
    host: Harbour, admin: Browser
) -> None:
    await ready(host)
    await add_leads(host, 1)
    for path in ["/admin", "/admin/leads", "/admin/leads?q=person0@customer"]:
        text = (await admin.get(path)).text
        assert "Person0" in text
        assert "person0@customer.example" not in text
        assert "901820" not in text
    record = (await admin.page("/admin/leads/lead-0")).text

    assert "person0@customer.example" in record
    assert "+49 30 901820" in record


async def test_a_long_list_has_pages_and_a_search(host: Harbour, admin: Browser) -> None:
    await add_leads(host, 60)
    first, last = await admin.page("/admin/leads"), await admin.page("/admin/leads?p=3")
    assert "1 to 25 of 60" in first.text
    assert "51 to 60 of 60" in last.text
    assert "past the end" in (await admin.page("/admin/leads?p=9")).text

    found = await admin.page("/admin/leads?q=person7")
    assert "1 lead for “person7”" in found.text
    assert "Person7" in found.text
    assert "Nobody matches “%”" in (await admin.page("/admin/leads?q=%25")).text


@pytest.mark.parametrize(
    "query", ["p=0", "p=-1", "p=x", "p=١", "p=" + "9" * 40, "q=" + "ä" * 5000, "q=%00", "x=1"]
)
async def test_any_query_is_a_page(host: Harbour, admin: Browser, query: str) -> None:
    await add_leads(host, 1)

    assert (await admin.get(f"/admin/leads?{query}")).status_code == 200


# Overview ------------------------------------------------------------------------------------


async def test_the_overview_of_an_empty_org_names_the_one_next_step(admin: Browser) -> None:
    page = await admin.page("/admin")

    assert "Nothing is moored here yet" in page.text
    assert "Connect Memory" in page.text


async def test_the_overview_asks_for_what_is_missing_next(host: Harbour, admin: Browser) -> None:
    await host.connect()
    assert "Choose the channels of Memory" in (await admin.page("/admin")).text
    await host.select("board-1")
    assert "Everything is connected and nothing waits for you." in (await admin.page("/admin")).text
    host.clock.advance(timedelta(days=50))
    await admin.sign_in()

    assert "Memory is about to expire" in (await admin.page("/admin")).text
    assert "in 10 days" in (await admin.page("/admin")).text


async def test_the_drawing_counts_what_the_table_beneath_it_says(host: Harbour, admin: Browser) -> None:
    await ready(host)
    await add_leads(host, 30)  # one an hour: 13 today, 17 yesterday
    page = await admin.page("/admin")

    assert "Leads today 13 30 in all" in page.text
    assert "Sat 01 Jun: 13 leads" in page.text
    assert "Fri 31 May 17" in page.text
    assert len(page.all("rect")) == 2 * 14


async def test_a_test_lead_is_in_none_of_the_overviews_numbers(host: Harbour, admin: Browser) -> None:
    await ready(host)
    await add_leads(host, 1)
    async with host.storage.unit_of_work("org-a") as uow:
        (real,) = (await uow.leads.page(page=1, page_size=2)).items
        tried = attrs.evolve(real, id="tried", external_id="tried", first_name="Dummy", is_test=True)
        await uow.leads.add(tried)
    page = await admin.page("/admin")

    assert "Leads today 1 1 in all" in page.text
    assert "Dummy" not in page.text


async def test_with_more_leads_than_are_read_only_whole_days_are_drawn(host: Harbour, admin: Browser) -> None:
    await ready(host)
    async with host.storage.unit_of_work("org-a") as uow:
        for place in range(520):
            lead = CrmLead(
                id=f"m{place}",
                external_id=f"m{place}",
                vendor="memory",
                channel_external_id="board-1",
                source="memory",
                created_at=NOON - timedelta(minutes=10 * place),
            )
            await uow.leads.add(lead)
    page = await admin.page("/admin")

    assert "Leads today 73 520 in all" in page.text
    assert len(page.all("rect")) == 2 * 3
