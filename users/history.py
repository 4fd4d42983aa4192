from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import Conflict, NotFound, Unprocessable, problems
from cinema.locks import retry_if_deleted
from cinema.schemas import Moment, Paginated, RowId, StrictSchema
from movies import selectors as movies
from movies.days import local_time
from movies.models import Screening
from movies.schemas import MovieDetails, OfMovieOut
from movies.screenings.selectors import get_screening
from movies.selectors import given, without_movies
from movies.types import LocalTime
from users.auth import AuthedRequest, lock_viewer, raise_taste_version
from users.models import User, Viewing


class ViewingNotFound(NotFound):
    def __init__(self, viewing_id: int) -> None:
        super().__init__(f"You have no entry {viewing_id} in your history.")


class HistoryFull(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(f"Your history has {at_most} entries, the most allowed. Delete one first.")


class WatchedInTheFuture(Unprocessable):
    field = "body.watched_at"
    detail = "This time lies in the future."


class WatchedAtAnotherTime(Unprocessable):
    field = "body.watched_at"
    detail = "The screening was not running at `watched_at`. Leave `watched_at` out."


class ScreeningOfAnotherMovie(Unprocessable):
    def __init__(self, screening_id: int, movie_id: int) -> None:
        super().__init__(
            "body.screening_id", f"Screening {screening_id} is not one of movie {movie_id}."
        )


class ScreeningCancelled(Conflict):
    def __init__(self, screening_id: int) -> None:
        super().__init__(f"Screening {screening_id} is cancelled.")


class CheckInNotOpen(Conflict):
    """The screening starts too late for a check-in."""

    def __init__(self, opens_at: datetime) -> None:
        super().__init__(f"Check-in opens at {opens_at:%d %b %H:%M}.", opens_at=opens_at)


class ViewingIn(StrictSchema):
    movie_id: RowId = Field(examples=[42])
    watched_at: Moment | None = Field(
        None,
        description="Default: now, or the start of the screening.",
        examples=["2026-11-03T20:15:00+01:00"],
    )
    screening_id: RowId | None = Field(
        None, description="Makes the entry a check-in at this screening.", examples=[None]
    )


class ViewingOut(Schema):
    id: int = Field(examples=[77])
    movie_id: int = Field(examples=[42])
    watched_at: LocalTime
    checked_in: bool = Field(description="Watched at a screening here.", examples=[True])
    screening_id: int | None = Field(
        description="Null if the screening has been deleted.", examples=[310]
    )
    created_at: LocalTime


class ListedViewingOut(OfMovieOut, ViewingOut):
    pass


class ViewingFilters(Schema):
    movie_id: int | None = Field(None, ge=1)
    checked_in: bool | None = None
    watched_from: Moment | None = Field(None, alias="from", description="Watched then or later.")
    watched_before: Moment | None = Field(None, alias="to", description="Watched before this time.")


def viewings_of(user: User, filters: ViewingFilters) -> QuerySet[Viewing]:
    """The viewer's viewings with their movies, the latest first, without withdrawn movies."""
    viewings = Viewing.objects.filter(
        given(
            movie_id=filters.movie_id,
            checked_in=filters.checked_in,
            watched_at__gte=filters.watched_from,
            watched_at__lt=filters.watched_before,
        ),
        user=user,
        movie__withdrawn_at=None,
    )
    rows = viewings.select_related("movie").prefetch_related("movie__genres")
    return rows.order_by("-watched_at", "-id")


MAX_VIEWINGS = 50_000
#: A check-in is possible this long before the start of the screening.
CHECK_IN_OPENS = timedelta(hours=2)
#: Clients' clocks may be fast by this.
LEEWAY = timedelta(minutes=5)


@retry_if_deleted
@transaction.atomic
def add_viewing(
    *,
    user: User,
    movie_id: int,
    watched_at: datetime | None = None,
    screening_id: int | None = None,
) -> tuple[Viewing, bool]:
    """Record that the viewer has watched a movie; returns the entry and whether it is new.

    With a screening it is a check-in. The same movie at the same time, or the same screening, is
    the existing entry, and a check-in turns an entry without a screening into its own.

    Args:
        watched_at: The default is the start of the screening, or now, to the minute, so that a
            repeated request finds the entry of the first.

    Raises:
        MovieNotFound, ScreeningNotFound: Viewers may not see such a one.
        ScreeningOfAnotherMovie, ScreeningCancelled, CheckInNotOpen, WatchedAtAnotherTime,
        WatchedInTheFuture, HistoryFull: As their names say.
    """
    movies.get_movie(movie_id)
    screening = _screening_of(movie_id, screening_id) if screening_id is not None else None
    moment = _moment_of(watched_at, screening)
    lock_viewer(user)
    mine = Viewing.objects.filter(user=user)
    standing = mine.filter(screening=screening).first() if screening else None
    standing = standing or mine.filter(movie_id=movie_id, watched_at=moment).first()
    if standing is not None:
        return _checked_in(standing, screening), False
    if mine.count() >= MAX_VIEWINGS:
        raise HistoryFull(MAX_VIEWINGS)
    viewing = Viewing(user=user, movie_id=movie_id, watched_at=moment)
    return _checked_in(viewing, screening), True


@transaction.atomic
def remove_viewing(*, user: User, viewing_id: int) -> None:
    """Delete an entry of the viewer's history.

    Raises:
        ViewingNotFound: The viewer has no such entry.
    """
    lock_viewer(user)
    if not Viewing.objects.filter(pk=viewing_id, user=user).delete()[0]:
        raise ViewingNotFound(viewing_id)
    raise_taste_version(user.pk)


def _screening_of(movie_id: int, screening_id: int) -> Screening:
    """The screening, if the viewer can be or have been there."""
    screening = get_screening(screening_id, for_staff=False)
    if screening.movie_id != movie_id:
        raise ScreeningOfAnotherMovie(screening_id, movie_id)
    if screening.state == Screening.State.CANCELLED:
        raise ScreeningCancelled(screening_id)
    if (opens_at := screening.starts_at - CHECK_IN_OPENS) > timezone.now():
        raise CheckInNotOpen(local_time(opens_at))
    return screening


def _moment_of(watched_at: datetime | None, screening: Screening | None) -> datetime:
    now = timezone.now()
    if watched_at is None:
        return screening.starts_at if screening else now.replace(second=0, microsecond=0)
    if watched_at > now + LEEWAY:
        raise WatchedInTheFuture
    if screening and not screening.starts_at <= watched_at <= screening.ends_at:
        raise WatchedAtAnotherTime
    return watched_at


def _checked_in(viewing: Viewing, screening: Screening | None) -> Viewing:
    """Save the entry if it is new, or if this check-in is its first."""
    is_check_in = screening is not None and viewing.screening_id is None
    if is_check_in:
        viewing.screening, viewing.checked_in = screening, True
    if is_check_in or viewing.pk is None:
        viewing.save()
        raise_taste_version(viewing.user_id)
    return viewing


router = Router(tags=["Accounts"], auth=signed_in)


@router.get(
    "/users/me/history",
    response={200: list[ListedViewingOut], **problems(401, 422)},
    exclude_unset=True,
)
@paginate(Paginated)
def list_history(
    request: AuthedRequest,
    filters: Query[ViewingFilters],
    include_movie_details: MovieDetails = True,
) -> QuerySet[Viewing]:
    """Your viewings, the latest first."""
    rows = viewings_of(request.auth, filters)
    return rows if include_movie_details else without_movies(rows)


@router.post(
    "/users/me/history", response={200: ViewingOut, 201: ViewingOut, **problems(401, 404, 409, 422)}
)
def record_viewing(
    request: AuthedRequest, response: HttpResponse, payload: ViewingIn
) -> Status[Viewing]:
    """Say what you have watched, or check in to a screening. The same again is 200."""
    viewing, created = add_viewing(user=request.auth, **payload.model_dump())
    response["Location"] = f"/api/v1/users/me/history/{viewing.pk}"
    return Status(201 if created else 200, viewing)


@router.delete("/users/me/history/{int:viewing_id}", response={204: None, **problems(401, 404)})
def delete_viewing(request: AuthedRequest, viewing_id: int) -> Status[None]:
    """Strike an entry from your history."""
    remove_viewing(user=request.auth, viewing_id=viewing_id)
    return Status(204, None)
