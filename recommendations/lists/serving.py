"""Lists for viewers: the one that is kept, or a new one, in batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils import timezone

from cinema.cache import shared
from movies import catalogue
from movies.catalogue import Card, Snapshot
from movies.similarity_scores import FIELD, SimilarityScores
from recommendations import selectors
from recommendations.dataset import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.errors import NoMoreRecommendations
from recommendations.impressions.stream import ShownItem, note_shown
from recommendations.lists import list_cache
from recommendations.lists.list_builder import ListItem, ListQuery, build_items
from recommendations.lists.list_cache import CachedLists, Delivery, ListVersion, RecommendationList
from recommendations.lists.reasons import with_matches
from recommendations.lists.renewal import is_under_way
from recommendations.lists.scores import Scope
from recommendations.matches.selectors import MovieMatches, matches_for_movies
from recommendations.releases import loaded_release
from recommendations.similarity_scores import scores_by, scores_for
from users.models import User


@dataclass(frozen=True)
class ListBatch:
    """What a viewer is shown at once, with the cards of its movies and the similarity scores.

    Scores and company are no part of the list: that lives for hours, each rating changes them, and
    who does not agree to be seen any more is gone at once.
    """

    list: RecommendationList
    number: int
    items: Sequence[ListItem]
    cards: Mapping[int, Card]
    scores: Mapping[int, int]
    company: MovieMatches = field(default_factory=MovieMatches)


def recommend(
    *, user: User, scope: Scope, algorithm: str, limit: int, days: int, refresh: bool
) -> ListBatch:
    """The first batch of the viewer's list: of the one that stands, or of a new one.

    What the viewer has acted on since is left out, and the ranks stay. The viewer's
    `taste_version` came with the viewer, before the history is read: as with all of a `Basis`.
    """
    release, question = loaded_release(), ListQuery(scope, algorithm, days)
    snapshot = catalogue.current().snapshot
    circumstances = list_cache.context_key(user.pk, question, snapshot)
    basis = ListVersion(user.taste_version, release.id, circumstances, limit)
    found = list_cache.find(user.pk, question)
    standing, done = (None, set[int]()) if refresh else _standing(user, basis, found)
    if standing is None:
        items = build_items(user.pk, release, scope, algorithm, days)
        standing = RecommendationList.of(question, basis, items)
    batch = _batch(standing, 1, snapshot, scores_by(release, user), done)
    key = list_cache.key_of(user.pk, question)
    _hand_out(user.pk, key, batch, found.given)
    if found.renewed and found.renewed.list_id == standing.list_id:
        shared().delete(list_cache.renewed_key(key))  # it is now the one that was given
    return _with_company(user, batch)


def _standing(
    user: User, basis: ListVersion, found: CachedLists
) -> tuple[RecommendationList | None, Collection[int]]:
    """The list that can be handed out once more, and the films not to be shown of it.

    While one is made in the background it may be older than the viewer's last click, unless
    nothing would be left of the batch that the viewer has before them.
    """
    for kept in found.lists:
        if kept.basis == basis:
            return kept, set()
    others = [k for k in found.lists if k.basis.but_for_taste() == basis.but_for_taste()]
    if not others or not is_under_way(found):
        return None, set()
    kept = max(others, key=lambda each: each.taste_version)
    done = _done(user)
    number = found.given.batch if found.given.list_id == kept.list_id else 1
    if all(item.movie_id in done for item in kept.batch(number)):
        return None, set()
    return kept, done


def recommend_next(*, user: User, number: int) -> ListBatch:
    """A further batch of the list that the viewer was given last.

    It goes on with that list, also when there is a newer one by now. What the viewer has acted on
    since is left out, and the ranks stay.

    Raises:
        NoMoreRecommendations: The list has no such batch, has expired, or was never made.
    """
    kept, given = list_cache.find_last(user.pk)
    if kept is None:
        raise NoMoreRecommendations
    done = _done(user) if kept.taste_version != user.taste_version else set()
    batch = _batch(kept, number, catalogue.current().snapshot, scores_for(user), done)
    if not batch.items:
        raise NoMoreRecommendations
    _hand_out(user.pk, given.keys[0], batch, given)
    return _with_company(user, batch)


def _done(user: User) -> set[int]:
    return set(load_history(user.pk).movie_ids.tolist())


def describe_algorithms() -> list[dict[str, Any]]:
    """What can be asked for, whether the current release has it, and its measured quality."""
    release = selectors.current_release()
    metrics, left_out = (release.metrics, release.left_out) if release else ({}, {})
    served = loaded_release().recommenders
    return [
        {
            "name": name,
            "description": algorithm.description,
            "available": name in served,
            "left_out": None if name in served else left_out.get(name),
            "quality": metrics.get(name),
        }
        for name, algorithm in ALGORITHMS.items()
    ]


def _batch(
    kept: RecommendationList,
    number: int,
    snapshot: Snapshot,
    scores: SimilarityScores,
    done: Collection[int],
) -> ListBatch:
    """Cut out a batch, without what is done and what has left catalogue or programme since."""
    items = [item for item in kept.batch(number) if item.movie_id not in done]
    if kept.scope == "programme":
        showing = set(snapshot.showing(kept.days))
        items = [item for item in items if item.movie_id in showing]
    cards = snapshot.cards(item.movie_id for item in items)
    shown = [item for item in items if item.movie_id in cards]
    return ListBatch(kept, number, shown, cards, scores([item.movie_id for item in shown]))


def _with_company(user: User, batch: ListBatch) -> ListBatch:
    return replace(batch, company=matches_for_movies(user.pk, list(batch.cards)))


def _hand_out(user_id: int, key: str, batch: ListBatch, before: Delivery) -> None:
    """Keep what is given and take note of what is shown, unless all that is known."""
    kept = batch.list
    given = before.then(key, kept, batch.number, batch.items)
    if given == before:
        return
    list_cache.store_delivery(user_id, kept, given, before=before)
    is_same_list = before.list_id == kept.list_id
    new = [item for item in batch.items if not (is_same_list and before.knows(item))]
    if new:
        note_shown(
            user_id=user_id,
            list_id=kept.list_id,
            scope=kept.scope,
            release_id=kept.release,
            shown_at=timezone.now(),
            items=[_shown(item) for item in new],
        )


def _shown(item: ListItem) -> ShownItem:
    return ShownItem(
        position=item.rank,
        movie_id=item.movie_id,
        algorithm=item.algorithm,
        source=item.source,
        is_fallback=item.is_fallback,
        experiment_id=item.experiment,
        team=item.team,
    )


def batch_response(batch: ListBatch, *, with_movies: bool) -> HttpResponse:
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


def _movie_of(batch: ListBatch, movie_id: int) -> dict[str, orjson.Fragment]:
    return {"movie": _scored(batch.cards[movie_id].json, batch.scores.get(movie_id))}


def _scored(movie: bytes, score: int | None) -> orjson.Fragment:
    if score is None:
        return orjson.Fragment(movie)
    return orjson.Fragment(b'%b,"%b":%d}' % (movie[:-1], FIELD.encode(), score))
