"""Items as TF-IDF vectors of their features, and ALS factors for items without interactions.

Pazzani and Billsus (2007), doi:10.1007/978-3-540-72079-9_10; Lops, de Gemmis and Semeraro (2011),
doi:10.1007/978-0-387-85820-3_3. Cold start: Gantner et al. (2010), doi:10.1109/ICDM.2010.129, with
a ridge regression as the mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from recommendations.engine.matrices import ItemFeatures, row_numbers

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureKind:
    """The weighting of the features of one kind.

    Attributes:
        weight: Length of this kind's part of the vector, for an item of usual length.
        rarity: Whether rare features count more (inverse document frequency).
        evening: 1 gives the part the same length in all items; 0 leaves items with more features
            longer.
    """

    weight: float
    rarity: bool
    evening: float


#: The entry of a kind that the table does not name.
OTHER_KIND = FeatureKind(1.0, rarity=True, evening=1.0)


def tfidf_vectors(items: ItemFeatures, kinds: Mapping[str, FeatureKind]) -> csr_matrix:
    """Weight the features of each item.

    Args:
        kinds: By the prefix of a feature's name, before the colon.

    Returns:
        (n_items, n_features) float32, not negative; an empty row for an item without features.
    """
    counts = csr_matrix(items.matrix, dtype=np.float64, copy=True)
    counts.sum_duplicates()
    counts.data = np.maximum(counts.data, 0)
    counts.eliminate_zeros()
    n_items, n_features = counts.shape
    groups = np.array([name.partition(":")[0] for name in items.names], dtype=np.str_)
    frequency = np.bincount(counts.indices, minlength=n_features)
    idf = np.log((1 + n_items) / (1 + frequency)) + 1
    rows = row_numbers(counts)
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
    """(n_items,) float32 Euclidean lengths; 0 for an empty row."""
    squares = vectors.multiply(vectors).sum(axis=1)
    lengths: NDArray[np.float32] = np.sqrt(np.asarray(squares).ravel()).astype(np.float32)
    return lengths


def _scaled_to_usual_length(
    values: NDArray[np.float64], rows: NDArray[np.intp], n_items: int, evening: float
) -> NDArray[np.float64]:
    """The values, scaled so that an item of usual length gets length 1."""
    squares = np.bincount(rows, weights=values**2, minlength=n_items)
    if not squares.any():
        return values
    usual = np.sqrt(squares[squares > 0].mean())
    scaled: NDArray[np.float64] = (
        values * np.sqrt(squares[rows]) ** -evening * usual ** (evening - 1)
    )
    return scaled


#: The weights of genre, decade and keyword, and REGULARIZATION, are chosen on a validation split of
#: cold films (ml-latest-small). No open data have the other kinds: they are set by analogy.
COLD_START_KINDS = {
    "genre": FeatureKind(1.0, rarity=False, evening=1.0),
    "decade": FeatureKind(0.3, rarity=False, evening=1.0),
    "language": FeatureKind(0.3, rarity=True, evening=1.0),
    "director": FeatureKind(1.0, rarity=True, evening=0.5),
    "person": FeatureKind(1.0, rarity=True, evening=0.5),
    "keyword": FeatureKind(1.0, rarity=True, evening=0.5),
    "word": FeatureKind(0.5, rarity=True, evening=0.5),
}
#: The mean weight of an item in the regression is 1.
REGULARIZATION = 4.0
#: Relative residual at which the equations count as solved; more digits change no list.
TOLERANCE = 1e-4
MAX_STEPS = 200
#: Columns solved at once: with 20,000 features a block is 5 MB and stays in the CPU cache.
BLOCK = 64


def predict_factors(
    items: ItemFeatures, factors: Float32, touched: NDArray[np.integer]
) -> tuple[NDArray[np.bool_], Float32]:
    """Predict factors of items without interactions from their features.

    In the regression an item counts by the root of its number of users. Items with few users have
    factors near the origin, so the regression also learns which kinds find few viewers. It reads
    how many features of each kind an item has: much is written of films that many watch.

    Args:
        factors: (n_items, k) float32, learned from interactions.
        touched: (n_items,) number of users with an interaction.

    Returns:
        (n_items,) bool, the items without interactions that have a feature (n_cold of them), and
        their (n_cold, k) float32 factors.
    """
    vectors = tfidf_vectors(items, COLD_START_KINDS)
    cold = (touched == 0) & (row_lengths(vectors) > 0)
    learned = touched > 0
    if not cold.any() or not learned.any():
        return np.zeros(len(touched), dtype=np.bool_), factors[:0]
    vectors = csr_matrix(hstack([vectors, feature_counts(items)], dtype=np.float32))
    weights = np.sqrt(touched[learned], dtype=np.float32)
    weights /= weights.mean()
    slopes, intercept = ridge(vectors[learned], factors[learned], weights, REGULARIZATION)
    return cold, vectors[cold] @ slopes + intercept


def feature_counts(items: ItemFeatures) -> csr_matrix:
    """(n_items, n_kinds) float32: log(1 + the number of the item's features of each kind).

    The root of the mean square of a column is 1 over the items with such a feature.
    """
    kinds, kind = np.unique([name.partition(":")[0] for name in items.names], return_inverse=True)
    counts = np.zeros((items.matrix.shape[0], len(kinds)))
    present = items.matrix.data > 0
    np.add.at(counts, (row_numbers(items.matrix)[present], kind[items.matrix.indices[present]]), 1)
    values = np.log1p(counts)
    squares, n = (values**2).sum(axis=0), (counts > 0).sum(axis=0)
    return csr_matrix((values * np.sqrt(n / np.maximum(squares, 1e-12))).astype(np.float32))


def ridge(
    features: csr_matrix, targets: Float32, weights: Float32, regularization: float
) -> tuple[Float32, Float32]:
    """Weighted ridge regression with an unregularised intercept.

    Solved by conjugate gradients (Hestenes and Stiefel 1952), which need no (f, f) matrix: 20,000
    by 20,000 would take 3 GB.

    Args:
        features: (n, f) float32, sparse.
        targets: (n, k) float32.
        weights: (n,) float32 above 0.

    Returns:
        (f, k) slopes and (k,) intercept, float32: `features @ slopes + intercept` fits `targets`.
    """
    transposed = features.T.tocsr()
    total = weights.sum()
    centre = transposed @ weights / total
    mean = weights @ targets / total
    diagonal = features.power(2).T @ weights - total * centre**2 + np.float32(regularization)

    def towards(errors: Float32) -> Float32:
        """The weighted errors times the centred features."""
        weighted = errors * weights[:, None]
        along: Float32 = transposed @ weighted
        return along - np.outer(centre, weighted.sum(axis=0))

    def left(slopes: Float32) -> Float32:
        """The left side of the normal equations."""
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
    """Solve `left(x) = right` column by column, to TOLERANCE.

    Args:
        left: A symmetric positive definite operator.
        right: (f, k).
        diagonal: (f, 1), the diagonal of `left`, as preconditioner.
    """
    solution, residual = np.zeros_like(right), right.copy()
    scaled = residual / diagonal
    direction, height = scaled.copy(), _columns(residual, scaled)
    enough = TOLERANCE**2 * _columns(right, right)
    for _ in range(MAX_STEPS):
        if (_columns(residual, residual) <= enough).all():
            break
        across = left(direction)
        # An exactly solved column has a zero direction and takes no step.
        step = _ratio(height, _columns(direction, across))
        solution += step * direction
        residual -= step * across
        scaled = residual / diagonal
        before, height = height, _columns(residual, scaled)
        direction = scaled + _ratio(height, before) * direction
    return solution


def _columns(first: Float32, second: Float32) -> Float32:
    """(k,) dot products of the columns."""
    products: Float32 = np.einsum("ij,ij->j", first, second)
    return products


def _ratio(above: Float32, below: Float32) -> Float32:
    """`above / below`; 0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
