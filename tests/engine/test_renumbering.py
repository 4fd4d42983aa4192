from __future__ import annotations

import numpy as np

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.matrices import IdMap
from recommendations.engine.recommender import RemappedRecommender
from tests.engine.camps import N_ITEMS, csr, two_camps

THEN = IdMap(np.arange(10, 10 + N_ITEMS))


def test_items_in_other_columns_get_the_scores_that_they_had() -> None:
    """Since then the items 10 and 13 have gone, and 5, 12.5 as it were, and 99 are new."""
    recommender = two_camps().fit(AlsRecommender())
    now = IdMap(np.array([5, 11, 12, 14, 15, 16, 17, 18, 19, 99]))
    of_today = csr([[1, 2, 0, -1, 0, 0, 0, 0, 0, 3], [0] * 9 + [3]])
    of_then = csr([[0, 2, 0, 0, -1, 0, 0, 0, 0, 0], [0] * N_ITEMS])
    scores = RemappedRecommender(recommender, THEN, now).score(of_today)
    expected = recommender.score(of_then)
    assert scores.shape == (2, len(now))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[:, 1:9], expected[:, [1, 2, 4, 5, 6, 7, 8, 9]], rtol=1e-5)
    assert np.isnan(scores[:, [0, 9]]).all()


def test_without_a_common_item_there_is_no_opinion() -> None:
    recommender = two_camps().fit(AlsRecommender())
    for now in (IdMap(np.array([1, 2])), IdMap(np.empty(0, dtype=np.int64))):
        history = csr(np.ones((3, len(now))))
        scores = RemappedRecommender(recommender, THEN, now).score(
            history, history.astype(np.float64)
        )
        assert scores.shape == history.shape
        assert np.isnan(scores).all()
