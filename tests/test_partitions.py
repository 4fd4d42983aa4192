"""Tables with a partition for each month: the months, what is looked at, and the conversion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

import orjson
import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cinema import doctor, partitions
from cinema.audit.api import AuditFilters, list_entries
from cinema.audit.models import AuditEntry, kept_since
from cinema.audit.tasks import prune
from cinema.model_admin import EstimatedPaginator
from cinema.partitions import (
    MONTHS_AHEAD,
    MonthlyTable,
    keep_months,
    missing_months,
    month_after,
    month_of,
    month_ranges,
    partition_by_month,
)
from recommendations.impressions import storage
from recommendations.models import Impression
from recommendations.tasks import prune_impressions, store_impressions
from tests.audience import rate
from tests.belongings import rows
from tests.builders import Client, interact, make_impression, make_movie, make_user
from tests.concurrency import and_disconnect
from tests.running import ROOT
from tests.showing import item, note, stored
from users.erasure import erase

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

SHOWN, AUDITED = Impression.MONTHS, AuditEntry.MONTHS
ONE_DAY = timedelta(days=1)


@pytest.fixture
def years_later() -> Iterator[datetime]:
    """The middle of a month, after fourteen months of daily work: all rows are in months."""
    month = month_of(timezone.now())
    for _ in range(14):
        month = month_after(month)
        with time_machine.travel(month + 14 * ONE_DAY, tick=False):
            prune_impressions()
            prune()
    with time_machine.travel(month + 14 * ONE_DAY, tick=False):
        yield month + 14 * ONE_DAY


def partition_of(row: Any) -> str:
    [(name,)] = rows(
        f"SELECT tableoid::regclass::text FROM {row._meta.db_table} WHERE id = %s",  # noqa: S608
        row.pk,
    )
    return str(name)


def make_entry(**fields: Any) -> AuditEntry:
    defaults = {"at": timezone.now(), "via": "api", "action": "create", "model": "hall"}
    return AuditEntry.objects.create(**{**defaults, "object_id": 1, **fields})


# --- the months


def test_months_are_made_in_advance_and_dropped_when_all_of_them_is_too_old(
    years_later: datetime,
) -> None:
    for table, since in ((SHOWN, years_later - 90 * ONE_DAY), (AUDITED, kept_since())):
        ranges = sorted(month_ranges(table).values())
        assert ranges[0][0] <= since < ranges[0][1]
        assert [end for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]
        present = month_of(years_later)
        assert sum(start > present for start, _ in ranges) == MONTHS_AHEAD
        assert keep_months(table, since=since) == []


def test_rows_of_a_dropped_month_are_gone_and_others_stay(years_later: datetime) -> None:
    viewer, film = make_user(), make_movie()
    old = make_impression(viewer, film, shown_at=years_later - 89 * ONE_DAY)
    young = make_impression(viewer, film)
    connection.check_constraints()
    assert partition_of(old) != partition_of(young)
    with time_machine.travel(years_later + 45 * ONE_DAY, tick=False):
        prune_impressions()
        left = rows("SELECT id FROM recommendations_impression")
    assert left == [(young.pk,)]


def test_old_rows_are_erased_but_neither_exported_nor_counted(years_later: datetime) -> None:
    viewer = Client(make_user())
    film = make_movie()
    make_impression(viewer.user, film, shown_at=years_later - 91 * ONE_DAY)
    young = make_impression(viewer.user, film)
    export = orjson.loads(viewer.get("/users/me/export").getvalue())
    assert [row["list_id"] for row in export["impressions"]] == [str(young.list_id)]
    assert Impression.objects.count() == 1
    assert rows("SELECT count(*) FROM recommendations_impression") == [(2,)]
    erase(user_id=viewer.user.pk)
    assert rows("SELECT count(*) FROM recommendations_impression") == [(0,)]


def test_an_insert_never_fails_and_its_month_takes_the_row_later(years_later: datetime) -> None:
    """No worker has been there for half a year, or a clock is wrong."""
    later = years_later + 190 * ONE_DAY
    viewer, film = make_user(), make_movie()
    of_later = make_impression(viewer, film, shown_at=later)
    long_ago = make_entry(at=years_later - 5000 * ONE_DAY)
    connection.check_constraints()
    assert (partition_of(of_later), partition_of(long_ago)) == (SHOWN.other, AUDITED.other)
    with time_machine.travel(later, tick=False):
        assert any(SHOWN.name in finding.what for finding in doctor.check_months())
        prune_impressions()
        prune()
        assert partition_of(of_later) == f"{SHOWN.name}_{later:%Y_%m}"
        assert [*doctor.check_months()] == []
    assert rows("SELECT count(*) FROM audit_auditentry WHERE id = %s", long_ago.pk) == [(0,)]


def test_a_repeated_batch_changes_nothing(years_later: datetime) -> None:
    viewer, film, other = make_user(), make_movie(), make_movie()
    list_id = note(viewer, item(film))
    store_impressions()
    note(viewer, item(other), list_id=list_id, shown_at=years_later + timedelta(seconds=1))
    note(viewer, item(other), list_id=list_id, shown_at=years_later + timedelta(seconds=2))
    store_impressions()
    assert stored() == [(list_id, 1, film.pk)]


@pytest.mark.parametrize("days", [0, 3, 80])
def test_a_click_finds_its_impression_in_any_month_that_is_kept(
    years_later: datetime, days: int
) -> None:
    viewer = Client(make_user())
    shown = make_impression(viewer.user, make_movie(), shown_at=years_later - days * ONE_DAY)
    payload = {"movie_id": shown.movie_id}
    assert viewer.post(f"/recommendations/{shown.list_id}/clicks", payload).status_code == 204
    store_impressions()
    shown.refresh_from_db()
    assert shown.clicked_at == years_later


# --- what a statement looks at


def looked_at(sql: str, parameters: Any = None) -> dict[str, set[str]]:
    """The node types by which the plan reads each partition."""
    found: dict[str, set[str]] = {}

    def walk(node: dict[str, Any]) -> None:
        if "Relation Name" in node and "Scan" in node["Node Type"]:
            found.setdefault(node["Relation Name"], set()).add(node["Node Type"])
        for part in node.get("Plans", []):
            walk(part)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        walk(cursor.fetchone()[0][0]["Plan"])
    return found


def months(table: MonthlyTable, *moments: datetime) -> set[str]:
    return {f"{table.name}_{moment:%Y_%m}" for moment in moments}


def test_fatigue_looks_at_the_months_of_a_fortnight(years_later: datetime) -> None:
    found = looked_at(
        f"SELECT {storage.UNOPENED} FROM users_user AS viewer WHERE id = 1",  # noqa: S608
        storage.unopened_parameters(),
    )
    found.pop("users_user")
    since = years_later - storage.REMEMBERED_FOR
    assert found.keys() == months(SHOWN, since, years_later)


def test_a_recent_click_looks_at_the_months_of_the_last_days(years_later: datetime) -> None:
    parameters = {
        "clicks": "[]",
        "since": years_later - storage.LISTS_LIVE,
        "until": years_later + storage.CLOCKS_DIFFER,
    }
    assert looked_at(storage.STORE_CLICKS, parameters).keys() == months(SHOWN, years_later)


def test_a_page_of_the_log_with_a_time_looks_at_its_months(years_later: datetime) -> None:
    since = years_later - 40 * ONE_DAY
    entries = list_entries(AuditFilters.model_validate({"from": since, "to": years_later}))
    sql, parameters = entries[:20].query.sql_with_params()
    between = month_after(month_of(since))
    assert looked_at(sql, parameters).keys() == months(AUDITED, since, between, years_later)


def test_old_months_are_never_shown(years_later: datetime) -> None:
    sql, parameters = list_entries(AuditFilters.model_validate({}))[:20].query.sql_with_params()
    ranges = month_ranges(AUDITED)
    found = looked_at(sql, parameters).keys() - {AUDITED.other}
    assert found == {name for name, (_, end) in ranges.items() if end > kept_since()}


def test_an_erasure_finds_the_rows_of_each_month_by_an_index(years_later: datetime) -> None:
    found = looked_at("DELETE FROM recommendations_impression WHERE user_id = 1")
    assert found.keys() == {*month_ranges(SHOWN), SHOWN.other}
    assert not any("Seq Scan" in nodes for nodes in found.values())


def test_a_long_log_is_counted_by_estimate_and_a_part_of_it_exactly(
    years_later: datetime,
) -> None:
    execute(
        "INSERT INTO audit_auditentry (at, via, action, model, object_id, request_id, path)"
        " SELECT %s::timestamptz - n * interval '3 minutes', 'api', 'create', 'hall', n, '', ''"
        " FROM generate_series(1, 20000) n",
        years_later,
    )
    execute("ANALYZE audit_auditentry")
    whole = AuditEntry.objects.order_by("-at")
    with CaptureQueriesContext(connection) as queries:
        assert abs(EstimatedPaginator(whole, 50).count - 20_000) < 1_000
    assert not any("COUNT(" in query["sql"] for query in queries)
    assert EstimatedPaginator(whole.filter(object_id__lte=7), 50).count == 7


# --- the conversion

PLAIN = MonthlyTable("plain", "at", ["id"])
MAKE_PLAIN = """
CREATE TABLE plain (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    n integer NOT NULL CHECK (n >= 0),
    user_id bigint REFERENCES users_user (id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX plain_by_time ON plain (at DESC);
CREATE INDEX plain_by_user ON plain (user_id, at) INCLUDE (n) WHERE user_id IS NOT NULL;
INSERT INTO plain (at, n) SELECT now() - each * interval '1 hour', each
FROM generate_series(1, 2000) AS each;
GRANT SELECT ON plain TO PUBLIC;
"""
INSERT = "INSERT INTO plain (at, n) VALUES (now(), %s)"


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A table with rows, as one was made before it had months."""
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", 50)
    execute(MAKE_PLAIN)
    yield
    execute("DROP TABLE IF EXISTS plain CASCADE; DROP TABLE IF EXISTS plain_past")


def execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)


def definitions(table: str) -> set[str]:
    """The columns, constraints, indexes and grants of a table."""
    return {
        text.replace("ON ONLY", "ON")
        for (text,) in rows(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = to_regclass(%s) AND NOT indisprimary"
            " UNION SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = to_regclass(%s) AND contype <> 'p'"
            " UNION SELECT attname || atttypid::regtype || attnotnull || attidentity::text"
            " FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " UNION SELECT coalesce(relacl::text, '') FROM pg_class WHERE oid = to_regclass(%s)",
            *[table] * 4,
        )
    }


@pytest.mark.real_clock
@pytest.mark.django_db(transaction=True)
def test_a_table_is_converted_without_a_move_of_its_rows(plain: None) -> None:
    before = definitions("plain")
    files = "SELECT relfilenode FROM pg_class WHERE oid = to_regclass(%s) OR oid IN"
    files += " (SELECT indexrelid FROM pg_index WHERE indrelid = to_regclass(%s)) ORDER BY 1"
    stood = rows(files, "plain", "plain")
    partition_by_month(PLAIN)
    assert definitions("plain") == before
    assert rows(files, "plain_past", "plain_past") == stood
    assert rows("SELECT count(*), sum(n), max(id) FROM plain") == [(2000, 2001000, 2000)]
    assert rows("INSERT INTO plain (at, n) VALUES (now(), 7) RETURNING id") == [(2001,)]
    assert missing_months(PLAIN) == []
    # Each index of the table has one of the old ones below it.
    assert rows("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    partition_by_month(PLAIN)  # once more: nothing is left to do


@pytest.mark.real_clock
@pytest.mark.django_db(transaction=True)
def test_others_read_and_write_while_a_table_is_converted(plain: None) -> None:
    """A transaction that has read the table keeps the conversion out: it gives way, and retries."""
    execute("BEGIN")
    execute("SELECT count(*) FROM plain")
    converting = Thread(target=and_disconnect, args=(lambda: partition_by_month(PLAIN),))
    converting.start()
    ended = Event()
    written: list[int] = []

    def write() -> None:
        while not ended.is_set():
            execute(INSERT, len(written))
            written.append(rows("SELECT count(*) FROM plain")[0][0])

    writing = Thread(target=and_disconnect, args=(write,))
    writing.start()
    try:
        while len(written) < 50 and writing.is_alive():
            ended.wait(0.05)
        assert rows("SELECT relkind FROM pg_class WHERE relname = 'plain'") == [("r",)]
        execute("COMMIT")
        converting.join(timeout=60)
    finally:
        ended.set()
        execute("ROLLBACK")  # of a test that has failed: the conversion waits for its end
        converting.join(timeout=60)
        writing.join(timeout=60)
    assert written == [*range(2001, 2001 + len(written))]
    assert rows("SELECT relkind FROM pg_class WHERE relname = 'plain'") == [("p",)]
    assert rows("SELECT count(*), count(DISTINCT id) FROM plain") == [(2000 + len(written),) * 2]


@pytest.mark.real_clock
@pytest.mark.django_db(transaction=True)
def test_rows_of_the_future_do_not_hold_up_an_interrupted_conversion(plain: None) -> None:
    execute("INSERT INTO plain (at, n) VALUES ('2999-01-01', 0)")
    partitions._constrain(PLAIN, month_after(month_of(timezone.now() + 400 * ONE_DAY)))
    partition_by_month(PLAIN)
    assert rows("SELECT count(*) FROM plain WHERE at > now()") == [(0,)]
    assert rows("SELECT count(*) FROM plain") == [(2001,)]
    # Nothing keeps later rows out.
    execute("INSERT INTO plain (at, n) VALUES ('2998-01-01', 0)")
    assert rows("SELECT count(*) FROM plain_other") == [(1,)]


# --- interactions of a grown site


def test_interactions_can_be_divided_by_viewers() -> None:
    film = make_movie()
    viewers = [make_user() for _ in range(5)]
    for viewer in viewers:
        interact(viewer, film, "rating", half_stars=8)
    connection.check_constraints()
    before = definitions("recommendations_interaction")
    execute((ROOT / "deploy/interactions-by-hash.sql").read_text())
    assert definitions("recommendations_interaction") == before
    places = rows("SELECT DISTINCT tableoid FROM recommendations_interaction")
    assert len(places) > 1
    rate(Client(viewers[0]), film, 1)  # replaces
    viewers[1].delete()
    film.refresh_from_db()
    assert (film.rating_count, film.rating_sum) == (4, 13)
    assert rows("SELECT count(*) FROM recommendations_evidence") == [(4,)]
    assert rows("SELECT count(*) FROM recommendations_figures('UTC')") == [(4,)]
