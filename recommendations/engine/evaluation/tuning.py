"""Which settings suit the data at hand: a search on a validation split, within a budget of seconds.

The defaults by data size are tried first, then what suited the last release. From the better one
the search goes uphill, one setting by one step of its list at a time: a search whose every trial
can be read and explained.
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
from recommendations.engine.matrices import ItemFeatures
from recommendations.engine.recommender import Recommender

#: With fewer judged users a search would find what suits their chances, not their taste.
ENOUGH_USERS = 50
#: A value of the list closer to the standing one than this share is no step worth a trial.
CLOSE = 0.1
#: A trial is expected to take as long as the longest of so many before it.
LAST_TRIALS = 3

Settings = Mapping[str, Any]
Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One fit and what it was worth.

    Attributes:
        settings: All that are searched.
        ndcg: At 10, the mean over the judged users; NaN where fitting or scoring failed.
        seconds: Of fitting and judging.
        failure: The error in one line; empty for none.
    """

    settings: Settings
    ndcg: float
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class TuningResult:
    """What a search found.

    Attributes:
        settings: For the constructor, those alone that are better than the defaults: the others
            go on following the size of the data.
        ndcg: What they reached; NaN where nothing was tried.
        users: How many could be judged.
        trials: In order, the first with the defaults.
    """

    settings: dict[str, Any]
    ndcg: float
    users: int
    trials: tuple[Trial, ...] = ()

    def manifest(self) -> dict[str, Any]:
        """As JSON has it: None for NaN."""
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
    items: ItemFeatures | None = None,
    clock: Callable[[], float],
    on_progress: Callable[[float], None] | None = None,
) -> TuningResult:
    """Search the algorithm's `search_space` for what ranks best the test of `split`.

    A change is kept if it gains more, over the same users, than the standard error of that gain.
    No trial is begun that is expected to end after the budget; one that fails is recorded and
    lost. Nothing is searched without a budget, a space, or ENOUGH_USERS.

    Args:
        starts: Settings to try beside the defaults, such as the last release's.
        clock: Seconds that only rise.
        on_progress: Called with the share done, 0 to 1.
    """
    users = len(evaluable_users(split))
    if budget_s <= 0 or not make.search_space or users < ENOUGH_USERS:
        return TuningResult({}, math.nan, users)
    defaults = make().settings_for(split.train)
    search = _Search(make, split, items, budget_s, clock, on_progress)
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
    )


class _Search:
    """The trials so far, and the best of them.

    Attributes:
        best: Its settings; empty until a trial has succeeded.
        gains: Its NDCG of each judged user.
    """

    def __init__(
        self,
        make: type[Recommender],
        split: Split,
        items: ItemFeatures | None,
        budget_s: float,
        clock: Callable[[], float],
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self.make, self.split, self.items = make, split, items
        self.budget_s, self.clock, self.on_progress = budget_s, clock, on_progress
        self.began_at = clock()
        self.trials: list[Trial] = []
        self.best: Settings = {}
        self.gains: Gains = np.empty(0)

    @property
    def best_ndcg(self) -> float:
        return float(self.gains.mean()) if len(self.gains) else math.nan

    def climb(self) -> None:
        """One step of one setting at a time, on in a direction that helps, until none does."""
        improved = len(self.gains) > 0
        while improved:
            improved = False
            for name, values in self.make.search_space.items():
                for step in (1, -1):
                    while self._steps(name, values, step):
                        improved = True

    def _steps(self, name: str, values: Sequence[Any], step: int) -> bool:
        """Whether the next value of this setting is better than the standing one."""
        ladder, place = _ladder(values, self.best[name])
        if not 0 <= place + step < len(ladder):
            return False
        return self.improves({**self.best, name: ladder[place + step]})

    def improves(self, settings: Settings) -> bool:
        """Try them, unless they have been or there is no time. Whether they are the best now."""
        if any(trial.settings == settings for trial in self.trials) or not self._has_time():
            return False
        began_at = self.clock()
        failure, gains = "", None
        try:
            gains = self._gains(settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, those settings are no good
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
        self.best, self.gains = settings, gains
        return True

    def _has_time(self) -> bool:
        left = self.began_at + self.budget_s - self.clock()
        expected = max((trial.seconds for trial in self.trials[-LAST_TRIALS:]), default=0.0)
        return left > 0 and expected <= left

    def _gains(self, settings: Settings) -> Gains:
        model = self.make(**settings)
        model.fit(self.split.train, self.items, self.split.train_times)
        return evaluate_lists(model, self.split).by_user["ndcg"]


def divide_budget(budget_s: float, makes: Mapping[str, type[Recommender]]) -> dict[str, float]:
    """How many seconds each algorithm's search may take, in the order to search.

    By the number of steps that its lists allow, the most first. One without a list is left out.
    What a search leaves of its time is divided again among those that follow.
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
    """Whether the mean of each user's gain is above its standard error: of noise one in six is."""
    return bool(gains.mean() > gains.std() / math.sqrt(len(gains)))


def _ladder(values: Sequence[Any], standing: Any) -> tuple[list[Any], int]:
    """The values in order with the standing one among them, and its place.

    What is not a number and not in the list stands before it.
    """
    ladder = list(values)
    if standing in ladder:
        return ladder, ladder.index(standing)
    place = 0
    if isinstance(standing, int | float):
        ladder = [value for value in ladder if not math.isclose(value, standing, rel_tol=CLOSE)]
        place = bisect(ladder, standing)
    return [*ladder[:place], standing, *ladder[place:]], place


def _plain(settings: Settings) -> dict[str, Any]:
    """NumPy's numbers as Python's."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in settings.items()
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
