"""The table of forms as they were last read: see `moorage_ports.lead_forms`."""

from datetime import datetime

from sqlalchemy import Index, Text
from sqlmodel import Field

from moorage_adapters.sqlmodel.schema import Base, core
from moorage_adapters.sqlmodel.types import CleanText, UtcDateTime


class LeadFormRow(Base, table=True):
    """What a form asks. `..._json` is what the vendor says of it; nobody's answers are in it."""

    __tablename__ = "lead_form"
    __table_args__ = (Index("ix_lead_form_form", "org_id", "vendor", "form_external_id"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    channel_external_id: str = Field(primary_key=True, sa_type=CleanText)
    form_external_id: str = Field(primary_key=True, sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    locale: str = Field(sa_type=CleanText)
    questions_json: str = Field(sa_type=Text)
    consents_json: str = Field(sa_type=Text)
    counts_json: str | None = Field(sa_type=Text)
    read_at: datetime = Field(sa_type=UtcDateTime)


LEAD_FORM = core(LeadFormRow)
