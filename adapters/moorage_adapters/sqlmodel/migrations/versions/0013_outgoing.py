"""Where an org wants to hear of its leads, and what is on its way there."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_PENDING = sa.text("state = 'pending'")
# A backlog grows within minutes in a table that is large already: statistics that know nothing of it make
# every claim read all of it.
_COUNT_AGAIN_SOON = (
    "ALTER TABLE outgoing_handover"
    " SET (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000)"
)
_INDEXES = {
    "ix_outgoing_message_subject": ("outgoing_message", None, ["org_id", "subject_id"]),
    "ix_outgoing_handover_due": (
        "outgoing_handover",
        _PENDING,
        ["org_id", "endpoint_id", "next_at", "message_id"],
    ),
    "ix_outgoing_handover_order": (
        "outgoing_handover",
        _PENDING,
        ["org_id", "endpoint_id", "subject_id", "message_id"],
    ),
    "ix_outgoing_handover_message": ("outgoing_handover", None, ["org_id", "message_id"]),
    "ix_outgoing_handover_forget": ("outgoing_handover", None, ["forget_at"]),
}


def upgrade() -> None:
    _create_endpoints()
    _create_messages()
    _create_handovers()
    for name, (table, where, columns) in _INDEXES.items():
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_COUNT_AGAIN_SOON)


def _create_endpoints() -> None:
    op.create_table(
        "outgoing_endpoint",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("access_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("event_types", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", _MOMENT, nullable=True),
        sa.Column("held_until", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("rotated_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_outgoing_endpoint")),
    )


def _create_messages() -> None:
    op.create_table(
        "outgoing_message",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", _BYTEWISE, nullable=False),
        sa.Column("event_type", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("payload_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_outgoing_message")),
    )


def _create_handovers() -> None:
    op.create_table(
        "outgoing_handover",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("message_id", _BYTEWISE, nullable=False),
        sa.Column("event_type", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("next_at", _MOMENT, nullable=True),
        sa.Column("tried_at", _MOMENT, nullable=True),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("forget_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "endpoint_id", "message_id", name=op.f("pk_outgoing_handover")),
    )


def downgrade() -> None:
    for table in ("outgoing_handover", "outgoing_message", "outgoing_endpoint"):
        op.drop_table(table)
