"""Writes neighbours: at once for the viewer who has acted, at night for all viewers."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from numpy.typing import NDArray

from cinema.locks import retry_if_deleted, retry_on_deadlock
from recommendations.dataset import History, load_dataset, load_histories, load_history
from recommendations.engine.matrices import IdMap
from recommendations.engine.viewer_pairs import SUMS, Pairs, matching_pairs
from recommendations.engine.viewer_similarity import PairSums, deviations
from recommendations.matches import queue
from recommendations.matches.neighbours import (
    MAX_NEIGHBOURS,
    NeighbourRows,
    SimilarityMeasure,
    current_measure,
    current_rule,
    replace_all,
    upsert,
)
from recommendations.matches.selectors import Match, unmatched
from recommendations.models import Neighbour
from recommendations.spark.cluster import require_spark
from users.models import Preferences, User

#: The error of a similarity by the release, which ignores later interactions.
MARGIN = 0.02
#: The most viewers near by the release that are looked at.
MOST_LIKELY = 200
#: The most new matches that a request finds. The others are found in the background.
MAX_NEW = 10
#: The viewers whose rows are written in one transaction.
PORTION = 2000
#: A quarter of the time between two runs: one takes some 30 ms, and a crowd acts all the time.
RUN_AT_MOST_S = 15.0
LAST_ID = 2**63 - 1


def find_new_matches(*, user_id: int, movie_id: int) -> list[Match]:
    """The visible viewers who match the viewer since their last action on this movie.

    Both have the match from then on, so only one of several requests at once returns it. Empty
    without a release.
    """
    measure = current_measure()
    mine = load_history(user_id) if measure else None
    if measure is None or mine is None or len(mine.movie_ids) < measure.rule.least_shared:
        return []
    ids, similarity = measure.trained_similarities(mine, sharing=movie_id)
    likely = _nearest(ids, similarity, measure.rule.threshold - MARGIN)
    since = datetime.fromtimestamp(measure.deviations.latest, UTC)
    names = unmatched(user_id, likely=likely, movie_id=movie_id, since=since)
    if not names:
        return []
    histories = load_histories(list(names))
    shares = [movie_id in history.movie_ids for history in histories]
    rows = _rows(user_id, np.array(list(names)), mine, histories, measure)
    rows = rows.at(np.array(shares) & (rows.similarity >= measure.rule.threshold))
    rows = rows.at(np.argsort(-rows.similarity, kind="stable")[:MAX_NEW])
    matched = {other for user, other in _write(rows) if user == user_id}
    found = zip(rows.others.tolist(), rows.similarity.tolist(), strict=True)
    return [Match(pk, names[pk], alike) for pk, alike in found if pk in matched]


def renew_matches(*, user_id: int) -> None:
    """Bring a viewer's neighbours up to date, on both sides. It does nothing without a release."""
    measure = current_measure()
    if measure is None or not User.objects.filter(pk=user_id, is_active=True).exists():
        return
    mine = load_history(user_id)
    ids, similarity = measure.trained_similarities(mine)
    near = ids != user_id
    likely = _nearest(ids[near], similarity[near], measure.rule.floor)[:MAX_NEIGHBOURS]
    others = np.unique(np.array([*likely, *_stored(user_id)], dtype=np.int64))
    rows = _rows(user_id, others, mine, load_histories(others.tolist()), measure)
    enough = rows.sums.shared >= measure.rule.least_shared
    _write(rows.at(enough & (rows.similarity >= measure.rule.floor)), of=user_id)


def _nearest(ids: NDArray[np.int64], similarity: NDArray[np.float64], least: float) -> list[int]:
    near = np.flatnonzero(similarity >= least)
    best = near[np.argsort(-similarity[near], kind="stable")][:MOST_LIKELY]
    found: list[int] = ids[best].tolist()
    return found


def _stored(user_id: int) -> list[int]:
    """The viewers who are stored as neighbours of the viewer, or have the viewer as one."""
    pairs = Neighbour.objects.filter(Q(user_id=user_id) | Q(other_id=user_id))
    return [
        other if user == user_id else user for user, other in pairs.values_list("user", "other")
    ]


def _rows(
    user_id: int,
    others: NDArray[np.int64],
    mine: History,
    histories: list[History],
    measure: SimilarityMeasure,
) -> NeighbourRows:
    sums = measure.current_sums(mine, histories)
    users = np.full(len(others), user_id, dtype=np.int64)
    return NeighbourRows(users, others, measure.rule.similarity(sums), sums)


def _write(rows: NeighbourRows, *, of: int | None = None) -> list[tuple[int, int]]:
    """Write the pairs on both sides; returns the new matches.

    Args:
        of: The viewer of whom these are all the pairs.
    """
    try:
        return _write_in_transaction(rows, of)
    except IntegrityError:  # an account was erased before the commit; the night writes the others
        return []


@retry_on_deadlock
@transaction.atomic
def _write_in_transaction(rows: NeighbourRows, of: int | None) -> list[tuple[int, int]]:
    if of is not None:
        kept = rows.others.tolist()
        gone = Q(user_id=of) & ~Q(other_id__in=kept) | Q(other_id=of) & ~Q(user_id__in=kept)
        Neighbour.objects.filter(gone).delete()
    if not len(rows.users):
        return []
    with connection.cursor() as cursor:
        return upsert(cursor, rows.both_ways(), now=timezone.now())


# --- in the background


def renew_waiting() -> int:
    """Renew the matches of viewers who wait, in any order; returns how many there were."""
    ends_at, n_viewers = time.monotonic() + RUN_AT_MOST_S, 0
    while time.monotonic() < ends_at and (user_id := queue.take_viewer()):
        renew_matches(user_id=user_id)
        n_viewers += 1
    return n_viewers


# --- at night


def match_all() -> int:
    """Find the neighbours of all viewers; returns the number of rows.

    A viewer who has acted since the data were read keeps the stored rows: `renew_matches` has
    brought them up to date, or will after the viewer's next list.
    """
    if settings.TRAINING_ENGINE == "spark":
        return _match_all_on_spark()
    versions = _taste_versions()
    dataset = load_dataset()
    users, interactions = dataset.users, dataset.interactions
    del dataset
    pairs = matching_pairs(
        deviations(interactions),
        current_rule(),
        at_most=MAX_NEIGHBOURS,
        preferred=_visible(users),
    )
    for start in range(0, max(1, len(users)), PORTION):
        _write_portion(pairs, users, start, versions)
    return len(pairs)


def _match_all_on_spark() -> int:
    require_spark()
    from recommendations.spark.training import spark_pairs

    versions, n_pairs = _taste_versions(), 0
    found = spark_pairs(current_rule(), at_most=MAX_NEIGHBOURS, preferred=_visible, portion=PORTION)
    with found as (users, portions):
        for number, pairs in enumerate(portions):
            _write_portion(pairs, users, number * PORTION, versions)
            n_pairs += len(pairs)
    return n_pairs


def _visible(users: IdMap) -> NDArray[np.bool_]:
    """(n_users,) whether the viewer has agreed to be seen by matches."""
    agreed = Preferences.objects.filter(match_visible=True).values_list("pk", flat=True)
    return np.isin(users.ids, np.fromiter(agreed, dtype=np.int64))


def _write_portion(pairs: Pairs, users: IdMap, start: int, versions: dict[int, int]) -> None:
    """Replace the rows of PORTION viewers from index `start` on, and of ids between theirs."""
    stop = start + PORTION
    first = int(users.ids[start]) if start else 0
    last = int(users.ids[stop]) - 1 if stop < len(users) else LAST_ID
    portion = pairs[slice(*np.searchsorted(pairs["user"], [start, stop]))]
    rows = NeighbourRows(
        users.ids[portion["user"]],
        users.ids[portion["other"]],
        portion["similarity"].astype(np.float64),
        PairSums(*(portion[name] for name in SUMS)),
    )
    _replace(rows, first, last, versions)


@retry_if_deleted
@retry_on_deadlock
@transaction.atomic
def _replace(rows: NeighbourRows, first: int, last: int, versions: dict[int, int]) -> None:
    acted = [pk for pk, version in _taste_versions().items() if versions.get(pk) != version]
    with connection.cursor() as cursor:
        replace_all(cursor, rows, first=first, last=last, kept=acted, now=timezone.now())


def _taste_versions() -> dict[int, int]:
    return dict(User.objects.filter(is_active=True).values_list("pk", "taste_version"))
