from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from cinema.errors import Conflict, NotFound, Unprocessable

if TYPE_CHECKING:
    from recommendations.models import Experiment, Promotion


class InteractionNotFound(NotFound):
    def __init__(self, interaction_id: int) -> None:
        super().__init__(f"You have no interaction {interaction_id}.")


class RatingNotFound(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"You have not rated movie {movie_id}.")


class NoMoreRecommendations(NotFound):
    """The list is used up, has expired, or was never asked for."""

    def __init__(self) -> None:
        super().__init__("There are no more: ask /recommendations for a new list.")


class NotRecommended(NotFound):
    def __init__(self, list_id: UUID, movie_id: int) -> None:
        super().__init__(f"You were given no list {list_id} with movie {movie_id}.")


class ReleaseNotFound(NotFound):
    def __init__(self, release_id: int) -> None:
        super().__init__(f"There is no release {release_id}.")


class RunNotFound(NotFound):
    def __init__(self, run_id: int) -> None:
        super().__init__(f"There is no training run {run_id}.")


class ReleaseUnusable(Conflict):
    def __init__(self, release_id: int, reason: str) -> None:
        super().__init__(f"Release {release_id} cannot be served: {reason}")


class PromotionNotFound(NotFound):
    def __init__(self, promotion_id: int) -> None:
        super().__init__(f"There is no promotion {promotion_id}.")


class AlreadyPinned(Conflict):
    """Another movie has the place at that time, or this movie another place."""

    def __init__(self, wanted: Promotion, standing: Promotion) -> None:
        what = f"Place {wanted.place}" if standing.place == wanted.place else "The film"
        super().__init__(
            f"{what} is pinned in that time by promotion {standing.pk} ({standing.movie.name}, "
            f"place {standing.place}).",
            promotion_id=standing.pk,
        )


class WrongForKind(Unprocessable):
    def __init__(self, field: str, kind: str) -> None:
        super().__init__(f"body.{field}", f"A {kind} has no {field}.")


class EndsTooEarly(Unprocessable):
    def __init__(self, message: str) -> None:
        super().__init__("body.ends_at", message)


class ExperimentNotFound(NotFound):
    def __init__(self, experiment_id: int) -> None:
        super().__init__(f"There is no experiment {experiment_id}.")


class AnotherExperiment(Conflict):
    """Two experiments at once would meet in the same lists."""

    def __init__(self, standing: Experiment) -> None:
        super().__init__(
            f"Experiment {standing.pk} ({standing.name}) runs in that time.",
            experiment_id=standing.pk,
        )


class ExperimentHasBegun(Conflict):
    """Impressions of viewers would belong to another experiment."""

    def __init__(self, experiment: Experiment, fields: Collection[str]) -> None:
        super().__init__(
            f"The experiment has begun, or is over: {', '.join(sorted(fields))} cannot change.",
            experiment_id=experiment.pk,
        )


class ExperimentHasResults(Conflict):
    def __init__(self, experiment: Experiment) -> None:
        super().__init__(
            "The experiment has results. To end it, set `ends_at`.", experiment_id=experiment.pk
        )


class AlgorithmAgainstItself(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.algorithm_b", "An algorithm cannot be held against itself.")
