import django_stubs_ext
from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig

# Makes `ModelAdmin[Movie]` possible at run time. Not in the settings, which beat and the supervisor
# read too: it imports the admin.
django_stubs_ext.monkeypatch()


class CinemaConfig(AppConfig):
    name = "cinema"

    def ready(self) -> None:
        """Make our Celery application the one to which tasks are sent, and begin to watch.

        Most projects do the former in `cinema/__init__.py`, but the supervisor needs no Celery.

        Raises:
            ImproperlyConfigured: Traces or errors cannot be sent as the variables say.
        """
        from cinema import celery  # noqa: F401
        from cinema.error_reports import start_error_reports
        from cinema.tracing import start_tracing

        start_tracing()
        start_error_reports()


class CinemaAdminConfig(SimpleAdminConfig):
    """Django's admin with `CinemaAdminSite`.

    Neither the site nor the admin modules are loaded at the start. `cinema.urls` loads them, in the
    web alone.
    """

    default_site = "cinema.admin_site.CinemaAdminSite"


class UnfoldConfig(AppConfig):
    """Unfold's templates and files. Its own configuration loads the site in every process."""

    name = "unfold"
