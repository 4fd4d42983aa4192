"""Explanations: the entries of a user's history because of which an item is in the list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.matrices import Now, Scores, Times
from recommendations.engine.recommender import Recommender, Scoring

#: The least share of the strongest entry's contribution.
MIN_SHARE = 0.25
#: Entries that are tested for each item, and for all items together.
LOOKED_AT = 3
MAX_ENTRIES = 24
#: The newest entries that are tested if a model cannot tell contributions.
NEWEST = 20
#: A smaller fall, as a share of the greatest score, is rounding.
ROUNDING = 1e-5
#: The fall of a score that becomes NaN.
GONE = 1e9


@dataclass(frozen=True, eq=False)
class Influence:
    """The influence of a user's entries on the scores of one part of a model.

    Attributes:
        falls: (n_items, n_entries) float64, by how much the part's score falls without each entry;
            0 where it does not fall, or where the score of the whole model does not.
        fits: (n_items,) bool, whether the part scores the item above its mean.
    """

    falls: NDArray[np.float64]
    fits: NDArray[np.bool_]


@dataclass(frozen=True)
class Explanation:
    """Why one item has its score.

    Attributes:
        part: The part of the model that did most for it.
        likely: The entries that were tested because they may have raised the score.
        strongest: Those without which it falls, the strongest first.
        fits: Whether a personal part scores the item above its mean.
    """

    part: str
    likely: Sequence[int]
    strongest: Sequence[int]
    fits: bool


def score_parts(
    model: Recommender, history: csr_matrix, times: Times = None, now: Now = None
) -> dict[str, Scoring]:
    """The scores by the model's parts, or by the model itself, by name.

    Args:
        history: (n_users, n_items) float32.
        times: Unix seconds with the sparsity of `history`.
        now: (n_users,) Unix seconds at which the lists are made.
    """
    parts = model.parts if isinstance(model, Composite) else {model.name: model}
    return {name: part.scoring_type(part, history, times, now) for name, part in parts.items()}


class Explainers:
    """The explainers of a model's parts for one user.

    Args:
        parts: As from `score_parts`.
        row: The user's row there.

    Attributes:
        history, weights: (n_entries,) the items of the history and their weights.
    """

    def __init__(self, model: Recommender, parts: Mapping[str, Scoring], row: int = 0) -> None:
        self.model = model
        self.by_part = {name: scoring.explainer(row) for name, scoring in parts.items()}
        self._personal = {name for name, part in parts.items() if part.recommender.is_personal}
        one = next(iter(self.by_part.values()))
        self.history, self.weights = one.items, one.weights

    def personal_part(self, item: int, part: str) -> str:
        """Replace a part that is not personal by the first personal part that knows the item.

        Without such a part, the given one stays.
        """
        if part in self._personal:
            return part
        known = (
            name
            for name, each in self.by_part.items()
            if name in self._personal and not np.isnan(each.scores[item])
        )
        return next(known, part)

    def explain(
        self,
        items: NDArray[np.integer],
        parts: Sequence[str],
        *,
        usable: NDArray[np.bool_],
        n: int,
    ) -> list[Explanation]:
        """Explain the score of each item by the part that did most for it.

        Args:
            items: (n_items,) indices of items with a score.
            usable: (n_entries,) the entries that may be named.
            n: Entries for each item.

        Returns:
            An explanation for each item; none at all if no part is personal.
        """
        rows_of = {name: [i for i, of in enumerate(parts) if of == name] for name in {*parts}}
        likely: list[list[int]] = [[] for _ in parts]
        personal = rows_of.keys() & self._personal
        if not personal:
            return []
        for name in personal:
            found = self.candidate_entries(name, usable, items[rows_of[name]])
            for row, entries in zip(rows_of[name], found, strict=True):
                likely[row] = entries
        tested = entries_to_test(likely)
        influences = self.influences(np.array(tested, dtype=np.intp), items, personal)
        explanations, places = [Explanation(name, [], [], False) for name in parts], set(tested)
        for name, influence in influences.items():
            rows = rows_of[name]
            fits = influence.fits[rows].tolist()
            strongest = strongest_entries(influence.falls[rows], at_most=n)
            for row, entries, does_fit in zip(rows, strongest, fits, strict=True):
                looked_at = [entry for entry in likely[row] if entry in places]
                named = [tested[entry] for entry in entries]
                explanations[row] = Explanation(name, looked_at, named, does_fit)
        return explanations

    def candidate_entries(
        self, part: str, usable: NDArray[np.bool_], items: NDArray[np.integer]
    ) -> list[list[int]]:
        """For each item, the entries that may have raised its score, the likeliest first.

        A contribution to a score is not its fall without the entry, because the other entries would
        then count more. So these entries still have to be tested with `influences`.

        Args:
            usable: (n_entries,) the entries that may be named.
        """
        explainer = self.by_part[part]
        usable = usable & (explainer.weights > 0)
        contributions = explainer.contributions(items)
        if contributions is not None:
            contributions = np.where(usable, contributions, 0)
            return strongest_entries(contributions, at_most=LOOKED_AT, least_share=0)
        order = np.flatnonzero(usable)
        if (times := explainer.times) is not None:
            order = order[np.argsort(-times[order], kind="stable")]
        return [order[:NEWEST].tolist()] * len(items)

    def influences(
        self,
        entries: NDArray[np.integer],
        items: NDArray[np.integer],
        parts: Iterable[str] | None = None,
    ) -> Mapping[str, Influence]:
        """The influence of the entries by name of the part.

        Args:
            entries: (n_entries,) unique entries of the history.
            items: (n_items,) indices of items with a score.
            parts: The names of the parts that are asked for. None: all of them.
        """
        found = {name: each.without(entries, items) for name, each in self.by_part.items()}
        scores = {name: each.scores for name, each in found.items()}
        if isinstance(self.model, Composite):
            ranges = {name: (each.least, each.greatest) for name, each in found.items()}
            shape = (1 + len(entries), len(items))
            is_like = self.model.is_like(self.history, self.weights)
            likes = is_like.sum() - np.append(0, is_like[entries])
            blend = self.model.blended(scores, shape=shape, ranges=ranges, likes=likes)
            falls = _falls(blend.scores) > 0
        else:
            falls = _falls(scores[self.model.name]) > 0
        return {
            name: Influence(
                np.where(falls, _falls(scores[name]), 0), _fits(self.by_part[name].scores, items)
            )
            for name in (self.by_part if parts is None else parts)
        }


def _falls(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n_items, n_entries) from (1 + n_entries, n_items) scores; 0 where a score does not fall."""
    before, after = scores[0].astype(np.float64), scores[1:].astype(np.float64)
    falls = np.where(np.isnan(after) & ~np.isnan(before), GONE, before - after)
    least = ROUNDING * np.fmax.reduce(np.abs(before), initial=0.0)
    return np.where(falls > least, falls, 0).T


def _fits(scores: Scores, items: NDArray[np.integer]) -> NDArray[np.bool_]:
    known = ~np.isnan(scores)
    mean = scores.sum(where=known) / max(known.sum(), 1)
    return np.asarray(scores[items] > mean)


def entries_to_test(rows: Iterable[list[int]]) -> list[int]:
    """At most MAX_ENTRIES entries: the first of each row, then the second ones, and so on."""
    in_turn = chain.from_iterable(zip_longest(*rows))
    distinct = dict.fromkeys(entry for entry in in_turn if entry is not None)
    return list(distinct)[:MAX_ENTRIES]


def strongest_entries(
    contributions: NDArray[np.floating], *, at_most: int, least_share: float = MIN_SHARE
) -> list[list[int]]:
    """For each item, the entries of the history that raise its score most, the strongest first.

    Args:
        contributions: (n_items, n_entries), as from `Explainer.contributions`.
        least_share: A contribution must exceed this share of the strongest one.
    """
    left, rows = contributions.copy(), np.arange(len(contributions))
    n = min(at_most, contributions.shape[1])
    top = np.empty((len(rows), n), dtype=np.intp)
    for place in range(n):
        top[:, place] = left.argmax(axis=1)
        left[rows, top[:, place]] = -np.inf
    parts = np.take_along_axis(contributions, top, axis=1)
    counts = (parts > np.maximum(parts[:, :1] * least_share, 0)).sum(axis=1)
    return [row[:count] for row, count in zip(top.tolist(), counts.tolist(), strict=True)]
