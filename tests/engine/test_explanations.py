from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.hybrid import Composite, HybridRecommender
from recommendations.engine.matrices import without_each_entry
from recommendations.engine.ranking.explanations import (
    MAX_ENTRIES,
    NEWEST,
    Explainers,
    Influence,
    entries_to_test,
    score_parts,
    strongest_entries,
)
from recommendations.engine.recommender import Recommender
from tests.engine.camps import Sums, csr, data_of, ratings

N_ITEMS = 25
HYBRID = data_of(ratings(n_items=N_ITEMS)).fit(HybridRecommender())

histories = arrays(
    np.float32, (1, N_ITEMS), elements=st.sampled_from([0, 0, 0, -2, -1, 0.5, 1, 2, 3])
)


class Two(Composite):
    name = "two"
    part_types = {"first": Sums, "second": Sums}


def when(*values: float) -> csr_matrix:
    places = np.arange(len(values))
    return csr_matrix((np.array(values), places, [0, len(values)]), shape=(1, len(values)))


def every_entry(history: csr_matrix) -> NDArray[np.intp]:
    return np.arange(history.nnz)


def explainers_of(
    model: Recommender, history: csr_matrix, times: csr_matrix | None = None
) -> Explainers:
    return Explainers(model, score_parts(model, history, times))


def influences(
    model: Recommender,
    history: csr_matrix,
    *,
    entries: NDArray[np.intp],
    items: NDArray[np.intp],
) -> Mapping[str, Influence]:
    return explainers_of(model, history).influences(entries, items)


# --- which entries there are reasons in


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
    assert strongest_entries(contributions, at_most=3, least_share=0) == [
        [1, 2, 0],
        [0, 1, 2],
        [2],
    ]


def test_an_item_that_no_entry_raises_has_no_reason() -> None:
    assert strongest_entries(np.array([[-0.2, -0.1], [0.0, 0.0]]), at_most=2) == [[], []]
    assert strongest_entries(np.empty((2, 0)), at_most=2) == [[], []]
    assert strongest_entries(np.empty((0, 3)), at_most=2) == []


def test_the_newest_likes_are_candidates_of_models_without_contributions() -> None:
    model = Sums(np.zeros((4, 4), dtype=np.float32))
    history = csr([[1, -1, 3, 2]])
    explainers = explainers_of(model, history, when(30, 40, 10, 20))
    found = explainers.candidate_entries("sums", np.ones(4, dtype=bool), np.array([0, 1]))
    assert found == [[0, 3, 2]] * 2
    unnamed = np.array([True, True, True, False])
    assert explainers.candidate_entries("sums", unnamed, np.array([0])) == [[0, 2]]
    n = NEWEST + 5
    model = Sums(np.zeros((n, n), dtype=np.float32))
    explainers = explainers_of(model, csr(np.ones((1, n))), when(*range(n)))
    [found_in_long] = explainers.candidate_entries("sums", np.ones(n, dtype=bool), np.array([0]))
    assert found_in_long == list(range(NEWEST + 4, 4, -1))


def test_disliked_items_are_no_candidates() -> None:
    history = csr(ratings(n_items=N_ITEMS)[0].toarray())
    explainers = explainers_of(HYBRID, history)
    usable = np.ones(history.nnz, dtype=bool)
    for part in ("als", "content"):
        for row in explainers.candidate_entries(part, usable, np.arange(N_ITEMS)):
            assert (history.data[row] > 0).all()


def test_explanations_are_by_the_leading_part_of_each_item() -> None:
    history = csr(ratings(n_items=N_ITEMS)[0].toarray())
    explainers, items = explainers_of(HYBRID, history), np.array([3, 9, 4])
    usable = np.ones(history.nnz, dtype=bool)
    parts = ["als", "popularity", "content"]
    found = explainers.explain(items, parts, usable=usable, n=2)
    assert [each.part for each in found] == parts
    tested = entries_to_test([list(each.likely) for each in found])
    influences = explainers.influences(np.array(tested), items)
    for row, each in enumerate(found):
        falls = influences[each.part].falls[row]
        assert all(falls[tested.index(entry)] > 0 for entry in each.strongest)
        assert len(each.strongest) <= 2
    assert (found[1].likely, found[1].strongest, found[1].fits) == ([], [], False)
    assert explainers.explain(items, ["popularity"] * 3, usable=usable, n=2) == []
    nothing = explainers.explain(items, parts, usable=~usable, n=2)
    assert not any(each.likely or each.strongest for each in nothing)


def test_the_likeliest_of_each_item_are_tried_before_any_second_one() -> None:
    assert entries_to_test([[5, 1], [], [7], [5, 2, 9]]) == [5, 7, 1, 2, 9]
    assert entries_to_test([]) == []
    rows = [[n, 100 + n] for n in range(MAX_ENTRIES - 1)]
    assert entries_to_test(rows) == [*range(MAX_ENTRIES - 1), 100]


# --- what leaving them out changes


def test_histories_are_without_one_entry_each() -> None:
    found = without_each_entry(csr([[0, 2, 0, -1, 3]]), np.array([2, 0])).toarray()
    assert found.tolist() == [[0, 2, 0, -1, 3], [0, 2, 0, -1, 0], [0, 0, 0, -1, 3]]
    assert without_each_entry(
        csr(np.zeros((1, 3))), np.array([], dtype=int)
    ).toarray().tolist() == [[0] * 3]


def test_only_falls_beyond_rounding_count() -> None:
    """Each item in the history also takes 1 from every score, as a mean or a length would."""
    adds = np.zeros((3, 3), dtype=np.float32)
    adds[:, 2] = 4, 1.000001, 0.5
    history = csr([[1, 1, 1]])
    model = Sums(adds, length=1)
    [influence] = influences(
        model, history, entries=every_entry(history), items=np.array([2])
    ).values()
    assert influence.falls.tolist() == [[3, 0, 0]]


def test_a_score_that_vanishes_without_its_only_entry_falls_most() -> None:
    history = csr([[0, 1]])
    model = Sums(np.full((2, 2), -5, dtype=np.float32))
    found = influences(model, history, entries=every_entry(history), items=np.array([0]))
    assert found["sums"].falls[0, 0] > 1e6


def test_an_entry_that_lowers_the_total_is_no_reason() -> None:
    """Without the first entry the other part's scores have another range, and the item gains."""
    first, second = np.zeros((2, 4), dtype=np.float32), np.zeros((2, 4), dtype=np.float32)
    first[:, 1:] = (0.1, 0, 1), (1, 0, 1)
    second[:, 1:] = (0, 9, 0), (1, 0, 2)
    adds = [np.vstack([rows, np.zeros((2, 4), dtype=np.float32)]) for rows in (first, second)]
    model = Two().compose({"first": Sums(adds[0]), "second": Sums(adds[1])})
    history = csr([[1, 1, 0, 0]])
    found = influences(model, history, entries=every_entry(history), items=np.array([1]))
    after = model.score(csr([[0, 1, 0, 0]]))[0, 1]
    assert after > model.score(history)[0, 1]
    assert found["first"].falls[0, 0] == 0


def test_an_item_below_the_mean_does_not_fit() -> None:
    adds = np.array([[1, 2, 6]] * 3, dtype=np.float32)
    history = csr([[1, 0, 0]])
    found = influences(Sums(adds), history, entries=every_entry(history), items=np.arange(3))
    assert found["sums"].fits.tolist() == [False, False, True]


def test_without_entries_to_leave_out_there_is_no_reason() -> None:
    history = csr([[1, 0, 0]])
    nothing = np.array([], dtype=np.intp)
    found = influences(HYBRID, csr(np.eye(1, N_ITEMS)), entries=nothing, items=np.arange(3))
    assert {influence.falls.shape for influence in found.values()} == {(3, 0)}
    found = influences(
        Sums(np.ones((3, 3), dtype=np.float32)), history, entries=nothing, items=np.arange(3)
    )
    assert found["sums"].falls.shape == (3, 0)


@given(history=histories)
@settings(max_examples=30)
def test_influences_equal_scores_of_each_shortened_history(history: NDArray[np.float32]) -> None:
    row, items = csr(history), np.arange(N_ITEMS)
    found = influences(HYBRID, row, entries=every_entry(row), items=items)
    whole = HYBRID.score(row)[0]
    for part in (AlsRecommender.name, EaseRecommender.name, ContentRecommender.name):
        before = HYBRID.parts[part].score(row)[0]
        for entry, item in enumerate(row.indices):
            less = history.copy()
            less[0, item] = 0
            lower = HYBRID.score(csr(less))[0] < whole - 1e-4
            falls = found[part].falls[:, entry]
            real = np.nan_to_num(before - HYBRID.parts[part].score(csr(less))[0], nan=1e9)
            sure = lower & (real > 1e-3) & ~np.isnan(before)
            np.testing.assert_allclose(falls[sure], real[sure], rtol=0.01, atol=1e-4)
            higher = (HYBRID.score(csr(less))[0] > whole + 1e-4) | (real < -1e-3)
            assert not falls[higher].any()


def test_the_whole_score_without_an_entry_has_the_weights_of_the_shorter_history() -> None:
    """The entry of the other camp is nothing to item 1; without it popularity counts for more."""
    popular = np.array([[0, 0, 0, 1]] * 3 + [[1, 1, 0, 1]] * 9)
    data = data_of(csr(np.vstack([popular, np.eye(4)])))
    hybrid = data.fit(HybridRecommender(popularity=3.0))
    history, items = csr([[0, 0, 1, 1]]), np.array([0, 1])
    explainers = Explainers(hybrid, score_parts(hybrid, history))
    found = {name: each.without(np.arange(2), items) for name, each in explainers.by_part.items()}
    blend = hybrid.blended(
        {name: each.scores for name, each in found.items()},
        shape=(3, 2),
        ranges={name: (each.least, each.greatest) for name, each in found.items()},
        likes=np.array([2, 1, 1]),
    )
    for row, left in enumerate([[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 1, 0]]):
        expected = hybrid.score(csr([left]))[0, items]
        np.testing.assert_allclose(blend.scores[row], expected, atol=1e-4)
    falls = explainers.influences(np.arange(2), items)["als"].falls
    really = hybrid.score(history)[0, items] > [
        hybrid.score(csr([left]))[0, items] for left in ([0, 0, 0, 1], [0, 0, 1, 0])
    ]
    assert not falls[~really.T].any()


@pytest.mark.parametrize("part", ["als", "ease", "content", "popularity"])
def test_parts_have_influences_by_name(part: str) -> None:
    history = csr(np.eye(1, N_ITEMS))
    found = influences(HYBRID, history, entries=every_entry(history), items=np.arange(2))
    assert found[part].falls.shape == (2, 1)
    if part == "popularity":
        assert not found[part].falls.any()
