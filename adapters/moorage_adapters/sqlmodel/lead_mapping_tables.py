"""The table of how the answers of each form become a lead: see `moorage_ports.lead_mapping`."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field

from moorage_adapters.sqlmodel.schema import Base, core
from moorage_adapters.sqlmodel.types import CleanText, UtcDateTime


class LeadMappingRow(Base, table=True):
    """One version of a form's mapping. `rules_json` is what people put together; nobody's data is in it."""

    __tablename__ = "lead_mapping"

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    form_external_id: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(primary_key=True)
    rules_json: str = Field(sa_type=Text)
    saved_by: str = Field(sa_type=CleanText)
    saved_at: datetime = Field(sa_type=UtcDateTime)


LEAD_MAPPING = core(LeadMappingRow)
