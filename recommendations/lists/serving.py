"""Recommendations for viewers: the last response, the cached list, or a new one, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson
from django.utils import timezone
from redis.client import Pipeline

from cinema.cache import shared
from cinema.metrics.counters import count_cache_request, list_items
from movies import catalogue
from movies.catalogue import Card, Snapshot
from movies.similarity_scores import FIELD, SimilarityScores
from recommendations import selectors
from recommendations.content_similarity import Reason
from recommendations.dataset import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.errors import AlgorithmUnavailable, NoMoreRecommendations
from recommendations.impressions.stream import ShownItem, note_shown
from recommendations.lists import list_cache
from recommendations.lists.list_builder import ListItem, ListQuery, build_items
from recommendations.lists.list_cache import Cached, Delivery, ListVersion, RecommendationList
from recommendations.lists.ranking import HYBRID
from recommendations.lists.reasons import REASONS_EACH
from recommendations.matches.selectors import MovieMatches, matches_for_movies
from recommendations.models import Release
from recommendations.releases import LoadedRelease, loaded_release
from recommendations.similarity_scores import scores_by, scores_for
from users.models import User


@dataclass(frozen=True)
class ListBatch:
    """The items of a list that a viewer gets at once.

    The similarity scores and matches are no part of the list, which lives for hours: a further
    batch shows those of its own time.
    """

    list: RecommendationList
    number: int
    items: Sequence[ListItem]
    cards: Mapping[int, Card]
    scores: Mapping[int, int]
    matches: MovieMatches

    def as_json(self, *, with_movies: bool) -> bytes:
        """In the form of `RecommendationListOut`, with the bytes of movies from the catalogue."""
        given = self.list
        document = {
            "list_id": given.list_id,
            "batch": self.number,
            "scope": given.scope,
            "algorithm": given.algorithm,
            "release": given.release,
            "generated_at": given.generated_at,
            "expires_at": given.expires_at,
            "items": [self._item_document(item, with_movies=with_movies) for item in self.items],
        }
        return orjson.dumps(document)

    def _item_document(self, item: ListItem, *, with_movies: bool) -> dict[str, Any]:
        matched_users = self.matches.matched_users(item.movie_id)
        movie = self.cards[item.movie_id].json
        if (score := self.scores.get(item.movie_id)) is not None:
            movie = b'%b,"%b":%d}' % (movie[:-1], FIELD.encode(), score)
        return {
            "rank": item.rank,
            "movie_id": item.movie_id,
            **({"movie": orjson.Fragment(movie)} if with_movies else {}),
            "score": item.score,
            "source": item.source,
            "reasons": with_matches(item.reasons, len(matched_users)),
            "matched_users": matched_users,
            "potential_matches": self.matches.potential_matches(item.movie_id),
        }


@dataclass(frozen=True)
class _ListRequest:
    """A request for a list, and the state that was read before anything was made from it.

    The `taste_version` was read with the user, before the history, as `ListVersion` demands.

    Attributes:
        state: Everything that changes a response, but for what may be RESPONSE_KEPT_S old.
    """

    user: User
    query: ListQuery
    key: str
    release: LoadedRelease
    snapshot: Snapshot
    version: ListVersion
    cached: Cached
    state: Sequence[object]

    @classmethod
    def of(cls, user: User, query: ListQuery, limit: int) -> Self:
        """Raises AlgorithmUnavailable."""
        release, snapshot = loaded_release(), catalogue.current().snapshot
        check_available(query.algorithm, release)
        context = list_cache.context_key(user.pk, query, snapshot)
        version = ListVersion(user.taste_version, release.id, context, limit)
        next_start = snapshot.upcoming.next_start() if query.scope == "programme" else None
        key = list_cache.key_of(user.pk, query)
        cached = list_cache.read(user.pk, key)
        state = *version, key, snapshot.version, next_start, cached.visibility.decode()
        return cls(user, query, key, release, snapshot, version, cached, state)

    def first_batch(self, *, refresh: bool) -> ListBatch:
        found = None if refresh else self.cached.find_list(self.version)
        count_cache_request("lists", "cache" if found else "made")
        if found is None:
            items = build_items(self.user.pk, self.query, self.release)
            found = RecommendationList.of(self.query, self.version, items)
        return _cut_batch(self.user, found, 1, self.snapshot, scores_by(self.release, self.user))


def recommendations_json(
    *, user: User, query: ListQuery, limit: int, refresh: bool, with_movies: bool
) -> bytes:
    """The first batch of the viewer's list: the last response if it still holds, or a new one.

    Raises:
        AlgorithmUnavailable: The release does not have the algorithm.
    """
    request = _ListRequest.of(user, query, limit)
    before = request.cached.delivery
    line = list_cache.first_line(*request.state, with_movies, before.list_id)
    response = None if refresh else request.cached.find_response(line)
    if response is not None:
        count_cache_request("lists", "response")
    else:
        batch = request.first_batch(refresh=refresh)
        response = batch.as_json(with_movies=with_movies)
        line = list_cache.first_line(*request.state, with_movies, batch.list.list_id)
        _deliver(user, request.key, batch, before, line + response)
    return response


def recommend(*, user: User, query: ListQuery, limit: int, refresh: bool) -> ListBatch:
    """The first batch of the viewer's cached list, or of a new one.

    Raises:
        AlgorithmUnavailable: The release does not have the algorithm.
    """
    request = _ListRequest.of(user, query, limit)
    batch = request.first_batch(refresh=refresh)
    _deliver(user, request.key, batch, request.cached.delivery)
    return batch


def recommend_next(*, user: User, number: int) -> ListBatch:
    """A further batch of the list that the viewer was given last, even if it is outdated.

    It lacks the movies that the viewer has acted on since; the ranks stay. So it may be empty.

    Raises:
        NoMoreRecommendations: Neither this batch nor a later one has a movie left, or the list has
            expired, or was never made.
    """
    found, delivery = list_cache.read_last(user.pk)
    if found is None:
        raise NoMoreRecommendations
    is_outdated = found.taste_version != user.taste_version
    done = set(load_history(user.pk).movie_ids.tolist()) if is_outdated else set[int]()
    snapshot = catalogue.current().snapshot
    batch = _cut_batch(user, found, number, snapshot, scores_for(user), done)
    if not batch.items:
        later = found.items[number * found.limit :]
        if not _offered(later, found, snapshot, done):
            raise NoMoreRecommendations
    _deliver(user, delivery.keys[0], batch, delivery)
    return batch


def _cut_batch(
    user: User,
    found: RecommendationList,
    number: int,
    snapshot: Snapshot,
    scores: SimilarityScores,
    done: Collection[int] = (),
) -> ListBatch:
    """The batch without `done`, and without movies that have left catalogue or programme."""
    items = _offered(found.batch(number), found, snapshot, done)
    cards = snapshot.cards(item.movie_id for item in items)
    ids = [item.movie_id for item in items]
    return ListBatch(found, number, items, cards, scores(ids), matches_for_movies(user.pk, ids))


def _offered(
    items: Iterable[ListItem],
    found: RecommendationList,
    snapshot: Snapshot,
    done: Collection[int],
) -> list[ListItem]:
    items = [item for item in items if item.movie_id not in done]
    if found.scope == "programme":
        showing = set(found.filters.showing(snapshot, found.days))
        items = [item for item in items if item.movie_id in showing]
    cards = snapshot.cards(item.movie_id for item in items)
    return [item for item in items if item.movie_id in cards]


def _deliver(
    user: User, key: str, batch: ListBatch, before: Delivery, response: bytes | None = None
) -> None:
    """Store the delivery, the list and the response, and note the impressions that are new."""
    given = batch.list
    delivery = before.then(key, given, batch.items, user.taste_version)

    def store(pipeline: Pipeline) -> None:
        list_cache.store(pipeline, user.pk, given, delivery, before=before, response=response)

    new = [item for item in batch.items if not before.has_shown(given.list_id, item)]
    if not new:
        if delivery != before or response is not None:
            shared().send(store)
        return
    for (source, is_fallback), n in Counter((i.source, i.is_fallback) for i in new).items():
        list_items.labels(source, str(is_fallback).lower()).inc(n)
    note_shown(
        user_id=user.pk,
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
        beside=store,
    )


def with_matches(reasons: Sequence[Reason], n_matches: int) -> Sequence[Reason]:
    """The reasons with the matches who like the movie as the second one.

    A cached list does not have it: a match may stop being visible at any moment.
    """
    if not n_matches:
        return reasons
    some = "A viewer" if n_matches == 1 else f"{n_matches} viewers"
    liked = Reason("matches", f"{some} of your taste like{'s' if n_matches == 1 else ''} it")
    return [*reasons[:1], liked, *reasons[1:]][:REASONS_EACH]


def check_available(algorithm: str, release: LoadedRelease) -> None:
    """Check that lists can be made by the algorithm; the default has fallbacks.

    Raises:
        AlgorithmUnavailable: The release does not have it.
    """
    if algorithm == HYBRID or algorithm in release.recommenders:
        return
    stored = Release.objects.filter(pk=release.id).first() if release.id else None
    reason = stored.left_out.get(algorithm, "") if stored else "Nothing has been trained yet."
    raise AlgorithmUnavailable(algorithm, reason)


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
