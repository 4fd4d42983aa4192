"""The tables of Cinema: copied out of one snapshot, and into an empty database.

COPY by psycopg needs no `pg_dump`, which the container images do not have and which refuses a newer
server. The schema comes from the migrations that the backup names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from cinema.backup.archive import BackupRefused, Sequence

MIGRATIONS = "django_migrations"
#: Migrations fill these tables, also in a database without data.
FILLED_BY_MIGRATIONS = {MIGRATIONS, "django_content_type", "auth_permission"}


def tables() -> list[str]:
    """The tables of Cinema that exist. A database may have others."""
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return sorted({*found, MIGRATIONS} & {*connection.introspection.table_names()})


def filled_tables() -> list[str]:
    """The tables with rows that no migration made."""
    with connection.cursor() as cursor:
        found = []
        for table in {*tables()} - FILLED_BY_MIGRATIONS:
            cursor.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table)))
            found += [table] * cursor.rowcount
        return sorted(found)


@contextmanager
def snapshot(names: list[str]) -> Iterator[None]:
    """All statements of the block see the same rows, and no migration changes these tables."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        # The lock comes before the first query, which takes the snapshot.
        cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(_list(names)))
        yield


def applied_migrations() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


def stored_bytes(names: list[str]) -> int:
    """About the size of the copies."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_table_size(to_regclass(name)) + coalesce((SELECT sum(pg_table_size("
            "inhrelid)) FROM pg_inherits WHERE inhparent = to_regclass(name)), 0))"
            " FROM unnest(%s::text[]) name",
            [names],
        )
        return int(cursor.fetchone()[0] or 0)


def columns(table: str) -> list[str]:
    """The columns that the database does not compute."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s)"
            " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            [table],
        )
        return [name for (name,) in cursor.fetchall()]


def count_rows(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
        return int(cursor.fetchone()[0])


def copy_out(table: str, names: list[str]) -> Iterator[bytes]:
    """The rows as lines of COPY's text format, which all versions of Postgres read.

    COPY sends a row at a time. They are collected: 64 KB take a third of the CPU. It takes a query,
    because before Postgres 19 it refuses a partitioned table.
    """
    query = sql.SQL("SELECT {} FROM {}").format(_list(names), sql.Identifier(table))
    statement = sql.SQL("COPY ({}) TO STDOUT").format(query)
    collected = bytearray()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line in copy:
            collected += line
            if len(collected) >= 65_536:
                yield bytes(collected)
                collected.clear()
    yield bytes(collected)


def sequences(names: list[str]) -> list[Sequence]:
    """The sequences of the tables. They are not of the snapshot, and so never too low."""
    found = []
    with connection.cursor() as cursor:
        for table in names:
            for each in connection.introspection.get_sequences(cursor, table):
                name = sql.Identifier(each["name"])
                cursor.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(name))
                last_value, is_called = cursor.fetchone()
                column = str(each["column"])
                found.append(
                    Sequence(table=table, column=column, last_value=last_value, is_called=is_called)
                )
    return found


def migrate_to(applied: list[str]) -> None:
    """Bring an empty database to the state of these migrations.

    Raises:
        BackupRefused: This version does not have one of them, or the database has more.
    """
    executor = MigrationExecutor(connection)
    graph, done = executor.loader.graph, set(applied)
    targets = set()
    for app, name in graph.nodes:
        replaced = {f"{a}.{n}" for a, n in executor.loader.get_migration(app, name).replaces}
        if f"{app}.{name}" in done or (replaced and replaced <= done):
            targets.add((app, name))
            done -= {f"{app}.{name}", *replaced}
    # Migrations of a removed package are harmless: the backup does not have its tables.
    if unknown := {
        name for name in done if name.partition(".")[0] in executor.loader.migrated_apps
    }:
        raise BackupRefused(
            f"This version of Cinema does not know the migrations {', '.join(sorted(unknown))}."
            " Install the version that made the backup, or a newer one."
        )
    if set(executor.loader.applied_migrations) & set(graph.nodes) - targets:
        raise BackupRefused(
            "The database is prepared for another version than that of the backup. Give a database"
            " without tables, or an empty CINEMA_HOME."
        )
    # A target that another one of its app follows would be migrated back to.
    executor.migrate(
        [
            (app, name)
            for app, name in targets
            if not any(
                c.key[0] == app and c.key in targets for c in graph.node_map[app, name].children
            )
        ]
    )


@contextmanager
def emptied(names: list[str], backup_id: UUID) -> Iterator[None]:
    """Empty the tables. The block fills them without triggers; it is kept as a whole, or not.

    Foreign keys and indexes are made at the end: five million ratings took 91 s in place of 337 s.
    Postgres would also keep each row in memory until it has checked its foreign keys.
    """
    identifiers = [sql.Identifier(name) for name in names]
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(sql.SQL("TRUNCATE {}").format(_list(names)))
        for table in identifiers:
            cursor.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(table))
        cursor.execute(_KEYS_AND_INDEXES, {"tables": names})
        statements = cursor.fetchall()
        for drop, _ in statements:
            cursor.execute(drop)
        yield
        for _, create in reversed(statements):
            cursor.execute(create)
        for table in identifiers:
            cursor.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(table))
        comment = sql.Literal(_comment(backup_id))
        cursor.execute(sql.SQL("COMMENT ON TABLE django_migrations IS {}").format(comment))


#: Statements that drop foreign keys and indexes, and those that make them again. Primary keys
#: and unique constraints stay, because foreign keys and views depend on them. Indexes with a
#: condition stay, because Postgres would then write it in another form.
_KEYS_AND_INDEXES = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
    format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname,
        pg_get_constraintdef(oid))
FROM pg_constraint
WHERE contype = 'f' AND conrelid IN (SELECT to_regclass(unnest(%(tables)s::text[])))
UNION ALL
SELECT format('DROP INDEX %%s', indexrelid::regclass),
    replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
FROM pg_index
WHERE indrelid IN (SELECT to_regclass(unnest(%(tables)s::text[])))
    AND indpred IS NULL AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def is_restored(backup_id: UUID) -> bool:
    """Whether a restore of this backup has filled the tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regclass('django_migrations'))")
        return bool(cursor.fetchone()[0] == _comment(backup_id))


def _comment(backup_id: UUID) -> str:
    return f"Restored from the backup {backup_id}"


def copy_in(table: str, names: list[str], chunks: Iterable[bytes]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _list(names))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in chunks:
            copy.write(chunk)


def set_sequence(sequence: Sequence) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(quote_ident(%s), %s), %s, %s)",
            [sequence.table, sequence.column, sequence.last_value, sequence.is_called],
        )


def analyze(names: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ANALYZE {}").format(_list(names)))


def _list(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
