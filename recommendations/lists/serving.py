"""Lists for viewers: the one that is kept, or a new one, in batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import timezone

from cinema.cache import shared
from movies import catalogue
from movies.catalogue import Card, Snapshot
from movies.personal import Scores
from recommendations import selectors
from recommendations.data import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.errors import NoMoreRecommendations
from recommendations.impressions.showing import Shown, note_shown
from recommendations.lists import keeping
from recommendations.lists.candidates import Scope
from recommendations.lists.choosing import Item, Question, choose_items
from recommendations.lists.keeping import Basis, Found, Given, RecommendationList
from recommendations.lists.renewing import is_under_way
from recommendations.loading import current_release
from recommendations.matches.films import Company, company_for
from recommendations.similarity import scores_by, scores_for
from users.models import User


@dataclass(frozen=True)
class Batch:
    """What a viewer is shown at once, with the cards of its movies and the similarity scores.

    Scores and company are no part of the list: that lives for hours, each rating changes them, and
    who does not agree to be seen any more is gone at once.
    """

    list: RecommendationList
    number: int
    items: Sequence[Item]
    cards: Mapping[int, Card]
    scores: Mapping[int, int]
    company: Company = field(default_factory=Company)


def recommend(
    *, user: User, scope: Scope, algorithm: str, limit: int, days: int, refresh: bool
) -> Batch:
    """The first batch of the viewer's list: of the one that stands, or of a new one.

    What the viewer has acted on since is left out, and the ranks stay. The viewer's
    `taste_version` came with the viewer, before the history is read: as with all of a `Basis`.
    """
    release, question = current_release(), Question(scope, algorithm, days)
    snapshot = catalogue.current().snapshot
    circumstances = keeping.circumstances_of(user.pk, question, snapshot)
    basis = Basis(user.taste_version, release.id, circumstances, limit)
    found = keeping.find(user.pk, question)
    standing, done = (None, set[int]()) if refresh else _standing(user, basis, found)
    if standing is None:
        items = choose_items(user.pk, release, scope, algorithm, days)
        standing = RecommendationList.of(question, basis, items)
    batch = _batch(standing, 1, snapshot, scores_by(release, user), done)
    key = keeping.key_of(user.pk, question)
    _hand_out(user.pk, key, batch, found.given)
    if found.renewed and found.renewed.list_id == standing.list_id:
        shared().delete(keeping.renewed_key(key))  # it is now the one that was given
    return _with_company(user, batch)


def _standing(
    user: User, basis: Basis, found: Found
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


def recommend_next(*, user: User, number: int) -> Batch:
    """A further batch of the list that the viewer was given last.

    It goes on with that list, also when there is a newer one by now. What the viewer has acted on
    since is left out, and the ranks stay.

    Raises:
        NoMoreRecommendations: The list has no such batch, has expired, or was never made.
    """
    kept, given = keeping.find_last(user.pk)
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
    served = current_release().recommenders
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
    scores: Scores,
    done: Collection[int],
) -> Batch:
    """Cut out a batch, without what is done and what has left catalogue or programme since."""
    items = [item for item in kept.batch(number) if item.movie_id not in done]
    if kept.scope == "programme":
        showing = set(snapshot.showing(kept.days))
        items = [item for item in items if item.movie_id in showing]
    cards = snapshot.cards(item.movie_id for item in items)
    shown = [item for item in items if item.movie_id in cards]
    return Batch(kept, number, shown, cards, scores([item.movie_id for item in shown]))


def _with_company(user: User, batch: Batch) -> Batch:
    return replace(batch, company=company_for(user.pk, list(batch.cards)))


def _hand_out(user_id: int, key: str, batch: Batch, before: Given) -> None:
    """Keep what is given and take note of what is shown, unless all that is known."""
    kept = batch.list
    given = before.then(key, kept, batch.number, batch.items)
    if given == before:
        return
    keeping.keep(user_id, kept, given, before=before)
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


def _shown(item: Item) -> Shown:
    return Shown(
        position=item.rank,
        movie_id=item.movie_id,
        algorithm=item.algorithm,
        source=item.source,
        is_fallback=item.is_fallback,
        experiment_id=item.experiment,
        team=item.team,
    )
