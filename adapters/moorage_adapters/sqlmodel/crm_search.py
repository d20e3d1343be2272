"""Words by which records are found: the same ones on every database, whatever its own idea of a word is.

A text becomes lower-case words without accents; a search finds every record that has, for each of its words,
one that begins with it. In the index each word begins with its org's key: so a search reads that org's part
of the index only.
"""

import re
import unicodedata
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Select, false, func, literal_column, select, table, text

from moorage_adapters.sqlmodel.crm_tables import SEARCH_ENTRY
from moorage_adapters.sqlmodel.schema import BIG_KEY
from moorage_adapters.sqlmodel.types import clean

MAX_SEARCH: Final = 200  # characters; more is never typed
MAX_WORDS: Final = 4_000  # of one text: PostgreSQL takes a megabyte of them
_PAGES: Final = 32  # of the index that one step of a merge writes
MAX_WORD: Final = 48  # characters; what a longer word goes on with is not looked at

# Scripts that write no spaces (kana, Han, Thai, Lao, Burmese, Khmer): each character is a word.
_SPACELESS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
)
_WORD: Final = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")


def words_of(written: str) -> list[str]:
    """The different words of a text, in order."""
    if written.isascii():
        written = written.lower()
    else:
        apart = unicodedata.normalize("NFKD", written)
        bare = "".join(c for c in apart if c < "\u0300" or unicodedata.category(c)[0] != "M")
        written = bare.casefold()
    found = (match[0][:MAX_WORD] for match in _WORD.finditer(written))
    return list(islice(dict.fromkeys(found), MAX_WORDS))


def org_key(org_id: str) -> str:
    """What the org's words begin with. Of a fixed length, so that no word of another org looks like it."""
    return blake2b(clean(org_id).encode(), digest_size=5).hexdigest()


def indexed(key: str, written: str) -> str:
    """The text's words as the index takes them: each with the org's `key`, separated by blanks."""
    words = words_of(written)
    return f"{key}{f' {key}'.join(words)}" if words else ""


def compact(connection: Connection, *, begins: bool) -> bool:
    """Do a little of taking deleted words out of the index; true while there is more.

    FTS5 keeps them beside a note that they are gone until it merges what it wrote. A negative number has it
    merge everything, a positive one goes on with that. PostgreSQL's index has nothing of the kind: what a
    vacuum finds dead is gone.
    """
    if connection.dialect.name != "sqlite":
        return False
    changes = "SELECT total_changes()"  # https://www.sqlite.org/fts5.html#the_merge_command
    before = connection.exec_driver_sql(changes).scalar_one()
    step = "INSERT INTO search_words (search_words, rank) VALUES ('merge', ?)"
    connection.exec_driver_sql(step, (-_PAGES if begins else _PAGES,))
    return int(connection.exec_driver_sql(changes).scalar_one()) - int(before) >= 2


def found(dialect_name: str, org_id: str, search: str) -> Select[Any]:
    """The ids of the org's records that have all words of `search`; none if it has no word."""
    entries = select(SEARCH_ENTRY.c.id).where(SEARCH_ENTRY.c.org_id == org_id)
    key, words = org_key(org_id), words_of(search[:MAX_SEARCH])
    if not words:
        return entries.where(false())
    if dialect_name == "postgresql":
        query = " & ".join(f"'{key}{word}':*" for word in words)  # no word holds anything that needs quoting
        numbers = select(func.search_numbers(query, type_=BIG_KEY).column_valued("no"))
    else:
        query = " ".join(f'"{key}{word}"*' for word in words)
        matching = text("search_words MATCH :query").bindparams(query=query)
        numbers = select(literal_column("rowid", BIG_KEY)).select_from(table("search_words")).where(matching)
    return entries.where(SEARCH_ENTRY.c.no.in_(numbers))
