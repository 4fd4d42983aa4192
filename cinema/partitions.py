"""Tables with a partition for each month (UTC), whose old months are dropped.

To drop a month takes milliseconds; to delete its rows takes minutes, and leaves empty space behind.
A month is dropped when all of it is too old, so a table holds up to a month more than it shows:
the model's default manager leaves the older rows out. Two partitions are of many months, and their
old rows are deleted: the default one, and the table as it was before it had months.

Postgres demands the column of the month in each unique constraint of such a table. So the key is
the primary key of each partition, and not of the table.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import stamina
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from psycopg import sql

from cinema.locks import is_lock_timeout

log = logging.getLogger(__name__)

#: Months after the present one whose partitions are made. Without any worker for longer than that,
#: rows go to the default partition, so an insert never fails.
MONTHS_AHEAD = 2
#: The least time that a conversion has until the old table is full.
CONVERTED_WITHIN = timedelta(days=7)
#: The limit of rows of a statement, which should not hold row locks for long.
ROWS_DELETED_AT_ONCE = 10_000
#: All statements on a table queue behind one that waits for its lock.
LOCK_TIMEOUT_MS = 500
_BOUNDS = re.compile(r"FROM \((?:MINVALUE|'(?P<start>.+)')\) TO \('(?P<end>.+)'\)")


@dataclass(frozen=True)
class MonthlyTable:
    """A table and the column by which its rows belong to months.

    Attributes:
        key: The columns of the primary key of each partition.
    """

    name: str
    column: str
    key: Sequence[str]

    @property
    def other(self) -> str:
        """The default partition, for rows of months without a partition."""
        return f"{self.name}_other"

    @property
    def past(self) -> str:
        """The table as it was before it was partitioned; now the partition of its rows."""
        return f"{self.name}_past"

    def statement(self, text: str, **names: str | datetime | int) -> sql.Composed:
        """The text with {table}, {column}, {other}, {past} and {names} filled in."""
        own = {"table": self.name, "column": self.column, "other": self.other, "past": self.past}
        return sql.SQL(text).format(
            key=sql.SQL(", ").join(map(sql.Identifier, self.key)),
            **{
                name: sql.Identifier(value) if isinstance(value, str) else sql.Literal(value)
                for name, value in {**own, **names}.items()
            },
        )


def month_of(moment: datetime) -> datetime:
    """The first moment of its month."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    return month_of(month + timedelta(days=32))


def month_ranges(table: MonthlyTable) -> dict[str, tuple[datetime, datetime]]:
    """The first moment of each partition and the first one after it, without the default one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits"
            " JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass(%s)",
            [table.name],
        )
        bounds = {name: _BOUNDS.search(text) for name, text in cursor.fetchall()}
    beginning = datetime.min.replace(tzinfo=UTC)
    return {
        name: (
            datetime.fromisoformat(found["start"]) if found["start"] else beginning,
            datetime.fromisoformat(found["end"]),
        )
        for name, found in bounds.items()
        if found
    }


def missing_months(table: MonthlyTable) -> list[datetime]:
    """The present and the coming months without a partition."""
    months = [month_of(timezone.now())]
    while len(months) <= MONTHS_AHEAD:
        months.append(month_after(months[-1]))
    ranges = month_ranges(table).values()
    return [each for each in months if not any(start <= each < end for start, end in ranges)]


def keep_months(table: MonthlyTable, *, since: datetime) -> list[str]:
    """Make the coming months, and remove what is older than `since`, by whole months.

    Returns:
        The dropped partitions.
    """
    for month in (missing := missing_months(table)):
        _add_month(table, month)
    old = [name for name, (_, end) in month_ranges(table).items() if end <= since]
    for name in old:
        _drop(table, name)
    for name in {table.other, table.past} - {*old}:
        _delete_rows(table, name, since)
    if missing or old:
        _analyze(table)
    return old


def _delete_rows(table: MonthlyTable, name: str, since: datetime) -> None:
    """Delete old rows of a partition of many months, until there is none such."""
    text = """
    DELETE FROM {name} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {name} WHERE {column} < {since} LIMIT {at_most}
    ))
    """
    statement = table.statement(text, name=name, since=since, at_most=ROWS_DELETED_AT_ONCE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        is_there = cursor.fetchone()[0] is not None
        while is_there:
            cursor.execute(statement)
            is_there = cursor.rowcount == ROWS_DELETED_AT_ONCE


@contextmanager
def _brief_locks() -> Iterator[CursorWrapper]:
    """A transaction that soon gives up waiting for a lock."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
        yield cursor


_retry_after_lock_timeout = stamina.retry(
    on=is_lock_timeout, attempts=60, timeout=None, wait_initial=0.5, wait_max=5
)


@_retry_after_lock_timeout
def _add_month(table: MonthlyTable, month: datetime) -> None:
    """Make the partition of a month, with the rows of that month in the default partition."""
    name, end = f"{table.name}_{month:%Y_%m}", month_after(month)
    with _brief_locks() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        # Attaching a partition takes this lock anyway. Here it also keeps out rows in between.
        cursor.execute(table.statement("LOCK TABLE {other} IN ACCESS EXCLUSIVE MODE"))
        _make_partition(cursor, table, name)
        moved = """
        WITH moved AS (
            DELETE FROM {other} WHERE {column} >= {month} AND {column} < {end} RETURNING *
        )
        INSERT INTO {name} SELECT * FROM moved
        """
        attached = """
        ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({month}) TO ({end})
        """
        for text in (moved, attached):
            cursor.execute(table.statement(text, name=name, month=month, end=end))


@_retry_after_lock_timeout
def _drop(table: MonthlyTable, name: str) -> None:
    with _brief_locks() as cursor:
        cursor.execute(table.statement("DROP TABLE {name}", name=name))


def _make_partition(cursor: CursorWrapper, table: MonthlyTable, name: str) -> None:
    """Make a table that can be attached. `CREATE TABLE ... PARTITION OF` would lock out readers."""
    for text in (
        "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        "ALTER TABLE {name} ADD PRIMARY KEY ({key})",
    ):
        cursor.execute(table.statement(text, name=name))


def _analyze(table: MonthlyTable) -> None:
    """Renew the statistics of the whole table, which autovacuum makes of its partitions only."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(table.statement("ANALYZE {table}"))


def partition_by_month(table: MonthlyTable) -> None:
    """Partition a table by month while others read and write it, for a migration.

    The old table becomes the partition of all rows before the next month, or before the one after
    that if the next month is near. The rows stay where they are. Only the check of their moments
    takes long, under a lock that readers and writers do not notice. A migration that was
    interrupted is repeated.
    """
    if not _is_partitioned(table):
        end = month_after(month_of(timezone.now() + CONVERTED_WITHIN))
        _limit_past(table, end)
        _replace(table, end)
    for month in missing_months(table):
        _add_month(table, month)
    _analyze(table)


def _is_partitioned(table: MonthlyTable) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", [table.name])
        return bool(cursor.fetchone() == ("p",))


def _limit_past(table: MonthlyTable, end: datetime) -> None:
    """Give the table a validated constraint, so that attaching it needs not read its rows."""
    _constrain(table, end)
    for text in (
        # A clock was wrong: such a row would hold the whole table back from being dropped.
        "UPDATE {table} SET {column} = {now} WHERE {column} >= {end}",
        "ALTER TABLE {table} VALIDATE CONSTRAINT {past}",
    ):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(table.statement(text, end=end, now=timezone.now()))


@_retry_after_lock_timeout
def _constrain(table: MonthlyTable, end: datetime) -> None:
    with _brief_locks() as cursor:
        for text in (
            "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {past}",
            "ALTER TABLE {table} ADD CONSTRAINT {past} CHECK ({column} < {end}) NOT VALID",
        ):
            cursor.execute(table.statement(text, end=end))


#: The statements that give the new table what the old one has: indexes that belong to no
#: constraint, foreign keys, and the grants to other roles.
_COPIED = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass(%(table)s)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
UNION ALL
SELECT format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', %(table)s::text, conname,
    pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid = to_regclass(%(table)s) AND contype = 'f'
UNION ALL
SELECT format('GRANT %%s ON %%I TO %%s', privilege_type, %(table)s::text,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
FROM pg_class CROSS JOIN aclexplode(relacl) WHERE oid = to_regclass(%(table)s)
"""


@_retry_after_lock_timeout
def _replace(table: MonthlyTable, end: datetime) -> None:
    """Put the partitioned table in the place of the old one, which becomes its first partition."""
    with _brief_locks() as cursor:
        cursor.execute(table.statement("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table.name])
        [next_id] = cursor.fetchone()
        cursor.execute(_COPIED, {"table": table.name})
        copied = [text for (text,) in cursor.fetchall()]
        cursor.execute(table.statement("ALTER TABLE {table} RENAME TO {past}"))
        cursor.execute(
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indrelid = to_regclass(%s)",
            [table.past],
        )
        for (index,) in cursor.fetchall():
            new = f"{index[:58]}_past"
            text = "ALTER INDEX {index} RENAME TO {new}"
            cursor.execute(table.statement(text, index=index, new=new))
        for text in (
            # A partition has the identity of its table.
            "ALTER TABLE {past} ALTER id DROP IDENTITY",
            "CREATE TABLE {table} (LIKE {past} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            " PARTITION BY RANGE ({column})",
            "ALTER TABLE {table} DROP CONSTRAINT {past}",
            "ALTER TABLE {table} ALTER id ADD GENERATED BY DEFAULT AS IDENTITY",
        ):
            cursor.execute(table.statement(text))
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table.name, next_id]
        )
        for text in copied:
            cursor.execute(text)
        _make_partition(cursor, table, table.other)
        for text in (
            "ALTER TABLE {table} ATTACH PARTITION {other} DEFAULT",
            "ALTER TABLE {table} ATTACH PARTITION {past} FOR VALUES FROM (MINVALUE) TO ({end})",
            "ALTER TABLE {past} DROP CONSTRAINT {past}",
        ):
            cursor.execute(table.statement(text, end=end))
