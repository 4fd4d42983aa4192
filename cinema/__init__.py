"""The project package: settings, assembly of the apps, and the one-command server."""

from cinema.celery import app as celery_app

__all__ = ["celery_app"]
