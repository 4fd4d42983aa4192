import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0007_languages"), ("audit", "0004_second_factor")]

    operations = [
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("secret", models.CharField(max_length=64)),
                ("last_step", models.BigIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("recovery_codes_made_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="second_factor",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code_hash", models.BinaryField(max_length=32, unique=True)),
                (
                    "factor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recovery_codes",
                        to="users.secondfactor",
                    ),
                ),
            ],
        ),
        # A used code writes `last_step` alone, which the log does not tell of.
        migrations.RunSQL(
            "CREATE TRIGGER users_secondfactor_audit "
            "AFTER INSERT OR UPDATE OR DELETE ON users_secondfactor "
            "FOR EACH ROW WHEN (current_setting('cinema.audit', true) <> '') EXECUTE FUNCTION "
            "audit_record('second-factor', '', 'user_id recovery_codes_made_at', '')",
            "DROP TRIGGER users_secondfactor_audit ON users_secondfactor",
        ),
    ]
