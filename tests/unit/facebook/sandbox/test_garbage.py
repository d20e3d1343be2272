"""Whatever a caller sends, the sandbox answers; and the fields language loses nothing."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import attrs
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_facebook.sandbox.entities import Setting
from moorage_facebook.sandbox.errors import GraphError
from moorage_facebook.sandbox.fields import Field, parse_fields
from moorage_facebook.sandbox.params import read_sent
from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID
from moorage_facebook.sandbox.store import StateFile, Table
from moorage_facebook.sandbox.wire import spell
from tests.unit.facebook.sandbox.driver import EVERYTHING, FORM, PAGE, Driver, Host, opened

names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=8)
arguments = st.dictionaries(
    names.filter(lambda name: name != "as"), st.text("abc0123, :", max_size=6), max_size=2
)
fields = st.recursive(
    st.builds(Field, name=names, arguments=arguments),
    lambda inner: st.builds(
        Field, name=names, arguments=arguments, alias=names, sub=st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)
paths = st.lists(
    st.sampled_from(
        [
            "v26.0",
            "me",
            PAGE,
            FORM,
            "feed",
            "leads",
            "oauth",
            "access_token",
            "dialog",
            "debug_token",
            "..",
            "%00",
            "é",
        ]
    )
    | st.text(max_size=5),
    max_size=4,
).map("/".join)
keys = st.sampled_from(
    [
        "access_token",
        "fields",
        "limit",
        "after",
        "before",
        "batch",
        "ids",
        "input_token",
        "method",
        "filtering",
    ]
)
values = st.text(max_size=20) | st.sampled_from(
    ["-1", "9" * 30, "[]", "{}", '[{"method":1}]', "NaN", "[" * 500, "a{" * 40, "MTox", "1|2", "\x00"]
)


@attrs.frozen(kw_only=True)
class Talking:
    """A sandbox in which things were said, and who may do everything there."""

    sandbox: Driver
    user: str
    page: str
    nodes: dict[str, str]


@pytest.fixture
async def talking(sandbox: Driver) -> Talking:
    await sandbox.control("bulk", posts=1, commentsPerPost=3, reactionsPerPost=3)
    await sandbox.control("bulk", channel="instagram", posts=1, commentsPerPost=3)
    await sandbox.control("messages", text="hello")
    state, user = await sandbox.state(), await sandbox.user_token(EVERYTHING)
    kinds = {
        "post": "posts",
        "comment": "comments",
        "thread": "threads",
        "media": "instagramMedia",
        "remark": "instagramComments",
    }
    nodes = {name: state[kind][-1]["id"] for name, kind in kinds.items()}
    return Talking(sandbox=sandbox, user=user, page=await sandbox.page_token(token=user), nodes=nodes)


talk_keys = st.sampled_from(
    [
        *("message", "recipient", "messaging_type", "tag", "sender_action", "reply_to", "attachment_url"),
        *(
            "is_hidden",
            "hide",
            "filter",
            "order",
            "since",
            "summary",
            "type",
            "to",
            "text",
            "image",
            "context",
        ),
        *("messaging_product", "status", "message_id", "template", "platform", "user_id", "fields", "limit"),
    ]
)
talk_values = st.sampled_from(
    [
        *(
            "true",
            "stream",
            "chronological",
            "whatsapp",
            "image",
            "read",
            "template",
            "instagram",
            "HUMAN_AGENT",
        ),
        *('{"id":1}', '{"id":[]}', '{"comment_id":"1_2"}', '{"text":"hi"}', '{"text":1}', '{"mid":"m_1"}'),
        *('{"attachment":{"type":"image","payload":null}}', '{"link":"x"}', '{"body":"hi"}', "4915112345678"),
        *(
            "comments{comments{comments{id}}}",
            "replies.limit(0){id}",
            "from{id},parent{id},attachment{media}",
        ),
    ]
)


@given(st.lists(fields, min_size=1, max_size=4))
def test_fields_survive_writing_and_reading(wanted: list[Field]) -> None:
    assert parse_fields(spell(wanted)) == tuple(wanted)


@given(st.text())
def test_any_text_parses_or_is_a_graph_error(text: str) -> None:
    with suppress(GraphError):
        parse_fields(text)


@given(
    query=st.text(),
    content_type=st.text()
    | st.sampled_from(
        [
            "application/json",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded; charset=ä",
        ]
    ),
    body=st.binary(),
)
def test_any_body_is_read_or_refused(query: str, content_type: str, body: bytes) -> None:
    with suppress(GraphError):
        sent = read_sent(query, content_type, body)
        assert all(isinstance(value, str) for value in sent.params.values())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"]),
    path=paths,
    params=st.dictionaries(keys, values, max_size=4),
    content_type=st.sampled_from(["", "application/json", "multipart/form-data; boundary=x", "text/plain"]),
    body=st.binary(max_size=60),
    signed=st.booleans(),
)
async def test_the_wire_never_fails(
    sandbox: Driver,
    method: str,
    path: str,
    params: dict[str, str],
    content_type: str,
    body: bytes,
    signed: bool,
) -> None:
    if signed:
        params = {"access_token": sandbox.app_token, **params}
    url = httpx.URL(f"http://sandbox.test/{quote(path.lstrip('/'), safe='/%')}", params=params)
    answer = await sandbox.client.request(
        method, url, content=body, headers={"content-type": content_type}, follow_redirects=False
    )

    assert answer.status_code < 500


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST"]),
    where=st.sampled_from(
        [
            *("{post}/comments", "{post}/reactions", "{comment}", "{comment}/comments", "{comment}/likes"),
            *(
                f"{PAGE}/messages",
                f"{PAGE}/conversations",
                "{thread}/messages",
                "{media}/comments",
                "{remark}",
            ),
            *("{remark}/replies", f"{INSTAGRAM_ID}/messages", f"{PHONE_NUMBER_ID}/messages"),
        ]
    ),
    params=st.dictionaries(talk_keys, talk_values | values, max_size=5),
)
async def test_talking_never_fails(talking: Talking, method: str, where: str, params: dict[str, str]) -> None:
    """With a token that may do everything, on nodes that are there."""
    path = where.format(**talking.nodes)
    token = talking.user if PHONE_NUMBER_ID in path else talking.page
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in params.items()}
    answer = await talking.sandbox.graph(method, path, token, **clean)

    assert answer.status_code < 500 or answer.json()["error"]["code"] == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        [
            *("leads", "consent", "faults", "clock", "pages", "webhooks", "revoke", "reset"),
            *("comments", "reactions", "shares", "media", "messages", "bulk"),
        ]
    ),
    body=st.binary(max_size=40)
    | st.sampled_from(
        [
            *(b"[" * 5_000, b'{"authUrl":"http://[::1"}', b'"\\ud800"', b"null"),
            *(b'{"text":"\\u0000"}', b'{"text":"x","person":"\\u0000"}', b'{"text":"x","count":1e9}'),
            b'{"text":"x","createdTime":"yesterday"}',
        ]
    ),
)
async def test_control_never_fails(sandbox: Driver, path: str, body: bytes) -> None:
    answer = await sandbox.client.post(f"/_sandbox/{path}", content=body)

    assert answer.status_code in {200, 400}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.dictionaries(
        st.sampled_from(["q0", "q1", "q2", "decision", "client_id", "user", "days"]), st.text()
    )
)
async def test_pages_never_fail(sandbox: Driver, form: dict[str, str]) -> None:
    for path in (f"/sandbox/forms/{FORM}", "/v26.0/dialog/oauth", "/sandbox/act"):
        encoded = {name: value.encode("utf-8", "replace").decode() for name, value in form.items()}
        answer = await sandbox.client.post(path, data=encoded, follow_redirects=False)
        assert answer.status_code < 500


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.text(max_size=3)), max_size=20))
def test_a_table_reads_back_what_was_written(
    tmp_path_factory: object, steps: list[tuple[str, str | None]]
) -> None:
    file = StateFile(None)
    file._keep = True
    table = Table("setting", Setting)
    for row_id, value in steps:
        if value is None:
            table.drop(row_id)
        else:
            table.put(Setting(id=row_id, value=value))
        file.write([("setting", table.changes())])
    again = Table("setting", Setting)
    again.load(file.read("setting"))
    file.close()

    assert {row.id: row for row in again} == {row.id: row for row in table}


async def test_a_file_in_the_way_of_nothing(host: Host, tmp_path: Path) -> None:
    """The state file's folder is made when it is missing."""
    async with opened(host, tmp_path / "a" / "b" / "s.db") as driver:
        assert (await driver.client.get("/")).status_code == 200
