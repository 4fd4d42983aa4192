"""Items as vectors of what they are made of: TF-IDF in which each kind of feature has its say.

Pazzani and Billsus (2007), doi:10.1007/978-3-540-72079-9_10; Lops, de Gemmis and Semeraro (2011),
doi:10.1007/978-0-387-85820-3_3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import ItemFeatures


@dataclass(frozen=True)
class FeatureKind:
    """How the features of one kind count.

    Attributes:
        weight: Length of the part of the vector that they make in an item of usual length.
        rarity: Whether a rare one says more than a common one.
        evening: How far items with many and with few of them are made alike: 1 gives all the same
            length, 0 leaves the one with more of them longer.
    """

    weight: float
    rarity: bool
    evening: float


#: Of a kind that a table of kinds does not name.
OTHER_KIND = FeatureKind(1.0, rarity=True, evening=1.0)


def tfidf_vectors(items: ItemFeatures, kinds: Mapping[str, FeatureKind]) -> csr_matrix:
    """Weigh the features of each item.

    Args:
        kinds: By what stands before the colon of a feature's name.

    Returns:
        (n_items, n_features) float32, not negative; a row without entries for an item of which
        nothing is known.
    """
    counts = csr_matrix(items.matrix, dtype=np.float64, copy=True)
    counts.sum_duplicates()
    counts.data = np.maximum(counts.data, 0)
    counts.eliminate_zeros()
    n_items, n_features = counts.shape
    groups = np.array([name.partition(":")[0] for name in items.names], dtype=np.str_)
    frequency = np.bincount(counts.indices, minlength=n_features)
    idf = np.log((1 + n_items) / (1 + frequency)) + 1
    rows = np.repeat(np.arange(n_items), np.diff(counts.indptr))
    values = np.log1p(counts.data)
    for group in np.unique(groups):
        kind = kinds.get(str(group), OTHER_KIND)
        mine = (groups == group)[counts.indices]
        part = values[mine] * (idf[counts.indices[mine]] if kind.rarity else 1)
        values[mine] = kind.weight * _scaled_to_usual_length(
            part, rows[mine], n_items, kind.evening
        )
    shape = (n_items, n_features)
    return csr_matrix((values.astype(np.float32), counts.indices, counts.indptr), shape=shape)


def row_lengths(vectors: csr_matrix) -> NDArray[np.float32]:
    """(n_items,) float32, 0 for an item of which nothing is known."""
    squares = vectors.multiply(vectors).sum(axis=1)
    lengths: NDArray[np.float32] = np.sqrt(np.asarray(squares).ravel()).astype(np.float32)
    return lengths


def _scaled_to_usual_length(
    values: NDArray[np.float64], rows: NDArray[np.intp], n_items: int, evening: float
) -> NDArray[np.float64]:
    """The values scaled so that an item with the usual length gets length 1."""
    squares = np.bincount(rows, weights=values**2, minlength=n_items)
    if not squares.any():
        return values
    usual = np.sqrt(squares[squares > 0].mean())
    scaled: NDArray[np.float64] = (
        values * np.sqrt(squares[rows]) ** -evening * usual ** (evening - 1)
    )
    return scaled


Float32 = NDArray[np.float32]

#: Genre, decade and keyword, and REGULARIZATION, are chosen on a validation split of cold films
#: (ml-latest-small); of the other kinds no open ratings tell: they go by likeness to these.
COLD_START_KINDS = {
    "genre": FeatureKind(1.0, rarity=False, evening=1.0),
    "decade": FeatureKind(0.3, rarity=False, evening=1.0),
    "language": FeatureKind(0.3, rarity=True, evening=1.0),
    "director": FeatureKind(1.0, rarity=True, evening=0.5),
    "person": FeatureKind(1.0, rarity=True, evening=0.5),
    "keyword": FeatureKind(1.0, rarity=True, evening=0.5),
    "word": FeatureKind(0.5, rarity=True, evening=0.5),
}
#: Beside weights of the items with mean 1.
REGULARIZATION = 4.0
#: Of the equations, in the norm of their right side: where more digits change no list.
TOLERANCE = 1e-4
MOST_STEPS = 200
#: Columns solved at once: with 20,000 features a block is 5 MB, and stays in the cache.
BLOCK = 64


def predict_factors(
    items: ItemFeatures, factors: Float32, touched: NDArray[np.integer]
) -> tuple[NDArray[np.bool_], Float32]:
    """Factors of the untouched items, as the touched ones with the same features have them.

    An item counts with the root of the number of users who touched it. What few have touched
    stands near the origin: that a film of its kind hardly finds viewers is learned from it too.

    Args:
        factors: (n_items, k) float32, learned from interactions.
        touched: (n_items,) how many users have touched each.

    Returns:
        (n_items,) bool, the untouched items that have a feature; and (their number, k) float32.
    """
    vectors = tfidf_vectors(items, COLD_START_KINDS)
    cold = (touched == 0) & (row_lengths(vectors) > 0)
    learned = touched > 0
    if not cold.any() or not learned.any():
        return np.zeros(len(touched), dtype=np.bool_), factors[:0]
    weights = np.sqrt(touched[learned], dtype=np.float32)
    weights /= weights.mean()
    slopes, intercept = ridge(vectors[learned], factors[learned], weights, REGULARIZATION)
    return cold, vectors[cold] @ slopes + intercept


def ridge(
    features: csr_matrix, targets: Float32, weights: Float32, regularization: float
) -> tuple[Float32, Float32]:
    """Weighted ridge regression with an intercept that is not held down.

    Solved by conjugate gradients (Hestenes and Stiefel 1952): neither a matrix of features by
    features nor one of items by items is made, of which 20,000 by 20,000 would fill 3 GB.

    Args:
        features: (n, f) float32, sparse.
        targets: (n, k) float32.
        weights: (n,) float32 above 0.

    Returns:
        (f, k) and (k,) float32, so that `features @ slopes + intercept` is near `targets`.
    """
    transposed = features.T.tocsr()
    total = weights.sum()
    centre = transposed @ weights / total
    mean = weights @ targets / total
    diagonal = features.power(2).T @ weights - total * centre**2 + np.float32(regularization)

    def towards(errors: Float32) -> Float32:
        """The weighted errors along the centred features."""
        weighted = errors * weights[:, None]
        along: Float32 = transposed @ weighted
        return along - np.outer(centre, weighted.sum(axis=0))

    def left(slopes: Float32) -> Float32:
        """Of the normal equations."""
        fitted = features @ slopes - centre @ slopes
        return towards(fitted) + np.float32(regularization) * slopes

    slopes = np.empty((features.shape[1], targets.shape[1]), dtype=np.float32)
    for start in range(0, targets.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        right = towards(targets[:, block] - mean[block])
        slopes[:, block] = conjugate_gradients(left, right, diagonal[:, None])
    return slopes, mean - centre @ slopes


def conjugate_gradients(
    left: Callable[[Float32], Float32], right: Float32, diagonal: Float32
) -> Float32:
    """Solve `left(x) = right` for each column, to TOLERANCE.

    Args:
        left: Symmetric and positive definite.
        right: (f, k).
        diagonal: (f, 1) of `left`, by which steps are scaled.
    """
    solution, residual = np.zeros_like(right), right.copy()
    scaled = residual / diagonal
    direction, height = scaled.copy(), _columns(residual, scaled)
    enough = TOLERANCE**2 * _columns(right, right)
    for _ in range(MOST_STEPS):
        if (_columns(residual, residual) <= enough).all():
            break
        across = left(direction)
        # A column that is solved exactly has no direction left, and takes no step.
        step = _ratio(height, _columns(direction, across))
        solution += step * direction
        residual -= step * across
        scaled = residual / diagonal
        before, height = height, _columns(residual, scaled)
        direction = scaled + _ratio(height, before) * direction
    return solution


def _columns(first: Float32, second: Float32) -> Float32:
    """(k,) dot products, column by column."""
    products: Float32 = np.einsum("ij,ij->j", first, second)
    return products


def _ratio(above: Float32, below: Float32) -> Float32:
    """0 where `below` is."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
