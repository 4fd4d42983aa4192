import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import recommendations.models


class Migration(migrations.Migration):
    dependencies = [
        ("movies", "0008_directors"),
        ("recommendations", "0008_why_left_out"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Experiment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("algorithm_a", models.CharField(max_length=40)),
                ("algorithm_b", models.CharField(max_length=40)),
                ("share", models.FloatField(default=1.0)),
                ("starts_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ends_at", models.DateTimeField()),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
            options={
                "ordering": ("-starts_at", "-id"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True),
                        name="experiment_name_not_empty",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("algorithm_a", models.F("algorithm_b")), _negated=True),
                        name="experiment_of_two",
                        violation_error_message="An algorithm cannot be held against itself.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("share__gt", 0), ("share__lte", 1)),
                        name="experiment_share_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ends_at__gt", models.F("starts_at"))),
                        name="experiment_ends_after_start",
                        violation_error_message="It ends after it starts.",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        expressions=[
                            (recommendations.models.TimeRange("starts_at", "ends_at"), "&&")
                        ],
                        name="experiment_alone",
                        violation_error_message="Another experiment runs in that time.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Impression",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("list_id", models.UUIDField()),
                ("position", models.PositiveSmallIntegerField()),
                ("scope", models.CharField(max_length=9)),
                ("algorithm", models.CharField(max_length=40)),
                ("source", models.CharField(max_length=40)),
                ("is_fallback", models.BooleanField()),
                (
                    "team",
                    models.CharField(
                        blank=True, choices=[("", "None"), ("a", "A"), ("b", "B")], max_length=1
                    ),
                ),
                ("shown_at", models.DateTimeField()),
                ("clicked_at", models.DateTimeField(null=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="recommendations.experiment",
                    ),
                ),
                (
                    "movie",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="movies.movie",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="recommendations.release",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["user", "shown_at"], include=("movie",), name="impression_by_user"
                    ),
                    django.contrib.postgres.indexes.BrinIndex(
                        autosummarize=True, fields=["shown_at"], name="impression_by_time"
                    ),
                    models.Index(
                        condition=models.Q(("experiment__isnull", False)),
                        fields=["experiment", "user"],
                        name="impression_by_experiment",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("list_id", "position"), name="impression_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Neighbour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("similarity", models.FloatField()),
                ("shared", models.PositiveIntegerField()),
                ("product_sum", models.FloatField()),
                ("own_square_sum", models.FloatField()),
                ("other_square_sum", models.FloatField()),
                ("matched_since", models.DateTimeField(null=True)),
                (
                    "other",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="neighbours",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user", "-similarity"], name="neighbour_by_similarity")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "other"), name="neighbour_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("user", models.F("other")), _negated=True),
                        name="neighbour_is_another",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Promotion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("pin", "pinned to a place"), ("boost", "moved up")], max_length=5
                    ),
                ),
                ("place", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("strength", models.FloatField(blank=True, null=True)),
                (
                    "scope",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "all lists"),
                            ("catalogue", "lists of the whole catalogue"),
                            ("programme", "lists of the programme"),
                        ],
                        max_length=9,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=200)),
                ("starts_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ends_at", models.DateTimeField()),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "movie",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="promotions",
                        to="movies.movie",
                    ),
                ),
            ],
            options={
                "ordering": ("-ends_at", "-id"),
                "indexes": [models.Index(fields=["ends_at"], name="promotion_by_end")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind", "pin"),
                                ("place__isnull", False),
                                ("place__range", (1, 10)),
                                ("strength", None),
                            ),
                            models.Q(
                                ("kind", "boost"),
                                ("place", None),
                                ("strength__gt", 0),
                                ("strength__isnull", False),
                                ("strength__lte", 1),
                            ),
                            _connector="OR",
                        ),
                        name="promotion_pin_or_boost",
                        violation_error_message=(
                            "A pin has a place from 1 to 10; "
                            "a boost has a strength above 0, up to 1."
                        ),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("scope__in", ["", "catalogue", "programme"])),
                        name="promotion_scope_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ends_at__gt", models.F("starts_at"))),
                        name="promotion_ends_after_start",
                        violation_error_message="It ends after it starts.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SimilarMovies",
            fields=[
                (
                    "movie",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="similar_movies",
                        serialize=False,
                        to="movies.movie",
                    ),
                ),
                ("algorithm", models.CharField(blank=True, max_length=40)),
                (
                    "others",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                (
                    "scores",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(), size=None
                    ),
                ),
                (
                    "by_factors",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(null=True), size=None
                    ),
                ),
                (
                    "by_content",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(null=True), size=None
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="recommendations.release",
                    ),
                ),
            ],
        ),
    ]
