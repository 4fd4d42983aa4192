"""From what viewers say and do to weights. Training and serving weigh by this one function."""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from recommendations.models import Interaction


class Evidence(IntEnum):
    """What taste is read from: interactions, and what viewers keep elsewhere.

    The view `recommendations_evidence` numbers its rows so.
    """

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
        """As the setting `INTERACTION_WEIGHTS` names it."""
        return self.name.lower().replace("_", "-")


#: A rating has 1 to 10, and what is no rating has 0.
HALF_STARS = 11


@cache
def weight_table() -> NDArray[np.float32]:
    """(9, HALF_STARS) float32: the weight by kind and half stars.

    Half stars lie between the whole ones.
    """
    weights = settings.INTERACTION_WEIGHTS
    table = np.zeros((len(Evidence) + 1, HALF_STARS), dtype=np.float32)
    for kind in Evidence:
        if kind is Evidence.RATING:
            whole = [weights[str(stars)] for stars in range(1, 6)]
            table[kind, 1:] = np.interp(np.arange(1, 11) / 2, np.arange(1, 6), whole)
            # Below one star the line from two stars to one goes on.
            table[kind, 1] = whole[0] - (whole[1] - whole[0]) / 2
        else:
            table[kind, 0] = weights[kind.label]
    return table


def latest_verdicts(
    keys: NDArray[np.int64], kinds: NDArray[np.integer], seconds: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Of each key's rows the place of the one that counts: the latest verdict.

    `seen` says little, and counts only where there is no verdict.

    Args:
        keys: (n,) what the rows are grouped by.
        kinds: (n,) `Evidence`.
        seconds: (n,) Unix seconds.

    Returns:
        Places in the rows, in ascending order of the keys.
    """
    # The kind breaks ties, so that it is always the same one.
    order = np.lexsort((kinds, seconds, kinds != Evidence.SEEN, keys))
    ordered = keys[order]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    last: NDArray[np.intp] = order[is_last]
    return last


def interaction_weight(interaction: Interaction) -> float:
    return float(weight_table()[interaction.kind, interaction.half_stars])
