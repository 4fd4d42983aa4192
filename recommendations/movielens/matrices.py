"""A folder as matrices without a database, for the evaluation of algorithms."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.search.text import fold
from recommendations.dataset import Evidence, weight_table
from recommendations.engine.matrices import ItemFeatures
from recommendations.feature_builder import FeatureBuilder
from recommendations.movielens.files import (
    MovieLensFilm,
    RefusedLines,
    open_folder,
    read_films,
    read_tags,
)
from recommendations.movielens.ratings import RatingReader, latest_ratings

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
    blocks = RatingReader(folder, item_ids, refused).blocks()
    rows = latest_ratings(np.concatenate([np.empty((0, 4), dtype=np.int64), *blocks]))
    tags: defaultdict[int, set[str]] = defaultdict(set)
    for tag in read_tags(folder, frozenset(item_ids.tolist()), refused):
        tags[tag.film].add(" ".join(fold(tag.text).split()))
    refused.tell_rest()
    features = FeatureBuilder()
    for row, film in enumerate(films):
        features.add(row, dict.fromkeys(_feature_names(film, tags.get(film.number, set())), 1))
    names, matrix = features.shared(len(films))
    user_ids, users = np.unique(rows[:, 0], return_inverse=True)
    starts = np.searchsorted(users, np.arange(len(user_ids) + 1)).astype(np.int32)
    columns, shape = rows[:, 1].astype(np.int32), (len(user_ids), len(films))
    weights = weight_table()[Evidence.RATING, rows[:, 2]]
    return MovieLensData(
        user_ids=user_ids,
        item_ids=item_ids,
        interactions=csr_matrix((weights, columns, starts), shape=shape),
        times=csr_matrix((rows[:, 3].astype(np.float64), columns, starts), shape=shape),
        items=ItemFeatures(matrix, tuple(names)),
        years=np.array([film.release_year or 0 for film in films], dtype=np.int64),
    )


def _feature_names(film: MovieLensFilm, tags: set[str]) -> Iterator[str]:
    yield from (f"genre:{fold(genre)}" for genre in film.genres)
    if film.release_year:
        yield f"decade:{film.release_year // 10 * 10}"
    yield from (f"keyword:{tag}" for tag in tags)
