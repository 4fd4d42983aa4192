from __future__ import annotations

import zlib

from django.conf import settings
from django.db.models import Count, QuerySet, Sum

from recommendations.errors import ReleaseNotFound, RunNotFound
from recommendations.licence_filter import features_hash
from recommendations.models import Release, TrainingRun
from users.models import User

#: What training goes by beside the data.
SETTINGS = (
    "INTERACTION_WEIGHTS",
    "TRAINING_ALGORITHMS",
    "TMDB_USE_FOR_TRAINING",
)


def current_release() -> Release | None:
    return Release.objects.filter(is_current=True).first()


def get_release(release_id: int) -> Release:
    """Raises ReleaseNotFound."""
    release = Release.objects.filter(pk=release_id).first()
    if release is None:
        raise ReleaseNotFound(release_id)
    return release


def list_releases() -> QuerySet[Release]:
    return Release.objects.order_by("-pk")


def releases_with_files() -> QuerySet[Release]:
    """The newest first."""
    return Release.objects.exclude(directory="").order_by("-pk")


def get_run(run_id: int) -> TrainingRun:
    """Raises RunNotFound."""
    run = TrainingRun.objects.filter(pk=run_id).first()
    if run is None:
        raise RunNotFound(run_id)
    return run


def longest_waiting_run() -> TrainingRun | None:
    return TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("created_at").first()


def was_trained_on(fingerprint: str) -> bool:
    """Whether the current release, or what was last rejected in its favour, comes of these data."""
    current = current_release()
    if current and current.is_of(fingerprint):
        return True
    last = TrainingRun.objects.exclude(state__in=TrainingRun.UNFINISHED).first()
    return bool(
        last and last.state == TrainingRun.State.REJECTED and last.fingerprint == fingerprint
    )


def fingerprint() -> str:
    """Of all data and settings that training reads: it changes with them.

    The interactions are not read for it: each change to a viewer's raises the `taste_version`.
    Should others come and say as much as those who were erased, the sum of the ids tells.
    """
    users = User.objects.filter(is_active=True).aggregate(
        n=Count("pk"), ids=Sum("pk"), tastes=Sum("taste_version")
    )
    how = zlib.crc32(repr([getattr(settings, name) for name in SETTINGS]).encode())
    ids, tastes = int(users["ids"] or 0), users["tastes"] or 0
    return "-".join(f"{part:x}" for part in [users["n"], ids, tastes, features_hash(), how])
