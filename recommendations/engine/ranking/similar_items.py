"""The most similar items of each item, by ALS factors and by content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from recommendations.engine.algorithms.content import KINDS
from recommendations.engine.feature_vectors import row_lengths, tfidf_vectors
from recommendations.engine.matrices import ItemFeatures, one_thread

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Items with a smaller cosine of their factors are not liked by the same users.
MIN_COSINE = 0.2
#: Pairs of items that are held in memory, in a few float32 matrices.
CELLS = 4_000_000
#: Added by rank of popularity, so that the better known of equally similar items comes first.
TIE = np.float32(1e-5)


@dataclass(frozen=True)
class SimilarItems:
    """For each item, the k most similar ones, the most similar first.

    Attributes:
        items: (n_items, k) int32 indices; -1 behind the last one. The other attributes are
            undefined there.
        scores: (n_items, k) float32, above 0 to 1.
        by_factors: (n_items, k) float32 cosine, 0 to 1; NaN if unused or unknown.
        by_content: (n_items, k) float32 cosine, 0 to 1; NaN if unused or unknown.
    """

    items: NDArray[np.int32]
    scores: Float32
    by_factors: Float32
    by_content: Float32


RunBlocks: TypeAlias = Callable[
    [Callable[[slice], SimilarItems], Sequence[slice]], Iterable[SimilarItems]
]


def content_unit_vectors(features: ItemFeatures) -> csr_matrix:
    """(n_items, n_features) float32 of length 1, weighted as in `ContentRecommender`.

    The row of an item without features is empty.
    """
    vectors = tfidf_vectors(features, KINDS)
    lengths = row_lengths(vectors)
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return csr_matrix(diags(scale) @ vectors, dtype=np.float32)


def find_similar_items(
    factors: Float32,
    content: csr_matrix,
    known_by: NDArray[np.integer],
    *,
    share: float,
    k: int,
    run: RunBlocks = map,
) -> SimilarItems:
    """Find the `k` most similar items of each item, by a weighted sum of two cosines.

    An item without factors, or without content, is compared by the other cosine alone. As a
    neighbour of other items its missing cosine counts as 0: the content cosine is 1 for any two
    items with the same single genre, so items without factors would fill all lists.

    Args:
        factors: (n_items, d) of length 1; NaN for an item without factors.
        content: (n_items, n_features) of length 1; an empty row for an item without features.
        known_by: (n_items,) number of users.
        share: The weight of the content cosine, 0 to 1.
        run: Calls a function for each block of items, here or on other machines.
    """
    n_items = len(known_by)
    placed: Mask = ~np.isnan(factors[:, 0])
    described: Mask = np.diff(content.indptr) > 0
    ties = TIE * (np.argsort(np.argsort(known_by, kind="stable")) / max(n_items, 1))
    comparison = ItemComparison(
        placed,
        described,
        directions=np.where(placed[:, None], factors, np.float32(0)),
        content=content,
        shares=np.where(placed, np.where(described, share, 0.0), 1.0).astype(np.float32),
        ties=ties.astype(np.float32),
        k=min(k, max(n_items - 1, 0)),
    )
    block = max(1, CELLS // max(n_items, 1))
    starts = range(0, n_items if comparison.k else 0, block)
    parts = list(run(comparison.related, [slice(at, min(at + block, n_items)) for at in starts]))
    if not parts:
        return _empty(n_items, comparison.k)
    names = [field.name for field in fields(SimilarItems)]
    return SimilarItems(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )


@dataclass(frozen=True, eq=False)
class ItemComparison:
    """The arguments of a comparison of one block of items with all items.

    Attributes:
        placed, described: (n_items,) the items with factors, and with features.
        directions: (n_items, d) of length 1, or zeros.
        content: (n_items, n_features) of length 1; an empty row for an item without features.
        shares: (n_items,) the weight of the content cosine.
        ties: (n_items,) added to the scores.
    """

    placed: Mask
    described: Mask
    directions: Float32
    content: csr_matrix
    shares: Float32
    ties: Float32
    k: int

    @cached_property
    def by_feature(self) -> csr_matrix:
        return self.content.T.tocsr()

    def related(self, rows: slice) -> SimilarItems:
        """The similar items of these rows alone."""
        shares = self.shares[rows]
        with one_thread():
            by_factors = np.maximum(self.directions[rows] @ self.directions.T, 0)
        by_content = (self.content[rows] @ self.by_feature).toarray()
        by_factors[shares == 1], by_content[shares == 0] = 0, 0
        scores = _scores(by_factors, by_content, shares[:, None], rows)
        related = _best(scores + self.ties, by_factors, by_content, self.k)
        others = related.items
        related.by_factors[(shares == 1)[:, None] | ~self.placed[others]] = np.nan
        related.by_content[(shares == 0)[:, None] | ~self.described[others]] = np.nan
        return related


def _scores(by_factors: Float32, by_content: Float32, share: Float32, rows: slice) -> Float32:
    """(rows, n_items); -inf for the item itself, and for items that are similar in neither way."""
    scores: Float32 = by_factors * (1 - share) + by_content * share
    scores[(by_factors < MIN_COSINE) & (by_content <= 0)] = -np.inf
    scores[scores <= 0] = -np.inf
    scores[np.arange(len(scores)), np.arange(rows.start, rows.stop)] = -np.inf
    return scores


def _best(ranked_by: Float32, by_factors: Float32, by_content: Float32, k: int) -> SimilarItems:
    best = np.argpartition(-ranked_by, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(ranked_by, best, axis=1)
    order = np.lexsort((best, -values))
    best, values = (
        np.take_along_axis(best, order, axis=1),
        np.take_along_axis(values, order, axis=1),
    )
    return SimilarItems(
        np.where(np.isfinite(values), best, -1).astype(np.int32),
        values.clip(None, 1).astype(np.float32),
        np.take_along_axis(by_factors, best, axis=1),
        np.take_along_axis(by_content, best, axis=1),
    )


def _empty(n_items: int, k: int) -> SimilarItems:
    shape = (n_items, k)
    numbers = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    return SimilarItems(np.full(shape, -1, dtype=np.int32), *numbers)
