"""A transactional test leaves an empty database to the next one."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from movies.models import Movie
from tests.builders import interact, make_movie, make_screening, make_user
from tests.emptying import FILLED_BY_MIGRATIONS, empty_tables

pytestmark = pytest.mark.django_db(transaction=True)


def filled() -> set[str]:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        counts = (f"SELECT '{table}', count(*) FROM {table}" for table in tables)  # noqa: S608
        cursor.execute(" UNION ALL ".join(counts))
        return {str(table) for table, count in cursor.fetchall() if count}


def test_every_row_is_deleted_and_the_rules_hold_again() -> None:
    permissions, types = Permission.objects.count(), ContentType.objects.count()
    make_screening()
    interact(make_user(), make_movie())
    assert len(filled()) > 5
    empty_tables()
    assert filled() == FILLED_BY_MIGRATIONS
    assert (Permission.objects.count(), ContentType.objects.count()) == (permissions, types)
    with connection.cursor() as cursor:
        cursor.execute("SHOW session_replication_role")
        assert cursor.fetchone() == ("origin",)


def test_an_empty_database_stays_empty() -> None:
    empty_tables()
    assert filled() == FILLED_BY_MIGRATIONS
    assert not Movie.objects.exists()
