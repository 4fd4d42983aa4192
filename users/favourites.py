from datetime import datetime
from typing import Literal

from django.db import transaction
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import Conflict, NotFound, problems
from cinema.locks import retry_if_deleted
from cinema.schemas import Line, Paginated
from movies import selectors as movies
from movies.schemas import MovieDetails, OfMovieOut
from movies.selectors import without_movies
from movies.types import LocalTime
from users.auth import AuthedRequest, lock_viewer, raise_taste_version
from users.models import Favourite, User


class FavouriteNotFound(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} is not among your favourites.")


class FavouritesFull(Conflict):
    def __init__(self, at_most: int) -> None:
        super().__init__(f"You have {at_most} favourites, the most allowed. Remove one first.")


class FavouriteOut(Schema):
    movie_id: int = Field(examples=[42])
    added_at: LocalTime

    @staticmethod
    def resolve_added_at(favourite: Favourite) -> datetime:
        return favourite.created_at


class ListedFavouriteOut(OfMovieOut, FavouriteOut):
    pass


class FavouriteFilters(Schema):
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    sort: Literal["-added_at", "name"] = "-added_at"


ORDERS = {"-added_at": ("-created_at", "-id"), "name": ("movie__name_key", "movie_id")}


def favourites_of(user: User, filters: FavouriteFilters) -> QuerySet[Favourite]:
    """The viewer's favourites with their movies, without withdrawn movies."""
    favourites = Favourite.objects.filter(user=user, movie__withdrawn_at=None)
    if filters.genre is not None:
        favourites = favourites.filter(movie__genres__slug=filters.genre)
    rows = favourites.select_related("movie").prefetch_related("movie__genres")
    return rows.order_by(*ORDERS[filters.sort])


MAX_FAVOURITES = 10_000


@retry_if_deleted
@transaction.atomic
def add_favourite(*, user: User, movie_id: int) -> Favourite:
    """Add a movie to the viewer's favourites; if it is one, nothing changes.

    Raises:
        MovieNotFound: No published movie has this id.
        FavouritesFull: The viewer has MAX_FAVOURITES.
    """
    movie = movies.get_movie(movie_id)
    lock_viewer(user)
    mine = Favourite.objects.filter(user=user)
    if (standing := mine.filter(movie=movie).first()) is not None:
        return standing
    if mine.count() >= MAX_FAVOURITES:
        raise FavouritesFull(MAX_FAVOURITES)
    raise_taste_version(user.pk)
    return Favourite.objects.create(user=user, movie=movie)


@transaction.atomic
def remove_favourite(*, user: User, movie_id: int) -> None:
    """Remove a movie from the viewer's favourites, even a withdrawn one.

    Raises:
        FavouriteNotFound: It is not a favourite.
    """
    lock_viewer(user)
    if not Favourite.objects.filter(user=user, movie_id=movie_id).delete()[0]:
        raise FavouriteNotFound(movie_id)
    raise_taste_version(user.pk)


router = Router(tags=["Accounts"], auth=signed_in)


@router.get(
    "/users/me/favourites",
    response={200: list[ListedFavouriteOut], **problems(401, 422)},
    exclude_unset=True,
)
@paginate(Paginated)
def list_favourites(
    request: AuthedRequest,
    filters: Query[FavouriteFilters],
    include_movie_details: MovieDetails = True,
) -> QuerySet[Favourite]:
    """The films that you love, the latest first."""
    rows = favourites_of(request.auth, filters)
    return rows if include_movie_details else without_movies(rows)


@router.put(
    "/users/me/favourites/{int:movie_id}", response={200: FavouriteOut, **problems(401, 404, 409)}
)
def put_favourite(request: AuthedRequest, movie_id: int) -> Favourite:
    """Love a film. Saying so again changes nothing."""
    return add_favourite(user=request.auth, movie_id=movie_id)


@router.delete("/users/me/favourites/{int:movie_id}", response={204: None, **problems(401, 404)})
def delete_favourite(request: AuthedRequest, movie_id: int) -> Status[None]:
    """Love a film no longer."""
    remove_favourite(user=request.auth, movie_id=movie_id)
    return Status(204, None)
