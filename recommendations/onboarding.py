"""The films that a new viewer is asked about first, so that a few answers tell most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from movies import catalogue
from movies.models import Movie
from recommendations.dataset import load_history
from recommendations.lists.scores import candidates_for
from recommendations.popular import popular_order
from recommendations.releases import loaded_release
from users.models import User

#: Sources in the order in which they fill the list.
RELEASE, POPULAR, RANKING = "release", "popular", "ranking"


def onboarding_json(*, user: User, limit: int) -> bytes:
    """Up to `limit` films without a history of the viewer's, in the form of `OnboardingListOut`.

    An answer takes its film off the list, and the next film comes up.
    """
    release, snapshot = loaded_release(), catalogue.current().snapshot
    published = candidates_for("catalogue", 0, snapshot, release)
    passed = set(load_history(user.pk).movie_ids.tolist())
    found: dict[int, str] = {}
    for source, movie_ids in _sources(release.onboarding.tolist()):
        for pk in published.ids[published.places(movie_ids)].tolist():
            if pk not in passed and len(found) < limit:
                found.setdefault(pk, source)
        if len(found) == limit:
            break
    cards = snapshot.cards(found)
    data: list[dict[str, Any]] = [
        {"source": source, "movie_id": pk, "movie": orjson.Fragment(cards[pk].json)}
        for pk, source in found.items()
        if pk in cards
    ]
    return orjson.dumps({"release": release.id, "data": data})


def _sources(asked_first: list[int]) -> Iterator[tuple[str, list[int]]]:
    yield RELEASE, asked_first
    yield POPULAR, popular_order()
    by_ranking = Movie.objects.published().order_by("-ranking", "id")
    yield RANKING, list(by_ranking.values_list("pk", flat=True))
