"""A folder as matrices without a database, for the evaluation of algorithms."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.search.text import fold
from recommendations.dataset import Evidence, weight_table
from recommendations.engine.matrices import ItemFeatures
from recommendations.movielens.files import RefusedLines, open_folder
from recommendations.movielens.films import MovieLensFilm, read_films, read_tags
from recommendations.movielens.ratings import RatingReader, RatingRows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MovieLensData:
    """The ratings of a folder, weighted as those in the database; rows and columns by ascending id.

    Attributes:
        user_ids: (n_users,) int64, the userId of each row.
        item_ids: (n_items,) int64, the movieId of each column, unrated films included.
        interactions: (n_users, n_items) float32 weights.
        times: Of the same sparsity, float64 Unix seconds.
        items: `genre:`, `decade:` of the title's year, and `keyword:` of the tags, each 1. A
            feature of a single film is left out, as in the features of the catalogue.
        years: (n_items,) int64 release years; 0 for a title without one.
    """

    user_ids: NDArray[np.int64]
    item_ids: NDArray[np.int64]
    interactions: csr_matrix
    times: csr_matrix
    items: ItemFeatures
    years: NDArray[np.int64]


def read_matrices(path: Path, *, tell: Callable[[str], None] = log.warning) -> MovieLensData:
    """Read a folder such as ml-latest-small, ml-25m or ml-1m.

    The latest of several ratings of a film by one viewer counts. Unusable lines are left out.

    Args:
        tell: Receives a line of text for the first lines that are refused.

    Raises:
        NotMovieLens: The folder is not one that MovieLens has published.
    """
    folder = open_folder(path)
    refused = RefusedLines(tell)
    films = sorted(read_films(folder, refused), key=lambda film: film.number)
    item_ids = np.array([film.number for film in films], dtype=np.int64)
    blocks = [block.rows for block in RatingReader(folder, item_ids, refused).blocks()]
    rows = _latest(np.concatenate([np.empty((0, 4), dtype=np.int64), *blocks]), len(films))
    tags: defaultdict[int, set[str]] = defaultdict(set)
    for tag in read_tags(folder, frozenset(item_ids.tolist()), refused):
        tags[tag.film].add(" ".join(fold(tag.text).split()))
    refused.tell_rest()
    user_ids, users = np.unique(rows[:, 0], return_inverse=True)
    starts = np.searchsorted(users, np.arange(len(user_ids) + 1)).astype(np.int32)
    columns, shape = rows[:, 1].astype(np.int32), (len(user_ids), len(films))
    weights = weight_table()[Evidence.RATING, rows[:, 2]]
    return MovieLensData(
        user_ids=user_ids,
        item_ids=item_ids,
        interactions=csr_matrix((weights, columns, starts), shape=shape),
        times=csr_matrix((rows[:, 3].astype(np.float64), columns, starts), shape=shape),
        items=_features(films, tags),
        years=np.array([film.release_year or 0 for film in films], dtype=np.int64),
    )


def _latest(rows: RatingRows, n_items: int) -> RatingRows:
    """Sort by viewer and film, and keep the latest of each pair; in one second the last line."""
    keys = rows[:, 0] * n_items + rows[:, 1]
    order = np.lexsort((rows[:, 3], keys))
    rows, keys = rows[order], keys[order]
    is_last = np.ones(len(keys), dtype=bool)
    is_last[:-1] = keys[1:] != keys[:-1]
    latest: RatingRows = rows[is_last]
    return latest


def _features(films: Sequence[MovieLensFilm], tags: Mapping[int, set[str]]) -> ItemFeatures:
    """Sort the names, as sets have no order."""
    named = [sorted(_feature_names(film, tags.get(film.number, set()))) for film in films]
    counts = Counter(name for of_film in named for name in of_film)
    names = sorted(name for name, count in counts.items() if count > 1)
    columns = {name: column for column, name in enumerate(names)}
    found = [[columns[name] for name in of_film if name in columns] for of_film in named]
    indices = np.array([column for of_film in found for column in of_film], dtype=np.int32)
    starts = np.cumsum([0, *map(len, found)])
    values = np.ones(len(indices), dtype=np.float32)
    matrix = csr_matrix((values, indices, starts), shape=(len(films), len(names)))
    return ItemFeatures(matrix, tuple(names))


def _feature_names(film: MovieLensFilm, tags: set[str]) -> Iterator[str]:
    yield from {f"genre:{fold(genre)}" for genre in film.genres}
    if film.release_year:
        yield f"decade:{film.release_year // 10 * 10}"
    yield from (f"keyword:{tag}" for tag in tags)
