from django.db.models import QuerySet
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.schemas import Paginated
from movies.schemas import MovieDetails
from movies.selectors import without_movies
from users.auth import AuthedRequest
from users.favourites import selectors, services
from users.favourites.schemas import FavouriteFilters, FavouriteOut, ListedFavouriteOut
from users.models import Favourite

router = Router(tags=["Accounts"])


@router.get(
    "/users/me/favourites",
    auth=signed_in,
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
    rows = selectors.list_favourites(request.auth, filters)
    return rows if include_movie_details else without_movies(rows)


@router.put(
    "/users/me/favourites/{int:movie_id}",
    auth=signed_in,
    response={200: FavouriteOut, **problems(401, 404, 409)},
)
def put_favourite(request: AuthedRequest, movie_id: int) -> Favourite:
    """Love a film. Saying so again changes nothing."""
    return services.put_favourite(user=request.auth, movie_id=movie_id)


@router.delete(
    "/users/me/favourites/{int:movie_id}",
    auth=signed_in,
    response={204: None, **problems(401, 404)},
)
def delete_favourite(request: AuthedRequest, movie_id: int) -> Status[None]:
    """Love a film no longer."""
    services.delete_favourite(user=request.auth, movie_id=movie_id)
    return Status(204, None)
