"""Where releases lie on disk."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from recommendations.engine import artifacts
from recommendations.models import Release


def releases_root() -> Path:
    return Path(settings.CINEMA_HOME) / "releases"


def release_directory(release: Release) -> Path:
    return releases_root() / release.directory


def remove_old_releases() -> None:
    """Delete the files of all but the newest RELEASES_KEPT, and of what no release knows.

    The current release keeps its files whatever its age.
    """
    with_files = Release.objects.exclude(directory="").order_by("-pk")
    for release in with_files[settings.RELEASES_KEPT :]:
        if not release.is_current:
            directory = release_directory(release)
            # The row first: a release without files is told so, one with half of them is broken.
            Release.objects.filter(pk=release.pk, is_current=False).update(directory="")
            artifacts.remove(directory)
    known = set(Release.objects.values_list("directory", flat=True))
    for directory in releases_root().iterdir():
        if directory.name not in known:
            artifacts.remove(directory)
