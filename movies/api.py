from functools import partial

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.responses import Status

from cinema.auth import staff
from cinema.errors import problems
from cinema.http import IfMatch, editable, show_edit, skip_parameter_parsing
from cinema.schemas import Line, Paginated
from movies import cached_responses, selectors, services
from movies.models import Movie
from movies.schemas import (
    GenrePageOut,
    MovieFilters,
    MovieForViewerOut,
    MovieIn,
    MovieOut,
    MoviePageForViewerOut,
    MoviePatch,
    Similarity,
)

router = Router(tags=["Movies"])


@router.get("/movies", response={200: MoviePageForViewerOut, **problems(422)})
def list_movies(
    request: HttpRequest,
    filters: Query[MovieFilters],
    paging: Query[Paginated.Input],
    similarity: Similarity = False,
) -> HttpResponse:
    """The catalogue, filtered and ordered."""
    rows = partial(selectors.list_movies, filters)
    asked = filters.model_dump(exclude_defaults=True)
    return cached_responses.cached_page(
        request,
        cached_responses.SEARCH,
        rows,
        paging,
        cached_responses.movies_out,
        filters=asked,
        is_personal=similarity,
        page=cached_responses.long_page,
    )


@router.post("/movies", auth=staff, response={201: MovieOut, **problems(401, 403, 409, 422)})
@editable
def create_movie(request: HttpRequest, payload: MovieIn, response: HttpResponse) -> Status[Movie]:
    """Post a movie."""
    movie = services.create_movie(movie=payload)
    response["Location"] = f"/api/v1/movies/{movie.pk}"
    show_edit(response, movie.updated_at)
    return Status(201, movie)


@router.get("/movies/trending", response={200: MoviePageForViewerOut, **problems(422)})
def list_trending_movies(
    request: HttpRequest, paging: Query[Paginated.Input], similarity: Similarity = False
) -> HttpResponse:
    """Movies by ranking, without those whose run has finished."""
    rows = selectors.list_trending_movies
    return cached_responses.cached_page(
        request,
        cached_responses.TRENDING,
        rows,
        paging,
        cached_responses.movies_out,
        is_personal=similarity,
    )


@router.get("/movies/by-slug/{slug}", response={200: MovieForViewerOut, **problems(404, 422)})
def get_movie_by_slug(request: HttpRequest, slug: Line) -> HttpResponse:
    """One movie, by the name in its address."""
    return cached_responses.cached_details(
        request, partial(selectors.get_movie_by_slug, slug), slug=slug
    )


@router.get("/movies/{int:movie_id}", response={200: MovieForViewerOut, **problems(404)})
def get_movie(request: HttpRequest, movie_id: int) -> HttpResponse:
    """One movie."""
    return cached_responses.cached_details(
        request, partial(selectors.get_movie, movie_id), id=movie_id
    )


@router.patch(
    "/movies/{int:movie_id}",
    auth=staff,
    response={200: MovieOut, **problems(401, 403, 404, 409, 412, 422)},
)
@editable
def update_movie(
    request: HttpRequest,
    movie_id: int,
    payload: MoviePatch,
    response: HttpResponse,
    if_match: IfMatch = None,
) -> Movie:
    """Change a movie. Omitted fields keep their values."""
    movie = services.update_movie(movie_id=movie_id, changes=payload, if_match=if_match)
    show_edit(response, movie.updated_at)
    return movie


@router.delete(
    "/movies/{int:movie_id}",
    auth=staff,
    response={204: None, **problems(401, 403, 404, 409, 412, 422)},
)
def delete_movie(
    request: HttpRequest, movie_id: int, force: bool = False, if_match: IfMatch = None
) -> Status[None]:
    """Delete a movie; with `force`, withdraw one that has screenings or interactions."""
    services.delete_movie(movie_id=movie_id, force=force, if_match=if_match)
    return Status(204, None)


@router.get("/genres", response={200: GenrePageOut, **problems(422)})
@skip_parameter_parsing(cached_responses.genre_page)
def list_genres(request: HttpRequest, paging: Query[Paginated.Input]) -> HttpResponse:
    """All genres, by name."""
    return cached_responses.genre_page(request, paging)
