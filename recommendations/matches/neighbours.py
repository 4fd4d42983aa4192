"""Neighbours, viewers of similar taste: how similar they are, and how they are stored."""

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

#: Neighbours stored of each viewer; those who agreed to be seen come first.
MAX_NEIGHBOURS = 100

Floats = NDArray[np.floating]


def current_rule() -> MatchRule:
    return MatchRule(settings.MATCH_THRESHOLD, settings.MATCH_SHRINKAGE)


@dataclass(frozen=True, eq=False)
class SimilarityMeasure:
    """The similarity of viewers by deviations from the mean weights of a release."""

    release: LoadedRelease
    deviations: Deviations
    rule: MatchRule

    def deviations_of(self, history: History) -> Floats:
        """(n,) for the movies of the history."""
        return history.weights - self.centres_of(history.movie_ids)

    def centres_of(self, movie_ids: NDArray[np.int64]) -> Floats:
        return self.deviations.centres_of(self.release.items.indices(movie_ids))

    def trained_similarities(
        self, mine: History, *, sharing: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The ids of all who share enough movies with a viewer, and their similarities.

        It ignores what the others have done since the training.

        Args:
            sharing: A movie's id: only viewers with an interaction of it.
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

    def current_sums(self, mine: History, others: Sequence[History]) -> PairSums:
        """The sums of a viewer with each of the others, by their present histories."""
        own = self.deviations_of(mine)
        found = np.zeros((4, len(others)))
        for number, theirs in enumerate(others):
            _, at, there = np.intersect1d(
                mine.movie_ids, theirs.movie_ids, assume_unique=True, return_indices=True
            )
            a, b = own[at].astype(np.float64), self.deviations_of(theirs)[there].astype(np.float64)
            found[:, number] = len(at), a @ b, a @ a, b @ b
        return PairSums(*found)


def current_measure() -> SimilarityMeasure | None:
    """None without a release, or with one that was trained before there were matches."""
    release = loaded_release()
    if release.deviations is None:
        return None
    return SimilarityMeasure(release, release.deviations, current_rule())


# --- storage

#: The type of each column in Postgres, and in COPY's binary format, which is big-endian.
TYPES = {
    "user_id": ("bigint", ">i8"),
    "other_id": ("bigint", ">i8"),
    "similarity": ("float8", ">f8"),
    "shared": ("integer", ">i4"),
    "product_sum": ("float8", ">f8"),
    "own_square_sum": ("float8", ">f8"),
    "other_square_sum": ("float8", ">f8"),
}
COLUMNS = ", ".join(TYPES)
#: A row in that format: the number of fields, then length and value of each.
ROW = np.dtype(
    [
        ("n_fields", ">i2"),
        *((field, t) for name, (_, code) in TYPES.items()
          for field, t in ((f"{name}_length", ">i4"), (name, code))),
    ]
)  # fmt: skip
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
STAGE = "neighbours_found"

#: All writers keep to this order, or two would wait for each other. Closed accounts are left out.
#: A pair that still matches keeps its `matched_since`.
UPSERT = f"""
INSERT INTO recommendations_neighbour AS standing ({COLUMNS}, matched_since)
SELECT {COLUMNS},
       CASE WHEN similarity >= %(threshold)s THEN %(now)s::timestamptz END
FROM %(source)s AS found ({COLUMNS})
WHERE user_id <> ALL(%(kept)s) AND other_id <> ALL(%(kept)s)
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

DELETE = f"""
DELETE FROM recommendations_neighbour AS standing
WHERE user_id BETWEEN %s AND %s AND user_id <> ALL(%s) AND other_id <> ALL(%s)
AND NOT EXISTS (SELECT FROM {STAGE} AS found WHERE found.user_id = standing.user_id
    AND found.other_id = standing.other_id)
"""  # noqa: S608


@dataclass(frozen=True, eq=False)
class NeighbourRows:
    """Rows of neighbours, (n,) each."""

    users: NDArray[np.int64]
    others: NDArray[np.int64]
    similarity: NDArray[np.float64]
    sums: PairSums

    def both_ways(self) -> NeighbourRows:
        """Each pair twice, with each viewer as the first one."""
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

    def at(self, indices: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        sums = PairSums(*(each[indices] for each in self.sums))
        return type(self)(self.users[indices], self.others[indices], self.similarity[indices], sums)


def upsert(cursor: CursorWrapper, rows: NeighbourRows, *, now: datetime) -> list[tuple[int, int]]:
    """Insert or update the rows; returns the pairs that match from now on."""
    source = ", ".join(f"%({name})s::{of}[]" for name, (of, _) in TYPES.items())
    values = {name: column.tolist() for name, column in _columns(rows).items()}
    query = UPSERT.replace("%(source)s", f"unnest({source})")
    cursor.execute(query, {**values, **_parameters(now, [])})
    return [(user, other) for user, other, since in cursor.fetchall() if since == now]


def replace_all(
    cursor: CursorWrapper,
    rows: NeighbourRows,
    *,
    first: int,
    last: int,
    kept: list[int],
    now: datetime,
) -> None:
    """Replace the rows of the viewers with ids from `first` to `last`.

    Args:
        kept: Viewers whose pairs stay as they are.
    """
    columns = ", ".join(f"{name} {of}" for name, (of, _) in TYPES.items())
    cursor.execute(f"CREATE TEMPORARY TABLE {STAGE} ({columns}) ON COMMIT DROP")
    packed = np.empty(len(rows.users), dtype=ROW)
    packed["n_fields"] = len(TYPES)
    for name, column in _columns(rows).items():
        packed[f"{name}_length"] = ROW[name].itemsize
        packed[name] = column
    with cursor.copy(f"COPY {STAGE} FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(HEADER + packed.tobytes() + TRAILER)
    cursor.execute(f"ANALYZE {STAGE}")
    cursor.execute(DELETE, [first, last, kept, kept])
    cursor.execute(UPSERT.replace("%(source)s", STAGE), _parameters(now, kept))
    cursor.execute(f"DROP TABLE {STAGE}")


def _columns(rows: NeighbourRows) -> dict[str, NDArray[np.number]]:
    shared, *sums = rows.sums
    similarity = np.round(rows.similarity, DECIMALS)
    columns = [rows.users, rows.others, similarity, shared.astype(np.int64), *sums]
    return dict(zip(TYPES, columns, strict=True))


def _parameters(now: datetime, kept: list[int]) -> dict[str, Any]:
    return {"threshold": settings.MATCH_THRESHOLD, "now": now, "kept": kept}
