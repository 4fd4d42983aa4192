import django_stubs_ext
from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class CinemaConfig(AppConfig):
    name = "cinema"

    def ready(self) -> None:
        """Make our Celery application the one to which tasks are sent.

        Not in `cinema/__init__.py`, where most projects do it: the supervisor needs no Celery.
        """
        from cinema import celery  # noqa: F401


# Lets `ModelAdmin[Movie]` stand in code that also runs. Not in the settings: it imports the admin,
# and beat and the supervisor read them too.
django_stubs_ext.monkeypatch()


class CinemaAdminConfig(SimpleAdminConfig):
    """Django's admin, as the office sees it.

    Neither the admin modules nor the site are loaded at the start: `cinema.urls` does, for the
    one process that has pages.
    """

    default_site = "cinema.admin_site.CinemaAdminSite"


class UnfoldConfig(AppConfig):
    """Unfold's templates and files. Its own configurations load the site in every process."""

    name = "unfold"
