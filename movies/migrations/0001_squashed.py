"""All tables, as the 10 migrations made them that this one replaces.

A database with all of these, the only released state, takes it for applied: keep `replaces`.
"""

import datetime
import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.functions
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.text
import django.utils.timezone
import movies.search.text
import uuid
from django.db import migrations, models

# The database deletes a search document with its film. Its index has a hundred entries for each
# document, so pages keep room for the next version of a row; and an index alone answers only for
# pages without new rows of films, of which ratings make new ones all the time.
STORAGE = """
ALTER TABLE movies_moviesearch SET (fillfactor = 85);
ALTER TABLE movies_moviesearch ADD CONSTRAINT movies_moviesearch_movie_id_fkey
    FOREIGN KEY (movie_id) REFERENCES movies_movie ON DELETE CASCADE;
ALTER TABLE movies_movie SET (autovacuum_vacuum_scale_factor = 0.02);
"""


class Migration(migrations.Migration):

    initial = True

    replaces = [
        ('movies', '0001_initial'),
        ('movies', '0002_catalogue_version'),
        ('movies', '0003_programme'),
        ('movies', '0004_audit'),
        ('movies', '0005_search'),
        ('movies', '0006_kept_answers'),
        ('movies', '0007_community_score'),
        ('movies', '0008_directors'),
        ('movies', '0009_series'),
        ('movies', '0010_languages_and_directors'),
    ]

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Genre',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(allow_unicode=True, max_length=60, unique=True)),
                ('name', models.CharField(max_length=60)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Movie',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=300)),
                ('slug', models.SlugField(allow_unicode=True, max_length=120, unique=True)),
                ('protagonists', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), size=None)),
                ('overview', models.TextField(blank=True)),
                ('directors', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, db_default=models.Value('{}'), default=list, size=None)),
                ('keywords', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=80), blank=True, db_default=models.Value('{}'), default=list, size=None)),
                ('series', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('poster', models.URLField(blank=True, max_length=500, null=True)),
                ('trailer', models.URLField(blank=True, max_length=500, null=True)),
                ('poster_upload', models.CharField(blank=True, db_default='', default='', editable=False, max_length=200)),
                ('poster_widths', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), db_default=models.Value('{}'), default=list, editable=False, size=None)),
                ('trailer_upload', models.CharField(blank=True, db_default='', default='', editable=False, max_length=200)),
                ('start_date', models.DateField()),
                ('end_date', models.DateField(blank=True, null=True)),
                ('status', models.CharField(choices=[('coming-up', 'coming up'), ('starting', 'starting'), ('running', 'running'), ('finished', 'finished')], max_length=10)),
                ('status_is_manual', models.BooleanField(default=False)),
                ('ranking', models.PositiveIntegerField(default=0, editable=False)),
                ('ranked_at', models.DateTimeField(editable=False, null=True)),
                ('original_language', models.CharField(blank=True, max_length=12, null=True)),
                ('release_year', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('runtime_minutes', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('tmdb_id', models.PositiveIntegerField(blank=True, null=True, unique=True)),
                ('tmdb_fields', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), db_default=models.Value('{}'), default=list, editable=False, size=None)),
                ('tmdb_fetched_at', models.DateTimeField(editable=False, null=True)),
                ('rating_count', models.PositiveIntegerField(default=0, editable=False)),
                ('rating_sum', models.FloatField(default=0, editable=False)),
                ('rating_average', models.GeneratedField(db_persist=True, expression=django.db.models.expressions.CombinedExpression(django.db.models.functions.comparison.Cast(models.F('rating_sum'), models.FloatField()), '/', django.db.models.functions.comparison.NullIf(models.F('rating_count'), 0)), output_field=models.FloatField(null=True))),
                ('community_score', models.FloatField(editable=False, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('name_key', models.GeneratedField(db_persist=True, expression=movies.search.text.SortKey('name'), output_field=models.TextField(db_collation='C'))),
                ('genre_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), db_default=models.Value('{}'), default=list, editable=False, size=None)),
                ('genres', models.ManyToManyField(blank=True, related_name='movies', to='movies.genre')),
            ],
            options={
                'verbose_name': 'film',
                'ordering': ('name', 'id'),
            },
        ),
        migrations.CreateModel(
            name='CatalogueVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveBigIntegerField(default=1)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='catalogue_version_one_row')],
            },
        ),
        migrations.CreateModel(
            name='Hall',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('name'), name='hall_name_unique')],
            },
        ),
        migrations.CreateModel(
            name='RatingPrior',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mean', models.FloatField()),
                ('weight', models.FloatField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='rating_prior_one_row'), models.CheckConstraint(condition=models.Q(('weight__gte', 0)), name='rating_prior_weight')],
            },
        ),
        migrations.CreateModel(
            name='Screening',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=uuid.uuid4, editable=False, unique=True)),
                ('sequence', models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('version', models.CharField(choices=[('original', 'original'), ('subtitled', 'subtitled'), ('dubbed', 'dubbed')], default='original', max_length=10)),
                ('language', models.CharField(blank=True, max_length=12, null=True)),
                ('subtitles', models.CharField(blank=True, max_length=12, null=True)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, size=None)),
                ('booking_url', models.URLField(blank=True, max_length=500, null=True)),
                ('state', models.CharField(choices=[('scheduled', 'scheduled'), ('sold-out', 'sold out'), ('cancelled', 'cancelled'), ('hidden', 'hidden')], default='scheduled', max_length=10)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('hall', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='screenings', to='movies.hall')),
                ('movie', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='screenings', to='movies.movie')),
            ],
            options={
                'ordering': ('starts_at', 'id'),
            },
        ),
        migrations.CreateModel(
            name='MovieSearch',
            fields=[
                ('movie', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='search', serialize=False, to='movies.movie')),
                ('document', django.contrib.postgres.search.SearchVectorField(null=True)),
                ('is_stale', models.BooleanField(db_default=True, default=True)),
            ],
            options={
                'indexes': [django.contrib.postgres.indexes.GinIndex(fields=['document'], gin_pending_list_limit=1024, name='movie_by_words')],
            },
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(models.F('name_key'), models.F('id'), condition=models.Q(('withdrawn_at', None)), include=('status', 'original_language', 'release_year', 'genre_ids'), name='movie_by_name'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(models.OrderBy(models.F('ranking'), descending=True), models.F('id'), condition=models.Q(('withdrawn_at', None)), include=('status', 'original_language', 'release_year', 'genre_ids'), name='movie_by_ranking'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(models.F('start_date'), models.F('id'), condition=models.Q(('withdrawn_at', None)), include=('status', 'original_language', 'release_year', 'genre_ids'), name='movie_by_start_date'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(models.OrderBy(models.F('community_score'), descending=True, nulls_last=True), models.OrderBy(models.F('rating_count'), descending=True), models.F('id'), condition=models.Q(('withdrawn_at', None)), include=('status', 'original_language', 'release_year', 'genre_ids'), name='movie_by_rating'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(models.OrderBy(models.F('ranking'), descending=True), models.F('id'), condition=models.Q(('withdrawn_at', None), models.Q(('status', 'finished'), _negated=True)), name='movie_by_trend'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(fields=['status', 'start_date'], name='movie_by_status'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(fields=['original_language'], name='movie_by_language', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(fields=['release_year'], name='movie_by_release_year'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=django.contrib.postgres.indexes.GinIndex(fields=['genre_ids'], name='movie_by_genre'),
        ),
        migrations.AddIndex(
            model_name='movie',
            index=models.Index(models.OrderBy(models.F('created_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('withdrawn_at', None)), name='movie_by_announcement'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('name'), models.F('start_date'), condition=models.Q(('withdrawn_at', None)), name='movie_name_and_start_date_unique'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['coming-up', 'starting', 'running', 'finished'])), name='movie_status_known'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('end_date', None), ('end_date__gte', models.F('start_date')), _connector='OR'), name='movie_ends_after_start'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='movie_name_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('protagonists__len__range', (1, 100))), name='movie_protagonists_range'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('directors__len__range', (0, 20))), name='movie_directors_range', violation_error_message='A film has at most 20 directors.'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('release_year__range', (1870, 2200))), name='movie_release_year_range'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('runtime_minutes__range', (1, 6000))), name='movie_runtime_range'),
        ),
        migrations.AddConstraint(
            model_name='movie',
            constraint=models.CheckConstraint(condition=models.Q(('rating_count__gte', 0)), name='movie_rating_count'),
        ),
        migrations.AddIndex(
            model_name='screening',
            index=models.Index(fields=['starts_at', 'id'], name='screening_by_start'),
        ),
        migrations.AddIndex(
            model_name='screening',
            index=models.Index(fields=['movie', 'starts_at'], name='screening_by_movie'),
        ),
        migrations.AddIndex(
            model_name='screening',
            index=models.Index(fields=['hall', 'starts_at'], name='screening_by_hall'),
        ),
        migrations.AddIndex(
            model_name='screening',
            index=django.contrib.postgres.indexes.GinIndex(fields=['tags'], name='screening_by_tag'),
        ),
        migrations.AddConstraint(
            model_name='screening',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='screening_ends_after_start'),
        ),
        migrations.AddConstraint(
            model_name='screening',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__lte', django.db.models.expressions.CombinedExpression(models.F('starts_at'), '+', models.Value(datetime.timedelta(days=1))))), name='screening_length_range'),
        ),
        migrations.AddConstraint(
            model_name='screening',
            constraint=models.CheckConstraint(condition=models.Q(('version__in', ['original', 'subtitled', 'dubbed'])), name='screening_version_known'),
        ),
        migrations.AddConstraint(
            model_name='screening',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['scheduled', 'sold-out', 'cancelled', 'hidden'])), name='screening_state_known'),
        ),
        migrations.AddConstraint(
            model_name='screening',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('state', 'cancelled'), _negated=True), expressions=[(models.Func(models.F('hall'), models.F('hall'), models.Value('[]'), function='int8range'), '&&'), (models.Func(models.F('starts_at'), models.F('ends_at'), models.Value('[)'), function='tstzrange', output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField()), '&&')], name='screening_hall_is_free'),
        ),
        migrations.RunSQL(STORAGE),
        migrations.CreateModel(
            name='MovieGenre',
            fields=[
            ],
            options={
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('movies.movie_genres',),
        ),
    ]
