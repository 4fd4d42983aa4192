"""Searches the settings of an algorithm on a validation split, within a budget of seconds.

The first trials are the defaults and the settings of the current release. From the better one, a
coordinate search changes one setting by one step of its list at a time.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.evaluation.quality import evaluable_users, evaluate_lists
from recommendations.engine.evaluation.splits import Split
from recommendations.engine.matrices import Features
from recommendations.engine.recommender import Recommender

#: With fewer evaluated users a search would fit noise.
ENOUGH_USERS = 50
#: A value that differs from the current one by less than this share is not tried.
CLOSE = 0.1
#: A trial is expected to take as long as the longest of these last trials.
LAST_TRIALS = 3

Settings = Mapping[str, Any]
Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One fit and its quality.

    Attributes:
        settings: All searched settings.
        ndcg: Mean NDCG@10 over the evaluated users; NaN if fit or score failed.
        seconds: Time of fit and evaluation.
        failure: The error in one line; empty for none.
    """

    settings: Settings
    ndcg: float
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class TuningResult:
    """The result of a search.

    Attributes:
        settings: Constructor arguments that differ from the defaults; the defaults keep following
            the size of the data.
        ndcg: The best NDCG@10; NaN without trials.
        users: Number of evaluated users.
        trials: All trials in order, the first with the defaults.
        model: The model of the best trial; None without one.
    """

    settings: dict[str, Any]
    ndcg: float
    users: int
    trials: tuple[Trial, ...] = ()
    model: Recommender | None = None

    def manifest(self) -> dict[str, Any]:
        """The result as JSON, with None for NaN."""
        return {
            "settings": _plain(self.settings),
            "ndcg": _known(self.ndcg),
            "users": self.users,
            "trials": [
                asdict(trial) | {"settings": _plain(trial.settings), "ndcg": _known(trial.ndcg)}
                for trial in self.trials
            ],
        }


def tune(
    make: type[Recommender],
    split: Split,
    *,
    budget_s: float,
    starts: Sequence[Settings] = (),
    items: Features = None,
    clock: Callable[[], float],
    on_progress: Callable[[float], None] | None = None,
    fit: Callable[[Any], Recommender] | None = None,
) -> TuningResult:
    """Search the algorithm's `search_space` for the best NDCG@10 on the test of `split`.

    A change is kept if its gain, over the same users, is larger than the standard error of the
    gain. A trial does not start if it is expected to end after the budget; a trial that fails is
    recorded. There is no search without a search space, ENOUGH_USERS, or a budget for two fits.

    Args:
        starts: Settings to try after the defaults, such as those of the current release.
        clock: A monotonic clock in seconds.
        on_progress: Called with the share done, 0 to 1.
        fit: Takes the recommender of a trial; by default it is fitted on `split.train`.
    """
    users = len(evaluable_users(split))
    # Without `fit` the algorithm itself is fitted; with it, parts that are fitted are composed.
    fit_s = 0.0 if fit else make().fit_cost(split.train).seconds
    if budget_s <= 2 * fit_s or not make.search_space or users < ENOUGH_USERS:
        return TuningResult({}, math.nan, users)
    defaults = make().settings_for(split.train)
    fit = fit or (lambda model: model.fit(split.train, items, split.train_times))
    search = _Search(make, split, fit, budget_s, clock, on_progress)
    search.improves(defaults)
    for start in starts:
        search.improves({**defaults, **start})
    search.climb()
    if on_progress:
        on_progress(1.0)
    best = search.best
    return TuningResult(
        {name: value for name, value in best.items() if value != defaults.get(name)},
        search.best_ndcg,
        len(search.gains),
        tuple(search.trials),
        search.model,
    )


class _Search:
    """The trials so far, and the best of them.

    Attributes:
        best: The settings of the best trial; empty until a trial has succeeded.
        gains: (m,) its NDCG for each evaluated user.
        model: Its model.
    """

    def __init__(
        self,
        make: type[Recommender],
        split: Split,
        fit: Callable[[Any], Recommender],
        budget_s: float,
        clock: Callable[[], float],
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self.make, self.split, self.fit = make, split, fit
        self.budget_s, self.clock, self.on_progress = budget_s, clock, on_progress
        self.began_at = clock()
        self.trials: list[Trial] = []
        self.best: Settings = {}
        self.gains: Gains = np.empty(0)
        self.model: Recommender | None = None

    @property
    def best_ndcg(self) -> float:
        return float(self.gains.mean()) if len(self.gains) else math.nan

    def climb(self) -> None:
        """Change one setting by one step, again in a direction that helps, until no step helps."""
        improved = len(self.gains) > 0
        while improved:
            improved = False
            for name, values in self.make.search_space.items():
                for step in (1, -1):
                    while self._steps(name, values, step):
                        improved = True

    def _steps(self, name: str, values: Sequence[Any], step: int) -> bool:
        """Try the next value of this setting; return whether it is better."""
        ladder, place = _ladder(values, self.best[name])
        if not 0 <= place + step < len(ladder):
            return False
        return self.improves({**self.best, name: ladder[place + step]})

    def improves(self, settings: Settings) -> bool:
        """Try settings that are new, if there is time; return whether they are the best now."""
        if any(trial.settings == settings for trial in self.trials) or not self._has_time():
            return False
        began_at = self.clock()
        failure, gains = "", None
        try:
            model = self.fit(self.make(**settings))
            gains = evaluate_lists(model, self.split).by_user["ndcg"]
        except Exception as error:  # noqa: BLE001 - any error disqualifies the settings
            failure = f"{type(error).__name__}: {error}".splitlines()[0]
        now = self.clock()
        ndcg = math.nan if gains is None else float(gains.mean())
        self.trials.append(Trial(settings, ndcg, now - began_at, failure))
        if self.on_progress:
            self.on_progress(min(1.0, (now - self.began_at) / self.budget_s))
        if (
            gains is None
            or math.isnan(ndcg)
            or (len(self.gains) and not is_more_than_chance(gains - self.gains))
        ):
            return False
        self.best, self.gains, self.model = settings, gains, model
        return True

    def _has_time(self) -> bool:
        left = self.began_at + self.budget_s - self.clock()
        expected = max((trial.seconds for trial in self.trials[-LAST_TRIALS:]), default=0.0)
        return left > 0 and expected <= left


def divide_budget(budget_s: float, makes: Mapping[str, type[Recommender]]) -> dict[str, float]:
    """The seconds for the search of each algorithm, in the order of the searches.

    They are proportional to the number of steps in the search space, the largest first. Algorithms
    without a search space are left out. The caller divides the rest of the time after each search.
    """
    steps = {
        name: sum(len(values) - 1 for values in make.search_space.values())
        for name, make in makes.items()
        if make.search_space
    }
    if budget_s <= 0 or not sum(steps.values()):
        return {}
    share = budget_s / sum(steps.values())
    return {name: share * steps[name] for name in sorted(steps, key=lambda name: -steps[name])}


def is_more_than_chance(gains: Gains) -> bool:
    """Whether the mean gain is above its standard error, as one in six random gains is."""
    return bool(gains.mean() > gains.std() / math.sqrt(len(gains)))


def _ladder(values: Sequence[Any], current: Any) -> tuple[list[Any], int]:
    """The values in order with the current one among them, and its index.

    A current value that is neither a number nor in the list comes first.
    """
    ladder = list(values)
    if current in ladder:
        return ladder, ladder.index(current)
    place = 0
    if isinstance(current, int | float):
        ladder = [value for value in ladder if not math.isclose(value, current, rel_tol=CLOSE)]
        place = bisect(ladder, current)
    return [*ladder[:place], current, *ladder[place:]], place


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings with Python's numbers in place of NumPy's."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in settings.items()
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
