from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import staff
from cinema.errors import problems
from cinema.schemas import Paginated
from movies.models import Movie
from movies.schemas import MovieOut
from movies.tmdb import selectors, services
from movies.tmdb.models import ListedFilm, SyncReport
from movies.tmdb.schemas import (
    Attributed,
    FilmSearch,
    FilmsOut,
    FromTmdbIn,
    ListedFilmOut,
    SyncIn,
    SyncOut,
)

router = Router(tags=["TMDb"])


@router.get(
    "/tmdb/search",
    auth=staff,
    response={200: FilmsOut, **problems(401, 403, 422, 424, 502, 503)},
)
def search_tmdb(request: HttpRequest, filters: Query[FilmSearch]) -> FilmsOut:
    """Search TMDb for films. The answer names those that are in the catalogue already."""
    return selectors.search(filters)


@router.post(
    "/movies/from-tmdb",
    auth=staff,
    response={201: MovieOut, **problems(401, 403, 404, 409, 422, 424, 502, 503)},
)
def create_movie_from_tmdb(
    request: HttpRequest, payload: FromTmdbIn, response: HttpResponse
) -> Status[Movie]:
    """Create a movie with TMDb's data. Fields in the request override TMDb's."""
    movie = services.post_film(film=payload)
    response["Location"] = f"/api/v1/movies/{movie.pk}"
    return Status(201, movie)


@router.get(
    "/tmdb/trending",
    auth=staff,
    response={200: list[ListedFilmOut], **problems(401, 403, 422, 424)},
)
@paginate(Attributed)
def list_tmdb_trending(request: HttpRequest) -> QuerySet[ListedFilm]:
    """TMDb's list of films that trend this week; fetched each hour."""
    return selectors.list_films("trending")


@router.get(
    "/tmdb/popular", auth=staff, response={200: list[ListedFilmOut], **problems(401, 403, 422, 424)}
)
@paginate(Attributed)
def list_tmdb_popular(request: HttpRequest) -> QuerySet[ListedFilm]:
    """TMDb's list of popular films; fetched each hour."""
    return selectors.list_films("popular")


@router.get(
    "/tmdb/now-playing",
    auth=staff,
    response={200: list[ListedFilmOut], **problems(401, 403, 422, 424)},
)
@paginate(Attributed)
def list_tmdb_now_playing(request: HttpRequest) -> QuerySet[ListedFilm]:
    """TMDb's list of films in cinemas now; fetched each hour."""
    return selectors.list_films("now-playing")


@router.get("/tmdb/syncs", auth=staff, response={200: list[SyncOut], **problems(401, 403, 422)})
@paginate(Paginated)
def list_tmdb_syncs(request: HttpRequest) -> QuerySet[SyncReport]:
    """The syncs with TMDb and their results, the newest first."""
    return selectors.list_reports()


@router.post(
    "/tmdb/syncs", auth=staff, response={202: SyncOut, **problems(401, 403, 409, 422, 424)}
)
def request_tmdb_sync(request: HttpRequest, payload: SyncIn) -> Status[SyncReport]:
    """Start a sync with TMDb now. While one of the kind waits or runs, the answer is that one."""
    return Status(202, services.request_sync(kind=payload.kind))
