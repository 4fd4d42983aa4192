from __future__ import annotations

import zlib

from django.conf import settings
from django.db.models import Count, QuerySet, Sum

from recommendations.errors import ReleaseNotFound, RunNotFound
from recommendations.licence_filter import features_hash
from recommendations.models import Release, TrainingRun
from users.models import User

#: Settings that training depends on.
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
    """Whether the current release or the last rejected training was made from these data."""
    current = current_release()
    if current and current.is_of(fingerprint):
        return True
    last = TrainingRun.objects.exclude(state__in=TrainingRun.UNFINISHED).first()
    return bool(
        last and last.state == TrainingRun.State.REJECTED and last.fingerprint == fingerprint
    )


def fingerprint() -> str:
    """It changes with the data and settings that training reads.

    The sum of the taste versions stands for the interactions, as each change raises one. The sum of
    the ids differs if new viewers have acted as much as erased ones.
    """
    users = User.objects.filter(is_active=True).aggregate(
        n=Count("pk"), ids=Sum("pk"), tastes=Sum("taste_version")
    )
    how = zlib.crc32(repr([getattr(settings, name) for name in SETTINGS]).encode())
    ids, tastes = int(users["ids"] or 0), users["tastes"] or 0
    return "-".join(f"{part:x}" for part in [users["n"], ids, tastes, features_hash(), how])
