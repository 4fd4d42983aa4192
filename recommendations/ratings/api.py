from typing import Any

from django.db.models import QuerySet
from ninja import Query, Router
from ninja.pagination import paginate

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.schemas import Paginated
from movies.schemas import MovieDetails
from movies.selectors import without_movies
from recommendations.models import Interaction
from recommendations.ratings import selectors
from recommendations.ratings.schemas import (
    ListedRatingOut,
    Months,
    PreferenceSuggestionsOut,
    RatingFilters,
    StatisticsOut,
)
from recommendations.ratings.selectors import statistics_of
from users.auth import AuthedRequest

router = Router(tags=["Accounts"])


@router.get(
    "/users/me/ratings",
    auth=signed_in,
    response={200: list[ListedRatingOut], **problems(401, 422)},
    exclude_unset=True,
)
@paginate(Paginated)
def list_ratings(
    request: AuthedRequest,
    filters: Query[RatingFilters],
    include_movie_details: MovieDetails = True,
) -> QuerySet[Interaction]:
    """Your ratings, the latest first."""
    rows = selectors.list_ratings(request.auth, filters)
    return rows if include_movie_details else without_movies(rows)


@router.get(
    "/users/me/statistics", auth=signed_in, response={200: StatisticsOut, **problems(401, 422)}
)
def get_statistics(request: AuthedRequest, months: Months = 12) -> dict[str, Any]:
    """Statistics of what you have watched and how you rate."""
    return statistics_of(request.auth, months=months)


@router.get(
    "/users/me/preferences/suggestions",
    auth=signed_in,
    response={200: PreferenceSuggestionsOut, **problems(401)},
)
def suggest_preferences(request: AuthedRequest) -> dict[str, Any]:
    """Genres and languages that your history suggests and you have not stated."""
    return selectors.suggest_preferences(request.auth)
