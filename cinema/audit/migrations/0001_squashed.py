"""All tables, as the 4 migrations made them that this one replaces.

A database with all of these, the only released state, takes it for applied: keep `replaces`.
"""

from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    replaces = [
        ('audit', '0001_initial'),
        ('audit', '0002_recording'),
        ('audit', '0003_promotions_and_experiments'),
        ('audit', '0004_second_factor'),
    ]

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('user_id', models.BigIntegerField(null=True)),
                ('via', models.CharField(choices=[('api', 'API'), ('admin', 'admin site'), ('command', 'command'), ('task', 'task'), ('database', 'database')], max_length=8)),
                ('action', models.CharField(choices=[('create', 'created'), ('update', 'changed'), ('delete', 'deleted')], max_length=6)),
                ('model', models.CharField(choices=[('movie', 'film'), ('screening', 'screening'), ('hall', 'hall'), ('genre', 'genre'), ('user', 'viewer'), ('session', 'session'), ('second-factor', 'second factor'), ('release', 'release'), ('training-run', 'training'), ('tmdb-sync', 'TMDb sync'), ('tmdb-genre', 'genre of TMDb'), ('promotion', 'promotion'), ('experiment', 'experiment')], max_length=20)),
                ('object_id', models.BigIntegerField()),
                ('movie_id', models.BigIntegerField(null=True)),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('path', models.CharField(blank=True, max_length=300)),
            ],
            options={
                'verbose_name': 'change',
                'ordering': ('-at', '-id'),
                'indexes': [models.Index(fields=['-at', '-id'], name='audit_by_time'), models.Index(fields=['model', 'object_id', '-at', '-id'], name='audit_by_object'), models.Index(condition=models.Q(('movie_id__isnull', False)), fields=['movie_id', '-at', '-id'], name='audit_by_movie'), models.Index(fields=['user_id', '-at', '-id'], name='audit_by_user')],
            },
        ),
    ]
