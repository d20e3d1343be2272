"""A phone's chats, handed over to a whole host: rows of one thread each, shown as what they are."""

from pathlib import Path

from moorage_ports.conversations import ConversationFilter
from tests.support.listening import listening_host
from tests.unit.facebook.fixtures import DAY, NUMBER, at
from tests.unit.facebook.test_whatsapp_history import ADA, TOM, delivery, history, news, said, thread

ORG = "org-a"


async def test_a_history_that_comes_twice_stands_once_in_the_inbox_and_calls_nobody(tmp_path: Path) -> None:
    """250 messages of one person, one of another; the last of the 250 comes as news as well."""
    told = delivery(
        history(thread(ADA, *(said(number, ADA) for number in range(250))), thread(TOM, said(900, TOM)))
    )
    async with listening_host(tmp_path, {ORG: [NUMBER]}) as host:
        for body in (told, delivery(news(249)), told):
            assert (await host.deliver(body)).status_code == 200
            await host.work()

        assert await host.states() == {("done", ""): 5}
        assert (await host.count("message"))["message"] == 251
        async with host.services.storage.unit_of_work(ORG, reads_only=True) as uow:
            talks = await uow.conversations.page(
                ConversationFilter(), page=1, page_size=9, now=host.services.clock.now()
            )
        found = [(talk.record.unread_count, talk.record.reply_until) for talk in talks.items]
        assert found == [(0, None), (1, at(249) + DAY)]
