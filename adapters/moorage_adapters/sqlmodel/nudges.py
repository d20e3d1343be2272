"""The enqueueing side of jobs: rows of the job table, written in the caller's transaction.

On PostgreSQL the table is pgqueuer's (`pg_nudges`). On SQLite a row of `job` is a group in line; one that
must wait is a row of `job_timer`, which becomes a nudge in time, so a nudge for now and one for later never
swallow each other.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from moorage_adapters.sqlmodel.pg_nudges import put_pg_nudges
from moorage_adapters.sqlmodel.tables import JOB, JOB_TIMER
from moorage_adapters.sqlmodel.tenant import OrgGate, insert_into
from moorage_ports.jobs import Nudge

_last_place = 0


def next_place() -> int:
    """The back of the line: larger than every place before, also those of earlier processes."""
    global _last_place  # noqa: PLW0603 - one line per process; written on the database's one writing thread
    _last_place = max(_last_place + 1, time.time_ns() // 1000)
    return _last_place


class Bell:
    """Tells a runner in this process that a nudge has become visible."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` at every ring."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[], None]) -> None:
        """Stop calling it."""
        self._listeners.remove(listener)

    def ring(self) -> None:
        """A nudge was committed. On the event loop."""
        for listener in self._listeners:
            listener()


class SqlNudges:
    """`moorage_ports.jobs.Nudges` over one unit of work.

    They are written last, all at once and in one order: on PostgreSQL each holds its group's row until the
    transaction ends, and two that took the same rows in different orders would wait for each other.
    """

    def __init__(self, gate: OrgGate, bell: Bell) -> None:
        self._gate = gate
        self._bell = bell
        self._wanted: list[Nudge] = []

    async def nudge(self, *nudges: Nudge) -> None:
        """Queue a look at each group, once this unit of work commits.

        Raises:
            ValueError: A nudge names another org than this unit of work's.
        """
        if any(nudge.org_id != self._gate.org_id for nudge in nudges):
            msg = "a unit of work nudges for its own org only"
            raise ValueError(msg)
        if nudges and not self._wanted:
            self._gate.before_commit(lambda connection: put_nudges(connection, self._wanted))
            self._gate.after_commit(self._bell.ring)
        self._wanted.extend(nudges)


def put_nudges(connection: Connection, nudges: Iterable[Nudge]) -> None:
    """Put each group in line, or mark the one that stands there already as nudged again."""
    if connection.dialect.name == "postgresql":
        put_pg_nudges(connection, nudges)
        return
    given = sorted(nudges, key=lambda nudge: (nudge.queue, nudge.group))
    now = [
        {"queue": nudge.queue, "group_key": nudge.group, "org_id": nudge.org_id, "place": next_place()}
        for nudge in given
        if nudge.not_before is None
    ]
    later = [
        {"queue": nudge.queue, "group_key": nudge.group, "org_id": nudge.org_id, "at": nudge.not_before}
        for nudge in given
        if nudge.not_before is not None
    ]
    if now:
        _put_in_line(connection, now)
    if later:
        connection.execute(insert_into(connection, JOB_TIMER).on_conflict_do_nothing(), later)


def _put_in_line(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    insert = insert_into(connection, JOB).values(version=1, failures=0)
    again = insert.on_conflict_do_update(
        index_elements=["queue", "group_key"], set_={"version": JOB.c.version + 1}
    )
    connection.execute(again, rows)
