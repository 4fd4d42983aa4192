"""A folder as matrices, without a database: what an algorithm is measured on."""

from __future__ import annotations

import io
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.search.text import fold
from recommendations.engine.matrices import ItemFeatures
from recommendations.interaction_weights import Evidence, weight_table
from recommendations.movielens.files import Folder, LineRefused, Refusals, open_folder
from recommendations.movielens.films import Film, read_films
from recommendations.movielens.importing import TOLERANCE_S
from recommendations.movielens.ratings import RatingParser
from recommendations.movielens.tags import read_tags

log = logging.getLogger(__name__)

#: Parsed at once; ml-25m has 680 MB.
BLOCK_BYTES = 16 * 1024 * 1024

#: (n, 4) int64: viewer, column, half stars, Unix seconds.
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MovieLens:
    """The ratings of a folder, weighed as those in the database; rows and columns by ascending id.

    Attributes:
        user_ids: (n_users,) int64, the userId of each row.
        item_ids: (n_items,) int64, the movieId of each column, unrated films among them.
        interactions: (n_users, n_items) float32 weights.
        times: Of the same sparsity, float64 Unix seconds.
        items: `genre:`, `decade:` of the title's year, and `keyword:` of the tags, each 1. What
            one film alone has is left out, as from the catalogue.
        years: (n_items,) int64 of release; 0 where the title has none.
    """

    user_ids: NDArray[np.int64]
    item_ids: NDArray[np.int64]
    interactions: csr_matrix
    times: csr_matrix
    items: ItemFeatures
    years: NDArray[np.int64]


def read_matrices(path: Path, *, tell: Callable[[str], None] = log.warning) -> MovieLens:
    """Read a folder such as ml-latest-small, ml-25m or ml-1m.

    Of several ratings of a film by one viewer the latest counts. What cannot be used is left out.

    Args:
        tell: Gets a line of text for the first lines that are refused.

    Raises:
        NotMovieLens: The folder is none that MovieLens has published.
    """
    folder = open_folder(path)
    refusals = Refusals(tell)
    films = sorted(read_films(folder, refusals), key=lambda film: film.number)
    columns = {film.number: column for column, film in enumerate(films)}
    rows = _latest(_read_ratings(folder, columns, refusals), len(films))
    features = _features(films, read_tags(folder, columns, refusals))
    refusals.tell_the_rest()
    user_ids, users = np.unique(rows[:, 0], return_inverse=True)
    shape = (len(user_ids), len(films))
    places = np.searchsorted(users, np.arange(len(user_ids) + 1)), rows[:, 1].astype(np.int32)
    weights = weight_table()[Evidence.RATING, rows[:, 2]]
    return MovieLens(
        user_ids=user_ids,
        item_ids=np.array(list(columns), dtype=np.int64),
        interactions=_csr(weights, places, shape),
        times=_csr(rows[:, 3].astype(np.float64), places, shape),
        items=features,
        years=np.array([film.release_year or 0 for film in films], dtype=np.int64),
    )


def _csr(
    values: NDArray[np.generic],
    places: tuple[NDArray[np.intp], NDArray[np.int32]],
    shape: tuple[int, int],
) -> csr_matrix:
    starts, columns = places
    return csr_matrix((values, columns, starts.astype(np.int32)), shape=shape)


def _latest(rows: Rows, n_items: int) -> Rows:
    """By viewer and column, each pair once: of several the latest, of one second the last line."""
    keys = rows[:, 0] * n_items + rows[:, 1]
    order = np.lexsort((rows[:, 3], keys))
    rows, keys = rows[order], keys[order]
    is_last = np.ones(len(keys), dtype=bool)
    is_last[:-1] = keys[1:] != keys[:-1]
    latest: Rows = rows[is_last]
    return latest


# --- ratings


def _read_ratings(folder: Folder, columns: Mapping[int, int], refusals: Refusals) -> Rows:
    """In the file's order."""
    reader = _RatingReader(folder, columns, refusals)
    blocks = [reader.read(block, first) for block, first in _blocks(folder)]
    return np.concatenate([np.empty((0, 4), dtype=np.int64), *blocks])


def _blocks(folder: Folder) -> Iterator[tuple[bytes, int]]:
    """Whole lines below the header, and the number of the first one."""
    number = 1
    with folder.ratings.open("rb") as file:
        if folder.has_headers:
            file.readline()
            number = 2
        while block := file.read(BLOCK_BYTES):
            block += file.readline()
            yield block, number
            number += block.count(b"\n")


class _RatingReader:
    """Block by block through NumPy; one with anything unusual in it goes line by line."""

    def __init__(self, folder: Folder, columns: Mapping[int, int], refusals: Refusals) -> None:
        self._path, self._refusals = folder.ratings, refusals
        self._separator = folder.separator.encode()
        self._numbers = np.array(list(columns), dtype=np.int64)
        self._latest_s = int(time.time()) + TOLERANCE_S
        self._parser = RatingParser(columns, folder.separator, self._latest_s)

    def read(self, block: bytes, first: int) -> Rows:
        rows = self._at_once(block)
        return self._line_by_line(block, first) if rows is None else rows

    def _at_once(self, block: bytes) -> Rows | None:
        """None if anything in the block is not as usual."""
        if not block.strip():
            return np.empty((0, 4), dtype=np.int64)
        try:
            text = io.BytesIO(block.replace(self._separator, b","))
            values = np.loadtxt(text, delimiter=",", comments=None, ndmin=2)
        except ValueError:
            return None
        if values.shape[1] != 4:
            return None
        values[:, 2] *= 2
        within = (values >= [0, 0, 1, 0]) & (values < [1e9, 2**31, 11, self._latest_s + 1])
        if not within.all() or (values % 1).any():
            return None
        rows = values.astype(np.int64)
        found = np.searchsorted(self._numbers, rows[:, 1])
        if not (self._numbers.take(found, mode="clip") == rows[:, 1]).all():
            return None
        rows[:, 1] = found
        return rows

    def _line_by_line(self, block: bytes, first: int) -> Rows:
        rows = []
        for number, line in enumerate(block.split(b"\n"), first):
            if line.strip():
                try:
                    rows.append(self._parser.parse(line).split(b"\t"))
                except LineRefused as reason:
                    self._refusals.add(self._path, number, reason)
        return np.array(rows, dtype=np.bytes_).reshape(-1, 4).astype(np.int64)


# --- features


def _features(films: Sequence[Film], tags: Mapping[int, set[str]]) -> ItemFeatures:
    """The names in ascending order, as sets keep none."""
    of_each = [sorted(_names(film, tags.get(film.number, set()))) for film in films]
    counts = Counter(name for of_one in of_each for name in of_one)
    names = sorted(name for name, count in counts.items() if count > 1)
    columns = {name: column for column, name in enumerate(names)}
    found = [[columns[name] for name in of_one if name in columns] for of_one in of_each]
    indices = [column for of_one in found for column in of_one]
    starts = np.cumsum([0, *map(len, found)])
    matrix = csr_matrix(
        (np.ones(len(indices), dtype=np.float32), np.array(indices, dtype=np.int32), starts),
        shape=(len(films), len(names)),
    )
    return ItemFeatures(matrix, tuple(names))


def _names(film: Film, tags: set[str]) -> Iterator[str]:
    yield from {f"genre:{fold(genre)}" for genre in film.genres}
    if film.release_year:
        yield f"decade:{film.release_year // 10 * 10}"
    yield from (f"keyword:{tag}" for tag in tags)
