from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from cinema.errors import Conflict, NotFound, Unprocessable

if TYPE_CHECKING:
    from recommendations.models import Experiment


class ExperimentNotFound(NotFound):
    def __init__(self, experiment_id: int) -> None:
        super().__init__(f"There is no experiment {experiment_id}.")


class AnotherExperiment(Conflict):
    """Two at once would meet in the same lists."""

    def __init__(self, standing: Experiment) -> None:
        super().__init__(
            f"Experiment {standing.pk} ({standing.name}) runs in that time.",
            experiment_id=standing.pk,
        )


class ExperimentHasBegun(Conflict):
    """What viewers were shown would belong to something else."""

    def __init__(self, experiment: Experiment, fields: Collection[str]) -> None:
        super().__init__(
            f"The experiment has begun, or is over: {', '.join(sorted(fields))} cannot change.",
            experiment_id=experiment.pk,
        )


class ExperimentHasResults(Conflict):
    """Viewers have been shown lists of it."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(
            "The experiment has results. To end it, set `ends_at`.", experiment_id=experiment.pk
        )


class AlgorithmAgainstItself(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.algorithm_b", "An algorithm cannot be held against itself.")


class ExperimentEndsTooEarly(Unprocessable):
    """Before it starts, or before now."""

    def __init__(self, message: str) -> None:
        super().__init__("body.ends_at", message)
