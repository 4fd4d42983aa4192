"""Algorithms made of others: a weighted mean of normalised scores; and `hybrid`, the default.

Burke (2002), doi:10.1023/A:1021240730564. The weights follow the length of the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.artifacts import model_arrays
from recommendations.engine.matrices import Array, Features, Scores, Times
from recommendations.engine.recommender import NotFittedError, Recommender, extremes

#: The names of fixed weights, and of the settings, among the arrays of the parts.
WEIGHTS = "weights"
BLEND = "blend"
#: The largest share of EASE beside ALS, which alone of the two knows new films.
EASE_MOST = np.float32(0.8)
#: The largest share of content, and the likes with which it has half of that.
CONTENT_MOST, CONTENT_HALF = np.float32(0.1), 3
#: The likes of a long history, for which the weights hardly change.
LONG = 1000

Float32 = NDArray[np.float32]
#: A weight by part, not negative: one for all users, or (n_rows,) one for each.
PartWeights: TypeAlias = Mapping[str, float | Float32]


@dataclass(frozen=True)
class Blend:
    """The blended scores of several models.

    Attributes:
        scores: (n_rows, n_items) float32, 0 to 1; NaN where no part has an opinion.
        leading: (n_rows, n_items) int8, the index in `parts` of the part that added most to the
            score; -1 for none.
        parts: The names of the parts.
    """

    scores: Scores
    leading: NDArray[np.int8]
    parts: tuple[str, ...]


#: The least and the greatest score of each row in the whole catalogue, by part.
Ranges: TypeAlias = Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]]


def blend(
    scores: Mapping[str, NDArray[np.floating]],
    weights: PartWeights,
    *,
    shape: tuple[int, ...],
    ranges: Ranges | None = None,
    least_if_unknown: str | None = None,
) -> Blend:
    """The weighted mean of the normalised scores; where a part is NaN, the others share its weight.

    Args:
        scores: (n_rows, n) by part.
        weights: A part without a weight is left out.
        shape: (n_rows, n), which `scores` does not tell if it is empty.
        ranges: If the scores are of some items only.
        least_if_unknown: A part whose NaN counts as 0 where another part has an opinion.
    """
    total, weight_of_all = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    most, leading = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int8)
    for place, (name, values) in enumerate(scores.items()):
        weight = np.asarray(weights.get(name, 0.0), dtype=np.float32)[..., None]
        if not weight.any():
            continue
        share = _normalised(values, *(ranges[name] if ranges else extremes(values)))
        known = ~np.isnan(share)
        share *= weight
        np.add(weight_of_all, weight, out=weight_of_all, where=known)
        np.add(total, share, out=total, where=known)
        leads = share > most  # never where a part is NaN
        np.copyto(leading, np.int8(place), where=leads)
        np.copyto(most, share, where=leads)
    if least_if_unknown and least_if_unknown in scores:
        weight = np.asarray(weights.get(least_if_unknown, 0.0), dtype=np.float32)[..., None]
        counts = np.isnan(scores[least_if_unknown]) & (weight_of_all > 0)
        np.add(weight_of_all, weight, out=weight_of_all, where=counts)
    with np.errstate(invalid="ignore"):
        total /= weight_of_all
    return Blend(total, leading, tuple(scores))


def min_max_normalised(scores: Scores) -> Scores:
    """Scale each row to 0 (its least score) to 1 (its greatest); NaN stays NaN.

    A row of equal scores becomes 0. Of eight ways to make scores comparable, this one lost least
    in `hybrid`.
    """
    return _normalised(scores, *extremes(scores))


def _normalised(
    values: NDArray[np.floating], least: NDArray[np.floating], greatest: NDArray[np.floating]
) -> Scores:
    with np.errstate(invalid="ignore"):
        span = greatest - least
    # A smaller span is rounding, which scaling would blow up.
    rounding = np.maximum(1e-4 * np.maximum(np.abs(least), np.abs(greatest)), 1e-12)
    span[~(span > rounding)] = np.inf
    found = (values - least[..., None]).astype(np.float32, copy=False)
    found /= span[..., None].astype(np.float32)
    return found


class Composite(Recommender):
    """A weighted mean of parts. Where a part has no opinion, the others share its weight.

    `fit` fits the parts; in a release `compose` uses the models that the release has anyway.

    Args:
        weights: Fixed weights by part, not negative; a part that is not named is not used. None:
            `part_weights` decides.
    """

    #: The parts, by name.
    part_types: ClassVar[Mapping[str, type[Recommender]]]
    #: As in `blend`, unless the weights are fixed.
    least_if_unknown: ClassVar[str | None] = None

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        self.weights = weights
        self._parts: dict[str, Recommender] | None = None

    @property
    def parts(self) -> Mapping[str, Recommender]:
        """Raises NotFittedError."""
        if self._parts is None:
            raise NotFittedError(self.name)
        return self._parts

    def parts_for(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> list[str]:
        """The names of the parts that have a weight and no obstacle."""
        return [
            name
            for name, part in self.part_types.items()
            if self._uses(name) and part().obstacle(interactions, items, times) is None
        ]

    def _uses(self, name: str) -> bool:
        return self.weights is None or name in self.weights

    def compose(self, fitted: Mapping[str, Recommender]) -> Self:
        """Use models that are fitted already; parts that are not among them are left out."""
        self._parts = {
            name: fitted[name] for name in self.part_types if name in fitted and self._uses(name)
        }
        self.__dict__.pop("_known_items", None)
        return self

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        names = self.parts_for(interactions, items, times)
        parts = {name: self.part_types[name]() for name in names}
        return self.compose({
            name: part.fit(interactions, items, times) for name, part in parts.items()
        })  # fmt: skip

    @cached_property
    def _known_items(self) -> NDArray[np.bool_] | None:
        """As `known_items`: the items that a personal part knows."""
        known = [part.known_items() for part in self.parts.values() if part.is_personal]
        found = [each for each in known if each is not None]
        return np.logical_or.reduce(found) if found and len(found) == len(known) else None

    def is_like(
        self, items: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """(n,) whether the entry of a history is a like, of an item that a part knows."""
        known = self._known_items
        return weights > 0 if known is None else (weights > 0) & known[items]

    def like_counts(self, history: csr_matrix) -> NDArray[np.intp]:
        """(n_rows,) the number of such likes in each history."""
        ends = np.concatenate(([0], np.cumsum(self.is_like(history.indices, history.data))))
        return np.diff(ends[history.indptr])

    def part_weights(self, likes: Float32) -> PartWeights:
        """The weight of each part for (n_rows,) numbers of likes; by default all are equal.

        `blend` divides by the sum of the weights of the parts that have an opinion.
        """
        return dict.fromkeys(self.part_types, 1.0)

    def blended(
        self,
        scores: Mapping[str, NDArray[np.floating]],
        *,
        shape: tuple[int, ...],
        ranges: Ranges | None = None,
        likes: NDArray[np.integer] | None = None,
    ) -> Blend:
        """Blend the (n_rows, n) scores of each part, as in `blend`.

        All NaN for a user for whom no personal part has an opinion.

        Args:
            likes: (n_rows,) as from `like_counts`. None: the histories are long.
        """
        ranges = ranges or {name: extremes(values) for name, values in scores.items()}
        known = np.zeros(shape[0], dtype=bool)
        for name, (_, greatest) in ranges.items():
            if self.parts[name].is_personal:
                known |= greatest > -np.inf
        if likes is None:
            likes = np.full(shape[0], LONG)
        weights = self.weights or self.part_weights(likes.astype(np.float32))
        least = None if self.weights else self.least_if_unknown
        blended = blend(scores, weights, shape=shape, ranges=ranges, least_if_unknown=least)
        blended.scores[~known], blended.leading[~known] = np.nan, -1
        return blended

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        scores = {name: part.score(history, times) for name, part in self.parts.items()}
        return self.blended(scores, shape=history.shape, likes=self.like_counts(history)).scores

    def blend_settings(self) -> dict[str, Any]:
        """The fixed weights, or the searched settings that decide the weights, as JSON."""
        if self.weights is not None:
            return {WEIGHTS: dict(self.weights)}
        return {name: getattr(self, name) for name in self.search_space}

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return self.blend_settings()

    def to_arrays(self) -> dict[str, Array]:
        """The weights or settings, and the parts, which `artifacts.save` writes only once."""
        arrays: dict[str, Array] = {
            f"{name}.{key}": array
            for name, part in self.parts.items()
            for key, array in part.to_arrays().items()
        }
        if self.weights is not None:
            values = [self.weights.get(name, 0.0) for name in self.part_types]
            return arrays | {WEIGHTS: np.array(values)}
        return arrays | {BLEND: np.array([*self.blend_settings().values()], dtype=np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        how: dict[str, Any]
        if BLEND in arrays:
            how = dict(zip(cls.search_space, arrays[BLEND].tolist(), strict=True))
        else:
            # Not strict: a hybrid of an older release has no EASE, and an ensemble had SLIM.
            how = {WEIGHTS: dict(zip(cls.part_types, arrays[WEIGHTS].tolist(), strict=False))}
        return cls(**how).compose({
            name: part.from_arrays(own)
            for name, part in cls.part_types.items()
            if (own := model_arrays(arrays, name))
        })  # fmt: skip


def ease_share(likes: Float32, half: float) -> Float32:
    """The share of EASE beside ALS: with few likes ALS is better, with many EASE.

    Args:
        half: Likes with which it is half of EASE_MOST.
    """
    return EASE_MOST * likes / (likes + np.float32(half))


class HybridRecommender(Composite):
    """ALS and EASE, content and popularity: the default algorithm.

    With h likes of the viewer:

    - popularity is a prior, with p / (p + h) of what content leaves: half at p likes;
    - ALS and EASE share the rest, EASE with 0.8 h / (h + `ease`) of it;
    - content has 0.1 h / (h + 3). On a film without interactions EASE has no opinion, so content
      and ALS, which then reads features too, decide. Such a film counts as the least popular:
      otherwise it would come before the popular films where popularity decides most.

    Args:
        popularity: p.
        ease: Likes with which EASE has half of its largest share.
        weights: Fixed weights of the parts, for any history.
    """

    name = "hybrid"
    description = "The default: who likes the same, what films are made of, and what is popular."
    part_types = {
        part.name: part
        for part in (AlsRecommender, ContentRecommender, PopularityRecommender, EaseRecommender)
    }
    least_if_unknown = PopularityRecommender.name
    #: Within these bounds new films keep their place, and a viewer's first like counts.
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "popularity": (0.5, 1.0, 1.5, 2.0),
        "ease": (2.0, 5.0, 10.0, 20.0),
    }

    def __init__(
        self,
        *,
        popularity: float = 1.5,
        ease: float = 10.0,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weights=weights)
        self.popularity, self.ease = popularity, ease

    def part_weights(self, likes: Float32) -> PartWeights:
        prior = np.float32(self.popularity)
        popular = prior / (prior + likes)
        content = CONTENT_MOST * likes / (likes + CONTENT_HALF)
        by_taste = (1 - popular) * (1 - content)
        ease: float | Float32 = ease_share(likes, self.ease)
        if not {AlsRecommender.name, EaseRecommender.name} <= self.parts.keys():
            ease = float(EaseRecommender.name in self.parts)
        return {
            AlsRecommender.name: by_taste * (1 - ease),
            EaseRecommender.name: by_taste * ease,
            ContentRecommender.name: content,
            PopularityRecommender.name: popular * (1 - content),
        }
