"""The tables of what orgs tell others by webhook."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, Text, literal_column, text
from sqlmodel import Field

from moorage_adapters.sqlmodel.crm_types import BYTEWISE
from moorage_adapters.sqlmodel.schema import Base, core, partial
from moorage_adapters.sqlmodel.types import CleanText, EnumValue, Texts, UtcDateTime
from moorage_ports.outgoing import EndpointState, EventType, HandoverState

_PENDING = text("state = 'pending'")


class OutgoingEndpointRow(Base, table=True):
    """Where an org wants to be told. `access_sealed`: its URL and its secrets."""

    __tablename__ = "outgoing_endpoint"

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    access_sealed: bytes = Field(sa_type=LargeBinary)
    event_types: tuple[str, ...] = Field(sa_type=Texts)
    description: str = Field(sa_type=CleanText)
    state: EndpointState = Field(sa_type=EnumValue(EndpointState))
    reason: str = Field(sa_type=Text)
    failures: int
    failing_since: datetime | None = Field(sa_type=UtcDateTime)
    held_until: datetime | None = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    rotated_at: datetime | None = Field(sa_type=UtcDateTime)


class OutgoingMessageRow(Base, table=True):
    """One thing to tell. Ids are in the order in which they were made."""

    __tablename__ = "outgoing_message"
    __table_args__ = (Index("ix_outgoing_message_subject", "org_id", "subject_id"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=BYTEWISE)
    event_type: EventType = Field(sa_type=EnumValue(EventType))
    subject_id: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    payload_sealed: bytes = Field(sa_type=LargeBinary)


class OutgoingHandoverRow(Base, table=True):
    """One message on its way to one endpoint. `next_at`: when it is due, or until when it is somebody's."""

    __tablename__ = "outgoing_handover"
    __table_args__ = (
        partial("ix_outgoing_handover_due", _PENDING, "org_id", "endpoint_id", "next_at", "message_id"),
        partial("ix_outgoing_handover_order", _PENDING, "org_id", "endpoint_id", "subject_id", "message_id"),
        Index("ix_outgoing_handover_message", "org_id", "message_id"),
        Index("ix_outgoing_handover_forget", "forget_at"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    endpoint_id: str = Field(primary_key=True, sa_type=Text)
    message_id: str = Field(primary_key=True, sa_type=BYTEWISE)
    event_type: EventType = Field(sa_type=EnumValue(EventType))
    subject_id: str = Field(sa_type=Text)
    state: HandoverState = Field(sa_type=EnumValue(HandoverState))
    tries: int
    lease: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    next_at: datetime | None = Field(sa_type=UtcDateTime)
    tried_at: datetime | None = Field(sa_type=UtcDateTime)
    settled_at: datetime | None = Field(sa_type=UtcDateTime)
    status: int
    error: str = Field(sa_type=Text)
    forget_at: datetime = Field(sa_type=UtcDateTime)


ENDPOINT = core(OutgoingEndpointRow)
OUTGOING_MESSAGE = core(OutgoingMessageRow)
HANDOVER = core(OutgoingHandoverRow)

# A literal, not a parameter: a database uses a partial index only if it sees that the condition holds.
IS_PENDING = HANDOVER.c.state == literal_column("'pending'", HANDOVER.c.state.type)
