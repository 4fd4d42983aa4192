"""Movies that viewers here liked lately; a like counts half as much after each half-life."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from cinema import replicas
from cinema.http import Document
from cinema.response_cache import CacheKind, responses
from cinema.schemas import Paginated, Pagination
from movies.cached_responses import cached_response, movies_out, page_document
from movies.models import Movie
from recommendations.dataset import HALF_STARS, weight_table

POPULAR_LIFETIME_S = 3600

#: Days after which an interaction counts half as much.
POPULAR_HALF_LIFE_DAYS = 14

#: The order is cached apart from its pages: an edit of a movie ends the pages and not the order,
#: which takes a second for two million interactions within ten half-lives.
ORDER = CacheKind("popular_order", lambda: POPULAR_LIFETIME_S, entries=1, places=1, patience_s=10)
POPULAR = CacheKind("popular", lambda: POPULAR_LIFETIME_S, memory_share=0.05, places=64)

#: The movies that are ordered by popularity: viewers read only the first pages.
MOST_POPULAR = 1000
#: Older interactions count less than a thousandth, and are not read.
HALF_LIVES = 10

# `extract` returns a numeric, with which it takes three times as long as with `date_part`. An
# interaction in the future, by a clock that was fast, counts as one of now.
QUERY = """
SELECT movie_id FROM (
    SELECT movie_id, sum(
        (%(weights)s::float8[])[kind * %(row)s + half_stars + 1]
        * exp(least(0, (date_part('epoch', updated_at) - %(now)s) * %(decay)s))
    ) AS score
    FROM recommendations_evidence
    WHERE updated_at > %(since)s
    GROUP BY movie_id
) AS scored
JOIN movies_movie ON movies_movie.id = movie_id
WHERE score > 0 AND withdrawn_at IS NULL
ORDER BY score DESC, movie_id
LIMIT %(limit)s
"""


def popular_page(
    request: HttpRequest, paging: Paginated.Input, *, is_personal: bool = False
) -> HttpResponse:
    """Movies by recent interactions; all others follow by ranking."""
    return cached_response(
        request,
        POPULAR,
        paging.model_dump(),
        lambda: _page(popular_order(), paging),
        depends_on=lambda: _order().etag,
        is_personal=is_personal,
    )


def _order() -> Document:
    """The cached ids of the most popular movies; one caller computes them while others wait."""
    document, _ = responses.get(ORDER, "", "", lambda: Document(orjson.dumps(most_popular())))
    return document


def popular_order() -> list[int]:
    """The cached ids of `most_popular`, up to an hour old."""
    order: list[int] = orjson.loads(_order().body)
    return order


def most_popular() -> list[int]:
    """The ids of published movies by the decayed sum of their positive weights.

    A viewer counts once for each movie and kind of interaction.
    """
    now = timezone.now()
    half_life = timedelta(days=POPULAR_HALF_LIFE_DAYS)
    parameters: dict[str, Any] = {
        "weights": np.maximum(weight_table(), 0).ravel().tolist(),
        "row": HALF_STARS,
        "now": now.timestamp(),
        "decay": math.log(2) / half_life.total_seconds(),
        "since": now - HALF_LIVES * half_life,
        "limit": MOST_POPULAR,
    }
    with replicas.cursor() as cursor:
        cursor.execute(QUERY, parameters)
        return [movie_id for (movie_id,) in cursor.fetchall()]


def _page(order: Sequence[int], paging: Paginated.Input) -> Document:
    published = Movie.objects.published()
    pagination = Pagination.of(paging, published.count())
    there = set(published.filter(pk__in=order).values_list("pk", flat=True))
    popular = [pk for pk in order if pk in there]
    wanted = popular[paging.start : paging.end]
    if len(wanted) < paging.per_page and paging.page <= pagination.pages:
        others = published.exclude(pk__in=there).order_by(F("ranking").desc(), "id")
        first = max(0, paging.start - len(popular))
        last = paging.end - len(popular)
        wanted += others.values_list("pk", flat=True)[first:last]
    films = published.in_bulk(wanted)
    shown = [films[pk] for pk in wanted if pk in films]
    return page_document(movies_out(shown), pagination)
