"""From models to a release that is served."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from math import isnan
from typing import Any

from django.utils import timezone

from recommendations.data import Dataset
from recommendations.engine import artifacts
from recommendations.engine.evaluation import Quality
from recommendations.engine.matching import Deviations
from recommendations.engine.predicting import RatingPredictor
from recommendations.engine.protocol import Array
from recommendations.loading import MATCHING, PREDICTOR
from recommendations.models import Release
from recommendations.releases import (
    make_current,
    remove_old_releases,
    remove_unknown_directories,
)
from recommendations.training.fitting import Trained


def publish(release: Release, trained: Trained, dataset: Dataset) -> Release:
    """Write the files, then move the pointer to them. Killed in between, nothing has happened."""
    release.directory = f"{timezone.now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    release.metrics = {name: as_json(quality) for name, quality in trained.quality.items()}
    release.left_out = dict(trained.left_out)
    release.tuned_settings = dict(trained.settings)
    arrays: dict[str, Array] = {"item_ids": dataset.items.ids, "user_ids": dataset.users.ids}
    models = {name: recommender.to_arrays() for name, recommender in trained.recommenders.items()}
    models[PREDICTOR] = RatingPredictor.fit(dataset.ratings).to_arrays()
    models[MATCHING] = Deviations.fit(dataset.interactions, dataset.times).to_arrays()
    for name, own in models.items():
        arrays |= {f"{name}.{key}": array for key, array in own.items()}
    # Before the new files are written: leftovers could fill the disk.
    remove_unknown_directories()
    artifacts.save(
        release.path,
        arrays,
        {
            "algorithms": list(trained.recommenders),
            "left_out": release.left_out,
            "settings": release.tuned_settings,
            "tuning": trained.tuning,
            "seconds": trained.seconds,
            "metrics": release.metrics,
            "users": release.users,
            "items": release.items,
            "interactions": release.interactions,
            "created_at": release.created_at.isoformat(),
        },
    )
    make_current(release)
    remove_old_releases()
    return release


def as_json(quality: Quality) -> dict[str, float | int | None]:
    """For the database, which knows no NaN."""
    values = asdict(quality).items()
    return {k: None if isinstance(v, float) and isnan(v) else v for k, v in values}


def from_json(values: Mapping[str, Any]) -> Quality:
    known: dict[str, Any] = {k: float("nan") if v is None else v for k, v in values.items()}
    return Quality(**known)
