from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.schemas import Paginated
from movies.schemas import MovieDetails
from movies.selectors import without_movies
from users.auth import AuthedRequest
from users.history import selectors, services
from users.history.schemas import ListedViewingOut, ViewingFilters, ViewingIn, ViewingOut
from users.models import Viewing

router = Router(tags=["Accounts"])


@router.get(
    "/users/me/history",
    auth=signed_in,
    response={200: list[ListedViewingOut], **problems(401, 422)},
    exclude_unset=True,
)
@paginate(Paginated)
def list_history(
    request: AuthedRequest,
    filters: Query[ViewingFilters],
    include_movie_details: MovieDetails = True,
) -> QuerySet[Viewing]:
    """What you have watched, the latest first."""
    rows = selectors.list_viewings(request.auth, filters)
    return rows if include_movie_details else without_movies(rows)


@router.post(
    "/users/me/history",
    auth=signed_in,
    response={200: ViewingOut, 201: ViewingOut, **problems(401, 404, 409, 422)},
)
def record_viewing(
    request: AuthedRequest, response: HttpResponse, payload: ViewingIn
) -> Status[Viewing]:
    """Say what you have watched, or check in to a screening. The same again is 200."""
    viewing, created = services.record_viewing(user=request.auth, **payload.model_dump())
    response["Location"] = f"/api/v1/users/me/history/{viewing.pk}"
    return Status(201 if created else 200, viewing)


@router.delete(
    "/users/me/history/{int:viewing_id}",
    auth=signed_in,
    response={204: None, **problems(401, 404)},
)
def delete_viewing(request: AuthedRequest, viewing_id: int) -> Status[None]:
    """Strike an entry from your history."""
    services.delete_viewing(user=request.auth, viewing_id=viewing_id)
    return Status(204, None)
