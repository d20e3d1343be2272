"""The table of sync states."""

from datetime import datetime

from sqlalchemy import BigInteger, Double, Text
from sqlmodel import Field

from moorage_adapters.sqlmodel.schema import Base, core
from moorage_adapters.sqlmodel.types import CleanText, UtcDateTime


class SyncStateRow(Base, table=True):
    """How far a channel's activity is known; with an empty channel, whether the vendor's syncs are paused."""

    __tablename__ = "sync_state"

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    channel_external_id: str = Field(primary_key=True, sa_type=Text)
    checkpoint: str = Field(sa_type=CleanText)
    since: datetime | None = Field(sa_type=UtcDateTime)
    is_running: bool
    is_paused: bool
    started_at: datetime | None = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)
    items: int = Field(sa_type=BigInteger)
    calls: int = Field(sa_type=BigInteger)
    progress: float = Field(sa_type=Double)
    last_error: str = Field(sa_type=CleanText)
    last_remedy: str = Field(sa_type=CleanText)
    retry_at: datetime | None = Field(sa_type=UtcDateTime)
    tries: int


SYNC_STATE = core(SyncStateRow)
