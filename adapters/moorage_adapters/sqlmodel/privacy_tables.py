"""Tables of what is kept for how long, and of what was erased: `moorage_ports.retention`, `.erasure`."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, Text, text
from sqlmodel import Field

from moorage_adapters.sqlmodel.schema import Base, core, partial
from moorage_adapters.sqlmodel.types import DIGEST, EnumValue, UtcDateTime
from moorage_ports.erasure import Cause, RequestState


class RetentionRow(Base, table=True):
    """What an org wants to keep for how many days, and what the job did last."""

    __tablename__ = "retention"

    org_id: str = Field(primary_key=True, sa_type=Text)
    lead_days: int | None
    person_days: int | None
    delivery_days: int
    waiting_days: int
    changed_at: datetime | None = Field(sa_type=UtcDateTime)
    changed_by: str = Field(sa_type=Text)
    checked_at: datetime | None = Field(sa_type=UtcDateTime)
    removed_json: str = Field(sa_type=Text)


class ErasedMarkRow(Base, table=True):
    """That a thing was erased. Which one, nobody can tell: `key_digest` is under the org's own key."""

    __tablename__ = "erased_mark"

    org_id: str = Field(primary_key=True, sa_type=Text)
    key_digest: bytes = Field(primary_key=True, sa_type=DIGEST)
    at: datetime = Field(sa_type=UtcDateTime)


class ErasureRow(Base, table=True):
    """That something was erased, and how many of each kind."""

    __tablename__ = "erasure"
    __table_args__ = (Index("ix_erasure_newest", "org_id", "at", "id"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)
    cause: Cause = Field(sa_type=EnumValue(Cause))
    by: str = Field(sa_type=Text)
    removed_json: str = Field(sa_type=Text)


class DeletionRequestRow(Base, table=True):
    """A person's request at the vendor. Whom it is about is sealed under the host's key; empty once done."""

    __tablename__ = "deletion_request"
    __table_args__ = (
        partial("ix_deletion_request_pending", text("state = 'pending'"), "received_at"),
        partial("ix_deletion_request_done", text("state = 'done'"), "done_at"),
    )

    code: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(sa_type=Text)
    app_id: str = Field(sa_type=Text)
    app_org_id: str = Field(sa_type=Text)
    subject_sealed: bytes = Field(sa_type=LargeBinary)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    state: RequestState = Field(sa_type=EnumValue(RequestState))
    done_at: datetime | None = Field(sa_type=UtcDateTime)


RETENTION = core(RetentionRow)
ERASED_MARK = core(ErasedMarkRow)
ERASURE = core(ErasureRow)
DELETION_REQUEST = core(DeletionRequestRow)
