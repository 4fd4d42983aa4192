"""Releases: their files, the current one, and the one in the memory of this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import transaction
from numpy.typing import NDArray

from cinema.audit.recording import record
from cinema.locks import lock_table
from cinema.response_cache import PolledValue
from recommendations import release_bucket, selectors
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS, RETIRED
from recommendations.engine.artifacts import ArtifactError, model_arrays
from recommendations.engine.matrices import IdMap
from recommendations.engine.rating_predictor import RatingPredictor
from recommendations.engine.recommender import Recommender
from recommendations.engine.viewer_similarity import Deviations
from recommendations.errors import NoHold, ReleaseNotCurrent, ReleaseUnusable
from recommendations.models import Release

RELEASES_KEPT = 3
FILES_DELETED = "its files are deleted"


def releases_root() -> Path:
    return Path(settings.CINEMA_HOME) / "releases"


def activate_release(*, release_id: int) -> Release:
    """Make this release the current one. One that is not the newest is held: it stays current.

    Raises:
        NotFound: There is none with this id.
        ReleaseUnusable: Its files are deleted or damaged, or the bucket cannot be reached.
    """
    release = selectors.get_release(release_id)
    if not release.directory:
        raise ReleaseUnusable(release_id, FILES_DELETED)
    try:
        if settings.RELEASES_URL:
            release_bucket.check(release.directory)
        else:
            artifacts.load(release.path)
    except ArtifactError as error:
        raise ReleaseUnusable(release_id, str(error)) from error
    return make_current(release, hold=selectors.list_releases().first() != release)


@transaction.atomic
def make_current(release: Release, *, hold: bool = False) -> Release:
    """Move the pointer. Processes that serve see it within RELEASE_CHECK_INTERVAL_S.

    A process that has refused this release tries it again within RETRY_AFTER_S.

    Raises:
        ReleaseUnusable: Its files are deleted.
    """
    # Two writers at once would wait for each other's rows, or both set the flag.
    lock_table(Release)
    if release.pk is not None:
        # Another writer may have changed it since it was read.
        release.refresh_from_db(fields=["is_current", "is_held", "directory"])
        if not release.directory:
            raise ReleaseUnusable(release.pk, FILES_DELETED)
    old = Release.objects.filter(is_current=True).first()
    if old is not None and old != release:
        _change(old, is_current=False, is_held=False)
    if release.pk is None:  # of a training
        release.save()
    _change(release, is_current=True, is_held=hold)
    return release


@transaction.atomic
def publish_release(release: Release) -> Release:
    """Make a new release the current one, unless the current one is held: then only store it."""
    lock_table(Release)
    if Release.objects.filter(is_current=True, is_held=True).exists():
        release.save()
        return release
    return make_current(release)


@transaction.atomic
def hold_release(*, release_id: int) -> Release:
    """Keep the current release: newer trainings are not published over it.

    Raises:
        NotFound: There is none with this id.
        ReleaseNotCurrent: It is not served.
    """
    lock_table(Release)
    release = selectors.get_release(release_id)
    if not release.is_current:
        raise ReleaseNotCurrent(release_id)
    _change(release, is_held=True)
    return release


@transaction.atomic
def lift_hold(*, release_id: int) -> None:
    """Let the next training be published again.

    Raises:
        NotFound: There is none with this id, or it is not held.
    """
    lock_table(Release)
    release = selectors.get_release(release_id)
    if not release.is_held:
        raise NoHold(release_id)
    _change(release, is_held=False)


def _change(release: Release, **flags: bool) -> None:
    """Save and record the flags that change."""
    before = {
        name: getattr(release, name) for name in flags if getattr(release, name) != flags[name]
    }
    if before:
        after = {name: flags[name] for name in before}
        for name, value in after.items():
            setattr(release, name, value)
        release.save(update_fields=[*after])
        record("update", "release", release.pk, before=before, after=after)


def remove_old_releases() -> None:
    """Delete the files of all but the newest RELEASES_KEPT.

    The current release keeps its files whatever its age.
    """
    for release in selectors.releases_with_files()[RELEASES_KEPT:]:
        if not release.is_current:
            directory = release.path
            # The row first: a release with half of its files would be broken. No row changes if
            # staff have made it the current one in the meantime.
            if Release.objects.filter(pk=release.pk, is_current=False).update(directory=""):
                artifacts.remove(directory)
                release_bucket.remove(directory.name)


def remove_unknown_directories() -> None:
    """Delete directories of killed trainings. The caller holds the lock of trainings."""
    known = set(Release.objects.values_list("directory", flat=True))
    if releases_root().is_dir():
        for directory in releases_root().iterdir():
            if directory.name not in known:
                artifacts.remove(directory)
    release_bucket.remove_unknown(known)


def upload_local_releases() -> None:
    """Upload what only this host has: after a restore, or when RELEASES_URL is new.

    Raises:
        ArtifactError: The bucket cannot be reached or refuses a release, or one is damaged here.
    """
    for release in selectors.releases_with_files():
        if release.path.is_dir():
            try:
                release_bucket.check(release.directory)
            except ArtifactError:
                artifacts.load(release.path)
                release_bucket.upload(release.path)


log = logging.getLogger(__name__)

#: The files of a refused release are read again after this time: to check them takes seconds.
RETRY_AFTER_S = 60
#: The prefixes of the arrays of `RatingPredictor` and of `Deviations` in a release.
PREDICTOR = "ratings"
MATCHING = "matching"
#: The name of the array of items to ask new viewers about.
ONBOARDING = "onboarding"


@dataclass(frozen=True, eq=False)
class LoadedRelease:
    """A release in memory, shared by all threads.

    Attributes:
        id: None without a release.
        instead_of: The id of the current release, if that is unusable and this one replaces it.
        retry_at: The moment on the monotonic clock from which the current one is tried again.
        users: User ids, in the order of the rows of `predictor` and `deviations`.
        predictor: None in a release that was trained before there were predictions.
        deviations: None in a release that was trained before there were matches.
        onboarding: Ids of the movies to ask new viewers about, the first one first; empty in a
            release that was trained before there was such an order.
    """

    id: int | None = None
    instead_of: int | None = None
    retry_at: float = 0.0
    items: IdMap = field(default_factory=lambda: IdMap(np.empty(0, dtype=np.int64)))
    recommenders: Mapping[str, Recommender] = field(default_factory=dict)
    users: IdMap = field(default_factory=lambda: IdMap(np.empty(0, dtype=np.int64)))
    predictor: RatingPredictor | None = None
    deviations: Deviations | None = None
    onboarding: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


_NO_RELEASE = LoadedRelease()


def load_release(release: Release) -> LoadedRelease:
    """The release from its files.

    Raises:
        ArtifactError: They are missing, damaged, or of a format or algorithm unknown here.
    """
    arrays, manifest = artifacts.load(release.path)
    try:
        recommenders = {
            name: ALGORITHMS[name].from_arrays(model_arrays(arrays, name))
            for name in manifest["algorithms"]
            if name not in RETIRED
        }
        items = IdMap(np.asarray(arrays["item_ids"], dtype=np.int64))
        loaded = LoadedRelease(release.pk, items=items, recommenders=recommenders)
        if ONBOARDING in arrays:
            loaded = replace(loaded, onboarding=items.ids[arrays[ONBOARDING]])
        if ratings := model_arrays(arrays, PREDICTOR):
            users = IdMap(np.asarray(arrays["user_ids"], dtype=np.int64))
            predictor = RatingPredictor.from_arrays(ratings)
            loaded = replace(loaded, users=users, predictor=predictor)
            if matching := model_arrays(arrays, MATCHING):
                loaded = replace(loaded, deviations=Deviations.from_arrays(matching))
    except KeyError as error:
        raise ArtifactError(f"{error} is not known") from error
    return loaded


def _load_current(standing: LoadedRelease | None) -> LoadedRelease:
    """The current release, or the one that replaces it while it is unusable.

    That is the release served so far, or in a new process the newest usable one. The current one
    is tried again: its files may still be on their way.
    """
    standing = standing or _NO_RELEASE
    current = Release.objects.filter(is_current=True).first()
    if current is None:
        return _NO_RELEASE
    if current.pk == standing.id:
        return standing
    if current.pk == standing.instead_of and time.monotonic() < standing.retry_at:
        return standing
    patience_s = 0 if standing.id else settings.FIRST_RELEASE_PATIENCE_S
    if release_bucket.fetch_soon(current.path, patience_s) and standing.id:
        return standing
    others = [] if standing.id else selectors.releases_with_files().exclude(pk=current.pk)
    for release in [current, *others]:
        try:
            loaded = load_release(release)
        except ArtifactError as error:
            if standing.instead_of != current.pk:  # logged once
                log.error("%s is refused: %s", release, error)
            continue
        log.info("%s is served", release)
        return loaded if release == current else _in_place_of(current, loaded)
    return _in_place_of(current, standing)


def _in_place_of(current: Release, served: LoadedRelease) -> LoadedRelease:
    if current.path.is_dir():
        retry_at = time.monotonic() + RETRY_AFTER_S
        return replace(served, instead_of=current.pk, retry_at=retry_at)
    # It takes no time to see that files are missing, and they may come at any moment.
    if served.instead_of == current.pk:
        return served
    return replace(served, instead_of=current.pk, retry_at=0.0)


_release = PolledValue(_load_current, lambda: settings.RELEASE_CHECK_INTERVAL_S)
loaded_release = _release.get
forget_release = _release.forget
