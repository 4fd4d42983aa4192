"""Languages of preferences as canonical tags of BCP 47."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from movies.languages import canonical_tag_or_none


def canonicalise(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Replace each code by its tag, once; a code that is none stays as it is."""
    rows = apps.get_model("users", "Preferences")._default_manager.exclude(languages=[])
    for preferences in rows.iterator(1000):
        tags = list(
            dict.fromkeys(canonical_tag_or_none(code) or code for code in preferences.languages)
        )
        if tags != preferences.languages:
            preferences.languages = tags
            preferences.save(update_fields=["languages"])


class Migration(migrations.Migration):
    dependencies = [("users", "0006_mails")]

    operations = [migrations.RunPython(canonicalise, migrations.RunPython.noop)]
