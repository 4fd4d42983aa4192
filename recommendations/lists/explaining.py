"""By what films a film was found: the reasons of the models, each of them tried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from movies.catalogue import Snapshot
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.explaining import (
    influences,
    likely_entries,
    strongest_entries,
    worth_a_look,
)
from recommendations.engine.protocol import Recommender
from recommendations.lists.naming import Names
from recommendations.lists.opinions import POPULARITY, Past
from recommendations.lists.reasons import FITS, LIKED_HERE, POPULAR, REASONS_EACH, Reason
from recommendations.lists.sharing import in_common
from recommendations.loading import LoadedRelease
from recommendations.makings import CONTENT

#: Fewer are not many, however few watch anything here.
MANY_VIEWERS = 3


@dataclass(frozen=True)
class Ground:
    """What put a film into a list: a model, that part of it which did most, and the film's column
    in the release."""

    model: Recommender
    part: Recommender
    item: int


@dataclass(frozen=True)
class Tried:
    """What became of one film when films of the viewer were left out.

    Attributes:
        likely: Entries of the history that may have brought it.
        strongest: Those that did, and at most REASONS_EACH of them.
        fits: Whether it is above the mean film by the part that did most for it.
    """

    ground: Ground
    likely: Sequence[int]
    strongest: Sequence[int]
    fits: bool

    def pairs(self) -> Sequence[int]:
        """The entries of which something in common is to be told, if there is anything."""
        if not self.strongest:
            return self.likely
        return self.strongest if self.ground.part.name == CONTENT else ()


def explain(
    grounds: Sequence[Ground | None], past: Past, release: LoadedRelease, snapshot: Snapshot
) -> list[list[Reason]]:
    """For each the films of the viewer without which its score would be lower.

    Without such films what it shares with one of them; or else that it fits, or that others like
    it, where that is so.

    Args:
        grounds: None for what no model has put there.
        past: (1, n_items) each.
    """
    reasons: list[list[Reason]] = [[] for _ in grounds]
    by_model: dict[int, list[int]] = {}
    for place, ground in enumerate(grounds):
        if ground is not None:
            by_model.setdefault(id(ground.model), []).append(place)
    for places in by_model.values():
        asked = [ground for place in places if (ground := grounds[place])]
        found = _explain(asked, past, release, snapshot)
        for place, why in zip(places, found, strict=True):
            reasons[place] = why
    return reasons


def _explain(
    grounds: Sequence[Ground], past: Past, release: LoadedRelease, snapshot: Snapshot
) -> list[list[Reason]]:
    """Of films that one model has put there."""
    popular = _by_popularity(release, [ground.item for ground in grounds])
    if not any(ground.part.is_personal for ground in grounds):
        return popular
    likely = _likely_entries(grounds, past)
    names = Names(past, release, snapshot, worth_a_look(likely))
    tried = _try_out(grounds, likely, list(names.movie_ids), past)
    ids = release.items.ids
    films = [int(ids[each.ground.item]) for each in tried]
    shared = in_common(
        ((film, names.movie_ids[entry]) for film, each in zip(films, tried, strict=True)
         for entry in each.pairs()),
        snapshot,
    )  # fmt: skip
    return [
        _by_films(each, names, {e: shared[film, names.movie_ids[e]] for e in each.pairs()})
        or ([FITS] if each.fits else others)
        for film, each, others in zip(films, tried, popular, strict=True)
    ]


def _by_films(tried: Tried, names: Names, shared: Mapping[int, str]) -> list[Reason]:
    """
    Args:
        shared: By entry what the two films have in common, in words; empty for nothing.
    """
    if tried.strongest:
        return [names.because(entry, shared.get(entry, "")) for entry in tried.strongest]
    return [names.like(entry, words) for entry, words in shared.items() if words][:1]


def _likely_entries(grounds: Sequence[Ground], past: Past) -> list[list[int]]:
    likely: list[list[int]] = [[] for _ in grounds]
    for part, places in _by_part(grounds).values():
        if part.is_personal:
            items = np.array([grounds[place].item for place in places])
            rows = likely_entries(part, past.weights, past.times, items)
            for place, entries in zip(places, rows, strict=True):
                likely[place] = entries
    return likely


def _try_out(
    grounds: Sequence[Ground], likely: Sequence[Sequence[int]], named: Sequence[int], past: Past
) -> list[Tried]:
    """
    Args:
        likely: By ground, of which only those that are `named` are tried.
    """
    entries = np.array(named, dtype=np.intp)
    items = np.array([ground.item for ground in grounds])
    model = grounds[0].model
    by_part = influences(model, past.weights, past.times, entries=entries, items=items)
    tried: dict[int, Tried] = {}
    for name, (_, places) in _by_part(grounds).items():
        influence = by_part[name]
        at_most = 1 if name == CONTENT else REASONS_EACH
        found = strongest_entries(influence.falls[places], at_most=at_most)
        for place, row in zip(places, found, strict=True):
            tried[place] = Tried(
                grounds[place],
                [entry for entry in likely[place] if entry in named],
                entries[row].tolist(),
                bool(influence.fits[place]) and grounds[place].part.is_personal,
            )
    return [tried[place] for place in range(len(grounds))]


def _by_part(grounds: Sequence[Ground]) -> dict[str, tuple[Recommender, list[int]]]:
    """By the name of a part itself, and the places of what it did most for."""
    places: dict[str, tuple[Recommender, list[int]]] = {}
    for place, ground in enumerate(grounds):
        places.setdefault(ground.part.name, (ground.part, []))[1].append(place)
    return places


def _by_popularity(release: LoadedRelease, items: Sequence[int]) -> list[list[Reason]]:
    """That many like it is said of what more than the mean number of viewers like."""
    popularity = release.recommenders.get(POPULARITY)
    if not isinstance(popularity, PopularityRecommender):
        return [[] for _ in items]
    liked_by = popularity.liked_by
    many = max(MANY_VIEWERS, liked_by[liked_by > 0].mean()) if liked_by.any() else MANY_VIEWERS
    return [
        [POPULAR] if number >= many else [LIKED_HERE] if number else []
        for number in liked_by[items].tolist()
    ]
