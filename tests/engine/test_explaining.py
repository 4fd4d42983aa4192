from __future__ import annotations

import numpy as np

from recommendations.engine.explaining import strongest_entries


def test_the_strongest_come_first_and_weak_ones_not_at_all() -> None:
    contributions = np.array(
        [
            [0.1, 0.8, 0.3],  # a quarter of 0.8 is 0.2: 0.1 does not count
            [0.5, 0.5, 0.5],  # alike: in the order of the history
            [-0.9, 0.0, 0.4],  # what lowers the score is no reason for it
        ]
    )
    assert strongest_entries(contributions, at_most=3) == [[1, 2], [0, 1, 2], [2]]
    assert strongest_entries(contributions, at_most=1) == [[1], [0], [2]]


def test_what_nothing_raised_has_no_reason() -> None:
    assert strongest_entries(np.array([[-0.2, -0.1], [0.0, 0.0]]), at_most=2) == [[], []]
    assert strongest_entries(np.empty((2, 0)), at_most=2) == [[], []]
    assert strongest_entries(np.empty((0, 3)), at_most=2) == []
