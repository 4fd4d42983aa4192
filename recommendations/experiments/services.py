from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from cinema.locks import lock_table
from recommendations.errors import (
    AlgorithmAgainstItself,
    AnotherExperiment,
    ExperimentEndsTooEarly,
    ExperimentHasBegun,
    ExperimentHasResults,
)
from recommendations.experiments import selectors
from recommendations.experiments.schemas import check_experiment_times
from recommendations.models import Experiment, Impression

#: By state what can no longer change: viewers have been shown lists by it.
SETTLED = {
    "upcoming": frozenset[str](),
    "running": frozenset({"algorithm_a", "algorithm_b", "starts_at"}),
    "ended": frozenset({"algorithm_a", "algorithm_b", "starts_at", "ends_at", "share"}),
}


@transaction.atomic
def create_experiment(*, fields: Mapping[str, Any]) -> Experiment:
    """Hold two algorithms against each other. `fields` are those of `ExperimentIn`.

    Raises:
        AlgorithmAgainstItself, AnotherExperiment: As their names say.
        ExperimentEndsTooEarly: It would be over by now, or before it starts.
    """
    lock_table(Experiment)
    experiment = Experiment(**fields)
    _check_is_not_over(experiment)
    return _write(experiment)


@transaction.atomic
def update_experiment(*, experiment_id: int, fields: Mapping[str, Any]) -> Experiment:
    """Change the given fields, which are those of `ExperimentPatch`.

    An end in the past is taken as now: what viewers were shown meanwhile belongs to it.

    Raises:
        ExperimentNotFound, AlgorithmAgainstItself, AnotherExperiment: As their names say.
        ExperimentHasBegun: With what the fields would change it would be another one.
        ExperimentEndsTooEarly: It would be over by now, or before it starts.
    """
    lock_table(Experiment)
    experiment = selectors.get_experiment(experiment_id)
    now = timezone.now()
    state = experiment.state_at(now)
    changed = {name for name, value in fields.items() if getattr(experiment, name) != value}
    if settled := changed & SETTLED[state]:
        raise ExperimentHasBegun(experiment, settled)
    for name in changed:
        setattr(experiment, name, fields[name])
    if state == "upcoming":
        _check_is_not_over(experiment)
    if state == "running":
        experiment.ends_at = max(experiment.ends_at, now)
    return _write(experiment)


@transaction.atomic
def delete_experiment(*, experiment_id: int) -> None:
    """Delete one that no viewer has seen anything of, as far as is still known.

    Raises:
        ExperimentNotFound: There is none.
        ExperimentHasResults: It stays, for what it has found.
    """
    experiment = selectors.get_experiment(experiment_id)
    if Impression.objects.filter(experiment=experiment).exists():
        raise ExperimentHasResults(experiment)
    experiment.delete()


def _check_is_not_over(experiment: Experiment) -> None:
    if experiment.ends_at <= timezone.now():
        raise ExperimentEndsTooEarly("It would be over by now.")


def _write(experiment: Experiment) -> Experiment:
    """What holds of every one, new or not. Nobody else writes meanwhile."""
    if experiment.algorithm_a == experiment.algorithm_b:
        raise AlgorithmAgainstItself
    try:
        check_experiment_times(experiment.starts_at, experiment.ends_at)
    except ValueError as error:
        raise ExperimentEndsTooEarly(str(error)) from error
    if (standing := selectors.experiment_at_that_time(experiment)) is not None:
        raise AnotherExperiment(standing)
    experiment.save()
    return experiment
