"""What closed-form linear models begin with: the items' cross products, and their inverse."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.item_weights import blocks

Float32 = NDArray[np.float32]


def all_cores() -> threadpool_limits:
    """Large dense products on every core, though the process began with one thread for them."""
    # Where the system can tell: a container may have fewer than the machine.
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return threadpool_limits(own, "blas")


def gram(likes: csr_matrix) -> Float32:
    """(n_items, n_items) float32, likesᵀ likes."""
    n_items = likes.shape[1]
    by_item = csr_matrix(likes.T)
    product = np.empty((n_items, n_items), dtype=np.float32)
    for block in blocks(n_items, n_items):
        (by_item[block] @ likes).toarray(out=product[block])
    return product


def invert(matrix: Float32) -> Float32:
    """The inverse of a symmetric positive definite matrix, in its own memory.

    By Cholesky in float32: what is regularised by this much keeps four digits, in half the time
    and memory of float64.

    Raises:
        LinAlgError: It is not positive definite.
    """
    # The transpose of a symmetric C array is the same matrix in LAPACK's order: no copy.
    with all_cores():
        factor, failed = spotrf(matrix.T, lower=True, overwrite_a=True, clean=False)
        if not failed:
            inverse, failed = spotri(factor, lower=True, overwrite_c=True)
    if failed:
        raise LinAlgError("the matrix is not positive definite: more regularization is needed")
    return _mirrored(inverse.T)


def _mirrored(upper: Float32) -> Float32:
    """With the upper triangle repeated below the diagonal, in place."""
    n = len(upper)
    for block in blocks(n, n):
        upper[block.stop :, block] = upper[block, block.stop :].T
        square = upper[block, block]
        square[:] = np.triu(square) + np.triu(square, 1).T
    return upper
