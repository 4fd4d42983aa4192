"""Migrations follow the models and their triggers, and lead on from the released database."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.django_db

#: The migrations that a database of the only released state before the squash has applied.
RELEASED = {
    "audit": """
        0001_initial 0002_recording 0003_promotions_and_experiments 0004_second_factor
    """,
    "movies": """
        0001_initial 0002_catalogue_version 0003_programme 0004_audit 0005_search 0006_kept_answers
        0007_community_score 0008_directors 0009_series 0010_languages_and_directors
    """,
    "tmdb": """
        0001_initial 0002_provenance 0003_audit 0004_directors 0005_series
    """,
    "users": """
        0001_initial 0002_audit 0003_sessions_and_lists 0004_taste_and_sessions 0005_refresh_grace
        0006_mails 0007_languages 0008_second_factor
    """,
    "recommendations": """
        0001_initial 0002_interaction_counters 0003_audit 0004_recent_interactions
        0005_counted_in_order 0006_evidence 0007_counts_stay 0008_why_left_out
        0009_lists_and_matches 0010_staff_have_their_say 0011_summary 0012_pending_imports
    """,
}


def test_the_migrations_have_all_that_the_models_declare() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_database_has_few_triggers_and_each_is_declared_on_a_model() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0")
        names = [name for (name,) in cursor.fetchall()]
    assert len(names) <= 20
    assert [name for name in names if not name.startswith("pgtrigger_")] == []


def test_a_released_database_takes_the_squashed_migrations_for_applied() -> None:
    recorder = MigrationRecorder(connection)
    recorder.migration_qs.filter(app__in=RELEASED).delete()
    for app, names in RELEASED.items():
        for name in names.split():
            recorder.record_applied(app, name)
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    assert sorted((migration.app_label, migration.name) for migration, _ in plan) == [
        ("audit", "0002_months"),
        ("movies", "0002_triggers"),
        ("movies", "0003_fewer_indexes_of_screenings"),
        ("movies", "0004_author_unknown"),
        ("recommendations", "0002_triggers"),
        ("recommendations", "0003_counts_in_three_statements"),
        ("recommendations", "0004_release_hold"),
        ("recommendations", "0005_months_of_impressions"),
        ("recommendations", "0006_author_unknown"),
        ("users", "0002_triggers"),
        ("users", "0003_positions_of_sessions"),
        ("users", "0004_author_unknown"),
    ]
