"""Which items to ask a new user about, so that a few answers tell most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Float64 = NDArray[np.float64]

#: The most liked items, among which is the choice.
CANDIDATES = 400
#: A viewer who knows few films can skip many.
MAX_ASKED = 100
#: Items of the first visit.
FIRST = 5
#: The variance of an answer that is left once it is known.
NOISE = 0.2


def onboarding_order(interactions: csr_matrix, *, n: int = MAX_ASKED) -> NDArray[np.int32]:
    """The items to ask about, the first one first.

    The first visit asks about the items with the highest entropy of an answer (Entropy0 in Rashid,
    Karypis and Riedl 2008, doi:10.1145/1540276.1540302): many know them, and not all like them.
    The items after them are weighted by how much the covariance of likes lets an answer tell of
    all the others, beyond what the answers before have told.

    Args:
        interactions: (n_users, n_items) weights; above 0 is a like.

    Returns:
        At most `n` items with likes.
    """
    liked = csr_matrix((interactions.data > 0, interactions.indices, interactions.indptr),
                       shape=interactions.shape, dtype=np.float64)  # fmt: skip
    n_users = max(int(np.count_nonzero(np.diff(interactions.indptr))), 1)
    n_items = interactions.shape[1]
    likes: Float64 = (
        np.bincount(interactions.indices[interactions.data > 0], minlength=n_items) / n_users
    )
    known: Float64 = np.bincount(interactions.indices, minlength=n_items) / n_users
    candidates = np.argsort(-likes, kind="stable")[:CANDIDATES]
    candidates = candidates[likes[candidates] > 0]
    some, likes, known = liked[:, candidates], likes[candidates], known[candidates]
    entropy = _entropy(np.stack([likes, known - likes, 1 - known]))
    covariance = (some.T @ some).toarray() / n_users - np.outer(likes, likes)
    order: list[int] = []
    for place in range(min(n, len(candidates))):
        variance = np.diag(covariance) + NOISE
        told = 1.0 if place < FIRST else (covariance**2).sum(axis=0) / variance
        worth = entropy * told
        worth[order] = -1
        chosen = int(worth.argmax())
        order.append(chosen)
        row = covariance[chosen]
        covariance = covariance - np.outer(row, row / variance[chosen])
    return np.asarray(candidates[order], dtype=np.int32)


def _entropy(shares: Float64) -> Float64:
    """(n,) in nats, of (m, n) shares that add up to 1."""
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: Float64 = -(shares * logs).sum(axis=0)
    return entropy
