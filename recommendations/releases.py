"""Which release is served, and where releases lie on disk."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import transaction

from recommendations import selectors
from recommendations.engine import artifacts
from recommendations.engine.artifacts import ArtifactError
from recommendations.errors import ReleaseUnusable
from recommendations.locking import hold_writes
from recommendations.models import Release


def releases_root() -> Path:
    return Path(settings.CINEMA_HOME) / "releases"


def activate_release(*, release_id: int) -> Release:
    """Make this release the current one: forward, or back.

    Raises:
        ReleaseNotFound: There is none with this id.
        ReleaseUnusable: Its files are deleted or damaged.
    """
    release = selectors.get_release(release_id)
    if not release.directory:
        raise ReleaseUnusable(release_id, "its files are deleted")
    try:
        artifacts.load(release.path)
    except ArtifactError as error:
        raise ReleaseUnusable(release_id, str(error)) from error
    return make_current(release)


@transaction.atomic
def make_current(release: Release) -> Release:
    """Move the pointer. Processes that serve see it within RELEASE_CHECK_INTERVAL_S."""
    # Two at once would wait for each other's rows, or both set the flag.
    hold_writes(Release)
    Release.objects.filter(is_current=True).update(is_current=False)
    release.is_current = True
    release.save()
    return release


def remove_old_releases() -> None:
    """Delete the files of all but the newest RELEASES_KEPT.

    The current release keeps its files whatever its age.
    """
    for release in selectors.releases_with_files()[settings.RELEASES_KEPT :]:
        if not release.is_current:
            directory = release.path
            # The row first: a release without files is told so, one with half of them is broken.
            Release.objects.filter(pk=release.pk, is_current=False).update(directory="")
            artifacts.remove(directory)


def remove_unknown_directories() -> None:
    """Delete what a killed training has left. The caller holds the lock of trainings."""
    known = set(Release.objects.values_list("directory", flat=True))
    if releases_root().is_dir():
        for directory in releases_root().iterdir():
            if directory.name not in known:
                artifacts.remove(directory)
