"""Words: what is one, what finds it, and that a search means nothing but words."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from moorage_adapters.sqlmodel.crm_search import MAX_WORD, MAX_WORDS, indexed, org_key, words_of
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.conversations import ConversationFilter
from tests.unit.adapters.crm_things import at, contact, conversation, identity, keep, ledger_of, message
from tests.unit.adapters.things import VENDOR


async def found(storage: SqlStorage, search: str, *, org_id: str = "a") -> set[str]:
    async with storage.unit_of_work(org_id, reads_only=True) as uow:
        page = await uow.conversations.search_messages(search, page=1, page_size=500)
    assert page.total == len(page.items)
    return {one.record.id for one in page.items}


async def entries(storage: SqlStorage) -> int:
    """How many records of the org "a" the index of words has."""
    async with storage.database.read(org_id="a") as transaction:
        return await transaction.run(
            lambda connection: int(connection.execute(text("SELECT count(*) FROM search_words")).scalar_one())
        )


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Fresh scones, today!", ["fresh", "scones", "today"]),
        ("Straße STRASSE", ["strasse"]),
        ("Café CAFÉ cafe\u0301", ["cafe"]),
        ("İstanbul ıslak", ["istanbul", "ıslak"]),
        ("ﬁne ½", ["fine", "1", "2"]),
        ("don't a_b e-mail@x.example", ["don", "t", "a", "b", "e", "mail", "x", "example"]),
        ("東京タワー", list("東京タワー")),
        ("สวัสดี ok", [*"สวด", "ok"]),
        ("+44 (0)20 7946", ["44", "0", "20", "7946"]),
        ("👍 🎉", []),
        ("Ελλάδα Привет", ["ελλαδα", "привет"]),
        ("", []),
        ("a\0b\ud800c", ["a", "b", "c"]),
        ("x" * 100, ["x" * MAX_WORD]),
    ],
)
def test_words_are_lower_case_without_accents(written: str, words: list[str]) -> None:
    assert words_of(written) == words


def test_a_text_of_many_words_is_cut_off() -> None:
    assert len(words_of(" ".join(map(str, range(10_000))))) == MAX_WORDS


def test_every_word_in_the_index_begins_with_its_orgs_key() -> None:
    key = org_key("a")
    assert indexed(key, "Two words") == f"{key}two {key}words"
    assert indexed(key, "👍") == ""
    assert len(org_key("b" * 64)) == len(key)
    assert org_key("b") != key


@pytest.mark.parametrize(
    ("search", "finds"),
    [
        ("scones", True),
        ("SCO", True),
        ("scones fresh", True),
        ("fre sco", True),
        ("cafe", True),
        ("CAFÉ", True),
        ("strasse", True),
        ("straße 12", True),
        ("12", True),
        ("京", True),
        ("東京", True),
        ("東 京", True),
        ("cones", False),
        ("scones tea", False),
        ("%", False),
        ("_", False),
        ("s%s", True),  # two words, each of which begins one
        ("*", False),
        ("'", False),
        ("👍", False),
        ("\\", False),
        ("\0", False),
        ("\ud800", False),
    ],
)
async def test_a_search_finds_what_has_a_word_that_begins_so_for_each_of_its_words(
    storage: SqlStorage, search: str, finds: bool
) -> None:
    await keep(storage, "a", message(1, text="Fresh scones at Café Quay, Straße 12, 東京 👍"))
    assert await found(storage, search) == ({"ms_1"} if finds else set())


async def test_nothing_to_search_for_leaves_conversations_alone_and_only_signs_leave_none(
    storage: SqlStorage,
) -> None:
    await keep(storage, "a", conversation(1), message(1))

    async def total(search: str) -> int:
        async with storage.unit_of_work("a", reads_only=True) as uow:
            wanted = ConversationFilter(search=search)
            return (await uow.conversations.page(wanted, page=1, page_size=9, now=at(9))).total

    assert [await total(search) for search in ("", "  ", "text", "?!", "%")] == [1, 1, 1, 0, 0]


async def test_conversations_are_found_by_any_of_their_words_and_their_persons_names(
    storage: SqlStorage,
) -> None:
    await keep(
        storage,
        "a",
        contact(1, name="Ada Reed"),
        identity(1, name="Ada", handle="quaylady"),
        contact(2, merged_into="ct_1"),
        identity(2, name="Lady of the Quay"),
        *(conversation(n) for n in (1, 2, 3)),
        *(message(n) for n in (1, 2, 3)),
        message(4, conversation_id="cv_3", text="an old word"),
    )

    async def ids(search: str) -> list[str]:
        async with storage.unit_of_work("a", reads_only=True) as uow:
            wanted = ConversationFilter(search=search)
            page = await uow.conversations.page(wanted, page=1, page_size=9, now=at(9))
        return [one.record.id for one in page.items]

    assert await ids("old") == ["cv_3"]
    assert await ids("reed") == ["cv_1"]
    assert await ids("quaylady") == ["cv_1"]
    assert await ids("lady quay") == ["cv_2"]
    assert await ids("text") == ["cv_3", "cv_2", "cv_1"]


# The index follows the records ---------------------------------------------------------------------


async def test_what_is_written_anew_is_found_by_its_new_words_only(storage: SqlStorage) -> None:
    await keep(storage, "a", message(1, text="before"))
    await keep(storage, "a", message(1, text="after"))
    assert (await found(storage, "before"), await found(storage, "after")) == (set(), {"ms_1"})


async def test_what_is_removed_is_found_no_more_and_leaves_no_word_behind(storage: SqlStorage) -> None:
    await keep(storage, "a", message(1, text="secret"))
    assert await entries(storage) == 1
    for gone in (message(1, text="", removed_at=at(9)), message(1, text="secret", removed_at=at(9))):
        await keep(storage, "a", gone)
        assert await found(storage, "secret") == set()
        assert await entries(storage) == 0


async def test_what_was_only_heard_of_is_not_found(storage: SqlStorage) -> None:
    """Its text came as an edit, before the message itself."""
    await keep(storage, "a", message(1, text="early", is_known=False))
    assert await found(storage, "early") == set()
    await keep(storage, "a", message(1, text="early"))
    assert await found(storage, "early") == {"ms_1"}


async def test_a_record_that_was_loaded_and_changed_is_indexed_anew_within_one_transaction(
    storage: SqlStorage,
) -> None:
    """What the store remembers to have indexed must not make it skip a change back."""
    await keep(storage, "a", message(1, text="one"))
    async with storage.unit_of_work("a") as uow:
        [loaded] = await uow.crm_records.messages_of(["cv_1"])
        for word in ("two", "", "one", "three", "one"):
            loaded.text = word
            await uow.crm_records.save(ledger_of([loaded]))
    assert (await found(storage, "one"), await found(storage, "three")) == ({"ms_1"}, set())


# Whatever is typed -----------------------------------------------------------------------------------

_ALPHABET = st.sampled_from("abA1äßÉıſK東%_\\/'\"*:&|!()<>-+~^$?[]{}; \n\0\ud800👍")
_TYPED = st.text(alphabet=_ALPHABET, max_size=8) | st.sampled_from(
    [
        "a OR b",
        "a AND b",
        "NOT a",
        "NEAR(a b)",
        "a:*",
        "words:a",
        "a & !b",
        "'; DROP TABLE lead; --",
        "$1",
        ":query",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(texts=st.lists(st.text(alphabet=_ALPHABET, max_size=14), min_size=1, max_size=6), search=_TYPED)
async def test_a_search_means_nothing_but_its_words_on_either_database(
    storage: SqlStorage, texts: list[str], search: str
) -> None:
    await keep(storage, "a", *(message(n, text="") for n in range(6)))
    await keep(storage, "b", *(message(n, text=search) for n in range(6)))
    await keep(storage, "a", *(message(n, text=one) for n, one in enumerate(texts)))
    asked = words_of(search)
    expected = {
        f"ms_{n}"
        for n, one in enumerate(texts)
        if asked and all(any(word.startswith(begins) for word in words_of(one)) for begins in asked)
    }
    assert await found(storage, search) == expected


@pytest.mark.parametrize("search", ["x" * 100_000, "a " * 50_000, "東" * 10_000])
async def test_a_search_of_any_length_is_answered(storage: SqlStorage, search: str) -> None:
    await keep(storage, "a", message(1, text="x" * 60_000))
    await found(storage, search)


async def test_a3_words_of_another_org_find_nothing_even_beside_the_store(storage: SqlStorage) -> None:
    await keep(storage, "a", message(1, text="secret"))
    assert await found(storage, "secret", org_id="b") == set()
    assert await found(storage, f"{org_key('a')}secret", org_id="b") == set()
    assert await found(storage, VENDOR, org_id="a") == set()
