"""What films are of, of all of them at once and from memory: what orders lists goes by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from movies.catalogue import Snapshot
from movies.languages import is_in_range, primary_language
from movies.metadata import series_keys
from movies.models import Movie
from recommendations.engine.matrices import IdMap, ItemFeatures, Scores, values_at
from recommendations.engine.ranking.exploration import sampled_order
from recommendations.engine.ranking.reranking import diversity_vectors
from recommendations.lists.scores import Candidates
from recommendations.releases import LoadedRelease

#: So late an edit of a film may show in the order of lists: to read all films takes a while.
OLD_AFTER_S = 60

_reading = threading.Lock()


class FeatureRow(NamedTuple):
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
class CatalogueFeatures:
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
class _CachedFeatures:
    """The latest, for which version of the catalogue they were found to do, and since when."""

    traits: CatalogueFeatures
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


_kept: _CachedFeatures | None = None


def catalogue_features(snapshot: Snapshot) -> CatalogueFeatures:
    """Of the films of the snapshot; read by the first who asks, while the others wait for it."""
    global _kept
    with _reading:
        if _kept is None or not _kept.do_for(snapshot):
            read_at = time.monotonic()
            _kept = _CachedFeatures(_read(), snapshot, read_at)
        return _kept.traits


def _read() -> CatalogueFeatures:
    rows = Movie.objects.published().order_by("pk").values_list(*FeatureRow._fields)
    films = [FeatureRow(*row) for row in rows]
    flat = np.fromiter(chain.from_iterable(film.genre_ids for film in films), dtype=np.int64)
    genre_ids = IdMap(np.unique(flat))
    ones, indices = np.ones(len(flat), dtype=np.float32), genre_ids.indices(flat)
    starts = np.cumsum([0, *(len(film.genre_ids) for film in films)])
    languages = [film.original_language or "" for film in films]
    codes = sorted(set(languages))
    places = {code: place for place, code in enumerate(codes)}
    return CatalogueFeatures(
        films=IdMap(np.array([film.pk for film in films], dtype=np.int64)),
        genre_ids=genre_ids,
        genres=csr_matrix((ones, indices, starts), shape=(len(films), len(genre_ids))),
        languages=np.array([places[code] for code in languages], dtype=np.int32),
        codes=codes,
        rankings=np.array([film.ranking for film in films], dtype=np.float32),
        starts=np.array([*(film.start_date.toordinal() for film in films), 0], dtype=np.int32),
        series=series_keys((film.pk, film.name, film.series) for film in films),
        vectors=_vectors(films),
    )


def _vectors(films: Sequence[FeatureRow]) -> csr_matrix:
    """Also of what no model may learn from: this orders only."""
    kinds: Mapping[str, Callable[[FeatureRow], Sequence[Hashable]]] = {
        "genre": lambda film: film.genre_ids,
        "decade": lambda film: [film.release_year // 10] if film.release_year else (),
        "director": lambda film: film.directors,
        "language": lambda film: (
            [primary_language(code)] if (code := film.original_language) else ()
        ),
    }
    blocks = {kind: _matrix([*map(of, films), ()]) for kind, of in kinds.items()}
    names = tuple(f"{kind}:" for kind, block in blocks.items() for _ in range(block.shape[1]))
    return diversity_vectors(ItemFeatures(hstack([*blocks.values()], format="csr"), names))


def _matrix(of_each: Sequence[Sequence[Hashable]]) -> csr_matrix:
    """(n, n_different) float32 of ones."""
    columns: dict[Hashable, int] = {}
    flat = [columns.setdefault(value, len(columns)) for values in of_each for value in values]
    starts = np.cumsum([0, *map(len, of_each)])
    entries = np.ones(len(flat), dtype=np.float32), np.array(flat, dtype=np.int32), starts
    return csr_matrix(entries, shape=(len(of_each), len(columns)))


EXPLORATION = "exploration"

#: A film is new for so long after it was posted, and after it starts.
NEW_FOR = timedelta(days=90)
#: What so many viewers have said something of needs no place by itself.
ENOUGH_VIEWERS = 5
#: After an import all films are new. The latest ones are then enough.
AT_MOST = 1000

# The last column ends counting early: some films have a hundred thousand interactions.
QUERY = """
SELECT id, ranking FROM movies_movie
WHERE withdrawn_at IS NULL AND (created_at >= %(since)s OR start_date >= %(since_day)s)
  AND %(enough)s > (
    SELECT count(*) FROM (
        SELECT FROM recommendations_interaction WHERE movie_id = movies_movie.id LIMIT %(enough)s
    ) AS first_ones
  )
ORDER BY created_at DESC, id DESC LIMIT %(at_most)s
"""


@lru_cache(maxsize=2)
def _new_films(snapshot: Snapshot, release: LoadedRelease) -> tuple[IdMap, NDArray[np.float32]]:
    """Published films that few have said anything of, and their rankings, (n_new,).

    Read once for a version of the catalogue and a release: whoever acts on one leaves it new for a
    while.
    """
    since = timezone.now() - NEW_FOR
    asked = {"since": since, "since_day": timezone.localdate(since)}
    with connection.cursor() as cursor:
        cursor.execute(QUERY, {**asked, "enough": ENOUGH_VIEWERS, "at_most": AT_MOST})
        rows = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 2)
    ids, rankings = rows[np.argsort(rows[:, 0])].T
    return IdMap(ids), rankings.astype(np.float32)


def exploration_order(
    user_id: int,
    films: Candidates,
    allowed: NDArray[np.bool_],
    opinions: Sequence[Scores],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> list[int]:
    """The new ones among the films, in the order in which it is their turn with this viewer today.

    First come those that the release does not know: nothing is learned of them otherwise. Then
    it goes by the first of the opinions that says something, and last by ranking.

    Args:
        allowed: (n_films,) what may be listed.
        opinions: (n_films,) each, the most trusted first.
    """
    new_films, rankings = _new_films(snapshot, release)
    places = new_films.indices(films.ids)
    new = np.flatnonzero(allowed & (places >= 0))
    if not len(new):
        return []
    trust = np.full(len(new), len(opinions))
    scores = values_at(places[new], rankings)
    for number, said in reversed(list(enumerate(opinions))):
        known = ~np.isnan(said[new])
        trust[known], scores[known] = number, said[new][known]
    best_first = new[np.lexsort((-scores, trust, films.items[new] >= 0))]
    rng = np.random.default_rng([user_id, timezone.localdate().toordinal()])
    turn: list[int] = best_first[sampled_order(len(new), rng)].tolist()
    return turn


def is_new(place: int, films: Candidates, snapshot: Snapshot, release: LoadedRelease) -> bool:
    """Whether that may be said of a film of which nobody else says anything: it has come since the
    training, or it starts in these months. Without both it may stand here untouched for years."""
    if release.id is not None and films.items[place] < 0:
        return True
    traits = catalogue_features(snapshot)
    [row] = traits.films.indices(films.ids[[place]])
    since = timezone.localdate() - NEW_FOR
    return bool(traits.starts[row] >= since.toordinal())


def is_wanted_language(code: str, languages: Sequence[str]) -> bool:
    return any(is_in_range(code, wanted) for wanted in languages)
