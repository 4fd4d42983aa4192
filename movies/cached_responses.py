"""The catalogue's public answers, kept as bytes for as long as the catalogue stands still.

`docs/decisions/0020-kept-answers.md` says why it is done so.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from ninja import Schema

from cinema.etags import edit_etag
from cinema.http import Document, document_response
from cinema.response_cache import CacheKind, responses
from cinema.schemas import Paginated, Pagination, page_rows
from movies import catalogue
from movies.models import Genre, Movie
from movies.schemas import GenreOut, MovieOut
from movies.similarity_scores import optional_viewer, personal_response

TRENDING = CacheKind("trending", lambda: settings.TRENDING_LIFETIME_S, places=64)
#: A rating shows in the film's details at once, and raises no version.
DETAILS = CacheKind("details", lambda: settings.DETAILS_LIFETIME_S, places=4096, is_revocable=True)
#: Of so many films; beyond that it is quicker to make everything anew.
REVOKED_SINGLY = 500
GENRES = CacheKind("genres", lambda: settings.GENRES_LIFETIME_S, places=16)
SEARCH = CacheKind("search", lambda: settings.SEARCH_LIFETIME_S, places=512)


def cached_response(
    request: HttpRequest,
    kind: CacheKind,
    question: Mapping[str, object],
    build: Callable[[], Document],
    *,
    beside: Callable[[], str] = lambda: "",
    is_personal: bool = False,
) -> HttpResponse:
    """A kept answer, or one made now.

    Who has signed in is answered from Postgres while it is there: staff want to see what they have
    just written, and viewers may see more than others.

    Args:
        question: The parameters, as `build` understands them.
        beside: What the answer depends on beside the catalogue, such as the release.
        is_personal: Whether a viewer's own scores are added. They never get into what is kept.
    """
    text = _text(question)
    viewer: AbstractBaseUser | None = None
    if (label := _label(beside)) is None:
        document, stale = _last_known(kind, text, build)
    elif "Authorization" in request.headers:
        responses.tally.count(kind.name, "fresh")
        document, stale = build(), False
        viewer = optional_viewer(request) if is_personal else None
    else:
        document, stale = responses.get(kind, text, label, build)
    response = personal_response(document, viewer) if viewer else document_response(document, stale)
    patch_vary_headers(response, ["Authorization"])
    return response


def _text(question: Mapping[str, object]) -> str:
    return json.dumps(question, sort_keys=True, ensure_ascii=False)  # orjson refuses 10**20


def _label(beside: Callable[[], str]) -> str | None:
    """What answers are made from today, by which program; None while Postgres is away."""
    try:
        current = catalogue.current()
        return None if current.stale else f"{current.snapshot.version}:{beside()}:{_edition()}"
    except (OperationalError, InterfaceError):
        return None


def _edition() -> int:
    """Of the shape of answers and the addresses in them: an upgrade ends what was before it."""
    addresses = f"{settings.PUBLIC_URL} {settings.MEDIA_URL} {settings.TIME_ZONE}"
    return zlib.crc32(addresses.encode(), _shapes())


@cache
def _shapes() -> int:
    return zlib.crc32(
        json.dumps([MovieOut.model_json_schema(), GenreOut.model_json_schema()]).encode()
    )


def _last_known(kind: CacheKind, text: str, build: Callable[[], Document]) -> tuple[Document, bool]:
    """Without trying first: each attempt would wait for the database's time-out."""
    known = responses.last_known(kind, text)
    return (known, True) if known else (build(), False)


def cached_page(
    request: HttpRequest,
    kind: CacheKind,
    rows: Callable[[], QuerySet[Movie] | QuerySet[Genre]],
    paging: Paginated.Input,
    show: Callable[[Any], Schema],
    *,
    filters: Mapping[str, object] = MappingProxyType({}),
    is_personal: bool = False,
) -> HttpResponse:
    """A page of films or of genres, each as `show` has it."""

    def build() -> Document:
        found, pagination = page_rows(rows(), paging)
        return page_document(map(show, found), pagination)

    question = {**filters, **paging.model_dump()}
    return cached_response(request, kind, question, build, is_personal=is_personal)


def page_document(shown: Iterable[Schema], pagination: Pagination) -> Document:
    data = ",".join(row.model_dump_json() for row in shown)
    return Document(f'{{"data":[{data}],"pagination":{pagination.model_dump_json()}}}'.encode())


def cached_details(request: HttpRequest, read: Callable[[], Movie], **by: object) -> HttpResponse:
    """One film, with an ETag that `If-Match` understands.

    Args:
        read: Finds it, or raises MovieNotFound.
        by: What it is asked for by, which `rating_changed` must know as well.
    """

    def build() -> Document:
        movie = read()
        body = MovieOut.of(movie).model_dump_json().encode()
        return Document(body, own_etag=edit_etag(movie.updated_at, body))

    return cached_response(request, DETAILS, by, build, is_personal=True)


def rating_changed(*movie_ids: int) -> None:
    """Have the films' details made anew: their mean rating, which raises no version, is another.

    Within a transaction of the caller's it is done now, for the caller, and once more after the
    commit, as others may have made them of the old rating in between.
    """
    _revoke_details(movie_ids)
    if connection.in_atomic_block:
        transaction.on_commit(lambda: _revoke_details(movie_ids))


def _revoke_details(movie_ids: Sequence[int]) -> None:
    slugs = Movie.objects.filter(pk__in=movie_ids).values_list("slug", flat=True)
    texts = [_text({"id": movie_id}) for movie_id in movie_ids]
    texts += [_text({"slug": slug}) for slug in slugs]
    if len(movie_ids) > REVOKED_SINGLY or not responses.revoke(DETAILS, *texts):
        # Of a cache that is away: it will be back with what it has, and must not be believed then.
        catalogue.raise_version()
