"""Interaction weights, the same for training and serving."""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from recommendations.models import Interaction


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


def interaction_weight(interaction: Interaction) -> float:
    return float(weight_table()[interaction.kind, interaction.half_stars])
