from cinema.errors import Conflict, NotFound, Unprocessable


class MovieNotFound(NotFound):
    """No movie has this id or slug, or it was withdrawn."""

    def __init__(self, which: int | str) -> None:
        super().__init__(f"There is no movie {which!r}.")


class ScreeningNotFound(NotFound):
    def __init__(self, screening_id: int) -> None:
        super().__init__(f"There is no screening {screening_id}.")


class MovieExists(Conflict):
    """A movie of this name starts on this date already, or has this TMDb id."""

    def __init__(self, movie_id: int) -> None:
        super().__init__(
            f"Movie {movie_id} has the same name and start date, or the same TMDb id.",
            movie_id=movie_id,
        )


class MovieInUse(Conflict):
    """Deleting it would take screenings or interactions along."""

    def __init__(self, counts: dict[str, int]) -> None:
        listed = ", ".join(f"{count} {what}" for what, count in counts.items())
        super().__init__(
            f"The movie has {listed}. With ?force=true it is withdrawn, and these are kept.",
            counts=counts,
        )


class HallTaken(Conflict):
    """Another screening is in the hall at that time."""

    def __init__(self, hall: str, screening_ids: list[int]) -> None:
        super().__init__(
            f"{hall} is taken at that time by screening {', '.join(map(str, screening_ids))}.",
            screening_ids=screening_ids,
        )


class EndsAtUnknown(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.ends_at", "Needed, as the movie has no running time.")


class DatesReversed(Unprocessable):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)


class SlugTaken(Conflict):
    def __init__(self, slug: str) -> None:
        super().__init__(f"Another movie has the slug {slug!r}.")
