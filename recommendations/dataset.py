"""Interaction weights, the user-item matrix, and the histories of single viewers.

Rows are loaded without ORM objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from cinema import replicas
from cinema.database import prepared_cursor
from movies.models import Movie
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.feature_builder import load_features
from recommendations.impressions.storage import UNOPENED, TimesShown, unopened_parameters
from recommendations.models import Interaction
from users.models import User


class Evidence(IntEnum):
    """The kinds of rows in the view `recommendations_evidence`, from which taste is learned."""

    RATING = 1
    LIKE = 2
    SUPERLIKE = 3
    DISLIKE = 4
    SEEN = 5
    HIDE = 6
    FAVOURITE = 7
    CHECK_IN = 8

    @property
    def label(self) -> str:
        """The name in the setting INTERACTION_WEIGHTS."""
        return self.name.lower().replace("_", "-")


#: Number of values of `half_stars`: a rating has 1 to 10, other evidence has 0.
HALF_STARS = 11


@cache
def weight_table() -> NDArray[np.float32]:
    """(9, HALF_STARS) float32 weights by kind and half stars, interpolated between whole stars."""
    weights = settings.INTERACTION_WEIGHTS
    table = np.zeros((len(Evidence) + 1, HALF_STARS), dtype=np.float32)
    for kind in Evidence:
        if kind is Evidence.RATING:
            whole = [weights[str(stars)] for stars in range(1, 6)]
            table[kind, 1:] = np.interp(np.arange(1, 11) / 2, np.arange(1, 6), whole)
            # Half a star is extrapolated from two stars and one.
            table[kind, 1] = whole[0] - (whole[1] - whole[0]) / 2
        else:
            table[kind, 0] = weights[kind.label]
    return table


def latest_verdicts(
    keys: NDArray[np.int64], kinds: NDArray[np.integer], seconds: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Find the latest verdict for each key; `seen` counts only if the key has no verdict.

    Args:
        keys: (n,) the groups of the rows.
        kinds: (n,) `Evidence`.
        seconds: (n,) Unix seconds.

    Returns:
        (n_keys,) indices of rows, in ascending order of the keys.
    """
    # The kind breaks ties, so that the result does not depend on the order of the rows.
    order = np.lexsort((kinds, seconds, kinds != Evidence.SEEN, keys))
    ordered = keys[order]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    last: NDArray[np.intp] = order[is_last]
    return last


#: Bytes that are collected before NumPy parses them.
BLOCK_BYTES = 4 * 1024 * 1024

#: 1 January 2000 in Unix seconds, the epoch of Postgres timestamps.
POSTGRES_EPOCH_S = 946_684_800

#: A row of QUERY in COPY's binary format: the number of fields, then the length and value of each,
#: big-endian. No field is null, so all rows have this width.
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
    WHERE {which}
) TO STDOUT (FORMAT BINARY)
"""

#: It returns one row for each viewer, because each row costs the driver microseconds.
HISTORIES_QUERY = """
SELECT viewer.id, (
    SELECT string_agg(int8send(movie_id) || int2send(kind) || int2send(half_stars)
        || timestamptz_send(updated_at), '')
    FROM recommendations_evidence WHERE user_id = viewer.id
), {unopened}
FROM unnest(%(user_ids)s::bigint[]) AS viewer (id)
"""
WITHOUT_UNOPENED = HISTORIES_QUERY.format(unopened="NULL")
WITH_UNOPENED = HISTORIES_QUERY.format(unopened=UNOPENED)
EVIDENCE = np.dtype([("movie", ">i8"), ("kind", ">i2"), ("half_stars", ">i2"), ("updated", ">i8")])


@dataclass(frozen=True)
class Dataset:
    """All interactions; the rows are `users` and the columns are `items`, both by ascending id.

    Attributes:
        interactions: (n_users, n_items) float32 weights.
        times: (n_users, n_items) float64 Unix seconds, with the sparsity of `interactions`.
        ratings: (n_users, n_items) uint8 half stars, also where a later verdict sets the weight.
        features: (n_items, n_features) features of the films.
    """

    users: IdMap
    items: IdMap
    interactions: csr_matrix
    times: csr_matrix
    ratings: csr_matrix
    features: ItemFeatures


def load_dataset() -> Dataset:
    """Load the interactions of active users with published movies.

    Beyond the matrices the peak is about 18 bytes for each interaction: a key, a code, the sort
    order, and a second copy of the column that is being sorted.
    """
    return replicas.read_everything(_load_dataset)


def _load_dataset() -> Dataset:
    alone = not connection.in_atomic_block
    database = replicas.alias()
    with transaction.atomic(using=database), connections[database].cursor() as cursor:
        if alone:  # one snapshot, or a user who joins in between would have no row
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        users = load_ids(User.objects.filter(is_active=True))
        items = load_ids(Movie.objects.published())
        features = load_features(items)
        rows = read_evidence(cursor, users, items)
    return to_dataset(users, items, rows, features)


def load_ids(rows: QuerySet[User] | QuerySet[Movie]) -> IdMap:
    ids = rows.order_by("pk").values_list("pk", flat=True)
    return IdMap(np.fromiter(ids.iterator(chunk_size=50_000), dtype=np.int64))


@dataclass
class EvidenceRows:
    """Evidence as columns.

    Attributes:
        keys: (n,) int64, user index * n_items + item index.
        seconds: (n,) float64 Unix seconds.
        codes: (n,) uint8, index in the flattened weight table.
    """

    keys: NDArray[np.int64]
    seconds: NDArray[np.float64]
    codes: NDArray[np.uint8]

    def keep(self, which: NDArray[np.integer] | NDArray[np.bool_] | slice) -> None:
        """Keep these rows in this order, column by column, to hold only one column twice."""
        self.keys = self.keys[which]
        self.seconds = self.seconds[which]
        self.codes = self.codes[which]


def read_evidence(
    cursor: CursorWrapper, users: IdMap, items: IdMap, *, which: str = "true"
) -> EvidenceRows:
    """Read the rows whose user and movie are in the maps.

    Args:
        which: A condition in SQL.
    """
    cursor.execute(f"SELECT count(*) FROM recommendations_evidence WHERE {which}")  # noqa: S608
    count = int(cursor.fetchone()[0])
    rows = EvidenceRows(
        np.empty(count, dtype=np.int64),
        np.empty(count, dtype=np.float64),
        np.empty(count, dtype=np.uint8),
    )
    filled = 0
    with cursor.copy(QUERY.format(which=which)) as copy:
        buffer, to_skip = bytearray(), HEADER_BYTES
        for data in copy:
            if len(buffer) >= BLOCK_BYTES:  # checked before the trailer can be in the buffer
                filled += _parse(bytes(buffer[to_skip:]), users, items, rows, filled)
                buffer, to_skip = bytearray(), 0
            buffer += data
        trailer_bytes = 2  # a count of -1 fields
        end = len(buffer) - trailer_bytes
        filled += _parse(bytes(buffer[to_skip:end]), users, items, rows, filled)
    rows.keep(slice(filled))
    return rows


def _parse(data: bytes, users: IdMap, items: IdMap, into: EvidenceRows, start: int) -> int:
    """Decode whole rows into `into` from index `start`; return the number of usable rows."""
    rows = np.frombuffer(data, dtype=ROW)
    user, item = users.indices(rows["user"]), items.indices(rows["movie"])
    known = (user >= 0) & (item >= 0)
    target = slice(start, start + int(known.sum()))
    into.keys[target] = user[known].astype(np.int64) * len(items) + item[known]
    microseconds = rows["updated"][known] + POSTGRES_EPOCH_S * 1_000_000
    into.seconds[target] = microseconds / 1e6
    into.codes[target] = rows["kind"][known] * HALF_STARS + rows["half_stars"][known]
    return target.stop - start


def to_dataset(users: IdMap, items: IdMap, rows: EvidenceRows, features: ItemFeatures) -> Dataset:
    rows.keep(np.argsort(rows.keys))
    is_rating = rows.codes // HALF_STARS == Evidence.RATING
    half_stars = rows.codes[is_rating] - Evidence.RATING * HALF_STARS
    ratings = _matrix(users, items, rows.keys[is_rating], half_stars)
    rows.keep(latest_verdict_rows(rows))
    interactions = _matrix(users, items, rows.keys, weight_table().ravel()[rows.codes])
    places = (rows.seconds, interactions.indices, interactions.indptr)
    times = csr_matrix(places, shape=interactions.shape)
    return Dataset(users, items, interactions, times, ratings, features)


def _matrix(
    users: IdMap, items: IdMap, keys: NDArray[np.int64], values: NDArray[np.generic]
) -> csr_matrix:
    """(n_users, n_items) from values with ascending keys."""
    row_starts = np.arange(len(users) + 1, dtype=np.int64) * len(items)
    indptr = np.searchsorted(keys, row_starts).astype(np.int32)
    indices = (keys % max(len(items), 1)).astype(np.int32)
    return csr_matrix((values, indices, indptr), shape=(len(users), len(items)))


def latest_verdict_rows(rows: EvidenceRows) -> NDArray[np.bool_] | slice:
    """The rows that count, ordered by key: the latest verdict of each key."""
    again = rows.keys[1:] == rows.keys[:-1]
    if not again.any():
        return slice(None)
    # Only rows with a shared key are sorted: they are few, and sorting is expensive.
    shared = np.append(again, False) | np.insert(again, 0, False)
    kinds = rows.codes[shared] // HALF_STARS
    last = latest_verdicts(rows.keys[shared], kinds, rows.seconds[shared])
    counts: NDArray[np.bool_] = ~shared
    counts[np.flatnonzero(shared)[last]] = True
    return counts


class History(NamedTuple):
    """The latest verdict of one viewer on each movie, by ascending movie id.

    Attributes:
        movie_ids: (n,) int64.
        weights: (n,) float32.
        seconds: (n,) float64 Unix seconds.
        kinds: (n,) int64 `Evidence`.
        is_of_favourites: The viewer has no evidence except favourites, or none at all.
        unopened: Movies that recent lists showed without a click, and how often; or empty.
    """

    movie_ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    seconds: NDArray[np.float64]
    kinds: NDArray[np.int64]
    is_of_favourites: bool
    unopened: TimesShown


def load_history(user_id: int) -> History:
    [history] = load_histories([user_id])
    return history


def load_histories(user_ids: Sequence[int], *, with_unopened: bool = False) -> list[History]:
    """The history of each viewer, in the given order, in one query."""
    parameters: dict[str, Any] = {"user_ids": list(user_ids), **unopened_parameters()}
    with prepared_cursor(replicas.alias()) as cursor:
        cursor.execute(WITH_UNOPENED if with_unopened else WITHOUT_UNOPENED, parameters)
        found = {user_id: columns for user_id, *columns in cursor.fetchall()}
    return [_unpack(*(column or b"" for column in found[user_id])) for user_id in user_ids]


def _unpack(evidence: bytes, unopened: bytes) -> History:
    rows = np.frombuffer(evidence, dtype=EVIDENCE)
    movies, kinds, half_stars, microseconds = (
        rows[name].astype(np.int64) for name in EVIDENCE.fields or ()
    )
    seconds = (microseconds + POSTGRES_EPOCH_S * 1_000_000) / 1e6
    kept = latest_verdicts(movies, kinds, seconds)
    return History(
        movies[kept],
        weight_table()[kinds[kept], half_stars[kept]],
        seconds[kept],
        kinds[kept],
        bool((kinds == Evidence.FAVOURITE).all()),
        TimesShown.from_bytes(unopened),
    )


#: It returns one value, as HISTORIES_QUERY.
RATINGS_QUERY = """
SELECT string_agg(int8send(movie_id) || int8send(half_stars), '')
FROM recommendations_interaction WHERE user_id = %s AND kind = %s
"""


def load_ratings(user_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The current ratings of one viewer: (n,) movie ids and (n,) half stars."""
    with prepared_cursor(replicas.alias()) as cursor:
        cursor.execute(RATINGS_QUERY, [user_id, Interaction.Kind.RATING])
        [ratings] = cursor.fetchone()
    rows = np.frombuffer(ratings or b"", dtype=">i8").astype(np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]
