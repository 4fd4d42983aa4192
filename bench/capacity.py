"""Computes the cores, hosts, memory and disk that a number of viewers needs.

The constants are the figures in `results/`. The queue in front of the web processes is simulated,
because a mean says nothing of the slowest answers.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import MOVIELENS, DataSets
from bench.reporting import Cell, Report

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Usage:
    """The habits of viewers. They are assumed and not measured.

    Attributes:
        requests: Of one active viewer on a day, by a row of `results/cpu.json`.
        active_share: Of all viewers, those who come on a day.
        busiest_hour: The share of the day's requests.
        rush: The busiest minutes beside the mean of that hour.
        interactions: Of one viewer, for ever.
        impressions_kept_days: As in the product, and the month that is dropped last.
    """

    requests: Mapping[str, int]
    active_share: float = 0.1
    busiest_hour: float = 0.15
    rush: float = 2.0
    interactions: float = 150
    impressions_kept_days: int = 121

    def at_peak(self, viewers: int) -> dict[str, float]:
        """Requests a second, by kind."""
        factor = viewers * self.active_share * self.busiest_hour * self.rush / 3600
        return {name: each * factor for name, each in self.requests.items()}


NEW_LIST = "GET /recommendations after a rating"
KEPT_LIST = "GET /recommendations, kept"
USAGE = Usage(
    requests={
        "GET /programme, kept": 6,
        "GET /genres, anonymous": 2,
        "GET /users/me": 4,
        KEPT_LIST: 2,
        NEW_LIST: 1,
        "POST clicks": 3,
        "PUT rating": 1,
    }
)
#: Films of a list that is shown; the bytes of answers, before compression.
SHOWN, LIST_BYTES, OTHER_BYTES = 20, 22_000, 4_000
#: Sign-ins of one active viewer that are kept.
SIGN_INS = 10
#: The machines of the model.
WEB_CORES, WEB_BYTES = 8, 32e9
DATABASE_CORES, DATABASE_DISK_BYTES = 32, 4e12
TRAINER_BYTES = 256e9
#: The slowest answer that 99 of 100 requests get.
P99_S = 0.1
#: The share of busy time of Postgres and Valkey.
DATABASE_BUSY = 0.5
#: A training, and a night's matching, may take so long.
NIGHT_S = 4 * 3600
#: EASE has a number for each pair of films. With more films a release goes without it.
FACTORS, EASE_MOST_FILMS = 128, 20_000

#: Viewers and films.
SIZES = ((10_000, 3_000), (1_000_000, 20_000), (100_000_000, 200_000))


def simulated_p99(
    service_s: NDArray[np.float64], *, servers: int, busy: float, requests: int, seed: int = 1895
) -> float:
    """The 99th percentile of the seconds from arrival to answer.

    Requests come at random (Poisson), wait in one queue, and are served one by one by each server.

    Args:
        service_s: (n,) seconds that requests take, one for each of their kinds in proportion.
        busy: The share of time in which a server works, below 1.
    """
    rng = np.random.default_rng(seed)
    served = rng.choice(service_s, requests)
    arrivals = np.cumsum(rng.exponential(service_s.mean() / (servers * busy), requests))
    free = [0.0] * servers
    took = np.empty(requests)
    for number, (at, seconds) in enumerate(zip(arrivals.tolist(), served.tolist(), strict=True)):
        ends = max(at, free[0]) + seconds
        heapq.heapreplace(free, ends)
        took[number] = ends - at
    return float(np.quantile(took[requests // 10 :], 0.99))


def most_busy(service_s: NDArray[np.float64], *, servers: int, requests: int) -> float:
    """The largest share of busy time, in steps of 0.05, with which P99_S holds; 0 for none."""
    shares = [step / 20 for step in range(19, 0, -1)]
    return next(
        (
            busy
            for busy in shares
            if simulated_p99(service_s, servers=servers, busy=busy, requests=requests) <= P99_S
        ),
        0.0,
    )


@dataclass(frozen=True)
class Constants:
    """The measured figures that the model is computed from.

    Attributes:
        cpu_ms: By kind of request and program.
        row_bytes: As from `bench.inside.rows`.
        training_s: Of 10 million interactions.
        matching_s: Of 100,000 viewers.
    """

    cpu_ms: Mapping[str, Mapping[str, float]]
    row_bytes: Mapping[str, float]
    training_s: float
    matching_s: float

    @property
    def service_s(self) -> NDArray[np.float64]:
        """The seconds of a web process for each kind of request, as often as viewers send it."""
        return np.concatenate(
            [
                np.full(each, self.cpu_ms[name]["web"] / 1000)
                for name, each in USAGE.requests.items()
            ]
        )

    def cores_at_peak(self, viewers: int) -> dict[str, float]:
        """Busy cores, by program."""
        peak = USAGE.at_peak(viewers)
        return {
            program: sum(rate * self.cpu_ms[name][program] / 1000 for name, rate in peak.items())
            for program in ("web", "postgres", "valkey")
        }

    def disk_bytes(self, viewers: int) -> float:
        lists = USAGE.requests[NEW_LIST] + USAGE.requests[KEPT_LIST]
        active = viewers * USAGE.active_share
        impressions = active * lists * SHOWN * USAGE.impressions_kept_days
        return (
            viewers * self.row_bytes["viewer"]
            + active * SIGN_INS * self.row_bytes["sign-in"]
            + viewers * USAGE.interactions * self.row_bytes["interaction"]
            + impressions * self.row_bytes["impression"]
        )


def run(data: DataSets) -> Report:
    with data.opened(MOVIELENS) as home:
        row_bytes = home.call("rows.bytes_each")
    measured = Constants(
        cpu_ms={row["request"]: row for row in _figures("cpu")},
        row_bytes=row_bytes,
        training_s=_seconds("training", "training"),
        matching_s=_seconds("matching", "all viewers"),
    )
    requests = 20_000 if data.scale.folder == "small" else 200_000
    busy = {
        cores: most_busy(measured.service_s, servers=cores, requests=requests)
        for cores in (2, 4, WEB_CORES, 16)
    }
    return Report(
        name="capacity",
        figures=[_needs(*size, measured, busy[WEB_CORES]) for size in SIZES],
        targets=[],
        rounds={"usage": USAGE, "measured": measured, "busy": busy},
        notes=[
            f"Of the viewers {USAGE.active_share:.0%} come on a day; "
            f"{USAGE.busiest_hour:.0%} of the requests come in one hour, and {USAGE.rush:g} times "
            "its mean at once.",
            f"99 of 100 answers within {1000 * P99_S:.0f} ms allow a share of busy time of "
            + ", ".join(f"{share:.2f} with {cores} cores" for cores, share in busy.items()),
        ],
    )


def _figures(name: str) -> list[dict[str, Any]]:
    """Those of the last full run of a benchmark."""
    figures: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text())["figures"]
    return figures


def _seconds(name: str, what: str) -> float:
    """On the synthetic ratings."""
    rows = [row for row in _figures(name) if (row["data"], row["what"]) == ("synthetic", what)]
    return float(rows[0]["seconds"])


def _needs(viewers: int, films: int, measured: Constants, busy: float) -> dict[str, Cell]:
    """One row of the table, and which limits of one machine are exceeded."""
    peak, cores = USAGE.at_peak(viewers), measured.cores_at_peak(viewers)
    web_cores, database_cores = cores["web"] / busy, cores["postgres"] / DATABASE_BUSY
    interactions, disk = viewers * USAGE.interactions, measured.disk_bytes(viewers)
    pairs = films**2 if films <= EASE_MOST_FILMS else 0
    release = films * FACTORS * 12 + interactions * 8 + viewers * 4 + pairs * 4
    trainer = interactions * 42 + (viewers + films) * FACTORS * 8 + pairs * 12
    training_s = measured.training_s * interactions / 10_000_000
    matching_s = measured.matching_s * (viewers / 100_000) ** 2
    shares = {
        "web": web_cores / WEB_CORES,
        "database, CPU": database_cores / DATABASE_CORES,
        "database, disk": disk / DATABASE_DISK_BYTES,
        "memory of a web host": release / WEB_BYTES,
        "time to train": training_s / NIGHT_S,
        "memory to train": trainer / TRAINER_BYTES,
        "time to match": matching_s / NIGHT_S,
    }
    sent = {name: LIST_BYTES if name in (NEW_LIST, KEPT_LIST) else OTHER_BYTES for name in peak}
    return {
        "viewers": viewers,
        "films": films,
        "requests/s": sum(peak.values()),
        "web cores": web_cores,
        "web hosts": math.ceil(web_cores / WEB_CORES),
        "Postgres cores": database_cores,
        "Valkey cores": cores["valkey"] / DATABASE_BUSY,
        "Mbit/s": sum(rate * sent[name] for name, rate in peak.items()) * 8 / 1e6,
        "disk GB": disk / 1e9,
        "release GB": release / 1e9,
        "train min": training_s / 60,
        "train GB": trainer / 1e9,
        "match min": matching_s / 60,
        "beyond one machine, the worst first": ", ".join(
            sorted((name for name, share in shares.items() if share > 1), key=lambda n: -shares[n])
        ),
    }
