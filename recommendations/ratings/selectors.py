from __future__ import annotations

from django.db.models import QuerySet

from recommendations.models import Interaction
from recommendations.ratings.schemas import RatingFilters
from users.models import User

ORDERS = {
    "-rated_at": ("-updated_at", "-id"),
    "-stars": ("-half_stars", "-updated_at", "-id"),
    "stars": ("half_stars", "-updated_at", "-id"),
    "name": ("movie__name_key", "movie_id"),
}


def ratings_of(user: User) -> QuerySet[Interaction]:
    return Interaction.objects.filter(user=user, kind=Interaction.Kind.RATING)


def list_ratings(user: User, filters: RatingFilters) -> QuerySet[Interaction]:
    """With their films. Those of withdrawn ones wait for the film to come back."""
    ratings = ratings_of(user).filter(movie__withdrawn_at=None)
    if filters.stars_from is not None:
        ratings = ratings.filter(half_stars__gte=round(filters.stars_from * 2))
    if filters.stars_to is not None:
        ratings = ratings.filter(half_stars__lte=round(filters.stars_to * 2))
    if filters.genre is not None:
        ratings = ratings.filter(movie__genres__slug=filters.genre)
    rows = ratings.select_related("movie").prefetch_related("movie__genres")
    return rows.order_by(*ORDERS[filters.sort])
