"""What films are of, of all of them at once and from memory: what orders lists goes by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from movies.catalogue import Snapshot
from movies.languages import primary
from movies.models import Movie
from movies.series import series_of
from recommendations.engine.ids import IdMap
from recommendations.engine.protocol import ItemFeatures
from recommendations.engine.reranking import vectors_of

#: So late an edit of a film may show in the order of lists: to read all films takes a while.
OLD_AFTER_S = 60

_reading = threading.Lock()


class Film(NamedTuple):
    """The columns that are read."""

    pk: int
    genre_ids: Sequence[int]
    directors: Sequence[str]
    original_language: str | None
    release_year: int | None
    start_date: date
    ranking: int
    name: str
    series: str


@dataclass(frozen=True, eq=False)
class Traits:
    """What all published films are of; rows are `films`.

    Attributes:
        genres: (n_films, n_genres) float32 of ones; columns are `genre_ids`.
        languages: (n_films,) int32, places in `codes`.
        codes: Tags of BCP 47; the empty one for films without a language.
        rankings: (n_films,) float32.
        starts: (n_films + 1,) int32, the ordinal of the day; the last one is long ago, for a film
            that is not among them.
        series: By id the key of each film; "" for one of none.
        vectors: (n_films + 1, n_features) float32 as from `vectors_of`; the last row is empty.
    """

    films: IdMap
    genre_ids: IdMap
    genres: csr_matrix
    languages: NDArray[np.int32]
    codes: Sequence[str]
    rankings: NDArray[np.float32]
    starts: NDArray[np.int32]
    series: dict[int, str]
    vectors: csr_matrix


@dataclass
class _Kept:
    """The latest, for which version of the catalogue they were found to do, and since when."""

    traits: Traits
    snapshot: Snapshot
    read_at: float

    def do_for(self, snapshot: Snapshot) -> bool:
        """Most versions are of screenings and of rankings. Which films there are must be right;
        what an edit made of one of them may wait, as all lists of a process would wait for it."""
        if self.snapshot is not snapshot:
            is_old = time.monotonic() - self.read_at > OLD_AFTER_S
            if is_old or set(snapshot.published) != set(self.traits.films.ids.tolist()):
                return False
            self.snapshot = snapshot
        return True


_kept: _Kept | None = None


def traits_of(snapshot: Snapshot) -> Traits:
    """Of the films of the snapshot; read by the first who asks, while the others wait for it."""
    global _kept
    with _reading:
        if _kept is None or not _kept.do_for(snapshot):
            read_at = time.monotonic()
            _kept = _Kept(_read(), snapshot, read_at)
        return _kept.traits


def _read() -> Traits:
    rows = Movie.objects.published().order_by("pk").values_list(*Film._fields)
    films = [Film(*row) for row in rows]
    flat = np.fromiter(chain.from_iterable(film.genre_ids for film in films), dtype=np.int64)
    genre_ids = IdMap(np.unique(flat))
    ones, indices = np.ones(len(flat), dtype=np.float32), genre_ids.indices(flat)
    starts = np.cumsum([0, *(len(film.genre_ids) for film in films)])
    languages = [film.original_language or "" for film in films]
    codes = sorted(set(languages))
    places = {code: place for place, code in enumerate(codes)}
    return Traits(
        films=IdMap(np.array([film.pk for film in films], dtype=np.int64)),
        genre_ids=genre_ids,
        genres=csr_matrix((ones, indices, starts), shape=(len(films), len(genre_ids))),
        languages=np.array([places[code] for code in languages], dtype=np.int32),
        codes=codes,
        rankings=np.array([film.ranking for film in films], dtype=np.float32),
        starts=np.array([*(film.start_date.toordinal() for film in films), 0], dtype=np.int32),
        series=series_of((film.pk, film.name, film.series) for film in films),
        vectors=_vectors(films),
    )


def _vectors(films: Sequence[Film]) -> csr_matrix:
    """Also of what no model may learn from: this orders only."""
    kinds: Mapping[str, Callable[[Film], Sequence[Hashable]]] = {
        "genre": lambda film: film.genre_ids,
        "decade": lambda film: [film.release_year // 10] if film.release_year else (),
        "director": lambda film: film.directors,
        "language": lambda film: [primary(code)] if (code := film.original_language) else (),
    }
    blocks = {kind: _matrix([*map(of, films), ()]) for kind, of in kinds.items()}
    names = tuple(f"{kind}:" for kind, block in blocks.items() for _ in range(block.shape[1]))
    return vectors_of(ItemFeatures(hstack([*blocks.values()], format="csr"), names))


def _matrix(of_each: Sequence[Sequence[Hashable]]) -> csr_matrix:
    """(n, n_different) float32 of ones."""
    columns: dict[Hashable, int] = {}
    flat = [columns.setdefault(value, len(columns)) for values in of_each for value in values]
    starts = np.cumsum([0, *map(len, of_each)])
    entries = np.ones(len(flat), dtype=np.float32), np.array(flat, dtype=np.int32), starts
    return csr_matrix(entries, shape=(len(of_each), len(columns)))
