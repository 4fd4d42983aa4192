from uuid import UUID

from cinema.errors import Conflict, NotFound


class InteractionNotFound(NotFound):
    """The viewer has none with this id."""

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
    """Its files are deleted, damaged, or of another format."""

    def __init__(self, release_id: int, reason: str) -> None:
        super().__init__(f"Release {release_id} cannot be served: {reason}")
