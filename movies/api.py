from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.vary import vary_on_headers
from ninja import Query, Router
from ninja.decorators import decorate_view
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import anyone, staff
from cinema.errors import problems
from cinema.schemas import Line, Paginated
from movies import selectors, services
from movies.models import Genre, Movie, Screening
from movies.programme import ProgrammeQuery, programme_response, without_parsing
from movies.schemas import (
    GenreOut,
    MovieFilters,
    MovieIn,
    MovieOut,
    MoviePatch,
    ProgrammeFilters,
    ProgrammeOut,
    ScreeningFilters,
    ScreeningIn,
    ScreeningOut,
    ScreeningPatch,
)

router = Router()
_revalidated = cache_control(public=True, max_age=0, must_revalidate=True)
public = decorate_view(_revalidated)
#: Staff see more: no cache may give their answer to others.
public_by_reader = decorate_view(_revalidated, vary_on_headers("Authorization"))

MOVIES, PROGRAMME = ["Movies"], ["Programme"]


@router.get("/movies", response={200: list[MovieOut], **problems(422)}, tags=MOVIES)
@public
@paginate(Paginated)
def list_movies(request: HttpRequest, filters: Query[MovieFilters]) -> QuerySet[Movie]:
    """The catalogue, filtered and ordered."""
    return selectors.list_movies(filters)


@router.post(
    "/movies", auth=staff, response={201: MovieOut, **problems(401, 403, 409, 422)}, tags=MOVIES
)
def create_movie(request: HttpRequest, payload: MovieIn, response: HttpResponse) -> Status[Movie]:
    """Post a movie."""
    movie = services.create_movie(fields=payload.model_dump(exclude_unset=True))
    response["Location"] = f"/api/v1/movies/{movie.pk}"
    return Status(201, movie)


@router.get("/movies/trending", response={200: list[MovieOut], **problems(422)}, tags=MOVIES)
@public
@paginate(Paginated)
def list_trending_movies(request: HttpRequest) -> QuerySet[Movie]:
    """What the audience waits for: by ranking, without what has finished."""
    return selectors.list_trending_movies()


@router.get("/movies/by-slug/{slug}", response={200: MovieOut, **problems(404, 422)}, tags=MOVIES)
@public
def get_movie_by_slug(request: HttpRequest, slug: Line) -> Movie:
    """One movie, by the name in its address."""
    return selectors.get_movie_by_slug(slug)


@router.get("/movies/{int:movie_id}", response={200: MovieOut, **problems(404)}, tags=MOVIES)
@public
def get_movie(request: HttpRequest, movie_id: int) -> Movie:
    """One movie."""
    return selectors.get_movie(movie_id)


@router.patch(
    "/movies/{int:movie_id}",
    auth=staff,
    response={200: MovieOut, **problems(401, 403, 404, 409, 422)},
    tags=MOVIES,
)
def update_movie(request: HttpRequest, movie_id: int, payload: MoviePatch) -> Movie:
    """Change a movie. What is left out stays."""
    return services.update_movie(movie_id=movie_id, fields=payload.model_dump(exclude_unset=True))


@router.delete(
    "/movies/{int:movie_id}",
    auth=staff,
    response={204: None, **problems(401, 403, 404, 409, 422)},
    tags=MOVIES,
)
def delete_movie(request: HttpRequest, movie_id: int, force: bool = False) -> Status[None]:
    """Delete a movie; with `force`, withdraw one that has screenings or interactions."""
    services.delete_movie(movie_id=movie_id, force=force)
    return Status(204, None)


@router.get("/genres", response={200: list[GenreOut], **problems(422)}, tags=MOVIES)
@public
@paginate(Paginated)
def list_genres(request: HttpRequest) -> QuerySet[Genre]:
    """All genres, by name."""
    return selectors.list_genres()


@router.get(
    "/screenings",
    auth=anyone,
    response={200: list[ScreeningOut], **problems(401, 422)},
    tags=PROGRAMME,
)
@public_by_reader
@paginate(Paginated)
def list_screenings(request: HttpRequest, filters: Query[ScreeningFilters]) -> QuerySet[Screening]:
    """Screenings by their start. Staff see the hidden ones too."""
    return selectors.list_screenings(filters, for_staff=_is_staff(request))


@router.post(
    "/screenings",
    auth=staff,
    response={201: ScreeningOut, **problems(401, 403, 404, 409, 422)},
    tags=PROGRAMME,
)
def create_screening(
    request: HttpRequest, payload: ScreeningIn, response: HttpResponse
) -> Status[Screening]:
    """Post a screening. A hall is made on its first use."""
    screening = services.create_screening(fields=payload.model_dump(exclude_unset=True))
    response["Location"] = f"/api/v1/screenings/{screening.pk}"
    return Status(201, screening)


@router.get(
    "/screenings/{int:screening_id}",
    auth=anyone,
    response={200: ScreeningOut, **problems(401, 404)},
    tags=PROGRAMME,
)
@public_by_reader
def get_screening(request: HttpRequest, screening_id: int) -> Screening:
    """One screening."""
    return selectors.get_screening(screening_id, for_staff=_is_staff(request))


@router.patch(
    "/screenings/{int:screening_id}",
    auth=staff,
    response={200: ScreeningOut, **problems(401, 403, 404, 409, 422)},
    tags=PROGRAMME,
)
def update_screening(request: HttpRequest, screening_id: int, payload: ScreeningPatch) -> Screening:
    """Change a screening. A new start without an end keeps the length."""
    fields = payload.model_dump(exclude_unset=True)
    return services.update_screening(screening_id=screening_id, fields=fields)


@router.delete(
    "/screenings/{int:screening_id}",
    auth=staff,
    response={204: None, **problems(401, 403, 404)},
    tags=PROGRAMME,
)
def delete_screening(request: HttpRequest, screening_id: int) -> Status[None]:
    """Delete a screening. Set its state to `cancelled` to let viewers know instead."""
    services.delete_screening(screening_id=screening_id)
    return Status(204, None)


@router.get("/programme", response={200: ProgrammeOut, **problems(422, 503)}, tags=PROGRAMME)
@decorate_view(without_parsing)
def get_programme(request: HttpRequest, filters: Query[ProgrammeFilters]) -> HttpResponse:
    """The programme by day. The small hours belong to the evening before."""
    return programme_response(ProgrammeQuery.of(filters))


def _is_staff(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_staff", False))
