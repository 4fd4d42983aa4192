from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError

from cinema.errors import ApiError, Conflict, NotFound, Unprocessable

if TYPE_CHECKING:
    from movies.screenings.schemas import StandingOut, UnplacedOut


class MovieNotFound(NotFound):
    """No movie has this id or slug, or it was withdrawn."""

    def __init__(self, which: int | str) -> None:
        super().__init__(f"There is no movie {which!r}.")


class ScreeningNotFound(NotFound):
    def __init__(self, screening_id: int) -> None:
        super().__init__(f"There is no screening {screening_id}.")


class MovieExists(Conflict):
    def __init__(self, movie_id: int) -> None:
        super().__init__(
            f"Movie {movie_id} has the same name and start date, or the same TMDb id.",
            movie_id=movie_id,
        )


class MovieInUse(Conflict):
    def __init__(self, counts: dict[str, int]) -> None:
        listed = ", ".join(f"{count} {what}" for what, count in counts.items())
        super().__init__(
            f"The movie has {listed}. With ?force=true it is withdrawn, and these are kept.",
            counts=counts,
        )


class HallTaken(Conflict):
    def __init__(self, hall: str, standing: Sequence[StandingOut]) -> None:
        named = ", ".join(
            f"{one.id} ({one.movie}, {one.starts_at:%H:%M} to {one.ends_at:%H:%M})"
            for one in standing
        )
        super().__init__(
            f"{hall} is taken at that time by screening {named or 'of another writer'}.",
            screening_ids=[one.id for one in standing],
            screenings=[one.model_dump() for one in standing],
        )


class HallsTaken(Conflict):
    def __init__(self, wanted: int, collisions: Sequence[UnplacedOut]) -> None:
        super().__init__(
            f"{len(collisions)} of {wanted} screenings find their hall taken: see `collisions`. "
            "Nothing was written.",
            screening_ids=sorted({one.id for each in collisions for one in each.standing}),
            collisions=[one.model_dump() for one in collisions],
        )


class NothingToCopy(NotFound):
    def __init__(self, first: date, days: int) -> None:
        last = first + timedelta(days=days - 1)
        super().__init__(f"There is no such screening from {first} to {last}: nothing to copy.")


class EndsAtUnknown(Unprocessable):
    def __init__(self, field: str = "body.ends_at") -> None:
        super().__init__(field, "Needed, as the movie has no running time.")


class DatesReversed(Unprocessable):
    """The end lies before the start, or too far after it."""


class SlugTaken(Conflict):
    def __init__(self, slug: str) -> None:
        super().__init__(f"Another movie has the slug {slug!r}.")


def broken_constraint(error: IntegrityError) -> str | None:
    """The name of the violated database constraint, if the error tells it."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)


class FileRefused(Unprocessable):
    """The uploaded file has the wrong type or is damaged."""

    def __init__(self, message: str) -> None:
        super().__init__("body.file", message)


class FileTooLarge(ApiError):
    status = 413

    def __init__(self, limit_mb: int) -> None:
        super().__init__(f"The file may have at most {limit_mb} MB.")


class NoPoster(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} has no poster.")


class NoTrailer(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} has no trailer.")


class StorageAway(ApiError):
    status = 503
    headers = {"Retry-After": "10"}
    detail = "The storage for uploads is unavailable or full. Try again later."
