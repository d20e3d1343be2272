"""All tables together: what a database has to have, and whom row-level security has to guard.

Every module that declares tables is imported here: whoever asks for `metadata` gets the whole of it.
"""

from typing import Final

from sqlalchemy import MetaData

from moorage_adapters.sqlmodel import crm_tables as crm_tables
from moorage_adapters.sqlmodel import lead_form_tables as lead_form_tables
from moorage_adapters.sqlmodel import lead_ledger_tables as lead_ledger_tables
from moorage_adapters.sqlmodel import lead_mapping_tables as lead_mapping_tables
from moorage_adapters.sqlmodel import lead_order_tables as lead_order_tables
from moorage_adapters.sqlmodel import outgoing_tables as outgoing_tables
from moorage_adapters.sqlmodel import privacy_tables as privacy_tables
from moorage_adapters.sqlmodel import sync_tables as sync_tables
from moorage_adapters.sqlmodel import tables as tables
from moorage_adapters.sqlmodel.schema import Base

metadata: Final[MetaData] = Base.metadata
