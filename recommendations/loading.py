"""The current release in this process's memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from django.conf import settings

from cinema.refreshing import Refreshing
from recommendations import selectors
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.artifacts import ArtifactError
from recommendations.engine.ids import IdMap
from recommendations.engine.protocol import Recommender
from recommendations.models import Release
from recommendations.releases import release_directory

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedRelease:
    """A release in memory, shared by all threads. Without one, `id` is None and nobody scores."""

    id: int | None = None
    items: IdMap = field(default_factory=lambda: IdMap(np.empty(0, dtype=np.int64)))
    recommenders: Mapping[str, Recommender] = field(default_factory=dict)


def load_release(release: Release) -> LoadedRelease:
    """The release from its files.

    Raises:
        ArtifactError: They are missing, damaged, or of a format or algorithm unknown here.
    """
    arrays, manifest = artifacts.load(release_directory(release))
    try:
        recommenders = {
            name: ALGORITHMS[name].from_arrays(
                {
                    k.removeprefix(f"{name}."): a
                    for k, a in arrays.items()
                    if k.startswith(name + ".")
                }
            )
            for name in manifest["algorithms"]
        }
        items = IdMap(np.asarray(arrays["item_ids"], dtype=np.int64))
    except KeyError as error:
        raise ArtifactError(f"{error} is not known") from error
    return LoadedRelease(release.pk, items, recommenders)


def _load_current(standing: LoadedRelease | None) -> LoadedRelease:
    """The release that the pointer names; the standing one where that cannot be used."""
    standing = standing or LoadedRelease()
    release = selectors.current_release()
    if release is None:
        return LoadedRelease()
    if release.pk == standing.id:
        return standing
    try:
        loaded = load_release(release)
    except ArtifactError as error:
        log.error("%s is refused, release %s serves on: %s", release, standing.id, error)
        return standing
    log.info("%s is served", release)
    return loaded


_release = Refreshing(_load_current, lambda: settings.RELEASE_CHECK_INTERVAL_S)
current_release = _release.get
forget_release = _release.forget
