"""The table of how leads got here: see `moorage_ports.lead_ledger`."""

from datetime import datetime

from sqlalchemy import Index, Text, text
from sqlmodel import Field

from moorage_adapters.sqlmodel.crm_types import TextMap
from moorage_adapters.sqlmodel.schema import Base, core, partial
from moorage_adapters.sqlmodel.types import CleanText, EnumValue, UtcDateTime
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadOutcome


class LeadEntryRow(Base, table=True):
    """One lead's way, once per vendor's lead. Nothing that a person wrote is in it."""

    __tablename__ = "lead_entry"
    __table_args__ = (
        Index("ix_lead_entry_newest", "org_id", "arrived_at", "vendor", "external_id"),
        Index(
            "ix_lead_entry_form", "org_id", "vendor", "form_external_id", "outcome", "is_test", "has_problems"
        ),
        partial("ix_lead_entry_lead", text("lead_id <> ''"), "org_id", "lead_id"),
        partial("ix_lead_entry_item", text("item_id <> ''"), "org_id", "item_id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    external_id: str = Field(primary_key=True, sa_type=CleanText)
    channel_external_id: str = Field(sa_type=CleanText)
    form_external_id: str = Field(sa_type=CleanText)
    heard_by: HeardBy = Field(sa_type=EnumValue(HeardBy))
    outcome: LeadOutcome = Field(sa_type=EnumValue(LeadOutcome))
    arrived_at: datetime = Field(sa_type=UtcDateTime)
    submitted_at: datetime | None = Field(sa_type=UtcDateTime)
    fetched_at: datetime | None = Field(sa_type=UtcDateTime)
    mapped_at: datetime | None = Field(sa_type=UtcDateTime)
    stored_at: datetime | None = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    mapping_version: int | None
    problems: dict[str, str] = Field(sa_type=TextMap)
    has_problems: bool
    tries: int
    error: str = Field(sa_type=CleanText)
    remedy: str = Field(sa_type=CleanText)
    lead_id: str = Field(sa_type=Text)
    into: str = Field(sa_type=Text)
    is_test: bool
    attribution: dict[str, str] = Field(sa_type=TextMap)
    item_id: str = Field(sa_type=Text)


LEAD_ENTRY = core(LeadEntryRow)
