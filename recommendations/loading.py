"""The current release in this process's memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from django.conf import settings

from cinema.refreshing import Refreshing
from recommendations import selectors
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.artifacts import ArtifactError, arrays_of
from recommendations.engine.ids import IdMap
from recommendations.engine.matching import Deviations
from recommendations.engine.predicting import RatingPredictor
from recommendations.engine.protocol import Recommender
from recommendations.models import Release

log = logging.getLogger(__name__)

#: What the arrays of `RatingPredictor` are called in a release.
PREDICTOR = "ratings"
#: And those of `Deviations`.
MATCHING = "matching"


@dataclass(frozen=True, eq=False)
class LoadedRelease:
    """A release in memory, shared by all threads. Without one, `id` is None and nobody scores.

    `instead_of` is the current release's id, if that cannot be used and this one stands in. A
    release that was trained before there were predictions has no `predictor`, and one from before
    there were matches no `deviations`.
    """

    id: int | None = None
    instead_of: int | None = None
    items: IdMap = field(default_factory=lambda: IdMap(np.empty(0, dtype=np.int64)))
    recommenders: Mapping[str, Recommender] = field(default_factory=dict)
    #: Of whom the rows of what follows are.
    users: IdMap = field(default_factory=lambda: IdMap(np.empty(0, dtype=np.int64)))
    predictor: RatingPredictor | None = None
    deviations: Deviations | None = None


def load_release(release: Release) -> LoadedRelease:
    """The release from its files.

    Raises:
        ArtifactError: They are missing, damaged, or of a format or algorithm unknown here.
    """
    arrays, manifest = artifacts.load(release.path)
    try:
        recommenders = {
            name: ALGORITHMS[name].from_arrays(arrays_of(arrays, name))
            for name in manifest["algorithms"]
        }
        items = IdMap(np.asarray(arrays["item_ids"], dtype=np.int64))
        loaded = LoadedRelease(release.pk, None, items, recommenders)
        if ratings := arrays_of(arrays, PREDICTOR):
            users = IdMap(np.asarray(arrays["user_ids"], dtype=np.int64))
            predictor = RatingPredictor.from_arrays(ratings)
            loaded = replace(loaded, users=users, predictor=predictor)
            if matching := arrays_of(arrays, MATCHING):
                loaded = replace(loaded, deviations=Deviations.from_arrays(matching))
    except KeyError as error:
        raise ArtifactError(f"{error} is not known") from error
    return loaded


def _load_current(standing: LoadedRelease | None) -> LoadedRelease:
    """The release that the pointer names, or else the one that stands in for it.

    That is the one served so far, and in a process that has just started the newest usable one.
    The current one is tried again at each look: its files may still be on their way.
    """
    standing = standing or LoadedRelease()
    current = selectors.current_release()
    if current is None:
        return LoadedRelease()
    if current.pk == standing.id:
        return standing
    others = [] if standing.id else selectors.releases_with_files().exclude(pk=current.pk)
    for release in [current, *others]:
        try:
            loaded = load_release(release)
        except ArtifactError as error:
            if standing.instead_of != current.pk:  # said once
                log.error("%s is refused: %s", release, error)
            continue
        log.info("%s is served", release)
        return replace(loaded, instead_of=None if release == current else current.pk)
    return replace(standing, instead_of=current.pk)


_release = Refreshing(_load_current, lambda: settings.RELEASE_CHECK_INTERVAL_S)
current_release = _release.get
forget_release = _release.forget
