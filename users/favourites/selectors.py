from __future__ import annotations

from django.db.models import QuerySet

from users.favourites.schemas import FavouriteFilters
from users.models import Favourite, User

ORDERS = {
    "-added_at": ("-created_at", "-id"),
    "name": ("movie__name_key", "movie_id"),
}


def list_favourites(user: User, filters: FavouriteFilters) -> QuerySet[Favourite]:
    """With their films. Those of withdrawn ones wait for the film to come back."""
    favourites = Favourite.objects.filter(user=user, movie__withdrawn_at=None)
    if filters.genre is not None:
        favourites = favourites.filter(movie__genres__slug=filters.genre)
    rows = favourites.select_related("movie").prefetch_related("movie__genres")
    return rows.order_by(*ORDERS[filters.sort])
