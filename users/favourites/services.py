from __future__ import annotations

from django.db import transaction

from movies import selectors as movies
from users.favourites.errors import FavouriteNotFound, FavouritesFull
from users.locking import again_if_deleted, lock_viewer
from users.models import Favourite, User

MAX_FAVOURITES = 10_000


@again_if_deleted
@transaction.atomic
def put_favourite(*, user: User, movie_id: int) -> Favourite:
    """Have the film among the viewer's favourites; if it is, it stays as it is.

    Raises:
        MovieNotFound: No published movie has this id.
        FavouritesFull: The viewer has as many as one may have.
    """
    movie = movies.get_movie(movie_id)
    lock_viewer(user)
    mine = Favourite.objects.filter(user=user)
    if (standing := mine.filter(movie=movie).first()) is not None:
        return standing
    if mine.count() >= MAX_FAVOURITES:
        raise FavouritesFull(MAX_FAVOURITES)
    return Favourite.objects.create(user=user, movie=movie)


@transaction.atomic
def delete_favourite(*, user: User, movie_id: int) -> None:
    """Take the film from the viewer's favourites, also one that was withdrawn since.

    Raises:
        FavouriteNotFound: It is not among them.
    """
    lock_viewer(user)
    if not Favourite.objects.filter(user=user, movie_id=movie_id).delete()[0]:
        raise FavouriteNotFound(movie_id)
