from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from recommendations.errors import ExperimentNotFound
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
