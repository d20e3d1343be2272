"""The tables of what was ordered about leads, and of what each form's leads add up to."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field

from moorage_adapters.sqlmodel.schema import Base, core, partial
from moorage_adapters.sqlmodel.types import CleanText, EnumValue, UtcDateTime
from moorage_ports.lead_orders import OrderState


class BackfillRow(Base, table=True):
    """A form's leads of a stretch of time, to be read, and how far that is."""

    __tablename__ = "lead_backfill"
    __table_args__ = (
        Index("ix_lead_backfill_form", "org_id", "vendor", "form_external_id", "ordered_at"),
        partial("ix_lead_backfill_running", text("state = 'running'"), "org_id", "id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(sa_type=Text)
    channel_external_id: str = Field(sa_type=Text)
    form_external_id: str = Field(sa_type=Text)
    since: datetime | None = Field(sa_type=UtcDateTime)
    until: datetime | None = Field(sa_type=UtcDateTime)
    state: OrderState = Field(sa_type=EnumValue(OrderState))
    cursor: str | None = Field(sa_type=CleanText)
    fetched: int = Field(sa_type=BigInteger)
    known: int = Field(sa_type=BigInteger)
    error: str = Field(sa_type=CleanText)
    remedy: str = Field(sa_type=CleanText)
    retry_at: datetime | None = Field(sa_type=UtcDateTime)
    ordered_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)


class RemapRow(Base, table=True):
    """A form's past leads, to be mapped anew, and how far that is."""

    __tablename__ = "lead_remap"
    __table_args__ = (
        Index("ix_lead_remap_form", "org_id", "vendor", "form_external_id", "ordered_at"),
        partial("ix_lead_remap_running", text("state = 'running'"), "org_id", "id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(sa_type=Text)
    form_external_id: str = Field(sa_type=Text)
    since: datetime | None = Field(sa_type=UtcDateTime)
    dry_run: bool
    version: int
    state: OrderState = Field(sa_type=EnumValue(OrderState))
    last_lead_id: str = Field(sa_type=Text)
    total: int = Field(sa_type=BigInteger)
    seen: int = Field(sa_type=BigInteger)
    changed: int = Field(sa_type=BigInteger)
    without_answers: int = Field(sa_type=BigInteger)
    error: str = Field(sa_type=CleanText)
    remedy: str = Field(sa_type=CleanText)
    ordered_by: str = Field(sa_type=CleanText)
    ordered_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(sa_type=UtcDateTime)


class LeadTestRow(Base, table=True):
    """A test lead that was ordered."""

    __tablename__ = "lead_test"
    __table_args__ = (Index("ix_lead_test_external_id", "org_id", "vendor", "lead_external_id"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(sa_type=Text)
    channel_external_id: str = Field(sa_type=Text)
    form_external_id: str = Field(sa_type=Text)
    lead_external_id: str = Field(sa_type=Text)
    state: OrderState = Field(sa_type=EnumValue(OrderState))
    error: str = Field(sa_type=CleanText)
    remedy: str = Field(sa_type=CleanText)
    ordered_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime | None = Field(sa_type=UtcDateTime)


class FormCheckRow(Base, table=True):
    """The vendor's count of a form's leads and ours."""

    __tablename__ = "form_check"

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    channel_external_id: str = Field(primary_key=True, sa_type=Text)
    form_external_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=CleanText)
    theirs: int | None = Field(sa_type=BigInteger)
    expired: int = Field(sa_type=BigInteger)
    ours: int = Field(sa_type=BigInteger)
    before: int | None = Field(sa_type=BigInteger)
    gap: int = Field(sa_type=BigInteger)
    gap_since: datetime | None = Field(sa_type=UtcDateTime)
    reread_at: datetime | None = Field(sa_type=UtcDateTime)
    alarmed_at: datetime | None = Field(sa_type=UtcDateTime)
    listens_since: datetime | None = Field(sa_type=UtcDateTime)
    first_at: datetime = Field(sa_type=UtcDateTime)
    checked_at: datetime = Field(sa_type=UtcDateTime)


BACKFILL = core(BackfillRow)
REMAP = core(RemapRow)
LEAD_TEST = core(LeadTestRow)
FORM_CHECK = core(FormCheckRow)
