from __future__ import annotations

from datetime import datetime

from cinema.errors import Conflict, NotFound, Unprocessable


class ViewingNotFound(NotFound):
    """The viewer has none with this id."""

    def __init__(self, viewing_id: int) -> None:
        super().__init__(f"You have no entry {viewing_id} in your history.")


class HistoryFull(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(f"Your history has {at_most} entries, and there is no room for more.")


class WatchedInTheFuture(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.watched_at", "This lies in the future.")


class WatchedAtAnotherTime(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.watched_at", "The screening was not on then. Leave it out.")


class ScreeningOfAnotherMovie(Unprocessable):
    def __init__(self, screening_id: int, movie_id: int) -> None:
        super().__init__(
            "body.screening_id", f"Screening {screening_id} is not one of movie {movie_id}."
        )


class ScreeningCancelled(Conflict):
    def __init__(self, screening_id: int) -> None:
        super().__init__(f"Screening {screening_id} is cancelled.")


class CheckInNotOpen(Conflict):
    """The screening starts too late for anybody to be there yet."""

    def __init__(self, opens_at: datetime) -> None:
        super().__init__(f"One can check in from {opens_at:%d %b %H:%M} on.", opens_at=opens_at)
