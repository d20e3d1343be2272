"""What people say and do, as the CRM keeps it, and the words by which it is found."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)

_INDEXES: dict[str, dict[str, tuple[list[str], str | None]]] = {
    "contact": {
        "ix_contact_heat": (["org_id", "heat", "id"], "merged_into = ''"),
        "ix_contact_merged": (["org_id", "merged_into"], "merged_into <> ''"),
        "ix_contact_name": (["org_id", "sort_name", "id"], "merged_into = ''"),
        "ix_contact_seen": (["org_id", "last_seen_at", "id"], "merged_into = ''"),
    },
    "contact_identity": {
        "ix_contact_identity_contact": (["org_id", "contact_id"], None),
    },
    "conversation": {
        "ix_conversation_assignee": (["org_id", "assignee", "updated_at"], "assignee <> ''"),
        "ix_conversation_identity": (["org_id", "identity_id"], None),
        "ix_conversation_newest": (["org_id", "updated_at", "id"], "last_message_id <> ''"),
        "ix_conversation_status": (["org_id", "status", "updated_at", "id"], "last_message_id <> ''"),
        "ix_conversation_unread": (["org_id", "updated_at"], "unread_count > 0"),
    },
    "message": {
        "ix_message_conversation": (["org_id", "conversation_id", "at", "id"], None),
    },
    "activity": {
        "ix_activity_about": (["org_id", "about_key"], "about_key <> ''"),
        "ix_activity_identity": (["org_id", "identity_id", "at", "id"], "is_present"),
        "ix_activity_newest": (["org_id", "at", "id"], "is_present"),
        "ix_activity_post": (["org_id", "post_key", "at", "id"], "is_present"),
    },
    "post": {
        "ix_post_external": (["org_id", "external_key"], None),
        "ix_post_newest": (["org_id", "listed_at", "id"], "removed_at IS NULL"),
    },
    "notice": {
        "ix_notice_newest": (["org_id", "at", "id"], None),
    },
}

# What is searched is an index of its own, which triggers keep the same as `search_entry.words`.
#
# PostgreSQL looks nothing up in a GIN index behind a row-level policy: `@@` might leak what the policy hides.
# So on `search_words` the search is part of the policy (see `row_security`), and `search_numbers` says what
# is searched for. Nothing is while the triggers work: they see all rows of their org. The foreign key deletes
# behind any policy.

_SQLITE = """
CREATE VIRTUAL TABLE search_words USING fts5(words, content='search_entry', content_rowid='no',
    tokenize='ascii', detail='none', columnsize=0);
CREATE TRIGGER search_entry_added AFTER INSERT ON search_entry BEGIN
    INSERT INTO search_words (rowid, words) VALUES (new.no, new.words);
END;
CREATE TRIGGER search_entry_changed AFTER UPDATE OF words ON search_entry BEGIN
    INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.no, old.words);
    INSERT INTO search_words (rowid, words) VALUES (new.no, new.words);
END;
CREATE TRIGGER search_entry_gone AFTER DELETE ON search_entry BEGIN
    INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.no, old.words);
END
"""

_POSTGRES = """
CREATE TABLE search_words (
    no bigint CONSTRAINT pk_search_words PRIMARY KEY
        CONSTRAINT fk_search_words_search_entry REFERENCES search_entry (no) ON DELETE CASCADE,
    org_id text NOT NULL,
    words tsvector NOT NULL
);
CREATE INDEX ix_search_words ON search_words USING gin (words);
CREATE FUNCTION search_words_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('moorage.search', '', true);
    INSERT INTO search_words (no, org_id, words)
        SELECT came.no, came.org_id, array_to_tsvector(string_to_array(came.words, ' ')) FROM came
        ON CONFLICT (no) DO UPDATE SET words = excluded.words;
    RETURN NULL;
END $$;
CREATE TRIGGER search_entry_added AFTER INSERT ON search_entry
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION search_words_follow();
CREATE TRIGGER search_entry_changed AFTER UPDATE ON search_entry
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION search_words_follow();
CREATE FUNCTION search_numbers(query text) RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM set_config('moorage.search', query, true);
    RETURN QUERY EXECUTE 'SELECT no FROM search_words';
    PERFORM set_config('moorage.search', '', true);
END $$
"""
_STATEMENTS = re.compile(r";\n(?=CREATE|$)")


def upgrade() -> None:
    op.create_table(
        "contact",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_stamp", _MOMENT, nullable=True),
        sa.Column("heat", sa.Double(), nullable=False),
        sa.Column("first_seen_at", _MOMENT, nullable=False),
        sa.Column("last_seen_at", _MOMENT, nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=False),
        sa.Column("sort_name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_contact")),
    )
    op.create_table(
        "contact_identity",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("realm", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_stamp", _MOMENT, nullable=True),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("handle_stamp", _MOMENT, nullable=True),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_contact_identity")),
    )
    op.create_table(
        "conversation",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("thread_external_id", sa.Text(), nullable=False),
        sa.Column("post_external_id", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_stamp", _MOMENT, nullable=True),
        sa.Column("snoozed_until", _MOMENT, nullable=True),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("read_at", _MOMENT, nullable=True),
        sa.Column("last_message_id", sa.Text(), nullable=False),
        sa.Column("last_message_at", _MOMENT, nullable=True),
        sa.Column("last_received_at", _MOMENT, nullable=True),
        sa.Column("unread_count", sa.Integer(), nullable=False),
        sa.Column("reply_until", _MOMENT, nullable=True),
        sa.Column("delivered_up_to", _MOMENT, nullable=True),
        sa.Column("read_up_to", _MOMENT, nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_stamp", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_conversation")),
    )
    op.create_table(
        "message",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("parent_external_id", sa.Text(), nullable=False),
        sa.Column("is_known", sa.Boolean(), nullable=False),
        sa.Column("is_ours", sa.Boolean(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("sent_by", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("attachments_stamp", _MOMENT, nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("text_stamp", _MOMENT, nullable=True),
        sa.Column("permalink", sa.Text(), nullable=False),
        sa.Column("reply_to_external_id", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("is_exact", sa.Boolean(), nullable=False),
        sa.Column("edited_at", _MOMENT, nullable=True),
        sa.Column("removed_at", _MOMENT, nullable=True),
        sa.Column("is_hidden", sa.Boolean(), nullable=False),
        sa.Column("hidden_stamp", _MOMENT, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("state_at", _MOMENT, nullable=True),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("reactions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_message")),
    )
    op.create_table(
        "activity",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("post_external_id", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("reaction", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("stamp", _MOMENT, nullable=False),
        sa.Column("is_present", sa.Boolean(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("is_exact", sa.Boolean(), nullable=False),
        sa.Column("about_key", sa.Text(), nullable=False),
        sa.Column("post_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_activity")),
    )
    op.create_table(
        "post",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("permalink", sa.Text(), nullable=False),
        sa.Column("stamp", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=True),
        sa.Column("is_hidden", sa.Boolean(), nullable=False),
        sa.Column("hidden_stamp", _MOMENT, nullable=True),
        sa.Column("removed_at", _MOMENT, nullable=True),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("shares_stamp", _MOMENT, nullable=True),
        sa.Column("external_key", sa.Text(), nullable=False),
        sa.Column("listed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_post")),
    )
    op.create_table(
        "notice",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_notice")),
    )
    op.create_table(
        "unmapped_kind",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", _MOMENT, nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_unmapped_kind")),
    )
    op.create_table(
        "search_entry",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("about_key", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_search_entry")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_search_entry_org_id_id")),
        sqlite_autoincrement=True,
    )
    for table, indexes in _INDEXES.items():
        for name, (columns, where) in indexes.items():
            only = None if where is None else sa.text(where)
            op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for statement in _STATEMENTS.split(_POSTGRES if is_postgres else _SQLITE):
        op.execute(statement)


def downgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    if is_postgres:
        op.execute("DROP TABLE search_words")
    op.drop_table("search_entry")
    if is_postgres:
        op.execute("DROP FUNCTION search_words_follow, search_numbers")
    else:
        op.execute("DROP TABLE search_words")
    for table in (*_INDEXES, "unmapped_kind"):
        op.drop_table(table)
