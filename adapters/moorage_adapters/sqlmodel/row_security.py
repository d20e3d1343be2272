"""Who may see which rows on PostgreSQL, and what the role that the host works as may do.

Each transaction says whose it is: `moorage.org` for an org's, `moorage.door` for the host's own (the intake,
backlogs, sign-in). A statement that forgot its org, or that was tricked out of it, finds nothing; it guards
against mistakes in this program, not against somebody who may send any SQL: they may set the setting, too.

Not a version of the schema: what is allowed follows from the tables, so it is put right after every upgrade,
and a new table with an `org_id` is guarded without anybody having to remember.
"""

from typing import Final

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from moorage_adapters.sqlmodel.metadata import metadata

log = structlog.get_logger(__name__)

APP_ROLE: Final = "moorage_app"  # no login: whoever migrates may take it on; see `secure`
POLICY: Final = "moorage_org"
JOBS_SCHEMA: Final = "jobs"
WORDS_TABLE: Final = "search_words"  # not in `metadata`: how a database searches is its own business
JOB_TABLES: Final = frozenset({"job", "job_timer", "job_pause", "job_schedule"})  # nudges of every org

_SYSTEM = "current_setting('moorage.door', true) = 'system'"
# A setting that was made for an earlier transaction is "" afterwards, and "" is the host's own org.
_IS_ORGS = "org_id = nullif(current_setting('moorage.org', true), '')"
_OF_ORG = f"{_IS_ORGS} OR {_SYSTEM}"
# The search itself, because no index on words is used behind a policy (the migrations' `search_numbers`).
# Where nothing is searched for, all rows of the org: their words begin with the org's key, so none is "x".
_FOUND = (
    f"{_IS_ORGS} AND words @@ coalesce(nullif(current_setting('moorage.search', true), ''), '!x')::tsquery"
)

_POLICIES = text(
    "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS is_on,"
    " obj_description(p.oid, 'pg_policy') AS says"
    " FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = :policy"
    " WHERE c.relnamespace = to_regnamespace(current_schema()) AND c.relkind = 'r'"
)


def for_org(org_id: str) -> str:
    """The expression that makes a transaction this org's, for a SELECT in it."""
    quoted = org_id.replace("'", "''")  # a literal: `standard_conforming_strings` is on
    return f"set_config('moorage.org', '{quoted}', true)"


def for_system() -> str:
    """The expression that makes a transaction the host's own."""
    return "set_config('moorage.door', 'system', true)"


def condition_of(table: str) -> str | None:
    """Which rows of a table a transaction may see and write; `None`: all of them, or it is not ours."""
    if table == WORDS_TABLE:
        return _FOUND
    if table in JOB_TABLES or table not in metadata.tables:
        return None
    return _OF_ORG if "org_id" in metadata.tables[table].c else _SYSTEM


def secure(connection: Connection, app_login: str = "") -> None:
    """Put policies and grants right, as the tables' owner, in the connection's own transaction.

    Granted is reading and writing rows, to `APP_ROLE` and to `app_login` (whom the host logs in as, if that
    is not who migrates). Without the right to create roles there is only `app_login`, or nobody: policies
    bind the owner, too.
    """
    for row in connection.execute(_POLICIES, {"policy": POLICY}).all():
        condition = condition_of(row.relname)
        if condition is not None and not (row.is_on and row.says == condition):
            _guard(connection, row.relname, condition)
    owner = connection.exec_driver_sql("SELECT current_user").scalar_one()
    for grantee in (_app_role(connection), app_login):
        if grantee not in ("", owner):
            _grant(connection, _quoted(connection, grantee))


def _guard(connection: Connection, table: str, condition: str) -> None:
    name = _quoted(connection, table)
    comment = condition.replace("'", "''")  # what it was made of: PostgreSQL shows it in words of its own
    for statement in (
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS {POLICY} ON {name}",
        f"CREATE POLICY {POLICY} ON {name} USING ({condition}) WITH CHECK ({condition})",
        f"COMMENT ON POLICY {POLICY} ON {name} IS '{comment}'",
    ):
        connection.exec_driver_sql(statement)


def _app_role(connection: Connection) -> str:
    """The app's role, made if there is none, and open to whoever migrates; "" if that is not allowed."""
    try:
        with connection.begin_nested():
            if not _exists(connection):
                connection.exec_driver_sql(f"CREATE ROLE {APP_ROLE} NOLOGIN")
    except DBAPIError:  # not allowed; or another database's migration made it just now
        if not _exists(connection):
            log.warning("no_app_role", role=APP_ROLE)
            return ""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"GRANT {APP_ROLE} TO CURRENT_USER")
    except DBAPIError:
        log.warning("app_role_not_open_to_owner", role=APP_ROLE)
    return APP_ROLE


def _exists(connection: Connection) -> bool:
    statement = text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
    return bool(connection.execute(statement, {"role": APP_ROLE}).scalar_one())


def _grant(connection: Connection, grantee: str) -> None:
    """Rows of the tables that are known here, no schema: neither TRUNCATE nor DDL."""
    schema = _quoted(connection, str(connection.exec_driver_sql("SELECT current_schema()").scalar_one()))
    ours = ", ".join(f"{schema}.{_quoted(connection, name)}" for name in (*metadata.tables, WORDS_TABLE))
    grants = {schema: ours}
    if connection.exec_driver_sql(f"SELECT to_regnamespace('{JOBS_SCHEMA}') IS NOT NULL").scalar_one():
        grants[JOBS_SCHEMA] = f"ALL TABLES IN SCHEMA {JOBS_SCHEMA}"
    for name, tables in grants.items():
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {name} TO {grantee}")
        connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {grantee}")
        connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name} TO {grantee}")
    connection.exec_driver_sql(f"GRANT SELECT ON {schema}.alembic_version TO {grantee}")


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)
