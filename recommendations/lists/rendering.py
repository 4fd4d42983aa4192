"""Recommendation lists as bytes: the movies in them are rendered once for all viewers."""

from __future__ import annotations

import orjson
from django.http import HttpResponse

from movies.personal import FIELD
from recommendations.lists.reasons import with_matches
from recommendations.lists.serving import Batch


def batch_response(batch: Batch, *, with_movies: bool) -> HttpResponse:
    """The batch in the form of `RecommendationListOut`."""
    kept = batch.list
    document = {
        "list_id": kept.list_id,
        "batch": batch.number,
        "scope": kept.scope,
        "algorithm": kept.algorithm,
        "release": kept.release,
        "generated_at": kept.generated_at,
        "expires_at": kept.expires_at,
        "items": [
            {
                "rank": item.rank,
                "movie_id": item.movie_id,
                **(_movie_of(batch, item.movie_id) if with_movies else {}),
                "score": item.score,
                "source": item.source,
                "reasons": with_matches(
                    item.reasons, len(batch.company.matched_users(item.movie_id))
                ),
                "matched_users": batch.company.matched_users(item.movie_id),
                "potential_matches": batch.company.potential_matches(item.movie_id),
            }
            for item in batch.items
        ],
    }
    response = HttpResponse(orjson.dumps(document), content_type="application/json")
    response["Cache-Control"] = "private, no-store"
    return response


def _movie_of(batch: Batch, movie_id: int) -> dict[str, orjson.Fragment]:
    return {"movie": _scored(batch.cards[movie_id].json, batch.scores.get(movie_id))}


def _scored(movie: bytes, score: int | None) -> orjson.Fragment:
    if score is None:
        return orjson.Fragment(movie)
    return orjson.Fragment(b'%b,"%b":%d}' % (movie[:-1], FIELD.encode(), score))
