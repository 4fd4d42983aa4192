"""How new a film is to everybody, and how worn to one viewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HALF_LIFE_DAYS = 14


def newness(days: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) 1 on the day on which a film starts; half as much two weeks before it, or after.

    Args:
        days: (n,) from today to the start, below 0 for one that lies back.
    """
    found: NDArray[np.float64] = np.exp2(-np.abs(days) / HALF_LIFE_DAYS)
    return found


def wornness(times: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) from 0 towards 1 for what was shown so many times and never opened; once is nothing.

    Lee, Lakshmanan, Tiwari and Shah (2014), doi:10.1145/2623330.2623356, find that interest falls
    with each time; how fast is our guess until impressions tell.
    """
    found: NDArray[np.float64] = 1 - np.exp2(-np.maximum(times - 1, 0.0))
    return found
