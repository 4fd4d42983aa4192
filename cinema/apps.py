from django.apps import AppConfig


class CinemaConfig(AppConfig):
    name = "cinema"

    def ready(self) -> None:
        """Make our Celery application the one to which tasks are sent.

        Not in `cinema/__init__.py`, where most projects do it: the supervisor needs no Celery.
        """
        from cinema import celery  # noqa: F401
