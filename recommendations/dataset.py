"""From Postgres to the user-item matrix, without an ORM object on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.models import Movie
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.interaction_weights import HALF_STARS, Evidence, latest_verdicts, weight_table
from recommendations.item_features import load_features
from recommendations.models import Interaction
from users.models import User

#: Bytes gathered before NumPy reads them.
BLOCK_BYTES = 4 * 1024 * 1024

#: 1 January 2000 in Unix seconds: where Postgres begins to count microseconds.
POSTGRES_EPOCH_S = 946_684_800

#: A row of the query below in COPY's binary format: a count of fields, then length and value of
#: each, big-endian. No field can be null, so all rows have this width.
ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("user_length", ">i4"),
        ("user", ">i8"),
        ("movie_length", ">i4"),
        ("movie", ">i8"),
        ("kind_length", ">i4"),
        ("kind", ">i2"),
        ("half_stars_length", ">i4"),
        ("half_stars", ">i2"),
        ("updated_length", ">i4"),
        ("updated", ">i8"),
    ]
)
HEADER_BYTES = 19
QUERY = """
COPY (
    SELECT user_id, movie_id, kind, half_stars, updated_at FROM recommendations_evidence
) TO STDOUT (FORMAT BINARY)
"""

#: Times as numbers: to parse them as dates took most of the time that a history takes.
HISTORY_QUERY = """
SELECT movie_id, kind, half_stars, (extract(epoch FROM updated_at) * 1000000)::bigint
FROM recommendations_evidence
WHERE user_id = %s
"""

#: A viewer's evidence as one value: a row of a query, or of COPY, takes the driver microseconds.
HISTORIES_QUERY = """
SELECT user_id, string_agg(
    int8send(movie_id) || int2send(kind) || int2send(half_stars) || timestamptz_send(updated_at), ''
)
FROM recommendations_evidence WHERE user_id = ANY(%s) GROUP BY user_id
"""
EVIDENCE = np.dtype([("movie", ">i8"), ("kind", ">i2"), ("half_stars", ">i2"), ("updated", ">i8")])


@dataclass(frozen=True)
class Dataset:
    """All interactions; rows are `users`, columns are `items`, both by ascending id.

    Attributes:
        interactions: (n_users, n_items) float32 weights.
        times: Of the same sparsity, float64 Unix seconds.
        ratings: (n_users, n_items) uint8 half stars, also where a later word counts for the weight.
        features: (n_items, n_features), what the films are made of.
    """

    users: IdMap
    items: IdMap
    interactions: csr_matrix
    times: csr_matrix
    ratings: csr_matrix
    features: ItemFeatures


def load_dataset() -> Dataset:
    """Read everything that may be learned from: of movies not withdrawn, by users not closed.

    Beyond the matrices themselves the peak is about 18 bytes an interaction: a key, a code, the
    order of the keys, and one column that is there twice while it is put in order.
    """
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:  # one snapshot of all tables, or a user who joins in between would have no row
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        users = _ids(User.objects.filter(is_active=True))
        items = _ids(Movie.objects.published())
        features = load_features(items)
        rows = _read(cursor, users, items, _count(cursor))
    return _to_dataset(users, items, rows, features)


def _count(cursor: CursorWrapper) -> int:
    cursor.execute("SELECT count(*) FROM recommendations_evidence")
    return int(cursor.fetchone()[0])


def _ids(rows: QuerySet[User] | QuerySet[Movie]) -> IdMap:
    ids = rows.order_by("pk").values_list("pk", flat=True)
    return IdMap(np.fromiter(ids.iterator(chunk_size=50_000), dtype=np.int64))


@dataclass
class _Rows:
    """Interactions.

    Attributes:
        keys: (n,) int64, user index * n_items + item index.
        seconds: (n,) float64 Unix seconds.
        codes: (n,) uint8, the place in the weight table, counted row by row.
    """

    keys: NDArray[np.int64]
    seconds: NDArray[np.float64]
    codes: NDArray[np.uint8]

    def keep(self, which: NDArray[np.integer] | NDArray[np.bool_] | slice) -> None:
        """Keep these, in this order. Column by column: only one of them is there twice."""
        self.keys = self.keys[which]
        self.seconds = self.seconds[which]
        self.codes = self.codes[which]


def _read(cursor: CursorWrapper, users: IdMap, items: IdMap, count: int) -> _Rows:
    """All rows whose user and movie are in the maps; `count` is how many there are at most."""
    rows = _Rows(
        np.empty(count, dtype=np.int64),
        np.empty(count, dtype=np.float64),
        np.empty(count, dtype=np.uint8),
    )
    filled = 0
    with cursor.copy(QUERY) as copy:
        buffer, to_skip = bytearray(), HEADER_BYTES
        for data in copy:
            if len(buffer) >= BLOCK_BYTES:  # asked before the trailer could be added
                filled += _parse(bytes(buffer[to_skip:]), users, items, rows, filled)
                buffer, to_skip = bytearray(), 0
            buffer += data
        trailer_bytes = 2  # a count of -1 fields
        end = len(buffer) - trailer_bytes
        filled += _parse(bytes(buffer[to_skip:end]), users, items, rows, filled)
    rows.keep(slice(filled))
    return rows


def _parse(data: bytes, users: IdMap, items: IdMap, into: _Rows, start: int) -> int:
    """Decode a block of whole rows to `into` from `start` on; returns how many were usable."""
    rows = np.frombuffer(data, dtype=ROW)
    user, item = users.indices(rows["user"]), items.indices(rows["movie"])
    known = (user >= 0) & (item >= 0)
    target = slice(start, start + int(known.sum()))
    into.keys[target] = user[known].astype(np.int64) * len(items) + item[known]
    microseconds = rows["updated"][known] + POSTGRES_EPOCH_S * 1_000_000
    into.seconds[target] = microseconds / 1e6
    into.codes[target] = rows["kind"][known] * HALF_STARS + rows["half_stars"][known]
    return target.stop - start


def _to_dataset(users: IdMap, items: IdMap, rows: _Rows, features: ItemFeatures) -> Dataset:
    rows.keep(np.argsort(rows.keys))
    is_rating = rows.codes // HALF_STARS == Evidence.RATING
    half_stars = rows.codes[is_rating] - Evidence.RATING * HALF_STARS
    ratings = _matrix(users, items, rows.keys[is_rating], half_stars)
    rows.keep(_counting(rows))
    interactions = _matrix(users, items, rows.keys, weight_table().ravel()[rows.codes])
    places = (rows.seconds, interactions.indices, interactions.indptr)
    times = csr_matrix(places, shape=interactions.shape)
    return Dataset(users, items, interactions, times, ratings, features)


def _matrix(
    users: IdMap, items: IdMap, keys: NDArray[np.int64], values: NDArray[np.generic]
) -> csr_matrix:
    """(n_users, n_items) of the values, by their keys in ascending order."""
    row_starts = np.arange(len(users) + 1, dtype=np.int64) * len(items)
    indptr = np.searchsorted(keys, row_starts).astype(np.int32)
    indices = (keys % max(len(items), 1)).astype(np.int32)
    return csr_matrix((values, indices, indptr), shape=(len(users), len(items)))


def _counting(rows: _Rows) -> NDArray[np.bool_] | slice:
    """The rows, ordered by key, that count: of several with one key the last word."""
    again = rows.keys[1:] == rows.keys[:-1]
    if not again.any():
        return slice(None)
    # Only those that share their key are looked at: they are few, and ordering them is dear.
    shared = np.append(again, False) | np.insert(again, 0, False)
    kinds = rows.codes[shared] // HALF_STARS
    last = latest_verdicts(rows.keys[shared], kinds, rows.seconds[shared])
    counting: NDArray[np.bool_] = ~shared
    counting[np.flatnonzero(shared)[last]] = True
    return counting


class History(NamedTuple):
    """What one viewer has done: of each movie the word that counts, by ascending movie ids.

    Attributes:
        movie_ids: (n,) int64.
        weights: (n,) float32.
        seconds: (n,) float64 Unix seconds.
        kinds: (n,) int64 `Evidence`.
        is_of_favourites: Nothing else was ever said or watched; so it is with an empty one.
    """

    movie_ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    seconds: NDArray[np.float64]
    kinds: NDArray[np.int64]
    is_of_favourites: bool


def load_history(user_id: int) -> History:
    """What one viewer has done, as it stands now."""
    with connection.cursor() as cursor:
        cursor.execute(HISTORY_QUERY, [user_id])
        rows = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 4)
    movies, kinds, half_stars, microseconds = rows.T
    return _history(movies, kinds, half_stars, microseconds / 1e6)


def load_histories(user_ids: Sequence[int]) -> list[History]:
    """What each of these viewers has done, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(HISTORIES_QUERY, [list(user_ids)])
        found = dict(cursor.fetchall())
    return [_unpack(found.get(user_id, b"")) for user_id in user_ids]


def _unpack(evidence: bytes) -> History:
    rows = np.frombuffer(evidence, dtype=EVIDENCE)
    movies, kinds, half_stars, microseconds = (
        rows[name].astype(np.int64) for name in EVIDENCE.fields or ()
    )
    seconds = (microseconds + POSTGRES_EPOCH_S * 1_000_000) / 1e6
    return _history(movies, kinds, half_stars, seconds)


def _history(
    movies: NDArray[np.int64],
    kinds: NDArray[np.int64],
    half_stars: NDArray[np.int64],
    seconds: NDArray[np.float64],
) -> History:
    kept = latest_verdicts(movies, kinds, seconds)
    weights = weight_table()[kinds[kept], half_stars[kept]]
    is_of_favourites = bool((kinds == Evidence.FAVOURITE).all())
    return History(movies[kept], weights, seconds[kept], kinds[kept], is_of_favourites)


def load_ratings(user_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One viewer's ratings as they stand now: (n,) movie ids and (n,) half stars."""
    rated = Interaction.objects.filter(user_id=user_id, kind=Interaction.Kind.RATING)
    rows = np.array(rated.values_list("movie_id", "half_stars"), dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]
