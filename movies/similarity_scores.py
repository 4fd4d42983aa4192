"""What a film is to whoever reads: the one thing about films that `movies` does not know itself.

The setting `SIMILARITY_SCORES` names who knows it, as the authentication backends are named: an
app above this one. What is the reader's own is added to a public answer that is made anew, and
never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import orjson
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from cinema.auth import anyone
from cinema.errors import Unauthorized
from cinema.etags import with_body
from cinema.http import Document, document_response

#: By the films' ids, from 0 to 100, how much the viewer will like each; films of which there is too
#: little to say are left out.
SimilarityScores: TypeAlias = Callable[[Sequence[int]], Mapping[int, int]]
FIELD = "similarity_score"

_of_requests: WeakKeyDictionary[HttpRequest, SimilarityScores] = WeakKeyDictionary()


def optional_viewer(request: HttpRequest) -> AbstractBaseUser | None:
    """Who has signed in; None for whoever has not, or with a token that counts no longer.

    What everybody may read is refused to nobody: with a bad token one reads it as anybody does.
    """
    try:
        user = anyone(request)
    except Unauthorized:
        return None
    return user if isinstance(user, AbstractBaseUser) else None


def scores_for(viewer: AbstractBaseUser) -> SimilarityScores:
    provider: Callable[[AbstractBaseUser], SimilarityScores] = import_string(
        settings.SIMILARITY_SCORES
    )
    return provider(viewer)


def scores_for_request(request: HttpRequest) -> SimilarityScores:
    """Those of the viewer who makes it, looked up once however many films are asked for."""
    if request not in _of_requests:
        user = request.user
        _of_requests[request] = scores_for(user) if user.is_authenticated else _nothing
    return _of_requests[request]


def _nothing(movie_ids: Sequence[int]) -> Mapping[int, int]:
    return {}


def personal_response(public: Document, viewer: AbstractBaseUser) -> HttpResponse:
    """The public answer, of one film or with films under `data`, with the viewer's scores in it."""
    shown: dict[str, Any] = orjson.loads(public.body)
    films: list[dict[str, Any]] = shown.get("data", [shown])
    scores = scores_for(viewer)([film["id"] for film in films])
    for film in films:
        if film["id"] in scores:
            film[FIELD] = scores[film["id"]]
    body = orjson.dumps(shown) if scores else public.body
    own_etag = with_body(public.own_etag, body) if public.own_etag else ""
    response = document_response(Document(body, own_etag=own_etag), stale=False)
    response["Cache-Control"] = "private, no-store"
    return response
