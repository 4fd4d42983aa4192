from __future__ import annotations

import orjson
from django.http import HttpResponse
from django.utils import timezone
from ninja import Router

from cinema.auth import signed_in
from cinema.errors import problems
from movies import catalogue
from movies.schemas import MovieDetails
from recommendations.dataset import Evidence, History, load_histories, weight_table
from recommendations.matches.selectors import matches_of
from recommendations.schemas import MatchLimit, MatchListOut
from users.auth import AuthedRequest

router = Router(tags=["Recommendations"])


@router.get("/matches", auth=signed_in, response={200: MatchListOut, **problems(401, 422)})
def list_matches(
    request: AuthedRequest, limit: MatchLimit = 10, include_movie_details: MovieDetails = True
) -> HttpResponse:
    """Viewers of similar taste who agreed to be seen, the most alike first."""
    return match_list_response(request.auth.pk, limit, with_movies=include_movie_details)


#: The most movies that are listed as liked by both.
SHARED = 3


def match_list_response(user_id: int, limit: int, *, with_movies: bool) -> HttpResponse:
    """In the form of `MatchListOut`."""
    matches = list(matches_of(user_id, limit))
    mine, *histories = load_histories([user_id, *(match.other_id for match in matches)])
    shared = [liked_by_both(mine, theirs) for theirs in histories]
    cards = catalogue.current().snapshot.cards({pk for films in shared for pk in films})
    document = {
        "data": [
            {
                "user": {"id": match.other_id, "name": match.other.name},
                "similarity": match.similarity,
                "shared": [
                    orjson.Fragment(cards[pk].json) if with_movies else {"movie_id": pk}
                    for pk in films
                    if pk in cards
                ][:SHARED],
                "since": match.matched_since and timezone.localtime(match.matched_since),
            }
            for match, films in zip(matches, shared, strict=True)
        ]
    }
    response = HttpResponse(orjson.dumps(document), content_type="application/json")
    response["Cache-Control"] = "private, no-store"
    return response


def liked_by_both(mine: History, theirs: History) -> list[int]:
    """Movie ids by the lower of both weights, the highest first.

    They are more than SHARED, as some may have left the catalogue.
    """
    seen = weight_table()[Evidence.SEEN, 0]
    weights = dict(zip(theirs.movie_ids.tolist(), theirs.weights.tolist(), strict=True))
    own = zip(mine.movie_ids.tolist(), mine.weights.tolist(), strict=True)
    least = {pk: min(weight, weights[pk]) for pk, weight in own if pk in weights}
    liked = sorted((-weight, pk) for pk, weight in least.items() if weight > seen)
    return [pk for _, pk in liked[: 3 * SHARED]]
