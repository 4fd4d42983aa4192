from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from django.db.models import QuerySet
from django.utils import timezone

from movies.catalogue import Snapshot
from recommendations.engine.interleaving import A, B, Team
from recommendations.experiments.errors import ExperimentNotFound
from recommendations.models import Experiment


def list_experiments(state: str | None = None) -> QuerySet[Experiment]:
    """The latest start first."""
    found, now = Experiment.objects.order_by("-starts_at", "-pk"), timezone.now()
    if state == "upcoming":
        return found.filter(starts_at__gt=now)
    if state == "running":
        return found.filter(starts_at__lte=now, ends_at__gt=now)
    return found.filter(ends_at__lte=now) if state == "ended" else found


def get_experiment(experiment_id: int) -> Experiment:
    """Raises ExperimentNotFound."""
    if (found := Experiment.objects.filter(pk=experiment_id).first()) is None:
        raise ExperimentNotFound(experiment_id)
    return found


def experiment_at_that_time(experiment: Experiment) -> Experiment | None:
    """Another one that overlaps it; where one ends the next may start."""
    others = Experiment.objects.exclude(pk=experiment.pk)
    return others.filter(starts_at__lt=experiment.ends_at, ends_at__gt=experiment.starts_at).first()


# --- what concerns a viewer now


@dataclass(frozen=True)
class Trial:
    """An experiment as it concerns one viewer."""

    experiment_id: int
    user_id: int
    algorithms: Mapping[Team, str]

    def lots(self) -> np.random.Generator:
        """The same ones for each of the viewer's lists."""
        return np.random.default_rng([self.experiment_id, self.user_id])


def trial_for(
    snapshot: Snapshot, user_id: int, now: datetime, algorithms: Container[str]
) -> Trial | None:
    """What the viewer's default list is to try; None also where not both are among `algorithms`."""
    experiment = _concerning(snapshot, user_id, now)
    if experiment is None:
        return None
    teams = {A: experiment.algorithm_a, B: experiment.algorithm_b}
    if not all(name in algorithms for name in teams.values()):
        return None
    return Trial(experiment.pk, user_id, teams)


def running_key(snapshot: Snapshot, user_id: int, now: datetime) -> str:
    """Another one as soon as the viewer's default list would be made otherwise; empty for none.

    To be read before the list is made: that is then never older than its key.
    """
    found = _concerning(snapshot, user_id, now)
    return f"{found.pk}:{found.algorithm_a}:{found.algorithm_b}" if found else ""


def _concerning(snapshot: Snapshot, user_id: int, now: datetime) -> Experiment | None:
    for experiment in _not_ended(snapshot):
        if experiment.state_at(now) == "running":
            return experiment if _takes_part(experiment, user_id) else None
    return None


def _takes_part(experiment: Experiment, user_id: int) -> bool:
    """Whether the viewer is in the share. Who is in a share is in each larger one."""
    drawn = blake2b(f"{experiment.pk}:{user_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) < experiment.share * 2**64


@lru_cache(maxsize=2)
def _not_ended(snapshot: Snapshot) -> Sequence[Experiment]:
    """Read once for a version of the catalogue, which each write raises."""
    return list(Experiment.objects.filter(ends_at__gt=timezone.now()).order_by("starts_at"))
