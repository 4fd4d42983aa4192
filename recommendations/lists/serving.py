"""Recommendations for viewers: the cached list, or a new one, in batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils import timezone

from cinema.cache import shared
from movies import catalogue
from movies.catalogue import Card, Snapshot
from movies.similarity_scores import FIELD, SimilarityScores
from recommendations import selectors
from recommendations.content_similarity import Reason
from recommendations.dataset import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.errors import NoMoreRecommendations
from recommendations.impressions.stream import ShownItem, note_shown
from recommendations.lists import list_cache
from recommendations.lists.list_builder import ListItem, ListQuery, build_items
from recommendations.lists.list_cache import CachedLists, Delivery, ListVersion, RecommendationList
from recommendations.lists.reasons import REASONS_EACH
from recommendations.lists.scores import Scope
from recommendations.matches.selectors import MovieMatches, matches_for_movies
from recommendations.releases import loaded_release
from recommendations.similarity_scores import scores_by, scores_for
from users.models import User


@dataclass(frozen=True)
class ListBatch:
    """The items of a list that a viewer gets at once.

    The similarity scores and matches are no part of the list, which lives for hours: each rating
    changes the scores, and a match may stop being visible at any moment.
    """

    list: RecommendationList
    number: int
    items: Sequence[ListItem]
    cards: Mapping[int, Card]
    scores: Mapping[int, int]
    matches: MovieMatches


def recommend(
    *, user: User, scope: Scope, algorithm: str, limit: int, days: int, refresh: bool
) -> ListBatch:
    """The first batch of the viewer's cached list, or of a new one.

    It lacks the movies that the viewer has acted on since; the ranks stay. The `taste_version` was
    read with the user, before the history, as `ListVersion` demands.
    """
    release, query = loaded_release(), ListQuery(scope, algorithm, days)
    snapshot = catalogue.current().snapshot
    context = list_cache.context_key(user.pk, query, snapshot)
    version = ListVersion(user.taste_version, release.id, context, limit)
    cached = list_cache.find(user.pk, query)
    found, done = (None, set[int]()) if refresh else _usable_list(user, version, cached)
    if found is None:
        items = build_items(user.pk, query, release)
        found = RecommendationList.of(query, version, items)
    batch = _cut_batch(user, found, 1, snapshot, scores_by(release, user), done)
    key = list_cache.key_of(user.pk, query)
    _deliver(user.pk, key, batch, cached.delivery)
    if cached.renewed and cached.renewed.list_id == found.list_id:
        shared().delete(list_cache.renewed_key(key))  # it is now stored as the given one
    return batch


def _usable_list(
    user: User, version: ListVersion, cached: CachedLists
) -> tuple[RecommendationList | None, Collection[int]]:
    """The cached list that can be given once more, and the movies to leave out of it.

    While a renewal is under way it may be older than the viewer's last action, unless nothing
    would be left of the batch that the viewer sees.
    """
    for found in cached.lists:
        if found.version == version:
            return found, set()
    older = [found for found in cached.lists if found.version.is_same_but_for_taste(version)]
    if not older or not cached.may_soon_be_renewed():
        return None, set()
    found = max(older, key=lambda each: each.taste_version)
    done = _movies_in_history(user)
    number = cached.delivery.batch if cached.delivery.list_id == found.list_id else 1
    if all(item.movie_id in done for item in found.batch(number)):
        return None, set()
    return found, done


def recommend_next(*, user: User, number: int) -> ListBatch:
    """A further batch of the list that the viewer was given last, even if a newer list exists.

    Raises:
        NoMoreRecommendations: The list has no such batch, has expired, or was never made.
    """
    found, delivery = list_cache.find_last(user.pk)
    if found is None:
        raise NoMoreRecommendations
    done = _movies_in_history(user) if found.taste_version != user.taste_version else set()
    snapshot = catalogue.current().snapshot
    batch = _cut_batch(user, found, number, snapshot, scores_for(user), done)
    if not batch.items:
        raise NoMoreRecommendations
    _deliver(user.pk, delivery.keys[0], batch, delivery)
    return batch


def _movies_in_history(user: User) -> set[int]:
    return set(load_history(user.pk).movie_ids.tolist())


def _cut_batch(
    user: User,
    found: RecommendationList,
    number: int,
    snapshot: Snapshot,
    scores: SimilarityScores,
    done: Collection[int],
) -> ListBatch:
    """The batch without `done`, and without movies that have left catalogue or programme."""
    items = [item for item in found.batch(number) if item.movie_id not in done]
    if found.scope == "programme":
        showing = set(snapshot.showing(found.days))
        items = [item for item in items if item.movie_id in showing]
    cards = snapshot.cards(item.movie_id for item in items)
    items = [item for item in items if item.movie_id in cards]
    ids = [item.movie_id for item in items]
    return ListBatch(found, number, items, cards, scores(ids), matches_for_movies(user.pk, ids))


def _deliver(user_id: int, key: str, batch: ListBatch, before: Delivery) -> None:
    """Store the delivery and note the impressions, unless both are known already."""
    given = batch.list
    delivery = before.then(key, given, batch.number, batch.items)
    if delivery == before:
        return
    list_cache.store_delivery(user_id, given, delivery, before=before)
    is_same_list = before.list_id == given.list_id
    new = [item for item in batch.items if not (is_same_list and before.has_shown(item))]
    if new:
        note_shown(
            user_id=user_id,
            list_id=given.list_id,
            scope=given.scope,
            release_id=given.release,
            shown_at=timezone.now(),
            items=[
                ShownItem(
                    position=item.rank,
                    movie_id=item.movie_id,
                    algorithm=item.algorithm,
                    source=item.source,
                    is_fallback=item.is_fallback,
                    experiment_id=item.experiment,
                    team=item.team,
                )
                for item in new
            ],
        )


def describe_algorithms() -> list[dict[str, Any]]:
    """In the form of `AlgorithmOut`: each algorithm and its quality in the current release."""
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


def batch_response(batch: ListBatch, *, with_movies: bool) -> HttpResponse:
    """In the form of `RecommendationListOut`, with the bytes of movies from the catalogue."""
    given = batch.list
    document = {
        "list_id": given.list_id,
        "batch": batch.number,
        "scope": given.scope,
        "algorithm": given.algorithm,
        "release": given.release,
        "generated_at": given.generated_at,
        "expires_at": given.expires_at,
        "items": [_item_document(batch, item, with_movies=with_movies) for item in batch.items],
    }
    response = HttpResponse(orjson.dumps(document), content_type="application/json")
    response["Cache-Control"] = "private, no-store"
    return response


def _item_document(batch: ListBatch, item: ListItem, *, with_movies: bool) -> dict[str, Any]:
    matched_users = batch.matches.matched_users(item.movie_id)
    movie = batch.cards[item.movie_id].json
    if (score := batch.scores.get(item.movie_id)) is not None:
        movie = b'%b,"%b":%d}' % (movie[:-1], FIELD.encode(), score)
    return {
        "rank": item.rank,
        "movie_id": item.movie_id,
        **({"movie": orjson.Fragment(movie)} if with_movies else {}),
        "score": item.score,
        "source": item.source,
        "reasons": with_matches(item.reasons, len(matched_users)),
        "matched_users": matched_users,
        "potential_matches": batch.matches.potential_matches(item.movie_id),
    }


def with_matches(reasons: Sequence[Reason], n_matches: int) -> Sequence[Reason]:
    """The reasons with the matches who like the movie as the second one.

    A cached list does not have it: a match may stop being visible at any moment.
    """
    if not n_matches:
        return reasons
    some = "A viewer" if n_matches == 1 else f"{n_matches} viewers"
    liked = Reason("matches", f"{some} of your taste like{'s' if n_matches == 1 else ''} it")
    return [*reasons[:1], liked, *reasons[1:]][:REASONS_EACH]
