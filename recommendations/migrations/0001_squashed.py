"""All tables, as the 12 migrations made them that this one replaces.

A database with all of these, the only released state, takes it for applied: keep `replaces`.
"""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import recommendations.models
from django.conf import settings
from django.db import migrations, models

#: The evidence of taste: interactions, favourites and the history. A viewer counts once for a
#: film and kind: the history may hold a thousand viewings of one film.
VIEW = """
CREATE VIEW recommendations_evidence (user_id, movie_id, kind, half_stars, updated_at) AS
SELECT user_id, movie_id, kind, half_stars, updated_at FROM recommendations_interaction
UNION ALL
SELECT user_id, movie_id, 7::smallint, 0::smallint, created_at FROM users_favourite
UNION ALL
SELECT user_id, movie_id, CASE WHEN checked_in THEN 8 ELSE 5 END::smallint, 0::smallint,
       max(watched_at)
FROM users_viewing GROUP BY user_id, movie_id, checked_in
"""

# The cinema's time zone is an argument of the function. The materialized view has no arguments and
# reads the parameter that `refresh_summary` sets; a refresh without it leaves the view empty.
#: Parsed now, not when it runs, as a refresh looks for names in `pg_catalog` alone. Each part is
#: grouped by viewer, so that what asks for one viewer reads that one's rows and no others.
FIGURES = """
CREATE FUNCTION recommendations_figures(time_zone text)
RETURNS TABLE (user_id bigint, taste_version bigint, figures jsonb) LANGUAGE sql STABLE
BEGIN ATOMIC
SELECT viewer.id, viewer.taste_version, jsonb_build_object(
    'stars', coalesce(stars.rows, '[]'),
    'favourites', coalesce(favourites.films, 0),
    'months', coalesce(months.rows, '[]'),
    'films', coalesce(films.rows, '[]')
)
FROM users_user viewer
LEFT JOIN (
    SELECT user_id, jsonb_agg(jsonb_build_array(half_stars, ratings)) AS rows
    FROM (
        SELECT user_id, half_stars, count(*) AS ratings
        FROM recommendations_interaction WHERE kind = 1 GROUP BY user_id, half_stars
    ) counted
    GROUP BY user_id
) stars ON stars.user_id = viewer.id
LEFT JOIN (
    SELECT user_id, count(*) AS films FROM users_favourite GROUP BY user_id
) favourites ON favourites.user_id = viewer.id
LEFT JOIN (
    SELECT user_id, jsonb_agg(
        jsonb_build_array(month, viewings, check_ins, minutes, without_runtime)
    ) AS rows
    FROM (
        SELECT viewing.user_id,
               to_char(viewing.watched_at AT TIME ZONE time_zone, 'YYYY-MM') AS month,
               count(*) AS viewings,
               count(*) FILTER (WHERE viewing.checked_in) AS check_ins,
               coalesce(sum(movie.runtime_minutes), 0) AS minutes,
               count(*) FILTER (WHERE movie.runtime_minutes IS NULL) AS without_runtime
        FROM users_viewing viewing JOIN movies_movie movie ON movie.id = viewing.movie_id
        GROUP BY viewing.user_id, month
    ) counted
    GROUP BY user_id
) months ON months.user_id = viewer.id
LEFT JOIN (
    SELECT user_id, jsonb_agg(
        jsonb_build_array(genre, decade, language, films, rated, half_stars)
    ) AS rows
    FROM (
        SELECT watched.user_id, genre,
               CASE genre WHEN 0 THEN movie.release_year / 10 * 10 END AS decade,
               CASE genre WHEN 0 THEN split_part(movie.original_language, '-', 1) END AS language,
               count(*) AS films,
               count(*) FILTER (WHERE watched.half_stars > 0) AS rated,
               sum(watched.half_stars) AS half_stars
        FROM (
            SELECT user_id, movie_id, max(half_stars) AS half_stars
            FROM (
                SELECT user_id, movie_id, half_stars FROM recommendations_interaction
                WHERE kind IN (1, 5)
                UNION ALL
                SELECT user_id, movie_id, 0 FROM users_viewing
            ) said
            GROUP BY user_id, movie_id
        ) watched
        JOIN movies_movie movie ON movie.id = watched.movie_id
        -- Once for each genre, and once, as 0, for its decade and language.
        CROSS JOIN unnest(movie.genre_ids || 0::bigint) AS genre
        GROUP BY watched.user_id, genre, decade, language
    ) counted
    GROUP BY user_id
) films ON films.user_id = viewer.id;
END
"""

#: Ids and figures, no names. Who has done nothing yet has nothing to look up.
SUMMARY = """
CREATE MATERIALIZED VIEW user_interaction_summary AS
SELECT user_id, taste_version, current_setting('cinema.time_zone', true) AS time_zone, figures
FROM recommendations_figures(current_setting('cinema.time_zone', true))
WHERE taste_version > 0 AND current_setting('cinema.time_zone', true) <> '';

CREATE UNIQUE INDEX user_interaction_summary_user ON user_interaction_summary (user_id);
"""


class Migration(migrations.Migration):

    initial = True

    replaces = [
        ('recommendations', '0001_initial'),
        ('recommendations', '0002_interaction_counters'),
        ('recommendations', '0003_audit'),
        ('recommendations', '0004_recent_interactions'),
        ('recommendations', '0005_counted_in_order'),
        ('recommendations', '0006_evidence'),
        ('recommendations', '0007_counts_stay'),
        ('recommendations', '0008_why_left_out'),
        ('recommendations', '0009_lists_and_matches'),
        ('recommendations', '0010_staff_have_their_say'),
        ('recommendations', '0011_summary'),
        ('recommendations', '0012_pending_imports'),
    ]

    dependencies = [
        ('users', '0001_squashed'),
        ('movies', '0001_squashed'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Experiment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('algorithm_a', models.CharField(max_length=40)),
                ('algorithm_b', models.CharField(max_length=40)),
                ('share', models.FloatField(default=1.0)),
                ('starts_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ends_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'ordering': ('-starts_at', '-id'),
                'constraints': [models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='experiment_name_not_empty'), models.CheckConstraint(condition=models.Q(('algorithm_a', models.F('algorithm_b')), _negated=True), name='experiment_of_two', violation_error_message='An algorithm cannot be held against itself.'), models.CheckConstraint(condition=models.Q(('share__gt', 0), ('share__lte', 1)), name='experiment_share_range'), models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='experiment_ends_after_start', violation_error_message='It ends after it starts.'), django.contrib.postgres.constraints.ExclusionConstraint(expressions=[(recommendations.models.TimeRange('starts_at', 'ends_at'), '&&')], name='experiment_alone', violation_error_message='Another experiment runs in that time.')],
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('is_current', models.BooleanField(default=False)),
                ('directory', models.CharField(blank=True, max_length=60)),
                ('users', models.PositiveIntegerField()),
                ('items', models.PositiveIntegerField()),
                ('interactions', models.PositiveBigIntegerField()),
                ('metrics', models.JSONField(default=dict)),
                ('left_out', models.JSONField(db_default={}, default=dict)),
                ('tuned_settings', models.JSONField(db_default={}, default=dict)),
                ('fingerprint', models.CharField(max_length=64)),
                ('training_s', models.FloatField()),
            ],
            options={
                'ordering': ('-id',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('is_current',), name='release_one_current'), models.CheckConstraint(condition=models.Q(('is_current', False), models.Q(('directory', ''), _negated=True), _connector='OR'), name='release_current_has_files')],
            },
        ),
        migrations.CreateModel(
            name='SimilarMovies',
            fields=[
                ('movie', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='similar_movies', serialize=False, to='movies.movie')),
                ('algorithm', models.CharField(blank=True, max_length=40)),
                ('others', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('scores', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), size=None)),
                ('by_factors', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(null=True), size=None)),
                ('by_content', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(null=True), size=None)),
                ('release', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='recommendations.release')),
            ],
        ),
        migrations.CreateModel(
            name='Interaction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.PositiveSmallIntegerField(choices=[(1, 'rating'), (2, 'like'), (3, 'superlike'), (4, 'dislike'), (5, 'seen'), (6, 'hide')])),
                ('half_stars', models.PositiveSmallIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('movie', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='interactions', to='movies.movie')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='interactions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['movie', 'updated_at'], name='interaction_by_movie'), models.Index(fields=['updated_at'], include=('movie', 'kind', 'half_stars'), name='interaction_recent')],
                'constraints': [models.UniqueConstraint(fields=('user', 'movie', 'kind'), name='interaction_unique_by_kind'), models.CheckConstraint(condition=models.Q(('kind__range', (1, 6))), name='interaction_kind_known'), models.CheckConstraint(condition=models.Q(models.Q(('half_stars__range', (1, 10)), ('kind', 1)), models.Q(models.Q(('kind', 1), _negated=True), ('half_stars', 0)), _connector='OR'), name='interaction_stars_for_ratings')],
            },
        ),
        migrations.CreateModel(
            name='Neighbour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('similarity', models.FloatField()),
                ('shared', models.PositiveIntegerField()),
                ('product_sum', models.FloatField()),
                ('own_square_sum', models.FloatField()),
                ('other_square_sum', models.FloatField()),
                ('matched_since', models.DateTimeField(null=True)),
                ('other', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='neighbours', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['user', '-similarity'], name='neighbour_by_similarity')],
                'constraints': [models.UniqueConstraint(fields=('user', 'other'), name='neighbour_unique'), models.CheckConstraint(condition=models.Q(('user', models.F('other')), _negated=True), name='neighbour_is_another')],
            },
        ),
        migrations.CreateModel(
            name='PendingImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(blank=True, max_length=300)),
                ('original_title', models.CharField(blank=True, max_length=300)),
                ('year', models.PositiveSmallIntegerField(null=True)),
                ('tmdb_id', models.PositiveIntegerField(null=True)),
                ('imdb_id', models.CharField(blank=True, max_length=12)),
                ('kind', models.PositiveSmallIntegerField(choices=[(1, 'rating'), (2, 'viewing'), (3, 'seen'), (4, 'like'), (5, 'watchlist')])),
                ('half_stars', models.PositiveSmallIntegerField(default=0)),
                ('said_at', models.DateTimeField(null=True)),
                ('day', models.DateField(null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('film', models.BigIntegerField()),
                ('title_keys', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='pending_imports', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [django.contrib.postgres.indexes.GinIndex(fields=['title_keys'], name='pending_import_by_title'), models.Index(condition=models.Q(('tmdb_id', None), _negated=True), fields=['tmdb_id'], name='pending_import_by_tmdb_id')],
                'constraints': [models.UniqueConstraint(fields=('user', 'film', 'kind', 'day'), name='pending_import_unique', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('kind__range', (1, 5))), name='pending_import_kind'), models.CheckConstraint(condition=models.Q(models.Q(('half_stars__range', (1, 10)), ('kind', 1)), models.Q(models.Q(('kind', 1), _negated=True), ('half_stars', 0)), _connector='OR'), name='pending_import_stars_for_ratings')],
            },
        ),
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('pin', 'pinned to a place'), ('boost', 'moved up')], max_length=5)),
                ('place', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('strength', models.FloatField(blank=True, null=True)),
                ('scope', models.CharField(blank=True, choices=[('', 'all lists'), ('catalogue', 'lists of the whole catalogue'), ('programme', 'lists of the programme')], max_length=9)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('starts_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ends_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('movie', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='promotions', to='movies.movie')),
            ],
            options={
                'ordering': ('-ends_at', '-id'),
                'indexes': [models.Index(fields=['ends_at'], name='promotion_by_end')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('kind', 'pin'), ('place__isnull', False), ('place__range', (1, 10)), ('strength', None)), models.Q(('kind', 'boost'), ('place', None), ('strength__gt', 0), ('strength__isnull', False), ('strength__lte', 1)), _connector='OR'), name='promotion_pin_or_boost', violation_error_message='A pin has a place from 1 to 10; a boost has a strength above 0, up to 1.'), models.CheckConstraint(condition=models.Q(('scope__in', ['', 'catalogue', 'programme'])), name='promotion_scope_known'), models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='promotion_ends_after_start', violation_error_message='It ends after it starts.')],
            },
        ),
        migrations.CreateModel(
            name='Impression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('list_id', models.UUIDField()),
                ('position', models.PositiveSmallIntegerField()),
                ('scope', models.CharField(max_length=9)),
                ('algorithm', models.CharField(max_length=40)),
                ('source', models.CharField(max_length=40)),
                ('is_fallback', models.BooleanField()),
                ('team', models.CharField(blank=True, choices=[('', 'None'), ('a', 'A'), ('b', 'B')], max_length=1)),
                ('shown_at', models.DateTimeField()),
                ('clicked_at', models.DateTimeField(null=True)),
                ('experiment', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='recommendations.experiment')),
                ('movie', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='movies.movie')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='recommendations.release')),
            ],
            options={
                'indexes': [models.Index(fields=['user', 'shown_at'], include=('movie',), name='impression_by_user'), django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['shown_at'], name='impression_by_time'), models.Index(condition=models.Q(('experiment__isnull', False)), fields=['experiment', 'user'], name='impression_by_experiment')],
                'constraints': [models.UniqueConstraint(fields=('list_id', 'position'), name='impression_unique')],
            },
        ),
        migrations.CreateModel(
            name='TrainingRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('published', 'Published'), ('unchanged', 'Unchanged'), ('rejected', 'Rejected'), ('failed', 'Failed')], default='queued', max_length=12)),
                ('phase', models.CharField(blank=True, max_length=60)),
                ('percent', models.PositiveSmallIntegerField(default=0)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('message', models.CharField(blank=True, max_length=500)),
                ('fingerprint', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('release', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='recommendations.release')),
            ],
            options={
                'ordering': ('-id',),
                'indexes': [models.Index(fields=['state'], name='training_run_by_state')],
                'constraints': [models.CheckConstraint(condition=models.Q(('percent__range', (0, 100))), name='training_run_percent_range')],
            },
        ),
        migrations.RunSQL(VIEW),
        migrations.RunSQL(FIGURES),
        migrations.RunSQL(SUMMARY),
    ]
