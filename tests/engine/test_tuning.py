"""A search keeps what gains, leaves what does not, and ends in time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.evaluation.splits import Split, leave_last_out
from recommendations.engine.evaluation.tuning import ENOUGH_USERS, divide_budget, tune
from recommendations.engine.fit_cost import FitCost
from recommendations.engine.matrices import Array, Features, Scores, Times
from recommendations.engine.recommender import Recommender
from tests.engine.camps import csr, data_of, evaluate

N_USERS, N_ITEMS = 60, 40


class Clock:
    """Goes on only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Dial(Recommender):
    """Ranks item 0 the higher, the nearer `level` is to 5 and `width` to 3; 10 seconds a fit."""

    name = "dial"
    description = "A made-up one."
    search_space: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "level": (1, 2, 3, 4, 5, 6, 7),
        "width": (1, 2, 3, 4),
    }
    clock: ClassVar[Clock]
    broken: ClassVar[tuple[int, ...]] = ()

    def __init__(self, *, level: int = 3, width: int = 2) -> None:
        self.level, self.width = level, width

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return {"level": self.level, "width": self.width}

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        self.clock.now += 10
        if self.level in self.broken:
            raise FloatingPointError("it does not converge\nat all")
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        scores = np.tile(-np.arange(N_ITEMS, dtype=np.float32), (history.shape[0], 1))
        scores[:, 0] = -0.5 - abs(self.level - 5) - abs(self.width - 3)
        return scores

    def to_arrays(self) -> dict[str, Array]:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        return cls()


class Costly(Dial):
    """Known beforehand to take ten seconds a fit."""

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        return FitCost(seconds=10)


class Lottery(Dial):
    """Each user's luck is drawn anew for each level."""

    search_space: ClassVar[Mapping[str, tuple[int, ...]]] = {"level": tuple(range(10))}

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        random = np.random.default_rng(self.level)
        return random.random(history.shape, dtype=np.float32)


@pytest.fixture
def clock() -> Clock:
    Dial.clock, Dial.broken = Clock(), ()
    return Dial.clock


def split_of(n_users: int) -> Split:
    """Each user has touched the last item, and likes item 0 next."""
    seen, liked = np.zeros((2, n_users, N_ITEMS), dtype=np.float32)
    seen[:, -1] = liked[:, 0] = 1
    history = data_of(csr(seen))
    past, times = history.interactions, history.times
    return Split(past, times, past, times, csr(liked))


def test_tuning_climbs_from_the_defaults_to_the_best_settings(clock: Clock) -> None:
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, clock=clock)
    assert tuned.settings == {"level": 5, "width": 3}
    assert tuned.ndcg == 1
    assert tuned.users == N_USERS
    assert tuned.trials[0].settings == {"level": 3, "width": 2}
    assert [trial.seconds for trial in tuned.trials] == [10] * len(tuned.trials)


def test_no_settings_are_tried_twice(clock: Clock) -> None:
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, starts=[{}, {"level": 4}], clock=clock)
    tried = [tuple(trial.settings.items()) for trial in tuned.trials]
    assert len(tried) == len(set(tried))


@pytest.mark.parametrize(("budget_s", "trials"), [(5, 0), (20, 0), (21, 2)])
def test_no_search_is_begun_that_has_no_time_for_two_fits(
    clock: Clock, budget_s: float, trials: int
) -> None:
    tuned = tune(Costly, split_of(N_USERS), budget_s=budget_s, clock=clock)
    assert (len(tuned.trials), tuned.settings) == (trials, {"level": 4} if trials else {})


@pytest.mark.parametrize(("budget_s", "trials"), [(5, 1), (19, 1), (20, 2), (39, 3)])
def test_no_trial_is_begun_that_would_end_after_the_budget(
    clock: Clock, budget_s: float, trials: int
) -> None:
    tuned = tune(Dial, split_of(N_USERS), budget_s=budget_s, clock=clock)
    assert len(tuned.trials) == trials


def test_the_settings_of_the_last_release_are_tried_after_the_defaults(clock: Clock) -> None:
    tuned = tune(Dial, split_of(N_USERS), budget_s=25, starts=[{"level": 6}], clock=clock)
    assert [trial.settings["level"] for trial in tuned.trials] == [3, 6]
    assert tuned.settings == {"level": 6}


def test_settings_of_another_version_are_no_more_than_a_lost_trial(clock: Clock) -> None:
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, starts=[{"depth": 9}], clock=clock)
    assert "depth" in tuned.trials[1].failure
    assert tuned.settings == {"level": 5, "width": 3}


def test_a_trial_that_fails_is_recorded_and_lost(clock: Clock) -> None:
    Dial.broken = (5,)
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, clock=clock)
    failed = next(trial for trial in tuned.trials if trial.failure)
    assert failed.failure == "FloatingPointError: it does not converge"
    assert math.isnan(failed.ndcg)
    assert tuned.settings == {"level": 4, "width": 3}


def test_tuning_goes_on_from_the_last_release_when_the_defaults_fail(clock: Clock) -> None:
    Dial.broken = (3,)
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, starts=[{"level": 4}], clock=clock)
    assert tuned.settings == {"level": 5, "width": 3}


def test_the_defaults_remain_when_every_trial_fails(clock: Clock) -> None:
    Dial.broken = tuple(range(8))
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, clock=clock)
    assert tuned.settings == {}
    assert math.isnan(tuned.ndcg)
    assert len(tuned.trials) == 1


def test_a_gain_within_its_standard_error_is_not_taken(clock: Clock) -> None:
    """Levels 4 and 2 stand beside the default; 4 gains a little, by luck alone."""
    split = split_of(N_USERS)
    default, lucky = (evaluate(Lottery(level=level), split).ndcg for level in (3, 4))
    tuned = tune(Lottery, split, budget_s=1000, clock=clock)
    assert lucky > default
    assert tuned.settings == {}
    assert tuned.ndcg == pytest.approx(default)


@pytest.mark.parametrize(
    ("n_users", "budget_s"), [(ENOUGH_USERS - 1, 1000), (N_USERS, 0), (N_USERS, -3), (0, 1000)]
)
def test_nothing_is_searched_without_users_or_time(
    clock: Clock, n_users: int, budget_s: float
) -> None:
    tuned = tune(Dial, split_of(n_users), budget_s=budget_s, clock=clock)
    assert tuned.settings == {}
    assert tuned.trials == ()
    assert tuned.users == n_users


def test_an_algorithm_without_a_space_keeps_its_defaults() -> None:
    class Plain(PopularityRecommender):
        search_space: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    assert tune(Plain, split_of(N_USERS), budget_s=9, clock=Clock()).trials == ()


def test_a_value_between_those_of_the_list_steps_to_its_neighbours(clock: Clock) -> None:
    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, starts=[{"level": 4.4}], clock=clock)
    assert tuned.settings == {"level": 5, "width": 3}
    assert [trial.settings["level"] for trial in tuned.trials[:3]] == [3, 4.4, 5]


def test_the_caller_can_fit_trials_and_gets_the_best_model(clock: Clock) -> None:
    fitted: list[Dial] = []

    def fit(dial: Dial) -> Dial:
        fitted.append(dial)
        return dial.fit(csr(np.zeros((0, 0))))

    tuned = tune(Dial, split_of(N_USERS), budget_s=1000, clock=clock, fit=fit)
    assert len(fitted) == len(tuned.trials)
    assert tuned.model in fitted
    assert isinstance(tuned.model, Dial)
    assert tuned.model.settings_for(csr(np.eye(1))) == {"level": 5, "width": 3}


def test_the_record_is_json(clock: Clock) -> None:
    Dial.broken = (5,)
    tuned = tune(
        Dial, split_of(N_USERS), budget_s=1000, starts=[{"level": np.int64(4)}], clock=clock
    )
    record = json.loads(json.dumps(tuned.manifest(), allow_nan=False))
    assert record["settings"] == {"level": 4, "width": 3}
    assert record["users"] == N_USERS
    assert record["trials"][0] == {
        "settings": {"level": 3, "width": 2},
        "ndcg": pytest.approx(1 / math.log2(5)),
        "seconds": 10,
        "failure": "",
    }
    assert None in [trial["ndcg"] for trial in record["trials"]]


def test_progress_rises_to_the_whole(clock: Clock) -> None:
    shares: list[float] = []
    tune(Dial, split_of(N_USERS), budget_s=200, clock=clock, on_progress=shares.append)
    assert shares[:2] == [0.05, 0.1]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_settings_that_learn_too_little_are_left_for_better_ones() -> None:
    """ALS with one factor cannot tell four camps apart."""
    camps = np.arange(80)[:, None] // 20 == np.arange(32) // 8
    taste = np.random.default_rng(3).random((80, 32)) < np.where(camps, 0.7, 0.03)
    data = data_of(csr(taste))
    split = leave_last_out(data.interactions, data.times)
    held_down = {"regularization": 150.0, "factors": 16, "alpha": 1.0}

    class HeldDown(AlsRecommender):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**{**held_down, **settings})

    tuned = tune(HeldDown, split, budget_s=60, clock=time.monotonic)
    again = tune(HeldDown, split, budget_s=60, clock=time.monotonic)
    assert tuned.settings["regularization"] < held_down["regularization"]
    assert tuned.ndcg > tuned.trials[0].ndcg
    assert again.settings == tuned.settings
    assert tuned.ndcg == pytest.approx(
        evaluate(HeldDown(**tuned.settings).fit(split.train), split).ndcg
    )


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_searched_settings_can_be_set_and_have_defaults(name: str) -> None:
    algorithm = ALGORITHMS[name]
    defaults = algorithm().settings_for(csr(np.eye(N_ITEMS)))
    assert defaults.keys() >= algorithm.search_space.keys()
    for setting, values in algorithm.search_space.items():
        assert len(values) > 1
        for value in values:
            assert algorithm(**{setting: value}).settings_for(csr(np.eye(3)))[setting] == value


def test_the_budget_is_divided_among_searchable_algorithms() -> None:
    seconds = divide_budget(
        60, {"lottery": Lottery, "content": ALGORITHMS["content"], "dial": Dial}
    )
    assert list(seconds.items()) == [("lottery", 30), ("dial", 30)]
    assert list(divide_budget(60, {"als": AlsRecommender, "dial": Dial})) == ["als", "dial"]


@pytest.mark.parametrize("budget_s", [0, -1])
def test_an_empty_budget_is_not_divided(budget_s: float) -> None:
    assert divide_budget(budget_s, {"dial": Dial}) == {}
    assert divide_budget(60, {}) == {}
