"""Recommendation lists as bytes: the movies in them are rendered once for all viewers."""

from __future__ import annotations

import orjson
from django.http import HttpResponse

from movies.personal import FIELD
from recommendations.lists.serving import Batch


def batch_response(batch: Batch) -> HttpResponse:
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
                "movie": _scored(batch.cards[item.movie_id].json, batch.scores.get(item.movie_id)),
                "score": item.score,
                "source": item.source,
                "reasons": item.reasons,
                "matched_users": [],
                "potential_matches": [],
            }
            for item in batch.items
        ],
    }
    response = HttpResponse(orjson.dumps(document), content_type="application/json")
    response["Cache-Control"] = "private, no-store"
    return response


def _scored(movie: bytes, score: int | None) -> orjson.Fragment:
    if score is None:
        return orjson.Fragment(movie)
    return orjson.Fragment(b'%b,"%b":%d}' % (movie[:-1], FIELD.encode(), score))
