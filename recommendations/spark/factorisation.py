"""Alternating least squares on Spark: the solver of `implicit`, on blocks of viewers and of items.

In each sweep a task for each file of viewers improves their factors, given those of the items, and
a task for each block of items improves theirs, given those of all viewers. The results are those of
`AlsRecommender` on one machine, as a row's solution depends on no other row of its side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from recommendations.engine.algorithms.als import UPDATE_ITERATIONS, AlsRecommender, solve_rows
from recommendations.engine.matrices import Features
from recommendations.spark.item_sums import ItemSums
from recommendations.spark.shared_folder import SharedFolder
from recommendations.spark.viewer_blocks import SharedInteractions, ViewerFile

Float32 = NDArray[np.float32]

#: Interactions of a block of items: with their columns about 100 MB in memory.
MAX_IN_BLOCK = 10_000_000


class ItemBlock(NamedTuple):
    """The confidences of some consecutive items, by item, and the index of the first one."""

    first: int
    confidences: csr_matrix


@dataclass(eq=False)
class SparkAls:
    """Fits one `AlsRecommender`, and updates it.

    The factors of viewers are files in `folder`, two for each file of viewers: a sweep reads one
    and writes the other, so that a task that runs twice reads the same.
    """

    context: Any
    folder: SharedFolder
    seed: int
    sweeps: int = 0
    is_begun: bool = False
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def fit(
        self,
        model: AlsRecommender,
        interactions: SharedInteractions,
        sums: ItemSums,
        items: Features,
        report: Callable[[float], None],
    ) -> AlsRecommender:
        """Fit the model; the second call updates it with all interactions."""
        iterations = UPDATE_ITERATIONS if self.is_begun else model.iterations
        scale = model.alpha / sums.mean_like
        regularization = model.regularization_for(sums.n)
        if not sums.n:
            factors = np.zeros((sums.n_items, 1), dtype=np.float32)
        else:
            factors = self._first(model, interactions, sums)
            blocks = self._item_blocks(interactions, sums, scale)
            for sweep in range(iterations):
                factors = self._sweep(interactions, blocks, factors, scale, regularization)
                report((sweep + 1) / iterations)
            blocks.unpersist()
            self.is_begun = True
        return model.adopt(factors, sums.touched, sums.liked_by, scale, regularization, items)

    def _first(
        self, model: AlsRecommender, interactions: SharedInteractions, sums: ItemSums
    ) -> Float32:
        """(n_items, k) item factors to start from; the factors of viewers are files then.

        They are those with which `implicit` starts.
        """
        if self.is_begun:
            return model.with_new_items(sums.touched > 0)
        size = model.factors_for(sums.n)

        def draw(n: int) -> Float32:
            return self._random.random((n, size), dtype=np.float32) * np.float32(0.01)

        for file in interactions.files:
            self.folder.write_array(_name(file, self.sweeps), draw(len(file.users)))
        return draw(sums.n_items)

    def _item_blocks(self, interactions: SharedInteractions, sums: ItemSums, scale: float) -> Any:
        """An RDD of `ItemBlock`, each in a partition of its own."""
        n_blocks = max(self.context.defaultParallelism, -(-sums.n // MAX_IN_BLOCK))
        n_blocks = min(n_blocks, sums.n_items)
        ends = np.linspace(0, sums.n, n_blocks + 1)[1:-1]
        cuts = np.searchsorted(np.cumsum(sums.touched), ends)
        bounds = np.unique(np.concatenate([[0], cuts, [sums.n_items]]))
        return (
            self._each_file(interactions.files)
            .flatMap(partial(_by_item, interactions, scale, bounds))
            .partitionBy(len(bounds) - 1, int)
            .mapPartitions(partial(_joined, bounds))
            .persist(_on_disk())
        )

    def _sweep(
        self,
        interactions: SharedInteractions,
        blocks: Any,
        factors: Float32,
        scale: float,
        regularization: float,
    ) -> Float32:
        given = self.context.broadcast(factors)
        solve_viewers = partial(
            _solve_viewers, interactions, self.folder, given, scale, regularization, self.sweeps
        )
        self._each_file(interactions.files).foreach(solve_viewers)
        self.sweeps += 1
        names = [_name(file, self.sweeps) for file in interactions.files]
        solve_items = partial(
            _solve_items, self.folder, names, interactions.n_users, given, regularization
        )
        found = blocks.map(solve_items)
        improved = factors.copy()
        for first, part in found.collect():
            improved[first : first + len(part)] = part
        given.destroy()
        return improved

    def _each_file(self, files: tuple[ViewerFile, ...]) -> Any:
        return self.context.parallelize(files, max(1, len(files)))


def _on_disk() -> Any:
    from pyspark import StorageLevel

    return StorageLevel.DISK_ONLY


def _name(file: ViewerFile, sweep: int) -> str:
    return f"viewers-{file.first_row}-{sweep % 2}.npy"


# --- on the workers


def _confidences(interactions: SharedInteractions, file: ViewerFile, scale: float) -> csr_matrix:
    weights = interactions.read(file).interactions
    return (np.float32(scale) * weights).astype(np.float32)


def _by_item(
    interactions: SharedInteractions, scale: float, bounds: NDArray[np.intp], file: ViewerFile
) -> Iterator[tuple[int, tuple[int, csr_matrix]]]:
    """The (items, viewers) confidences of the file, by block of items, with the first row."""
    columns = _confidences(interactions, file, scale).tocsc()
    for block in range(len(bounds) - 1):
        part = columns[:, bounds[block] : bounds[block + 1]]
        yield block, (file.first_row, csr_matrix(part.T))


def _joined(
    bounds: NDArray[np.intp], parts: Iterable[tuple[int, tuple[int, csr_matrix]]]
) -> Iterator[ItemBlock]:
    found = sorted(parts, key=lambda part: part[1][0])
    if found:
        whole = hstack([matrix for _, (_, matrix) in found], format="csr", dtype=np.float32)
        yield ItemBlock(int(bounds[found[0][0]]), csr_matrix(whole))


def _solve_viewers(
    interactions: SharedInteractions,
    folder: SharedFolder,
    given: Any,
    scale: float,
    regularization: float,
    sweep: int,
    file: ViewerFile,
) -> None:
    factors = np.asarray(folder.read_array(_name(file, sweep)), dtype=np.float32)
    confidences = _confidences(interactions, file, scale)
    solve_rows(confidences, factors, given.value, regularization)
    folder.write_array(_name(file, sweep + 1), factors)


def _solve_items(
    folder: SharedFolder,
    names: list[str],
    n_users: int,
    given: Any,
    regularization: float,
    block: ItemBlock,
) -> tuple[int, Float32]:
    viewers = np.empty((n_users, given.value.shape[1]), dtype=np.float32)
    filled = 0
    for name in names:
        part = folder.read_array(name)
        viewers[filled : filled + len(part)] = part
        filled += len(part)
    factors = given.value[block.first : block.first + block.confidences.shape[0]].copy()
    solve_rows(block.confidences, factors, viewers, regularization)
    return block.first, factors
