"""Impressions in months beside the same rows in one plain table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from uuid import uuid4

import numpy as np
import psutil
from django.db import connection
from django.utils import timezone

from bench.inside.filling import without_indexes
from cinema import partitions
from cinema.database import prepared_cursor
from cinema.partitions import (
    MonthlyTable,
    month_after,
    month_of,
    month_ranges,
    partition_by_month,
)
from recommendations.impressions import storage
from recommendations.models import Impression

MONTHS, TABLE, PLAIN = Impression.MONTHS, "recommendations_impression", "plain_impression"
DAYS, SHOWN, FILMS = 118, 20, 3_000
#: Lists that one run of the task stores, runs, and viewers who are read.
BLOCK, BLOCKS, VIEWERS_ASKED = 500, 6, 3_000
DELETED_AT_ONCE = 10_000

FILL_FILMS = """
INSERT INTO movies_movie (name, slug, protagonists, directors, keywords, overview, start_date,
    status, status_is_manual, ranking, original_language, rating_count, rating_sum, created_at,
    updated_at, genre_ids)
SELECT 'Film ' || n, 'film-' || n, '{A}', '{B}', '{c}', '', now(), 'running', false, 0, '', 0, 0,
    now(), now(), '{}' FROM generate_series(1, %s) n
"""
FILL_VIEWERS = """
INSERT INTO users_user (email, password, name, is_staff, is_superuser, is_active, date_joined,
    taste_version)
SELECT 'v-' || n || '@cinema.invalid', '!', '', false, false, true, now(), 0
FROM generate_series(1, %s) n
"""
FILL = """
INSERT INTO {table} (id, list_id, position, user_id, movie_id, scope, algorithm, source,
    is_fallback, team, shown_at)
SELECT n * {shown} + place, list_id, place, viewer, {first_film} + floor(random() * {films}),
    'catalogue', 'hybrid', 'als', false, '', now() - interval '{days} days' * (1 - n / {lists}.0)
FROM (
    SELECT n, gen_random_uuid() AS list_id, {first_viewer} + floor(random() * {viewers}) AS viewer
    FROM generate_series(1, {lists}) n
) AS list CROSS JOIN generate_series(1, {shown}) AS place
"""
#: The table as it was before it had months: `_past`, without its rows.
MAKE_PLAIN = f"""
CREATE TABLE {PLAIN} (LIKE {MONTHS.past} INCLUDING ALL);
ALTER TABLE {PLAIN} ADD FOREIGN KEY (user_id) REFERENCES users_user DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (movie_id) REFERENCES movies_movie DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (release_id) REFERENCES recommendations_release
        DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (experiment_id) REFERENCES recommendations_experiment
        DEFERRABLE INITIALLY DEFERRED
"""


def measure(*, rows: int, viewers: int) -> list[dict[str, float | str]]:
    """Fill an empty database, first the plain table and then the months."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute(MAKE_PLAIN)
        cursor.execute(FILL_FILMS, [FILMS])
        cursor.execute(FILL_VIEWERS, [viewers])
    _make_past_months()
    _fill(PLAIN, rows, viewers)
    plain = {**_figures(PLAIN, rows, viewers), **_converted()}
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {PLAIN}")
    _fill(TABLE, rows, viewers)
    months = _figures(TABLE, rows, viewers)
    return [{"table": "plain", "rows": rows, **plain}, {"table": "months", "rows": rows, **months}]


def _make_past_months() -> None:
    """Months in place of the partition of all that was before: as it is after some months."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {MONTHS.past}")
    month = month_of(timezone.now() - timedelta(days=DAYS))
    while month <= month_after(timezone.now()):
        if not any(start <= month < end for start, end in month_ranges(MONTHS).values()):
            partitions._add_month(MONTHS, month)
        month = month_after(month)


def _fill(table: str, rows: int, viewers: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no foreign keys are checked
        with without_indexes(table):
            cursor.execute(FILL.format(
                table=table, shown=SHOWN, days=DAYS, films=FILMS, viewers=viewers,
                lists=rows // SHOWN, first_film=_first("movies_movie"),
                first_viewer=_first("users_user"),
            ))  # fmt: skip
        cursor.execute("SET session_replication_role = origin")
        cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), %s)", [rows * 2])
        cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("CHECKPOINT")


def _first(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min(id) FROM {table}")
        return int(cursor.fetchone()[0])


class Took:
    """Seconds by the clock, and seconds of CPU of this connection's server process."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0


@contextmanager
def _taken() -> Iterator[Took]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0])
    took, cpu, start = Took(), sum(server.cpu_times()[:2]), time.perf_counter()
    yield took
    took.wall_s = time.perf_counter() - start
    took.cpu_s = sum(server.cpu_times()[:2]) - cpu


def _figures(table: str, rows: int, viewers: int) -> dict[str, float]:
    return {
        "bytes each": _bytes(table) / rows,
        **_fatigue(table, viewers),
        **_stored(table, viewers),
        **_old_rows(table, rows),
    }


def _bytes(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE oid = to_regclass(%s)"
            " OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%s))",
            [table, table],
        )
        return int(cursor.fetchone()[0])


def _fatigue(table: str, viewers: int) -> dict[str, float]:
    """Read the rows of viewers in turn, by a statement that is planned once, as in the web."""
    query = f"SELECT {storage.UNOPENED} FROM (SELECT %(viewer)s::bigint AS id) AS viewer"
    query, given = query.replace(TABLE, table), storage.unopened_parameters()
    first = _first("users_user")
    asked = np.random.default_rng(1895).integers(first, first + viewers, VIEWERS_ASKED).tolist()
    plans = []
    with connection.cursor() as cursor:
        for viewer in asked[:20]:
            cursor.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", {**given, "viewer": viewer}
            )
            plans.append(cursor.fetchone()[0][0])
    with prepared_cursor() as cursor:
        for viewer in asked:  # planned, and in memory
            cursor.execute(query, {**given, "viewer": viewer})
        with _taken() as took:
            for viewer in asked:
                cursor.execute(query, {**given, "viewer": viewer})
                cursor.fetchall()
    return {
        "fatigue, ms CPU": took.cpu_s * 1000 / len(asked),
        "fatigue, plan ms": float(np.median([plan["Planning Time"] for plan in plans])),
        "fatigue, pages": float(
            np.mean(
                [p["Plan"]["Shared Hit Blocks"] + p["Plan"]["Shared Read Blocks"] for p in plans]
            )
        ),
    }


def _converted() -> dict[str, float]:
    """The conversion of the plain table, while another connection reads the latest rows."""
    table, waits, ended = MonthlyTable(PLAIN, "shown_at", ["list_id", "position"]), [0.0], Event()

    def read() -> None:
        with connection.cursor() as cursor:
            while not ended.is_set():
                start = time.perf_counter()
                cursor.execute(
                    f"SELECT max(id) FROM {PLAIN} WHERE shown_at > now() - '1 h'::interval"
                )
                waits.append(time.perf_counter() - start)
        connection.close()

    reading = Thread(target=read)
    reading.start()
    try:
        with _taken() as took:
            partition_by_month(table)
    finally:
        ended.set()
        reading.join()
    return {"conversion, s": took.wall_s, "a reader waits, ms at most": max(waits) * 1000}


def _stored(table: str, viewers: int) -> dict[str, float]:
    """Batches of lists, and then a click on each of them."""
    conflict = "(list_id, position) " if table == PLAIN else ""
    shown = storage.STORE_SHOWN.replace(TABLE, table)
    shown = shown.replace("ON CONFLICT DO", f"ON CONFLICT {conflict}DO")
    first, first_film = _first("users_user"), _first("movies_movie")
    rng, now = np.random.default_rng(1895), timezone.now()
    blocks, clicks = [], []
    for _ in range(BLOCKS):
        entries = []
        for viewer in rng.integers(first, first + viewers, BLOCK).tolist():
            films = rng.integers(first_film, first_film + FILMS, SHOWN).tolist()
            items = [[n, film, "hybrid", "als", False, None, ""] for n, film in enumerate(films)]
            entry = {"list_id": str(uuid4()), "user_id": viewer, "scope": "catalogue"}
            entries.append({**entry, "shown_at": str(now), "items": items})
            clicks.append({**entry, "movie_id": films[0], "clicked_at": str(now)})
        blocks.append(json.dumps(entries))
    parameters = {"since": now - storage.LISTS_LIVE, "until": now + storage.CLOCKS_DIFFER}
    with connection.cursor() as cursor:
        with _taken() as storing:
            for block in blocks:
                cursor.execute(shown, [block])
        with _taken() as clicking:
            for start in range(0, len(clicks), BLOCK):
                part = json.dumps(clicks[start : start + BLOCK])
                statement = storage.STORE_CLICKS.replace(TABLE, table)
                cursor.execute(statement, {"clicks": part, **parameters})
    rows = BLOCK * BLOCKS * SHOWN
    return {
        "stored rows/s": rows / storing.wall_s,
        "stored rows/s of CPU": rows / storing.cpu_s,
        "click, ms CPU": clicking.cpu_s * 1000 / len(clicks),
    }


def _old_rows(table: str, rows: int) -> dict[str, float]:
    """Drop the oldest whole month, or delete a million rows as it was done before, and clean up."""
    with connection.cursor() as cursor:
        if table == TABLE:
            oldest = sorted(month_ranges(MONTHS).items(), key=lambda item: item[1])[1][0]
            cursor.execute(f"SELECT count(*) FROM {oldest}")
            [count] = cursor.fetchone()
            with _taken() as took:
                partitions._drop(MONTHS, oldest)
            return {"old rows": count, "old rows gone, s": took.wall_s}
        deleted, most = 0, min(rows // 4, 1_000_000)
        with _taken() as took:
            while deleted < most:
                cursor.execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table}"
                    f" WHERE shown_at < now() - interval '88 days' LIMIT {DELETED_AT_ONCE})"
                )
                deleted += cursor.rowcount
        with _taken() as cleaning:
            cursor.execute(f"VACUUM {table}")
        return {
            "old rows": deleted,
            "old rows gone, s": took.wall_s,
            "old rows gone, s CPU": took.cpu_s,
            "vacuum, s": cleaning.wall_s,
        }
