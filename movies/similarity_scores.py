"""Add the viewer's own similarity scores to public answers.

`recommendations`, which knows the scores, registers the function that finds them. Scores are added
to an answer after it is built and are never cached with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import orjson
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse

from cinema.auth import anyone
from cinema.errors import Unauthorized
from cinema.http import Document, document_response, with_body

#: Maps the ids of movies to scores of 0 to 100. It leaves out movies with too little evidence.
SimilarityScores: TypeAlias = Callable[[Sequence[int]], Mapping[int, int]]
ScoresProvider: TypeAlias = Callable[[AbstractBaseUser], SimilarityScores]
FIELD = "similarity_score"

_by_request: WeakKeyDictionary[HttpRequest, SimilarityScores] = WeakKeyDictionary()
_providers: list[ScoresProvider] = []


def register_provider(provider: ScoresProvider) -> None:
    """Set the function that finds a viewer's scores; an app calls this in `AppConfig.ready`."""
    _providers[:] = [provider]


def scores_for(viewer: AbstractBaseUser) -> SimilarityScores:
    return _providers[0](viewer) if _providers else _no_scores


def scores_for_request(request: HttpRequest) -> SimilarityScores:
    """The scores of the viewer who makes the request, loaded once a request."""
    if request not in _by_request:
        user = request.user
        _by_request[request] = scores_for(user) if user.is_authenticated else _no_scores
    return _by_request[request]


def _no_scores(movie_ids: Sequence[int]) -> Mapping[int, int]:
    return {}


def optional_viewer(request: HttpRequest) -> AbstractBaseUser | None:
    """The signed-in viewer; None without a token or with an invalid one.

    An invalid token is no error here, as the answer is public.
    """
    try:
        user = anyone(request)
    except Unauthorized:
        return None
    return user if isinstance(user, AbstractBaseUser) else None


def personal_response(public: Document, viewer: AbstractBaseUser) -> HttpResponse:
    """The public answer, one movie or a list under `data`, with the viewer's scores added."""
    content: dict[str, Any] = orjson.loads(public.body)
    films: list[dict[str, Any]] = content.get("data", [content])
    scores = scores_for(viewer)([film["id"] for film in films])
    for film in films:
        if film["id"] in scores:
            film[FIELD] = scores[film["id"]]
    body = orjson.dumps(content) if scores else public.body
    own_etag = with_body(public.own_etag, body) if public.own_etag else ""
    response = document_response(Document(body, own_etag=own_etag), stale=False)
    response["Cache-Control"] = "private, no-store"
    return response
