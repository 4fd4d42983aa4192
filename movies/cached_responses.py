"""The catalogue's public responses, cached until the catalogue changes.

Valkey is behind the memory of a process where it pays. A look costs 0.2 ms and a store 0.25 ms;
trending takes 6 ms to build, a search 15 to 23, similar movies 28 (bench/results/endpoints.json).
Details take 3 ms and count for half a second, so that no other process would find them there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Schema

from cinema import replicas
from cinema.http import Document, document_response, edit_etag, vary_on
from cinema.response_cache import DATABASE_AWAY, CacheKind, Repeatable, responses
from cinema.schemas import Paginated, Pagination, page_rows
from movies import catalogue, selectors
from movies.models import Genre, Movie
from movies.schemas import GenreOut, MovieOut
from movies.similarity_scores import optional_viewer, personal_response

#: The rows of a page, and the numbers of the page and of all pages.
Page = tuple[Iterable[Any], Pagination]

TRENDING = CacheKind("trending", lambda: 1800, memory_share=0.05, places=64)
GENRES = CacheKind("genres", lambda: 86_400, memory_share=0.05, places=16)
SEARCH = CacheKind("search", lambda: 300, memory_share=0.2, places=512)
#: Ratings change a movie's details and raise no version.
DETAILS = CacheKind("details", lambda: settings.CATALOGUE_CHECK_INTERVAL_S, memory_share=0.1)


def cached_response(
    request: HttpRequest,
    kind: CacheKind,
    question: Mapping[str, object],
    build: Callable[[], Document],
    *,
    depends_on: Callable[[], object] | None = None,
    is_personal: bool = False,
) -> HttpResponse:
    """Return a cached response, or build it.

    Signed-in callers are answered from Postgres while it is there: staff want to see what they have
    just written, and viewers may see more than others.

    Args:
        question: The parameters that `build` uses.
        depends_on: What the response depends on besides the catalogue, such as the release.
        is_personal: Whether the viewer's own scores are added. They are never cached.
    """
    current = _current()
    version = _version(current, depends_on) if current else None
    viewer: AbstractBaseUser | None = None
    if version is not None and "HTTP_AUTHORIZATION" in request.META:
        responses.tally.count(kind.name, "fresh")
        if replicas.REPLICAS:
            optional_viewer(request)  # reading the token tells which writes the replica must have
        document, is_stale = build(), False
        viewer = optional_viewer(request) if is_personal else None
    else:
        # orjson would refuse 10**20.
        text = json.dumps(question, sort_keys=True, ensure_ascii=False)
        document, is_stale = responses.get(kind, text, version, build)
    response: HttpResponse
    if viewer:
        response = personal_response(document, viewer)
    else:
        response = shown = document_response(document, is_stale)
        if current and depends_on is None:
            shown.repeatable = Repeatable(kind, catalogue.currency_check(current))
    vary_on(response, "Authorization")
    return response


def _current() -> catalogue.Catalogue | None:
    """Return the catalogue; None while Postgres is away."""
    try:
        found = catalogue.current()
    except DATABASE_AWAY:
        return None
    return None if found.stale else found


def _version(current: catalogue.Catalogue, depends_on: Callable[[], object] | None) -> str | None:
    """Return the version of the data and of the program; None while Postgres is away."""
    try:
        more = depends_on() if depends_on else ""
    except DATABASE_AWAY:
        return None
    return f"{current.snapshot.version}:{more}:{_program_version()}"


def _program_version() -> int:
    """Return a checksum that differs after an upgrade or a change of the public addresses."""
    addresses = f"{settings.PUBLIC_URL} {settings.MEDIA_URL} {settings.TIME_ZONE}"
    return zlib.crc32(addresses.encode(), _schemas_checksum())


@cache
def _schemas_checksum() -> int:
    schemas = [MovieOut.model_json_schema(), GenreOut.model_json_schema()]
    return zlib.crc32(json.dumps(schemas).encode())


def short_page(rows: QuerySet[Any], asked: Paginated.Input) -> Page:
    """A page of a list that is read quickly to any place."""
    return rows[asked.start : asked.end], Pagination.of(asked, rows.count())


def long_page(rows: QuerySet[Any], asked: Paginated.Input) -> Page:
    return page_rows(rows, asked, catalogue.kept(rows, catalogue.count_rows))


def cached_page(
    request: HttpRequest,
    kind: CacheKind,
    rows: Callable[[], QuerySet[Movie] | QuerySet[Genre]],
    paging: Paginated.Input,
    show: Callable[[Iterable[Any]], Iterable[Schema]],
    *,
    filters: Mapping[str, object] = MappingProxyType({}),
    is_personal: bool = False,
    page: Callable[[QuerySet[Any], Paginated.Input], Page] = short_page,
) -> HttpResponse:
    """Return a page of movies or genres, in the form that `show` gives them."""

    def build() -> Document:
        found, pagination = page(rows(), paging)
        return page_document(show(found), pagination)

    question = {**filters, **paging.model_dump()}
    return cached_response(request, kind, question, build, is_personal=is_personal)


FIRST_PAGE = Paginated.Input.model_validate({})


def genre_page(request: HttpRequest, paging: Paginated.Input = FIRST_PAGE) -> HttpResponse:
    return cached_page(request, GENRES, selectors.list_genres, paging, partial(map, GenreOut.of))


def movies_out(movies: Iterable[Movie]) -> Iterable[MovieOut]:
    return map(MovieOut.of, catalogue.set_genres(movies))


def page_document(shown: Iterable[Schema], pagination: Pagination) -> Document:
    data = ",".join(row.model_dump_json() for row in shown)
    return Document(f'{{"data":[{data}],"pagination":{pagination.model_dump_json()}}}'.encode())


def cached_details(request: HttpRequest, read: Callable[[], Movie], **by: object) -> HttpResponse:
    """Return one movie, with an ETag that `If-Match` understands.

    Args:
        read: Finds the movie by `by`, or raises MovieNotFound.
    """

    def build() -> Document:
        movie = read()
        body = MovieOut.of(movie).model_dump_json().encode()
        return Document(body, own_etag=edit_etag(movie.updated_at, body))

    return cached_response(
        request, DETAILS, by, build, depends_on=catalogue.count_writes, is_personal=True
    )
