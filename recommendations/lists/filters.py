"""The filters of the caller, which leave movies out of a list before it is ranked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import time
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from movies.languages import NO_WORDS
from recommendations.lists.item_features import (
    CatalogueFeatures,
    catalogue_features,
    is_wanted_language,
)
from recommendations.lists.scores import Scope


@dataclass(frozen=True)
class CandidateFilters:
    """Equal questions are equal objects if the tuples are sorted.

    Attributes:
        exclude: Movie ids.
        genre: A slug.
        runtime_max: Minutes; a movie of unknown length does not match.
        language, understands: BCP 47 ranges. With the scope "programme" they select screenings,
            as in the programme; with "catalogue" they look at the original language.
        before: With the scope "programme" a screening ends by this time of its cinema day.
    """

    exclude: tuple[int, ...] = ()
    genre: str | None = None
    runtime_max: int | None = None
    language: str | None = None
    understands: tuple[str, ...] = ()
    before: time | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of orjson. Raises TypeError or ValueError."""
        before = values["before"] and time.fromisoformat(values["before"])
        found = cls(**{**values, "before": before})
        return replace(found, exclude=tuple(found.exclude), understands=tuple(found.understands))

    def digest(self) -> str:
        """32 characters, of which other filters have others."""
        return blake2b(orjson.dumps(self), digest_size=16).hexdigest()

    def showing(self, snapshot: Snapshot, days: int) -> list[int]:
        """The movies with a screening to come that matches, the next first."""
        return snapshot.upcoming.showing(
            days, language=self.language, understands=self.understands, before=self.before
        )

    def matches(
        self, movie_ids: NDArray[np.int64], scope: Scope, days: int, snapshot: Snapshot
    ) -> NDArray[np.bool_] | None:
        """(n,) whether each of the (n,) movies may be listed; None: without filters each may."""
        if self == NO_FILTERS:
            return None
        found = ~np.isin(movie_ids, np.array(self.exclude, dtype=np.int64))
        if scope == "programme":
            found &= np.isin(movie_ids, self.showing(snapshot, days))
        features = catalogue_features(snapshot)
        # The last value is for an unknown movie, whose index is -1.
        fits = np.append(self._fits(features, scope, snapshot), False)
        found &= fits[features.movies.indices(movie_ids)]
        return found

    def _fits(
        self, features: CatalogueFeatures, scope: Scope, snapshot: Snapshot
    ) -> NDArray[np.bool_]:
        """(n_movies,) of the features of the movies."""
        fits = np.ones(len(features.movies), dtype=bool)
        if self.genre is not None:
            ids = [pk for pk, genre in snapshot.genres.items() if genre.slug == self.genre]
            wanted = np.isin(features.genre_ids.ids, ids).astype(np.float32)
            fits &= features.genres @ wanted > 0
        if self.runtime_max is not None:
            fits &= (features.runtimes > 0) & (features.runtimes <= self.runtime_max)
        if scope == "catalogue":
            if self.language is not None:
                fits &= _is_in(features, [self.language])
            if self.understands:
                fits &= _is_in(features, [NO_WORDS, *self.understands])
        return fits


NO_FILTERS = CandidateFilters()


def _is_in(features: CatalogueFeatures, ranges: Collection[str]) -> NDArray[np.bool_]:
    """(n_movies,) whether one of the language ranges contains the original language."""
    found = [is_wanted_language(code, [*ranges]) for code in features.codes]
    is_in: NDArray[np.bool_] = np.array(found, dtype=bool)[features.languages]
    return is_in
