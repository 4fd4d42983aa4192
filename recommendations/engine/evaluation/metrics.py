"""Metrics of recommendation lists, confidence intervals of their means, and paired tests.

Metrics are computed for m lists at once. `hits` is (m, at most k) bool, whether the user likes the
item at each place. `n_relevant` is (m,), the number of items that the user likes. `lists` is (m, k)
item indices, -1 for an empty place. The result is (m,) float64, NaN where it is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, diags_array

from recommendations.engine.ranking.calibration import (
    divergence,
    genre_shares,
    genre_tastes,
    proportions,
)

Hits = NDArray[np.bool_]
Lists = NDArray[np.intp]
Float64 = NDArray[np.float64]

#: Defaults of the bootstrap and of the randomisation tests.
DRAWS, LEVEL, SEED = 2000, 0.95, 1895
#: Random numbers held in memory: 16 MB.
BLOCK = 2_000_000


def ndcg(hits: Hits, *, n_relevant: ArrayLike, k: int) -> Float64:
    """Normalised discounted cumulative gain for binary relevance, 0 to 1.

    Järvelin and Kekäläinen (2002), doi:10.1145/582415.582418.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(n_relevant, k)]
    return _ratio(hits @ discounts[: hits.shape[-1]], ideal)


def recall(hits: Hits, *, n_relevant: ArrayLike, k: int) -> Float64:
    """Share of the liked items that are in the list, at most k, 0 to 1.

    Liang et al. (2018), doi:10.1145/3178876.3186150. With more than k liked items the usual recall
    cannot reach 1.
    """
    return _ratio(hits.sum(axis=-1), np.minimum(n_relevant, k))


def hit_rate(hits: Hits, *, n_relevant: ArrayLike) -> Float64:
    """1 if a liked item is in the list, or else 0.

    Deshpande and Karypis (2004), doi:10.1145/963770.963776.
    """
    return np.where(np.asarray(n_relevant) > 0, hits.any(axis=-1).astype(np.float64), np.nan)


def precision(hits: Hits, *, n_relevant: ArrayLike, k: int) -> Float64:
    """Share of the k places with a liked item; an empty place is a miss.

    Herlocker et al. (2004), doi:10.1145/963770.963772.
    """
    return np.where(np.asarray(n_relevant) > 0, hits.sum(axis=-1) / k, np.nan)


def reciprocal_rank(hits: Hits, *, n_relevant: ArrayLike) -> Float64:
    """1 / rank of the first hit; 0 without a hit. Its mean is MRR.

    Voorhees (1999), The TREC-8 Question Answering Track Report.
    """
    ranks = np.arange(1, hits.shape[-1] + 1)
    first = (hits / ranks).max(axis=-1, initial=0)
    return np.where(np.asarray(n_relevant) > 0, first, np.nan)


def average_precision(hits: Hits, *, n_relevant: ArrayLike, k: int) -> Float64:
    """The sum of the precision at each hit, over the possible hits. Its mean is MAP.

    Buckley and Voorhees (2000), doi:10.1145/345508.345543; here with at most k possible hits, as
    in `recall`.
    """
    ranks = np.arange(1, hits.shape[-1] + 1)
    at_hits = (hits * hits.cumsum(axis=-1) / ranks).sum(axis=-1)
    return _ratio(at_hits, np.minimum(n_relevant, k))


def coverage(lists: Lists, *, n_candidates: int) -> float:
    """Share of the candidates that are in at least one list, 0 to 1.

    Herlocker et al. (2004), doi:10.1145/963770.963772.
    """
    return len(np.unique(lists[lists >= 0])) / n_candidates if n_candidates else np.nan


def gini(lists: Lists, *, n_candidates: int) -> float:
    """Gini coefficient of the candidates' places: 0 if all have as many, near 1 if one has all.

    Fleder and Hosanagar (2009), doi:10.1287/mnsc.1080.0974.
    """
    counts = np.zeros(n_candidates)
    listed = np.unique(lists[lists >= 0], return_counts=True)[1]
    if not len(listed):
        return np.nan
    counts[n_candidates - len(listed) :] = np.sort(listed)
    places = np.arange(1, n_candidates + 1)
    return float(((2 * places - n_candidates - 1) @ counts) / (n_candidates * counts.sum()))


def novelty(lists: Lists, *, touched_by: NDArray[np.integer], n_users: int) -> Float64:
    """Mean self-information of the listed items in bits: 1 for an item that half of the users know.

    Zhou et al. (2010), doi:10.1073/pnas.1000488107.

    Args:
        touched_by: (n_items,) number of users with an interaction; 0 counts as 1.
    """
    bits = np.log2(max(n_users, 1) / np.maximum(touched_by, 1))
    return _mean_of_listed(lists, bits)


def popularity(lists: Lists, *, touched_by: NDArray[np.integer], n_users: int) -> Float64:
    """Mean share of users who know the listed items: average recommendation popularity.

    Yin et al. (2012), doi:10.14778/2311906.2311916.
    """
    return _mean_of_listed(lists, touched_by / max(n_users, 1))


def diversity(lists: Lists, *, features: csr_matrix) -> Float64:
    """Mean distance of two films in the list: 1 minus the cosine of their features, 0 to 1.

    Ziegler et al. (2005), doi:10.1145/1060745.1060754. Films without features are ignored; NaN with
    fewer than two others.

    Args:
        features: (n_items, n_features) float32.
    """
    lengths = np.sqrt(np.asarray(features.multiply(features).sum(axis=1), dtype=np.float64)).ravel()
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    unit = diags_array(scale) @ features
    listed = _as_matrix(lists, features.shape[0])
    total = listed @ unit
    n = listed @ (lengths > 0).astype(np.float64)
    # The square of the sum holds each pair twice, and each film's 1 with itself.
    squares = np.asarray(total.multiply(total).sum(axis=1), dtype=np.float64).ravel()
    return 1 - _ratio(squares - n, n * (n - 1))


def miscalibration(lists: Lists, liked: csr_matrix, *, genres: csr_matrix) -> Float64:
    """Kullback-Leibler divergence, in nats, of the list's genres from those that the user likes.

    Steck (2018), doi:10.1145/3240323.3240372, with equal weights of all films. 0 for the same
    proportions.

    Args:
        liked: (m, n_items) an entry above 0 for each liked film of the history.
        genres: (n_items, n_genres) above 0 where the film has the genre; a film is divided among
            its genres.
    """
    if not genres.shape[1]:
        return np.full(len(lists), np.nan)
    shares = genre_shares(genres)
    given = proportions((_as_matrix(lists, genres.shape[0]) @ shares).toarray())
    return divergence(genre_tastes(liked, shares), given)


def _mean_of_listed(lists: Lists, values: Float64) -> Float64:
    listed: Hits = lists >= 0
    return _ratio(np.where(listed, values[lists], 0).sum(axis=1), listed.sum(axis=1))


def _as_matrix(lists: Lists, n_items: int) -> csr_matrix:
    """(m, n_items) with 1 for each listed item."""
    listed = lists >= 0
    starts = np.concatenate(([0], np.cumsum(listed.sum(axis=1))))
    ones = np.ones(starts[-1])
    return csr_matrix((ones, lists[listed], starts), shape=(len(lists), n_items))


def _ratio(part: ArrayLike, whole: ArrayLike) -> Float64:
    """`part / whole`; NaN where `whole` is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    shape = np.broadcast_shapes(part.shape, whole.shape)
    ratio: Float64 = np.divide(part, whole, out=np.full(shape, np.nan), where=whole > 0)
    return ratio


@dataclass(frozen=True)
class Comparison:
    """The first of two algorithms compared with the second.

    Attributes:
        users: Number of users with figures of both.
        difference: Mean of the first minus the second; NaN without users.
        low, high: The interval of the difference, as from `bootstrap_interval`.
        p_value: Two-sided: how often chance makes a difference at least as large.
    """

    users: int
    difference: float
    low: float
    high: float
    p_value: float


def bootstrap_interval(
    values: Float64, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean over users.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Args:
        values: (m,) a figure of each user; NaN is left out.
        level: The confidence level.

    Returns:
        The lower and the upper end; both NaN without values.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    means = np.concatenate(
        [
            known[random.integers(0, len(known), (size, len(known)))].mean(axis=1)
            for size in _blocks(draws, len(known))
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_test(
    first: Float64, second: Float64, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> Comparison:
    """Compare the means of two algorithms by Fisher's randomisation test.

    If both were equal, each user's difference could as well have the other sign. Smucker, Allan
    and Carterette (2007), doi:10.1145/1321440.1321528.

    Args:
        first, second: (m,) figures of the same users in the same order, as in
            `EvaluatedLists.by_user` for one split and seed; NaN in either leaves the user out.
    """
    differences = first - second
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        return Comparison(0, math.nan, math.nan, math.nan, math.nan)
    low, high = bootstrap_interval(differences, level=level, draws=draws, seed=seed)
    chance = np.abs(_by_chance(differences, draws, seed))
    observed = float(differences.mean())
    return Comparison(
        len(differences), observed, low, high, _p_value(chance >= _nearly(abs(observed)))
    )


def is_significantly_worse(
    new: Float64,
    old: Float64,
    *,
    margin: float = 0.0,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = SEED,
) -> bool:
    """Whether the mean of `new` is significantly below (1 - margin) times the mean of `old`.

    A one-sided randomisation test. With fewer than five users nothing is significant at the
    default level.

    Args:
        new, old: As in `paired_test`.
        margin: A share of `old`, 0 to 1.
    """
    differences = new - (1 - margin) * old
    differences = differences[~np.isnan(differences)]
    if not len(differences) or not differences.mean() < 0:
        return False
    chance = _by_chance(differences, draws, seed)
    return _p_value(-chance >= _nearly(-differences.mean())) < 1 - level


def _by_chance(differences: Float64, draws: int, seed: int) -> Float64:
    """(draws,) means of the differences with random signs."""
    random = np.random.default_rng(seed)
    means = [
        (random.integers(0, 2, (size, len(differences)), dtype=np.int8) * 2.0 - 1) @ differences
        for size in _blocks(draws, len(differences))
    ]
    flipped: Float64 = np.concatenate(means) / len(differences)
    return flipped


def _p_value(as_extreme: NDArray[np.bool_]) -> float:
    """The observed value counts as a draw: Phipson and Smyth (2010), doi:10.2202/1544-6115.1585."""
    return float((as_extreme.sum() + 1) / (len(as_extreme) + 1))


def _nearly(value: float) -> float:
    """A little less than the value, so that the same sum in another order counts as equal."""
    return value * (1 - 1e-9)


def _blocks(draws: int, n: int) -> Iterator[int]:
    """Split `draws` into blocks that fit into memory."""
    size = max(1, BLOCK // n)
    for start in range(0, draws, size):
        yield min(size, draws - start)
