from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_promotions_and_experiments")]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="model",
            field=models.CharField(
                choices=[
                    ("movie", "film"),
                    ("screening", "screening"),
                    ("hall", "hall"),
                    ("genre", "genre"),
                    ("user", "viewer"),
                    ("session", "session"),
                    ("second-factor", "second factor"),
                    ("release", "release"),
                    ("training-run", "training"),
                    ("tmdb-sync", "TMDb sync"),
                    ("tmdb-genre", "genre of TMDb"),
                    ("promotion", "promotion"),
                    ("experiment", "experiment"),
                ],
                max_length=20,
            ),
        ),
    ]
