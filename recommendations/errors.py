from __future__ import annotations

from uuid import UUID

from cinema.errors import Conflict, NotFound


class InteractionNotFound(NotFound):
    def __init__(self, interaction_id: int) -> None:
        super().__init__(f"You have no interaction {interaction_id}.")


class RatingNotFound(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"You have not rated movie {movie_id}.")


class NoMoreRecommendations(NotFound):
    """The list is used up, has expired, or was never asked for."""

    def __init__(self) -> None:
        super().__init__("The list has no more films. Get a new one: GET /recommendations.")


class NotRecommended(NotFound):
    def __init__(self, list_id: UUID, movie_id: int) -> None:
        super().__init__(f"You were given no list {list_id} with movie {movie_id}.")


class ReleaseNotCurrent(Conflict):
    def __init__(self, release_id: int) -> None:
        super().__init__(f"Release {release_id} is not served. Activate it first.")


class NoHold(NotFound):
    def __init__(self, release_id: int) -> None:
        super().__init__(f"Release {release_id} is not held.")


class AlgorithmUnavailable(Conflict):
    def __init__(self, algorithm: str, reason: str) -> None:
        super().__init__(
            f"The release that is served has no {algorithm}. {reason} Leave `algorithm` out, or "
            "choose one that GET /recommendations/algorithms lists as available."
        )


class ReleaseUnusable(Conflict):
    def __init__(self, release_id: int, reason: str) -> None:
        super().__init__(f"Release {release_id} cannot be served: {reason}")
