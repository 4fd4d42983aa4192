"""CPU of requests with metrics and the request log, beside the same server without them."""

from __future__ import annotations

from statistics import median

from bench.cpu import BEFORE_AND_GOAL, CLICK, UNWATCHED, Costs, measure
from bench.data import MOVIELENS, DataSets
from bench.reporting import Report, Target, median_ratio

#: The requests that a viewer of the benchmark `crowd` sends in each round.
ROUND = ("GET /recommendations after a rating", CLICK, "PUT rating")
A_ROUND = "a round of the crowd"

#: The costs of each request, of one round.
Measured = dict[str, Costs]


def run(data: DataSets) -> Report:
    with data.opened(MOVIELENS) as home:
        home.call("serving.train_hybrid")
        # Each server has viewers of its own: a film that is rated twice costs less.
        tokens = home.call("viewers.issue_tokens", at_most=2 * data.scale.cpu_viewers)
        viewers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        halves = viewers[::2], viewers[1::2]
        found: tuple[list[Measured], list[Measured]] = [], []
        with home.web(workers=1) as on, home.web(UNWATCHED, workers=1) as off:
            for number in range(data.scale.rounds + 1):
                for port, costs, half in zip((on, off), found, halves, strict=True):
                    measured = measure(port, half)
                    if number:  # the first one warms up
                        costs.append(measured)
                halves = halves[::-1]
    return _report(*found)


def _report(watched: list[Measured], unwatched: list[Measured]) -> Report:
    def sums(rounds: list[Measured], *names: str) -> list[float]:
        return [sum(sum(each[name].values()) for name in names) for each in rounds]

    requests: dict[str, tuple[str, ...]] = {
        name: (name,) for name in BEFORE_AND_GOAL if name in watched[0]
    }
    requests[A_ROUND] = ROUND
    ratios = {
        name: median_ratio(sums(watched, *parts), sums(unwatched, *parts))
        for name, parts in requests.items()
    }
    return Report(
        name="watching",
        figures=[
            {
                "request": name,
                "watched": median(sums(watched, *parts)),
                "unwatched": median(sums(unwatched, *parts)),
                "ratio": ratios[name],
            }
            for name, parts in requests.items()
        ],
        targets=[Target(f"{A_ROUND}, watched beside unwatched", ratios[A_ROUND], "at most", 1.05)],
        rounds={"watched": watched, "unwatched": unwatched},
        notes=["CPU milliseconds of web, Postgres and Valkey together, medians over the rounds."],
    )
