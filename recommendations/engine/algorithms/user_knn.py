"""User neighbours, for implicit feedback. Herlocker et al. (1999), doi:10.1145/312624.312682;
Aiolli (2013), doi:10.1145/2507157.2507189."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._item_weights import (
    damping,
    has_known_likes,
    likes_of,
)
from recommendations.engine.matrices import (
    Array,
    Features,
    Scores,
    Times,
    mean_like,
    sparse_from_arrays,
    sparse_to_arrays,
)
from recommendations.engine.recommender import ModelRecommender

Float32 = NDArray[np.float32]

#: Scores are divided by this power of the number of viewers.
DAMPING = 0.2


@dataclass(frozen=True)
class UserKnnModel:
    """The fitted model.

    Attributes:
        likes: (n_users, n_items) float32, the training rows.
        likers: (n_items, n_users), the transpose of `likes`.
        lengths: (n_users,) float32, lengths of the rows weighted by `rareness`.
        rareness: (n_items,) float32, the weight of an item in similarities.
        damping: (n_items,) float32, factors for scores.
        known: (n_items,) bool, the items with interactions.
        mean: The mean of the positive weights in the training data.
        neighbours, sharpness, shrinkage: As in the constructor.
    """

    likes: csr_matrix
    likers: csr_matrix
    lengths: Float32
    rareness: Float32
    damping: Float32
    known: NDArray[np.bool_]
    mean: float
    neighbours: int
    sharpness: float
    shrinkage: float

    @property
    def n_items(self) -> int:
        return len(self.known)


class UserKnnRecommender(ModelRecommender[UserKnnModel]):
    """Scores films by the likes of the viewers whose likes are most similar to the history.

    Args:
        neighbours: Number of neighbours.
        sharpness: Power of the similarity; the higher, the more the nearest viewers decide.
        shrinkage: Number of films that are added to the norms in a similarity.
        max_interactions: More are an obstacle, because each history is compared with all viewers
            of the same films.
    """

    name = "user_knn"
    description = "What the viewers with the most similar lists liked."
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "neighbours": (50, 100, 200, 400),
        "sharpness": (1.0, 2.0, 3.0, 4.0),
    }

    def __init__(
        self,
        *,
        neighbours: int = 100,
        sharpness: float = 4.0,
        shrinkage: float = 20.0,
        max_interactions: int = 10_000_000,
    ) -> None:
        self.neighbours = neighbours
        self.sharpness = sharpness
        self.shrinkage = shrinkage
        self.max_interactions = max_interactions

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        if interactions.nnz <= self.max_interactions:
            return None
        return (
            f"It keeps all interactions and reads them for each list: {interactions.nnz:,} "
            f"are more than {self.max_interactions:,}."
        )

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        n_users, n_items = interactions.shape
        mean = mean_like(interactions)
        likes = likes_of(interactions, mean)
        liked_by = np.bincount(likes.indices, minlength=n_items)
        rareness = np.log((n_users + 1) / np.maximum(liked_by, 1)).astype(np.float32)
        rareness[liked_by == 0] = 0  # it finds no neighbour
        self._model = UserKnnModel(
            likes=likes,
            likers=csr_matrix(likes.T),
            lengths=_lengths(likes, rareness),
            rareness=rareness,
            damping=damping(liked_by, DAMPING),
            known=np.bincount(interactions.indices, minlength=n_items) > 0,
            mean=mean,
            neighbours=self.neighbours,
            sharpness=self.sharpness,
            # `shrinkage` counts films of average rareness.
            shrinkage=self.shrinkage * _mean_square(likes, rareness),
        )
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        model = self._fitted_for(history)
        likes = likes_of(history, model.mean)
        scores: Scores = (_neighbours(model, likes) @ model.likes).toarray()
        scores *= model.damping
        scores[~has_known_likes(likes, model.known)] = np.nan
        scores[:, ~model.known] = np.nan
        return scores

    def to_arrays(self) -> dict[str, Array]:
        model = self.learned()
        return {
            **sparse_to_arrays("likes", model.likes),
            **sparse_to_arrays("likers", model.likers),
            "lengths": model.lengths,
            "rareness": model.rareness,
            "damping": model.damping,
            "known": model.known,
            "figures": np.array([model.mean, model.neighbours, model.sharpness, model.shrinkage]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        lengths = np.asarray(arrays["lengths"], dtype=np.float32)
        known = np.asarray(arrays["known"], dtype=np.bool_)
        mean, neighbours, sharpness, shrinkage = np.asarray(
            arrays["figures"], dtype=np.float64
        ).tolist()
        recommender._model = UserKnnModel(
            likes=sparse_from_arrays("likes", arrays, n_columns=len(known)),
            likers=sparse_from_arrays("likers", arrays, n_columns=len(lengths)),
            lengths=lengths,
            rareness=np.asarray(arrays["rareness"], dtype=np.float32),
            damping=np.asarray(arrays["damping"], dtype=np.float32),
            known=known,
            mean=mean,
            neighbours=int(neighbours),
            sharpness=sharpness,
            shrinkage=shrinkage,
        )
        return recommender


def _neighbours(model: UserKnnModel, likes: csr_matrix) -> csr_matrix:
    """(n_rows, n_users) float32, the weight of each of the nearest viewers of a row.

    The weight is divided by the root of the viewer's number of films.
    """
    squares = csr_matrix(
        (likes.data * model.rareness[likes.indices] ** 2, likes.indices, likes.indptr),
        shape=likes.shape,
    )
    common = csr_matrix(squares @ model.likers)
    own = _lengths(likes, model.rareness)
    n_films = np.maximum(np.diff(model.likes.indptr), 1)
    users, shares, ends = [common.indices[:0]], [common.data[:0]], [0]
    for row in range(likes.shape[0]):
        part = slice(common.indptr[row], common.indptr[row + 1])
        near, products = common.indices[part], common.data[part]
        likeness = products / (own[row] * model.lengths[near] + model.shrinkage)
        if len(near) > model.neighbours:
            chosen = np.argpartition(likeness, -model.neighbours)[-model.neighbours :]
            near, likeness = near[chosen], likeness[chosen]
        users.append(near)
        shares.append(likeness**model.sharpness / np.sqrt(n_films[near]))
        ends.append(ends[-1] + len(near))
    values = np.concatenate(shares).astype(np.float32)
    shape = (likes.shape[0], model.likes.shape[0])
    return csr_matrix((values, np.concatenate(users), np.array(ends)), shape=shape)


def _lengths(likes: csr_matrix, rareness: Float32) -> Float32:
    """(n_rows,) float32 Euclidean lengths of the rows weighted by `rareness`."""
    squares = (likes.data * rareness[likes.indices]) ** 2
    sums = np.concatenate(([0.0], np.cumsum(squares, dtype=np.float64)))
    return np.sqrt(np.diff(sums[likes.indptr])).astype(np.float32)


def _mean_square(likes: csr_matrix, rareness: Float32) -> float:
    if not likes.nnz:
        return 1.0
    return float(np.mean((likes.data * rareness[likes.indices]) ** 2, dtype=np.float64))
