"""One user's history as it would be without one of its entries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


def left_out(history: csr_matrix, entries: NDArray[np.integer]) -> csr_matrix:
    """(1 + m, n_items): the history itself, and then without each of its `entries`.

    Args:
        history: (1, n_items).
        entries: (m,) places in `history.indices`.
    """
    n_rows = 1 + len(entries)
    kept = np.ones((n_rows, history.nnz), dtype=bool)
    kept[np.arange(1, n_rows), entries] = False
    ends = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    data, indices = (
        np.broadcast_to(values, kept.shape)[kept] for values in (history.data, history.indices)
    )
    return csr_matrix((data, indices, ends), shape=(n_rows, history.shape[1]))
