"""All pairs of viewers of similar taste on Spark, by the tiles of `engine.viewer_pairs`.

The trainer writes the deviations of all viewers, the active ones first, into files of one column of
tiles each. A task compares one column with all before it, and holds two files at a time. The sums
of each tile are those of one machine, so the pairs are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import one_thread, ranges
from recommendations.engine.viewer_pairs import (
    TILE_COLUMNS,
    BestPairs,
    Pairs,
    TileSide,
    compare_column,
    compared_users,
    split_by_popularity,
    tile_side,
)
from recommendations.engine.viewer_similarity import MatchRule, damped_centres
from recommendations.spark.item_sums import ItemSums
from recommendations.spark.shared_folder import SharedFolder
from recommendations.spark.viewer_blocks import SharedInteractions


@dataclass(frozen=True, eq=False)
class TileFiles:
    """The deviations of the compared users, in files of TILE_COLUMNS users; a `TileMatrix`.

    Attributes:
        n_users: Number of compared users.
        popular, others: (n_items,) the columns, as from `split_by_popularity`.
    """

    folder: SharedFolder
    n_users: int
    popular: NDArray[np.bool_]
    others: NDArray[np.bool_]

    def factors(self, users: slice, *, transposed: bool) -> TileSide:
        number, first = divmod(users.start, TILE_COLUMNS)
        rows = slice(first, first + users.stop - users.start)
        popular, others = _read_split(self, number)
        return tile_side(popular[rows], others[rows], transposed=transposed)

    def write(self, number: int, block: csr_matrix) -> None:
        for name in ("indptr", "indices", "data"):
            self.folder.write_array(f"{number}-{name}.npy", getattr(block, name))

    def read(self, number: int) -> csr_matrix:
        starts, columns, values = (
            self.folder.read_array(f"{number}-{name}.npy") for name in ("indptr", "indices", "data")
        )
        return csr_matrix((values, columns, starts), shape=(len(starts) - 1, len(self.popular)))


@lru_cache(maxsize=2)
def _read_split(files: TileFiles, number: int) -> tuple[csr_matrix, csr_matrix]:
    by_film = files.read(number).tocsc()
    return by_film[:, files.popular].tocsr(), by_film[:, files.others].tocsr()


def matching_portions(
    context: Any,
    interactions: SharedInteractions,
    work: SharedFolder,
    rule: MatchRule,
    *,
    at_most: int,
    preferred: NDArray[np.bool_],
    portion: int,
    own: Path,
) -> Iterator[Pairs]:
    """The pairs of each `portion` viewers in turn, as from `matching_pairs` for all of them.

    Args:
        work: For the deviations, which workers read.
        at_most, preferred: As in `matching_pairs`.
        own: A folder of this machine with room for 8 bytes an interaction.
    """
    users, files = _write_tiles(interactions, work, rule, own)
    n_portions = max(1, -(-interactions.n_users // portion))
    given = context.broadcast((users, preferred))
    # The longest columns first.
    starts = range(0, files.n_users, TILE_COLUMNS)[::-1]
    compare = partial(_compare, files, rule, given, at_most, portion)
    found = (
        context.parallelize(list(starts), max(1, len(starts)))
        .flatMap(compare)
        .partitionBy(n_portions, int)
        .mapPartitions(partial(_best_of, given, at_most))
    )
    yield from found.toLocalIterator(prefetchPartitions=True)


def _write_tiles(
    interactions: SharedInteractions, work: SharedFolder, rule: MatchRule, own: Path
) -> tuple[NDArray[np.int32], TileFiles]:
    """The compared users, and the files of their deviations."""
    sums = ItemSums(interactions.n_items, 0.0)
    n_judged = np.zeros(interactions.n_users, dtype=np.int64)
    for block in map(interactions.read, interactions.files):
        sums.add(block.interactions, block.times)
        lengths = np.diff(block.interactions.indptr)
        n_judged[block.first_row : block.first_row + len(lengths)] = lengths
    users = compared_users(n_judged, rule)
    starts = np.concatenate(([0], np.cumsum(n_judged[users])))
    centres = damped_centres(sums.touched, sums.weights)
    ranks = np.full(interactions.n_users, -1, dtype=np.int64)
    ranks[users] = np.arange(len(users))
    columns, values = _mapped(own, int(starts[-1]))
    counts = np.zeros(interactions.n_items, dtype=np.int64)
    for block in map(interactions.read, interactions.files):
        weights = block.interactions
        rows = np.flatnonzero(ranks[block.first_row : block.first_row + weights.shape[0]] >= 0)
        at = ranks[block.first_row + rows]
        places, _ = ranges(starts[at], starts[at + 1])
        entries, _ = ranges(weights.indptr[rows], weights.indptr[rows + 1])
        judged = weights.indices[entries]
        columns[places] = judged
        values[places] = (weights.data[entries] - centres[judged]).astype(np.float32)
        counts += np.bincount(judged, minlength=interactions.n_items)
    files = TileFiles(work, len(users), *split_by_popularity(counts, len(users)))
    for number, start in enumerate(range(0, len(users), TILE_COLUMNS)):
        part = starts[start : start + TILE_COLUMNS + 1]
        of_file = slice(int(part[0]), int(part[-1]))
        shape = (len(part) - 1, interactions.n_items)
        of_rows = (values[of_file], columns[of_file], (part - part[0]).astype(np.int32))
        files.write(number, csr_matrix(of_rows, shape=shape))
    return users, files


def _mapped(own: Path, n: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Arrays for the columns and values of n entries, in files."""
    columns, values = (
        np.lib.format.open_memmap(own / name, mode="w+", dtype=dtype, shape=(max(1, n),))
        for name, dtype in (("columns.npy", np.int32), ("values.npy", np.float32))
    )
    return columns, values


# --- on the workers


def _compare(
    files: TileFiles, rule: MatchRule, given: Any, at_most: int, portion: int, start: int
) -> Iterator[tuple[int, Pairs]]:
    """The best pairs of one column of tiles, by portion of viewers."""
    users, preferred = given.value
    kept = BestPairs(users, preferred, at_most)
    with one_thread():
        compare_column(files, rule, kept, start)
    pairs = kept.result()
    bounds = np.searchsorted(pairs["user"], np.arange(0, len(preferred) + portion, portion))
    for number, (first, last) in enumerate(pairwise(bounds)):
        if last > first:
            yield number, pairs[first:last]


def _best_of(given: Any, at_most: int, found: Iterable[tuple[int, Pairs]]) -> Iterator[Pairs]:
    _, preferred = given.value
    kept = BestPairs(np.arange(len(preferred), dtype=np.int32), preferred, at_most)
    for _, pairs in found:
        kept.add(pairs.copy())
    yield kept.result()
