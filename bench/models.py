"""The speed of reading the matrix from Postgres, beside the ORM, and the memory that it takes."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.data import MOVIELENS, SYNTHETIC, DataSets
from bench.homes import Home
from bench.reporting import Cell, Report, Target, median_ratio

PER_SECOND_AT_LEAST = 1_000_000
BEYOND_AT_MOST_BYTES = 24

OURS, ORM = "load_dataset", "the ORM"


def run_loading(data: DataSets) -> Report:
    found = {name: _measure_loading(data, name) for name in data.rated}
    figures = [
        {
            "data": name,
            "interactions": int(of["resident"]["interactions"]),
            "load_dataset/s": median(of["rates"][OURS]),
            "ORM/s": median(of["rates"][ORM]),
            "features, s": median(of["rates"]["features, s"]),
            "matrices, B each": of["resident"]["matrices_bytes"],
            "beyond, B each (resident)": of["resident"]["beyond_bytes"],
            "beyond, B each (allocated)": of["allocated"]["beyond_bytes"],
        }
        for name, of in found.items()
    ]
    rates = {name: median(of["rates"][OURS]) for name, of in found.items()}
    return Report(
        name="loading",
        figures=figures,
        ratios={
            f"{name}: {OURS} / {ORM}": median_ratio(of["rates"][OURS], of["rates"][ORM])
            for name, of in found.items()
        },
        targets=[
            *(
                Target(f"{name}: interactions/s", rate, "at least", PER_SECOND_AT_LEAST)
                for name, rate in rates.items()
            ),
            # On a small table the blocks in which it is read, of a fixed size, are most of it.
            *(
                Target(
                    f"{name}: bytes beyond the matrices, each",
                    of["resident"]["beyond_bytes"],
                    "at most",
                    BEYOND_AT_MOST_BYTES,
                )
                for name, of in found.items()
                if name == SYNTHETIC
            ),
        ],
        rounds=found,
    )


def _measure_loading(data: DataSets, name: str) -> dict[str, Any]:
    scale = data.scale
    with data.opened(name) as home:
        return {
            "rates": home.call(
                "models.measure_rates", rounds=scale.rounds, orm_rows=scale.orm_rows
            ),
            "resident": home.call("models.measure_resident_memory"),
            "allocated": home.call("models.measure_allocations"),
        }


TRAINING_AT_MOST_TIMES = 1.25


def run_training(data: DataSets) -> Report:
    found = {name: _measure_training(data, name) for name in data.rated}
    figures: list[dict[str, Cell]] = []
    for name, of in found.items():
        phases = [
            {"data": name, "what": f"  {phase}", "seconds": median(p[phase] for p in of["phases"])}
            for phase in of["phases"][0]
        ]
        figures += [
            {"data": name, "what": "training", "seconds": median(of["training"])},
            *phases,
            {"data": name, "what": "bare fit", "seconds": median(of["bare fit"])},
        ]
    ratios = {name: median_ratio(of["training"], of["bare fit"]) for name, of in found.items()}
    return Report(
        name="training",
        figures=figures,
        ratios={f"{name}: training / bare fit": ratio for name, ratio in ratios.items()},
        targets=[
            Target(f"{name}: training beside a bare fit", ratio, "at most", TRAINING_AT_MOST_TIMES)
            for name, ratio in ratios.items()
        ],
        rounds=found,
        notes=[
            f"{name}: {of['interactions']:,} interactions, fitted with {of['settings']}."
            for name, of in found.items()
        ],
    )


def _measure_training(data: DataSets, name: str) -> dict[str, Any]:
    scale = data.scale
    rounds = scale.rounds if name == MOVIELENS else scale.long_rounds
    with data.opened(name) as home:
        found: dict[str, Any] = home.call("models.measure_training", rounds=rounds)
        return found


WITHIN_S = {"1 million": 60.0, "20 million": 600.0}
WITHIN_GB = {"20 million": 8.0}


def run_releases(data: DataSets) -> Report:
    home = Home(data.root / "releases")
    home.path.mkdir()
    found: dict[str, Any] = {}
    for size, viewers, films, ratings in data.scale.peer_sizes:
        print(f"Training a release on {size} ratings ...", flush=True)
        found[size] = home.call(
            "models.measure_release",
            viewers=viewers,
            films=films,
            ratings=ratings,
        )
    figures: list[dict[str, Cell]] = []
    for size, of in found.items():
        whole = {"data": size, "what": "release", "seconds": of["seconds"]}
        figures.append({**whole, "peak MB": of["peak bytes"] / 1e6})
        figures += [
            {"data": size, "what": f"  {phase}", "seconds": seconds}
            for phase, seconds in of["phases"].items()
        ]
    return Report(
        name="releases",
        figures=figures,
        ratios={},
        targets=[
            *(
                Target(f"{size}: seconds of a training", found[size]["seconds"], "at most", limit)
                for size, limit in WITHIN_S.items()
                if size in found
            ),
            *(
                Target(f"{size}: GB at most", found[size]["peak bytes"] / 1e9, "at most", limit)
                for size, limit in WITHIN_GB.items()
                if size in found
            ),
        ],
        rounds=found,
        notes=[
            f"{size}: left out {name}: {reason}"
            for size, of in found.items()
            for name, reason in of["left out"].items()
        ],
    )


RANK_AT_MOST_MS = {MOVIELENS: 8.0, SYNTHETIC: 20.0}
LIST_AT_MOST_MS = {MOVIELENS: 15.0, SYNTHETIC: 40.0}
LISTS_A_SECOND = {"batch lists": 3000, "batch lists with reasons": 1500}


def run_hybrid(data: DataSets) -> Report:
    found = {name: _measure_hybrid(data, name) for name in data.rated}
    figures: list[dict[str, Cell]] = []
    targets = []
    for name, of in found.items():
        one = {what: median(of["ms"][what]) for what in of["ms"]}
        batches = {
            what: {unit: median(rounds) for unit, rounds in each.items()}
            for what, each in of["batches"].items()
        }
        figures += [{"data": name, "what": what, "ms": ms} for what, ms in one.items()]
        figures += [{"data": name, "what": what, **rates} for what, rates in batches.items()]
        targets += [
            Target(
                f"{name}: fold in and rank, ms",
                one["ranked"],
                "at most",
                RANK_AT_MOST_MS[name],
                "time",
            ),
            Target(
                f"{name}: a whole list of 40, ms",
                one["a whole list"],
                "at most",
                LIST_AT_MOST_MS[name],
                "time",
            ),
        ]
        if name == MOVIELENS:
            targets += [
                Target(f"{name}: {what} {unit}", rate, "at least", LISTS_A_SECOND[what], "rate")
                for what, rates in batches.items()
                for unit, rate in rates.items()
            ]
    return Report(
        name="hybrid",
        figures=figures,
        targets=targets,
        rounds=found,
        notes=[
            f"{name}: {of['films']:,} films, {of['showing']} of them showing; {of['viewers']:,} "
            f"viewers with {of['history']:.0f} films each; their lists come from {of['parts']}."
            for name, of in found.items()
        ]
        + [
            "`ranked` is without the query of the history, which is `history`; a whole list has "
            "its queries, and reasons that were tried out. Batch lists are of "
            "10 films of the programme, arranged, with their queries. Their CPU time is of "
            "this process and of Postgres."
        ],
    )


def _measure_hybrid(data: DataSets, name: str) -> dict[str, Any]:
    with data.opened(name) as home:
        home.call("serving.train_hybrid")
        found: dict[str, Any] = home.call(
            "serving.measure_hybrid", viewers=data.scale.tokens, rounds=data.scale.rounds
        )
        return found


NIGHT_AT_MOST_S = 600
#: For the data of 100,000 viewers and ten million interactions.
MEMORY_AT_MOST_GB = 2.0
NEW_MATCHES_AT_MOST_MS = {MOVIELENS: 5.0, SYNTHETIC: 15.0}


def run_matching(data: DataSets) -> Report:
    found = {name: _measure_matching(data, name) for name in data.rated}
    figures: list[dict[str, Cell]] = []
    targets = []
    for name, of in found.items():
        at_once = {what: median(ms) for what, ms in of["ms"].items()}
        figures += [{"data": name, "what": what, "ms": ms} for what, ms in at_once.items()]
        figures.append({
            "data": name,
            "what": "all viewers",
            "seconds": of["seconds"],
            "peak GB": of["peak_bytes"] / 1e9,
        })  # fmt: skip
        targets += [
            Target(f"{name}: all viewers, s", of["seconds"], "at most", NIGHT_AT_MOST_S),
            Target(f"{name}: peak, GB", of["peak_bytes"] / 1e9, "at most", MEMORY_AT_MOST_GB),
            Target(
                f"{name}: new matches of a word, ms",
                at_once["new matches"],
                "at most",
                NEW_MATCHES_AT_MOST_MS[name],
            ),
        ]
    return Report(
        name="matching",
        figures=figures,
        targets=targets,
        rounds=found,
        notes=[
            f"{name}: {of['viewers']:,} viewers, of whom {of['matched']:,} match somebody; "
            f"{of['rows']:,} rows of neighbours."
            for name, of in found.items()
        ]
        + ["The time of all viewers is from reading the data to the last row written."],
    )


def _measure_matching(data: DataSets, name: str) -> dict[str, Any]:
    with data.opened(name) as home:
        home.call("serving.agree")
        night: dict[str, Any] = home.call("serving.match_viewers")
        home.call("serving.publish_release")
        return {**night, **home.call("serving.measure_at_once", viewers=200)}
