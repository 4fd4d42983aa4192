"""Ratings predicted from viewers of similar taste: against figures worked out by hand, and held to
what must be true of any data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine import artifacts
from recommendations.engine.rating_predictor import (
    MIN_RATINGS,
    RatingPredictor,
    Taste,
    as_percent,
)

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "ml-latest-small"


def ratings(rows: object) -> csr_matrix:
    """Half stars; 0 for none."""
    return csr_matrix(np.asarray(rows, dtype=np.uint8))


def taste(predictor: RatingPredictor, row: csr_matrix, besides: int | None = None) -> Taste | None:
    return predictor.taste_of(row.indices, row.data, besides=besides)


def at_random(
    n_users: int = 60, n_items: int = 25, share: float = 0.5, seed: int = 1
) -> csr_matrix:
    luck = np.random.default_rng(seed)
    stars = luck.integers(1, 11, (n_users, n_items)) * (luck.random((n_users, n_items)) < share)
    return ratings(stars)


def known_taste(predictor: RatingPredictor, row: csr_matrix, besides: int | None = None) -> Taste:
    found = taste(predictor, row, besides)
    assert found is not None
    return found


# --- by hand


def by_hand() -> RatingPredictor:
    """Four users and six items; users 0 to 2 are of one taste, user 3 of the contrary.

    The mean and the offsets are set, so that the deviations are whole numbers.
    """
    deviations = np.array([
        [1, -1, 1, -1, 1, 2],
        [1, -1, 1, -1, 1, 1],
        [1, -1, 1, -1, -1, 0],
        [-1, 1, -1, 1, -1, -3],
    ], dtype=np.float32)  # fmt: skip
    return RatingPredictor(
        n_users=4,
        mean=3.0,
        item_offsets=np.array([0, 0, 0, 0, 0, 0.5], dtype=np.float32),
        starts=np.arange(0, 25, 4, dtype=np.int64),
        raters=np.tile(np.arange(4, dtype=np.int32), 6),
        deviations=deviations.T.ravel(),
        norms=np.sqrt(np.array([9, 6, 5, 14], dtype=np.float32)),
    )


def test_a_prediction_worked_out_by_hand() -> None:
    """The viewer gave 4, 2, 4, 2 and 4 stars to the first five items.

    The mean is 3, so the deviations are 1, -1, 1, -1 and 1, and the offset 1 / (5 + 5) = 0.1: what
    is left is 0.9, -1.1, 0.9, -1.1, 0.9, of squares 4.85. Users 0 and 1 have 1, -1, 1, -1, 1: the
    product is 4.9, to be divided by both norms, and with 5 of 50 shared items it counts for a
    tenth. Of user 2 the product is 3.1. User 3 is of the contrary, and no neighbour.
    """
    predictor = by_hand()
    found = predictor.taste_of(np.arange(5), np.array([8, 4, 8, 4, 8]))
    assert found is not None
    norms = np.sqrt(4.85 * np.array([9, 6, 5, 14]))
    likeness = np.array([4.9, 4.9, 3.1, 0]) / norms / 10
    assert found.offset == pytest.approx(0.1)
    assert found.likeness == pytest.approx(likeness)
    # Beside the baseline of 3 + 0.5 + 0.1 they gave 2, 1 and 0.
    deviation = (2 * likeness[0] + 1 * likeness[1]) / (likeness.sum() + 0.2)
    assert predictor.predict(found, np.array([5])) == pytest.approx(3.6 + deviation)


def test_the_baseline_worked_out_by_hand() -> None:
    """Two users, two items: 5 and 3 stars, and 3 stars.

    The mean is 11 / 3. The first item lies 2 * (4 - 11/3) / (2 + 5) above it.
    """
    predictor = RatingPredictor.fit(ratings([[10, 6], [6, 0]]))
    first = (4 / 3 - 2 / 3) / 7
    second = (-2 / 3) / 6
    assert predictor.mean == pytest.approx(11 / 3)
    assert predictor.item_offsets == pytest.approx([first, second], abs=1e-6)
    rest = np.array([4 / 3 - first, -2 / 3 - first, -2 / 3 - second])
    of_users = np.array([(rest[0] + rest[2]) / 7, rest[1] / 6])
    assert predictor.raters.tolist() == [0, 1, 0]
    assert predictor.deviations == pytest.approx(rest - of_users[[0, 1, 0]], abs=1e-6)


def test_a_prediction_uses_the_50_most_similar_raters() -> None:
    """100 users rated it: the 50 nearest gave a deviation of 1, the others of -1."""
    likeness = np.linspace(1, 0.01, 100, dtype=np.float32)
    predictor = RatingPredictor(
        n_users=100,
        mean=3.0,
        item_offsets=np.zeros(1, dtype=np.float32),
        starts=np.array([0, 100]),
        raters=np.arange(100, dtype=np.int32),
        deviations=np.repeat([1, -1], 50).astype(np.float32),
        norms=np.ones(100, dtype=np.float32),
    )
    total = likeness[:50].sum()
    found = predictor.predict(Taste(0.0, likeness), np.array([0]))
    assert found == pytest.approx(3 + total / (total + 0.2))


@pytest.mark.parametrize(
    ("stars", "percent"), [(0.5, 0), (5, 100), (2.75, 50), (3.5, 67), (np.nan, np.nan)]
)
def test_stars_on_a_scale_of_a_hundred(stars: float, percent: float) -> None:
    found = as_percent(np.array([stars], dtype=np.float32))
    assert found == pytest.approx([percent], nan_ok=True)


# --- what must be true of any data


def test_predictions_lie_within_the_scale_and_are_not_all_alike() -> None:
    rows = at_random()
    predictor = RatingPredictor.fit(rows)
    for user in range(rows.shape[0]):
        stars = predictor.predict(known_taste(predictor, rows[user], besides=user))
        assert stars.dtype == np.float32
        assert ((stars >= 0.5) & (stars <= 5)).all()
    assert np.ptp(stars) > 0.1


def test_predictions_follow_viewers_of_similar_taste() -> None:
    """Two camps: whoever loves the even items hates the odd ones, and the other way round."""
    camps = np.arange(20)[:, None] % 2 == np.arange(12) % 2
    stars = np.where(camps, 10, 2)
    stars[0, 10:] = 0
    rows = ratings(stars)
    predictor = RatingPredictor.fit(rows)
    loved, hated = predictor.predict(known_taste(predictor, rows[0], besides=0), np.array([10, 11]))
    assert loved > 3.3 > 2.7 > hated


def test_the_order_of_users_and_items_does_not_matter() -> None:
    rows, luck = at_random(n_users=130, share=0.8), np.random.default_rng(2)
    users, items = luck.permutation(rows.shape[0]), luck.permutation(rows.shape[1])
    viewer = at_random(1, seed=3)
    one, other = RatingPredictor.fit(rows), RatingPredictor.fit(rows[users][:, items].tocsr())
    expected = one.predict(known_taste(one, viewer))[items]
    found = other.predict(known_taste(other, viewer[:, items].tocsr()))
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_viewer_is_no_neighbour_of_oneself() -> None:
    rows = at_random()
    predictor = RatingPredictor.fit(rows)
    assert known_taste(predictor, rows[7]).likeness[7] > 0
    assert known_taste(predictor, rows[7], besides=7).likeness[7] == 0


def test_a_new_viewer_is_predicted_as_a_known_one() -> None:
    rows = at_random()
    viewer = at_random(1, seed=3)
    predictor = RatingPredictor.fit(rows)
    assert np.isfinite(predictor.predict(known_taste(predictor, viewer))).all()


def test_some_items_are_predicted_as_among_all() -> None:
    rows = at_random()
    predictor = RatingPredictor.fit(rows)
    found = known_taste(predictor, rows[3], besides=3)
    some = np.array([20, 3, 3, 11])
    assert predictor.predict(found, some).tolist() == predictor.predict(found)[some].tolist()
    assert predictor.predict(found, np.array([], dtype=np.int32)).shape == (0,)


def test_an_item_that_too_few_rated_has_no_prediction() -> None:
    rows = at_random().toarray()
    rows[:, 0] = 0
    rows[:2, 1], rows[2:, 1] = 9, 0
    predictor = RatingPredictor.fit(ratings(rows))
    stars = predictor.predict(known_taste(predictor, ratings(rows)[5], besides=5))
    assert np.isnan(stars[:2]).all()
    assert np.isfinite(stars[2:]).all()


def test_a_viewer_of_few_ratings_has_no_taste_yet() -> None:
    predictor = RatingPredictor.fit(at_random())
    few, enough = np.arange(MIN_RATINGS - 1), np.arange(MIN_RATINGS)
    assert predictor.taste_of(few, np.full(len(few), 8)) is None
    assert predictor.taste_of(enough, np.full(len(enough), 8)) is not None


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((0, 0)),
        np.zeros((0, 8)),
        np.zeros((5, 8)),
        np.full((1, 8), 7),
        np.full((9, 8), 7),
        np.eye(8) * 10,
        np.vstack([np.full((4, 8), 10), np.zeros((4, 8)), np.full((4, 8), 1)]),
    ],
    ids=["nothing", "nobody", "empty", "one user", "all equal", "one each", "empty rows"],
)
def test_predictions_from_degenerate_data_are_finite(rows: NDArray[np.float64]) -> None:
    predictor = RatingPredictor.fit(ratings(rows))
    n_items = rows.shape[1]
    for half_stars in (1, 7, 10):
        found = predictor.taste_of(np.arange(n_items), np.full(n_items, half_stars))
        if found is not None:
            assert np.isfinite(found.likeness).all()
            stars = predictor.predict(found)
            assert (np.isnan(stars) | ((stars >= 0.5) & (stars <= 5))).all()
            assert not np.isinf(as_percent(stars)).any()


def test_a_saved_predictor_predicts_the_same(tmp_path: Path) -> None:
    rows = at_random()
    predictor = RatingPredictor.fit(rows)
    artifacts.save(tmp_path / "release", predictor.to_arrays(), {})
    arrays, _ = artifacts.load(tmp_path / "release")
    loaded = RatingPredictor.from_arrays(arrays)
    expected = predictor.predict(known_taste(predictor, rows[3], besides=3))
    assert loaded.predict(known_taste(loaded, rows[3], besides=3)).tolist() == expected.tolist()
    assert not loaded.raters.flags.writeable


# --- how good it is


@dataclass(frozen=True)
class HeldOut:
    """The ratings of a folder, divided by a fixed seed.

    Attributes:
        known: (n_users, n_items) half stars.
        users, items, stars: (n,) what is kept back.
    """

    known: csr_matrix
    users: NDArray[np.intp]
    items: NDArray[np.intp]
    stars: NDArray[np.float64]


def held_out(share: float = 0.1) -> HeldOut:
    if not FOLDER.is_dir():
        pytest.skip(f"ml-latest-small is not there: {FOLDER}")
    rows = np.genfromtxt(FOLDER / "ratings.csv", delimiter=",", skip_header=1)
    _, users = np.unique(rows[:, 0], return_inverse=True)
    _, items = np.unique(rows[:, 1], return_inverse=True)
    order = np.random.default_rng(1).permutation(len(rows))
    known, kept = np.split(order, [int(len(rows) * (1 - share))])
    half_stars = (rows[known, 2] * 2).astype(np.uint8)
    shape = (users.max() + 1, items.max() + 1)
    matrix = csr_matrix((half_stars, (users[known], items[known])), shape=shape)
    return HeldOut(matrix, users[kept], items[kept], rows[kept, 2])


def of_neighbours(data: HeldOut) -> NDArray[np.float64]:
    """(n,) stars, NaN for no prediction."""
    predictor = RatingPredictor.fit(data.known)
    stars = np.full(len(data.stars), np.nan)
    for user in np.unique(data.users):
        if found := taste(predictor, data.known[user], besides=int(user)):
            asked = np.flatnonzero(data.users == user)
            stars[asked] = predictor.predict(found, data.items[asked])
    return stars


def of_community(data: HeldOut) -> NDArray[np.float64]:
    """The community score, with ten ratings of the mean beside a film's own."""
    mean = data.known.data.mean() / 2
    sums = np.asarray(data.known.sum(axis=0)).ravel() / 2
    counts = np.bincount(data.known.indices, minlength=data.known.shape[1])
    scores: NDArray[np.float64] = ((sums + 10 * mean) / (counts + 10))[data.items]
    return scores


def of_baseline(data: HeldOut) -> NDArray[np.float64]:
    """Mean, film's offset and viewer's offset, without any neighbours."""
    predictor = RatingPredictor.fit(data.known)
    offsets = np.zeros(data.known.shape[0])
    for user in range(data.known.shape[0]):
        if found := taste(predictor, data.known[user]):
            offsets[user] = found.offset
    stars = predictor.mean + offsets[data.users] + predictor.item_offsets[data.items]
    baseline: NDArray[np.float64] = np.clip(stars, 0.5, 5)
    return baseline


def errors(
    stars: NDArray[np.float64], data: HeldOut, which: NDArray[np.bool_]
) -> tuple[float, ...]:
    """Mean absolute and root mean squared error."""
    off = stars[which] - data.stars[which]
    return float(np.abs(off).mean()), float(np.sqrt((off**2).mean()))


def test_on_movielens_neighbours_err_less_than_the_baseline_and_the_community() -> None:
    data = held_out()
    stars = of_neighbours(data)
    covered = np.isfinite(stars)
    assert covered.mean() > 0.8
    neighbours, baseline, community = (
        np.array(errors(found, data, covered))
        for found in (stars, of_baseline(data), of_community(data))
    )
    assert (neighbours < 0.98 * baseline).all()
    assert (baseline < 0.95 * community).all()
    assert neighbours == pytest.approx([0.642, 0.840], abs=0.003)
