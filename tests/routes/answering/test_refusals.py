"""Who may not answer, and what stops it."""

import attrs
import msgspec
import pytest

from moorage.crm.merge import message_id_of, thread_id_of
from moorage_adapters.memory.things import SEND_LETTERS, WRITE_NOTES
from moorage_adapters.memory.world import CAFE
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import Role
from tests.support.answering import (
    CALL,
    REHEARSE,
    TALK,
    ask,
    code_of,
    comment,
    hear,
    messages,
    ours,
    told,
    write,
)
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, Harbour

# Who may not ------------------------------------------------------------------------------------


async def test_what_is_no_conversation_of_that_kind_is_refused(quick: Harbour) -> None:
    remark = await comment(quick)
    thread = thread_id_of("memory", remark)
    (letter,) = await messages(quick)
    asked = [
        await ask(quick, "write", {"conversationId": "cv_nothing", "text": "x"}),
        await ask(quick, "write", {"conversationId": thread, "text": "x"}),
        await ask(quick, "reply", {"conversationId": TALK, "text": "x"}),
        await ask(quick, "reply", {"commentId": letter.record.id, "text": "x"}),
        await ask(quick, "hide", {"commentId": letter.record.external_id}),
        await ask(quick, "reply", {"commentId": "ms_nothing", "text": "x"}),
        await ask(quick, "reply", {"text": "x"}),
        await ask(quick, "reply", {"commentId": remark, "conversationId": thread, "text": "x"}),
        await ask(quick, "reply", {"commentId": remark, "text": "  "}),
        await ask(quick, "write", {"conversationId": TALK, "text": " "}),
        await ask(quick, "write", {"conversationId": TALK, "attachments": [{"type": "image", "url": "x"}]}),
    ]

    assert [answer.status_code for answer in asked] == [404, 422, 422, 422, 422, 404, *[422] * 5]
    assert (told(quick), await ours(quick), await ours(quick, thread)) == ([], [], [])
    assert all(one.by is not None for one in quick.world.chatter.remarks.values())


async def test_another_orgs_conversation_is_nobodys(quick: Harbour) -> None:
    other = attrs.evolve(ADMIN, org_id="org-b", user_id="user-2")
    await quick.connect(other)
    await quick.select(CAFE.id, caller=other)
    remark = await comment(quick)
    headers = headers_of(quick, "org-b", user_id="user-2")
    calls = quick.world.calls
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": message_id_of("memory", remark), "text": "x"}),
        ("hide", {"commentId": message_id_of("memory", remark)}),
    ):
        answer = await quick.http.post(
            f"{CALL}/{operation}", content=msgspec.json.encode(body), headers=headers
        )
        assert code_of(answer) == (404, "not_found"), operation
    assert quick.world.calls == calls


async def test_only_agents_answer(quick: Harbour) -> None:
    remark = await comment(quick)
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        assert (await ask(quick, operation, body, role=Role.VIEWER)).status_code == 403, operation
    assert told(quick) == []


async def test_a_rehearsal_sends_nothing(quick: Harbour) -> None:
    remark = await comment(quick)
    calls = quick.world.calls
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        answer = await ask(quick, operation, body, to=REHEARSE)
        assert (answer.status_code, answer.json()["valid"]) == (200, True), answer.text
    assert (quick.world.calls, await ours(quick)) == (calls, [])
    assert not quick.world.chatter.remarks[remark].is_covered


# The grant -----------------------------------------------------------------------------------------


async def test_without_a_grant_nothing_is_sent(quick: Harbour) -> None:
    """412: the first refusal ends the integration, later ones are not even asked."""
    remark = await comment(quick)
    quick.world.revoke_grant()

    assert code_of(await write(quick)) == (412, "reconnect_required")
    assert (await quick.integration()).status is IntegrationStatus.EXPIRED
    calls = quick.world.calls
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        assert code_of(await ask(quick, operation, body)) == (412, "reconnect_required"), operation
    assert quick.world.calls == calls
    await quick.connect()
    assert (await write(quick)).status_code == 200


async def test_hiding_hears_of_a_lost_grant_too(quick: Harbour) -> None:
    remark = await comment(quick)
    quick.world.revoke_grant()

    assert code_of(await ask(quick, "hide", {"commentId": remark})) == (412, "reconnect_required")
    assert (await quick.integration()).status is IntegrationStatus.EXPIRED


async def test_a_missing_scope_names_the_way_out(quick: Harbour) -> None:
    remark = await comment(quick)
    quick.world.drop_scope(SEND_LETTERS, WRITE_NOTES)
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        answer = await ask(quick, operation, body)
        assert code_of(answer) == (403, "missing_scope"), operation
        assert answer.json()["remedy"]
    assert (await quick.integration()).status is IntegrationStatus.ACTIVE


async def test_a_channel_that_was_taken_hits_that_channel_only(quick: Harbour) -> None:
    quick.world.take_board(CAFE.id)

    assert code_of(await write(quick)) == (412, "reconnect_required")
    assert (await quick.integration()).status is IntegrationStatus.ACTIVE
    calls = quick.world.calls
    assert code_of(await write(quick)) == (412, "reconnect_required")
    assert quick.world.calls == calls


async def test_what_was_written_stands_in_no_log(
    quick: Harbour, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever becomes of it."""
    caplog.set_level(0)
    await write(quick, "Your code is 4711-0815")
    quick.world.drop_answers()
    await write(quick, "Your code is 4711-0815")
    quick.world.clear_up()
    quick.world.refuse_notes()
    await write(quick, "Your code is 4711-0815")
    await hear(quick)

    printed = capsys.readouterr()
    assert "4711-0815" not in caplog.text + printed.out + printed.err
