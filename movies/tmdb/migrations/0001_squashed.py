"""All tables, as the 5 migrations made them that this one replaces.

A database with all of these, the only released state, takes it for applied: keep `replaces`.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    replaces = [
        ('tmdb', '0001_initial'),
        ('tmdb', '0002_provenance'),
        ('tmdb', '0003_audit'),
        ('tmdb', '0004_directors'),
        ('tmdb', '0005_series'),
    ]

    dependencies = [
        ('movies', '0001_squashed'),
    ]

    operations = [
        migrations.CreateModel(
            name='FilmDetails',
            fields=[
                ('tmdb_id', models.PositiveIntegerField(primary_key=True, serialize=False)),
                ('language', models.CharField(max_length=5)),
                ('payload', models.JSONField()),
                ('fetched_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'verbose_name_plural': 'film details',
            },
        ),
        migrations.CreateModel(
            name='ListedFilm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('list', models.CharField(choices=[('trending', 'trending'), ('popular', 'popular'), ('now-playing', 'now playing')], max_length=11)),
                ('rank', models.PositiveSmallIntegerField()),
                ('tmdb_id', models.PositiveIntegerField()),
                ('title', models.CharField(max_length=300)),
                ('original_title', models.CharField(max_length=300)),
                ('year', models.PositiveSmallIntegerField(null=True)),
                ('overview', models.TextField()),
                ('poster', models.URLField(max_length=500, null=True)),
                ('fetched_at', models.DateTimeField()),
            ],
            options={
                'ordering': ('list', 'rank'),
                'constraints': [models.UniqueConstraint(fields=('list', 'rank'), name='listed_film_rank_unique'), models.UniqueConstraint(fields=('list', 'tmdb_id'), name='listed_film_once_a_list')],
            },
        ),
        migrations.CreateModel(
            name='SyncReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('films', 'films'), ('lists', 'lists'), ('genres', 'genres')], max_length=6)),
                ('state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('done', 'done'), ('failed', 'failed')], default='queued', max_length=7)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('fetched_before', models.DateTimeField()),
                ('movie_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
                ('cursor', models.BigIntegerField(default=0)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('fetched', models.PositiveIntegerField(default=0)),
                ('created', models.PositiveIntegerField(default=0)),
                ('updated', models.PositiveIntegerField(default=0)),
                ('unchanged', models.PositiveIntegerField(default=0)),
                ('erased', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('problems', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
            ],
            options={
                'verbose_name': 'sync report',
                'ordering': ('-created_at', '-id'),
                'indexes': [models.Index(fields=['-created_at', '-id'], name='sync_report_by_time'), models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['kind'], name='sync_report_unfinished')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('movie_ids', None), ('state__in', ['queued', 'running'])), fields=('kind',), name='sync_report_one_unfinished')],
            },
        ),
        migrations.CreateModel(
            name='TmdbGenre',
            fields=[
                ('tmdb_id', models.PositiveIntegerField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=60)),
                ('fetched_at', models.DateTimeField()),
                ('genre', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='movies.genre')),
            ],
            options={
                'verbose_name': 'genre of TMDb',
                'verbose_name_plural': 'genres of TMDb',
                'ordering': ('name',),
            },
        ),
    ]
