"""Features of all published movies in memory, for the order of lists; and which movies are new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from cinema import replicas
from movies.catalogue import Snapshot
from movies.languages import is_in_range, primary_language
from movies.metadata import series_keys
from movies.models import Movie
from recommendations.engine.matrices import IdMap, ItemFeatures, Scores
from recommendations.engine.ranking.exploration import sampled_order
from recommendations.engine.ranking.reranking import diversity_vectors
from recommendations.lists.scores import Candidates
from recommendations.releases import LoadedRelease

EXPLORATION = "exploration"

#: An edit of a movie may affect lists so late: reading all movies takes a while.
MAX_AGE_S = 60
#: A movie is new for so long after it was added, and after it starts.
NEW_FOR = timedelta(days=90)
#: A movie with interactions of so many viewers needs no exploration.
ENOUGH_VIEWERS = 5
#: After an import all movies are new; only the latest are explored.
MAX_NEW = 1000

# The inner limit ends the count early: some movies have a hundred thousand interactions.
NEW_MOVIES = """
SELECT id, ranking FROM movies_movie
WHERE withdrawn_at IS NULL AND (created_at >= %(since)s OR start_date >= %(since_day)s)
  AND %(enough)s > (
    SELECT count(*) FROM (
        SELECT FROM recommendations_interaction WHERE movie_id = movies_movie.id LIMIT %(enough)s
    ) AS first_ones
  )
ORDER BY created_at DESC, id DESC LIMIT %(max_new)s
"""


class FeatureRow(NamedTuple):
    """The columns that are read of a movie."""

    pk: int
    genre_ids: Sequence[int]
    directors: Sequence[str]
    original_language: str | None
    release_year: int | None
    runtime_minutes: int | None
    start_date: date
    ranking: int
    name: str
    series: str


@dataclass(frozen=True, eq=False)
class CatalogueFeatures:
    """The features of all published movies; rows are `movies`.

    Attributes:
        genres: (n_movies, n_genres) float32 ones; columns are `genre_ids`.
        languages: (n_movies,) int32 indices in `codes`.
        codes: BCP 47 tags; empty for movies without a language.
        rankings: (n_movies,) float32.
        runtimes: (n_movies,) int32 minutes; 0 if unknown.
        starts: (n_movies + 1,) int32 ordinals of the first day; 0 in the last row, which stands for
            an unknown movie.
        names: The names of the movies.
        series: By movie id the key of its series; empty for none.
        vectors: (n_movies + 1, n_features) float32 of `diversity_vectors`; the last row is empty.
    """

    movies: IdMap
    genre_ids: IdMap
    genres: csr_matrix
    languages: NDArray[np.int32]
    codes: Sequence[str]
    rankings: NDArray[np.float32]
    runtimes: NDArray[np.int32]
    starts: NDArray[np.int32]
    names: Sequence[str]
    series: dict[int, str]
    vectors: csr_matrix


@dataclass
class _CachedFeatures:
    features: CatalogueFeatures
    snapshot: Snapshot
    read_at: float

    def is_valid_for(self, snapshot: Snapshot) -> bool:
        """Whether the set of movies is the same and no edit has waited for too long.

        Most versions of the catalogue change only screenings or rankings.
        """
        if self.snapshot is not snapshot:
            is_old = time.monotonic() - self.read_at > MAX_AGE_S
            if is_old or set(snapshot.published) != set(self.features.movies.ids.tolist()):
                return False
            self.snapshot = snapshot
        return True


_cached: _CachedFeatures | None = None
_reading = threading.Lock()


def catalogue_features(snapshot: Snapshot) -> CatalogueFeatures:
    """The features of the snapshot's movies; one thread reads them while the others wait."""
    global _cached
    with _reading:
        if _cached is None or not _cached.is_valid_for(snapshot):
            read_at = time.monotonic()
            _cached = _CachedFeatures(_read(), snapshot, read_at)
        return _cached.features


def _read() -> CatalogueFeatures:
    rows = Movie.objects.published().order_by("pk").values_list(*FeatureRow._fields)
    movies = [FeatureRow(*row) for row in rows]
    flat = np.fromiter(chain.from_iterable(movie.genre_ids for movie in movies), dtype=np.int64)
    genre_ids = IdMap(np.unique(flat))
    ones, indices = np.ones(len(flat), dtype=np.float32), genre_ids.indices(flat)
    starts = np.cumsum([0, *(len(movie.genre_ids) for movie in movies)])
    languages = [movie.original_language or "" for movie in movies]
    codes = sorted(set(languages))
    index_of = {code: index for index, code in enumerate(codes)}
    return CatalogueFeatures(
        movies=IdMap(np.array([movie.pk for movie in movies], dtype=np.int64)),
        genre_ids=genre_ids,
        genres=csr_matrix((ones, indices, starts), shape=(len(movies), len(genre_ids))),
        languages=np.array([index_of[code] for code in languages], dtype=np.int32),
        codes=codes,
        rankings=np.array([movie.ranking for movie in movies], dtype=np.float32),
        runtimes=np.array([movie.runtime_minutes or 0 for movie in movies], dtype=np.int32),
        starts=np.array([*(movie.start_date.toordinal() for movie in movies), 0], dtype=np.int32),
        names=[movie.name for movie in movies],
        series=series_keys((movie.pk, movie.name, movie.series) for movie in movies),
        vectors=_vectors(movies),
    )


def _vectors(movies: Sequence[FeatureRow]) -> csr_matrix:
    """These also use fields of TMDb's: they order lists, and no model learns from them."""
    kinds: Mapping[str, Callable[[FeatureRow], Sequence[Hashable]]] = {
        "genre": lambda movie: movie.genre_ids,
        "decade": lambda movie: [movie.release_year // 10] if movie.release_year else (),
        "director": lambda movie: movie.directors,
        "language": lambda movie: (
            [primary_language(code)] if (code := movie.original_language) else ()
        ),
    }
    blocks = {kind: _indicators([*map(of, movies), ()]) for kind, of in kinds.items()}
    names = tuple(f"{kind}:" for kind, block in blocks.items() for _ in range(block.shape[1]))
    return diversity_vectors(ItemFeatures(hstack([*blocks.values()], format="csr"), names))


def _indicators(rows: Sequence[Sequence[Hashable]]) -> csr_matrix:
    """(n_rows, n_values) float32 ones, with a column for each different value."""
    columns: dict[Hashable, int] = {}
    flat = [columns.setdefault(value, len(columns)) for values in rows for value in values]
    starts = np.cumsum([0, *map(len, rows)])
    entries = np.ones(len(flat), dtype=np.float32), np.array(flat, dtype=np.int32), starts
    return csr_matrix(entries, shape=(len(rows), len(columns)))


def is_wanted_language(code: str, languages: Sequence[str]) -> bool:
    return any(is_in_range(code, wanted) for wanted in languages)


# --- new movies


@lru_cache(maxsize=8)
def _new_movies(
    candidates: Candidates, snapshot: Snapshot, release: LoadedRelease
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The new movies among the candidates, ascending, and their rankings, (n_new,) each.

    They are read once for a version of the catalogue and a release: an interaction alone does not
    end the exploration of a movie at once.
    """
    since = timezone.now() - NEW_FOR
    parameters: dict[str, Any] = {
        "since": since,
        "since_day": timezone.localdate(since),
        "enough": ENOUGH_VIEWERS,
        "max_new": MAX_NEW,
    }
    with replicas.cursor() as cursor:
        cursor.execute(NEW_MOVIES, parameters)
        rankings = dict(cursor.fetchall())
    places = np.sort(candidates.places(rankings))
    found = [rankings[pk] for pk in candidates.ids[places].tolist()]
    return places, np.array(found, dtype=np.float32)


def exploration_order(
    user_id: int,
    candidates: Candidates,
    allowed: NDArray[np.bool_],
    scores: Sequence[Scores],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> list[int]:
    """The new movies among the candidates in the order in which the viewer explores them today.

    Movies that the release does not know come first: nothing can be learned of them otherwise.
    Then the first source that has a score decides, and last the ranking.

    Args:
        allowed: (n_movies,) True for a movie that may be listed.
        scores: (n_movies,) each, the most trusted source first.
    """
    new, best = _new_movies(candidates, snapshot, release)
    new, best = new[allowed[new]], best[allowed[new]]
    if not len(new):
        return []
    source = np.full(len(new), len(scores))
    for number, of_source in reversed(list(enumerate(scores))):
        known = ~np.isnan(of_source[new])
        source[known], best[known] = number, of_source[new][known]
    best_first = new[np.lexsort((-best, source, candidates.items[new] >= 0))]
    rng = np.random.default_rng([user_id, timezone.localdate().toordinal()])
    order: list[int] = best_first[sampled_order(len(new), rng)].tolist()
    return order


def is_new(movie: int, candidates: Candidates, snapshot: Snapshot, release: LoadedRelease) -> bool:
    """Whether the movie came after the training, or starts in these months.

    Other movies may lie in the catalogue untouched for years.
    """
    if release.id is not None and candidates.items[movie] < 0:
        return True
    features = catalogue_features(snapshot)
    [row] = features.movies.indices(candidates.ids[[movie]])
    since = timezone.localdate() - NEW_FOR
    return bool(features.starts[row] >= since.toordinal())
