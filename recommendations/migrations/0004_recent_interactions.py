from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0003_audit")]

    operations = [
        migrations.AddIndex(
            model_name="interaction",
            index=models.Index(
                fields=["updated_at"],
                include=("movie", "kind", "half_stars"),
                name="interaction_recent",
            ),
        ),
    ]
