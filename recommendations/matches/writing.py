"""How neighbours are written: by COPY for all viewers at night, or a few for the one who acted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from django.conf import settings
from django.db.backends.utils import CursorWrapper
from numpy.typing import NDArray

from recommendations.engine.matching import DECIMALS, Sums

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
class Rows:
    """Neighbours by the viewers' ids; (n,) each."""

    users: NDArray[np.int64]
    others: NDArray[np.int64]
    similarity: NDArray[np.float64]
    sums: Sums

    def both_ways(self) -> Rows:
        """Each pair as one has it, and as the other."""
        shared, products, own, other = self.sums
        return Rows(
            np.concatenate([self.users, self.others]),
            np.concatenate([self.others, self.users]),
            np.tile(self.similarity, 2),
            Sums(
                np.tile(shared, 2),
                np.tile(products, 2),
                np.concatenate([own, other]),
                np.concatenate([other, own]),
            ),
        )

    def at(self, places: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        sums = Sums(*(each[places] for each in self.sums))
        return type(self)(self.users[places], self.others[places], self.similarity[places], sums)


def upsert(cursor: CursorWrapper, rows: Rows, *, now: datetime) -> list[tuple[int, int]]:
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
    cursor: CursorWrapper, rows: Rows, *, first: int, last: int, besides: list[int], now: datetime
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


def _packed(rows: Rows) -> NDArray[np.void]:
    packed = np.empty(len(rows.users), dtype=ROW)
    packed["fields"] = len(TYPES)
    values = [rows.users, rows.others, np.round(rows.similarity, DECIMALS), *rows.sums]
    names = [name for name in ROW.names or () if not name.endswith(("fields", "_length"))]
    for name, column in zip(names, values, strict=True):
        packed[f"{name}_length"] = ROW[name].itemsize
        packed[name] = column
    return packed
