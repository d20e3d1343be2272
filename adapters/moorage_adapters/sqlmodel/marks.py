"""Marks of what was erased: hashes under the org's own key, by which a late word about it is recognised."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping

from moorage_adapters.sqlmodel.privacy_tables import ERASED_MARK
from moorage_adapters.sqlmodel.tenant import Tenant, among
from moorage_ports.secret_store import SealError

MARK_LABEL: Final = "erased"  # what a mark's digest is told apart by
_AT_ONCE: Final = 400  # parameters of one statement


def put_marks(org: Tenant, keys: Collection[str], at: datetime) -> None:
    """These were erased; a mark that is there already stays as it is."""
    digests = sorted(
        {org.digest(MARK_LABEL, key) for key in keys}
    )  # two of these must not wait for each other
    org.insert_all(ERASED_MARK, [{"key_digest": one, "at": at} for one in digests], "key_digest")


def marks_of(org: Tenant, keys: Collection[str]) -> Mapping[str, datetime]:
    """Which of these keys were erased, and when."""
    try:
        named = {org.known_digest(MARK_LABEL, key): key for key in keys}
    except SealError:
        return {}  # it has no keys, so nothing of it was ever erased
    digests = list(named)
    rows: list[RowMapping] = []
    for start in range(0, len(digests), _AT_ONCE):
        rows += org.rows(ERASED_MARK, among(ERASED_MARK.c.key_digest, digests[start : start + _AT_ONCE]))
    return {named[bytes(row["key_digest"])]: row["at"] for row in rows}
