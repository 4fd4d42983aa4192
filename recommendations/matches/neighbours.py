"""Viewers held against each other: by a release, or by all that they have said up to now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from django.conf import settings
from django.db.backends.utils import CursorWrapper
from numpy.typing import NDArray

from recommendations.dataset import History
from recommendations.engine.viewer_similarity import DECIMALS, Deviations, MatchRule, PairSums
from recommendations.releases import LoadedRelease, loaded_release

#: Of each viewer's that are kept; those go first who agreed to be seen.
MOST_NEIGHBOURS = 100

Floats = NDArray[np.floating]


def current_rule() -> MatchRule:
    return MatchRule(settings.MATCH_THRESHOLD, settings.MATCH_SHRINKAGE)


@dataclass(frozen=True, eq=False)
class SimilarityMeasure:
    """By what the films of a release are centred."""

    release: LoadedRelease
    deviations: Deviations
    rule: MatchRule

    def deviations_of(self, history: History) -> Floats:
        """(n,) of each film of the history."""
        return history.weights - self.centres_of(history.movie_ids)

    def centres_of(self, movie_ids: NDArray[np.int64]) -> Floats:
        return self.deviations.centres_of(self.release.items.indices(movie_ids))

    def roughly(
        self, mine: History, *, sharing: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The ids of all who share enough films with a viewer, and their similarities.

        What the others have said since the training is not in it.

        Args:
            sharing: The id of a film: only those who have said something of it.
        """
        [item] = [None] if sharing is None else self.release.items.indices([sharing]).tolist()
        if item == -1:
            return np.empty(0, dtype=np.int64), np.empty(0)
        items = self.release.items.indices(mine.movie_ids)
        known = items >= 0
        rows, sums = self.deviations.against_all(
            items[known],
            self.deviations_of(mine)[known],
            least_shared=self.rule.least_shared,
            sharing=item,
        )
        return self.release.users.ids[rows], self.rule.similarity(sums)

    def exactly(self, mine: History, others: Sequence[History]) -> PairSums:
        """The sums of a viewer with each of the others."""
        own = self.deviations_of(mine)
        found = np.zeros((4, len(others)))
        for place, theirs in enumerate(others):
            _, at, there = np.intersect1d(
                mine.movie_ids, theirs.movie_ids, assume_unique=True, return_indices=True
            )
            a, b = own[at].astype(np.float64), self.deviations_of(theirs)[there].astype(np.float64)
            found[:, place] = len(at), a @ b, a @ a, b @ b
        return PairSums(*found)


def current_measure() -> SimilarityMeasure | None:
    """None while there is no release, or only one of the time before matches."""
    release = loaded_release()
    if release.deviations is None:
        return None
    return SimilarityMeasure(release, release.deviations, current_rule())


COLUMNS = "user_id, other_id, similarity, shared, product_sum, own_square_sum, other_square_sum"
TYPES = ("bigint", "bigint", "float8", "integer", "float8", "float8", "float8")

#: In an order that all keep to, or two writers would wait for each other. Who left is left out.
#: `matched_since` stays with a pair that goes on matching.
UPSERT = f"""
INSERT INTO recommendations_neighbour AS standing ({COLUMNS}, matched_since)
SELECT {COLUMNS},
       CASE WHEN similarity >= %(threshold)s THEN %(now)s::timestamptz END
FROM %(source)s AS found ({COLUMNS})
WHERE user_id <> ALL(%(besides)s) AND other_id <> ALL(%(besides)s)
AND EXISTS (SELECT FROM users_user WHERE users_user.id = user_id AND is_active)
AND EXISTS (SELECT FROM users_user WHERE users_user.id = other_id AND is_active)
ORDER BY user_id, other_id
ON CONFLICT (user_id, other_id) DO UPDATE SET
    similarity = excluded.similarity,
    shared = excluded.shared,
    product_sum = excluded.product_sum,
    own_square_sum = excluded.own_square_sum,
    other_square_sum = excluded.other_square_sum,
    matched_since = CASE WHEN excluded.matched_since IS NOT NULL
        THEN coalesce(standing.matched_since, excluded.matched_since) END
WHERE (standing.similarity, standing.shared, standing.matched_since IS NULL)
    IS DISTINCT FROM (excluded.similarity, excluded.shared, excluded.matched_since IS NULL)
RETURNING user_id, other_id, matched_since
"""  # noqa: S608

#: A row in COPY's binary format: a count of fields, then length and value of each, big-endian.
ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("user_length", ">i4"),
        ("user", ">i8"),
        ("other_length", ">i4"),
        ("other", ">i8"),
        ("similarity_length", ">i4"),
        ("similarity", ">f8"),
        ("shared_length", ">i4"),
        ("shared", ">i4"),
        ("products_length", ">i4"),
        ("products", ">f8"),
        ("own_squares_length", ">i4"),
        ("own_squares", ">f8"),
        ("other_squares_length", ">i4"),
        ("other_squares", ">f8"),
    ]
)
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
FOUND = "neighbours_found"


DELETE = f"""
DELETE FROM recommendations_neighbour AS standing
WHERE user_id BETWEEN %s AND %s AND user_id <> ALL(%s) AND other_id <> ALL(%s)
AND NOT EXISTS (SELECT FROM {FOUND} AS found WHERE found.user_id = standing.user_id
    AND found.other_id = standing.other_id)
"""  # noqa: S608


@dataclass(frozen=True, eq=False)
class NeighbourRows:
    """Neighbours by the viewers' ids; (n,) each."""

    users: NDArray[np.int64]
    others: NDArray[np.int64]
    similarity: NDArray[np.float64]
    sums: PairSums

    def both_ways(self) -> NeighbourRows:
        """Each pair as one has it, and as the other."""
        shared, products, own, other = self.sums
        return NeighbourRows(
            np.concatenate([self.users, self.others]),
            np.concatenate([self.others, self.users]),
            np.tile(self.similarity, 2),
            PairSums(
                np.tile(shared, 2),
                np.tile(products, 2),
                np.concatenate([own, other]),
                np.concatenate([other, own]),
            ),
        )

    def at(self, places: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        sums = PairSums(*(each[places] for each in self.sums))
        return type(self)(self.users[places], self.others[places], self.similarity[places], sums)


def upsert(cursor: CursorWrapper, rows: NeighbourRows, *, now: datetime) -> list[tuple[int, int]]:
    """Bring these rows up to date; returns the pairs that match from now on."""
    columns = [rows.users, rows.others, np.round(rows.similarity, DECIMALS), *rows.sums]
    source = ", ".join(f"%(column_{n})s::{of}[]" for n, of in enumerate(TYPES))
    values = {f"column_{n}": column.tolist() for n, column in enumerate(columns)}
    values["column_3"] = rows.sums.shared.astype(np.int64).tolist()
    cursor.execute(
        UPSERT.replace("%(source)s", f"unnest({source})"), {**values, **_parameters(now, [])}
    )
    return [(user, other) for user, other, since in cursor.fetchall() if since == now]


def replace_all(
    cursor: CursorWrapper,
    rows: NeighbourRows,
    *,
    first: int,
    last: int,
    besides: list[int],
    now: datetime,
) -> None:
    """Make these the rows of the viewers from id `first` to `last`.

    Args:
        besides: Viewers whose pairs stay as they are.
    """
    columns = ", ".join(f"{name} {of}" for name, of in zip(COLUMNS.split(", "), TYPES, strict=True))
    cursor.execute(f"CREATE TEMPORARY TABLE {FOUND} ({columns}) ON COMMIT DROP")
    with cursor.copy(f"COPY {FOUND} FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(HEADER + _packed(rows).tobytes() + TRAILER)
    cursor.execute(f"ANALYZE {FOUND}")
    cursor.execute(DELETE, [first, last, besides, besides])
    cursor.execute(UPSERT.replace("%(source)s", FOUND), _parameters(now, besides))
    cursor.execute(f"DROP TABLE {FOUND}")


def _parameters(now: datetime, besides: list[int]) -> dict[str, Any]:
    return {"threshold": settings.MATCH_THRESHOLD, "now": now, "besides": besides}


def _packed(rows: NeighbourRows) -> NDArray[np.void]:
    packed = np.empty(len(rows.users), dtype=ROW)
    packed["fields"] = len(TYPES)
    values = [rows.users, rows.others, np.round(rows.similarity, DECIMALS), *rows.sums]
    names = [name for name in ROW.names or () if not name.endswith(("fields", "_length"))]
    for name, column in zip(names, values, strict=True):
        packed[f"{name}_length"] = ROW[name].itemsize
        packed[name] = column
    return packed
