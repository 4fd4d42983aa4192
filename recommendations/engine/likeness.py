"""How much items are alike by their factors: what the same users like points the same way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.protocol import Scores

#: Items that one and the same viewer alone has liked are no more alike than that.
ENOUGH_VIEWERS = 5


def lengths_of_liked(
    item_factors: NDArray[np.float32], liked_by: NDArray[np.int32]
) -> NDArray[np.float32]:
    """(n_items,) of the factors; NaN where fewer than ENOUGH_VIEWERS have liked the item."""
    lengths = np.linalg.norm(item_factors, axis=1)
    return np.where(liked_by < ENOUGH_VIEWERS, np.nan, lengths).astype(np.float32)


def cosines(item_factors: NDArray[np.float32], lengths: NDArray[np.float32], item: int) -> Scores:
    """(n_items,) from -1 to 1, of each item and this one; NaN where a length is."""
    direction = item_factors[item] / lengths[item]
    alike: Scores = item_factors @ direction / lengths
    return alike.clip(-1, 1)


def directions(
    item_factors: NDArray[np.float32], lengths: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(n_items, k) of length 1, a copy; NaN where a length is."""
    pointing: NDArray[np.float32] = item_factors / lengths[:, None]
    return pointing
