"""CPU time of the web process, Postgres and Valkey for each request.

A machine that does other work beside distorts it less than wall time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median

import psutil

from bench.data import MOVIELENS, DataSets
from bench.homes import OURS, fetch
from bench.load import Job, apply_load, get, post, put
from bench.programme import BARE, BARE_APPLICATION, BARE_PATH, bare_web
from bench.programme import PATH as PROGRAMME
from bench.reporting import Cell, Report, Target
from bench.viewers import LIST

#: Requests of each viewer in a round. The kernel states CPU time in steps of 10 ms.
FETCHES, CLICKS, RATINGS = 3, 5, 3
CONNECTIONS = 8
UNWATCHED = "bench.unwatched:application"
CLICK = "POST clicks"
#: Milliseconds of all programs before issue 14, and the goal of the issue.
BEFORE_AND_GOAL = {
    BARE: (0.12, 0.12),
    "GET /genres, anonymous": (0.75, 0.25),
    "GET /programme, kept": (0.65, 0.2),
    "GET /users/me": (2.0, 0.6),
    "GET /recommendations, kept": (7.6, 1.2),
    CLICK: (3.6, 0.8),
    "PUT rating": (9.5, 2.2),
    "GET /recommendations after a rating": (15.5, 3.0),
    "GET /recommendations?refresh=true": (41.8, 8.0),
}
#: Words of the command of each program.
COMMANDS = {
    "web": OURS,
    "bare": BARE_APPLICATION,
    "unwatched": UNWATCHED,
    "postgres": "postgres",
    "valkey": "valkey-server",
}

#: CPU milliseconds of one answer, by program.
Costs = dict[str, float]


def run(data: DataSets) -> Report:
    with data.opened(MOVIELENS) as home:
        home.call("serving.train_hybrid")
        tokens = home.call("viewers.issue_tokens", at_most=data.scale.cpu_viewers)
        viewers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        with home.web(workers=1) as port, bare_web(home, port, workers=1) as bare_port:
            rounds = [
                {
                    BARE: cost(bare_port, [get(BARE_PATH)] * 2 * FETCHES * len(viewers)),
                    **measure(port, viewers),
                }
                for _ in range(data.scale.rounds + 1)
            ]
    return _report(rounds[1:], len(viewers))


def measure(port: int, viewers: Sequence[Mapping[str, str]]) -> dict[str, Costs]:
    """The cost of each request to our web server."""
    shown = [(viewer, json.loads(fetch(port, LIST, viewer)[0])) for viewer in viewers]
    clicks = [
        post(
            f"{LIST}/{found['list_id']}/clicks",
            {"movie_id": found["items"][-place]["movie"]["id"]},
            viewer,
        )
        for place in range(1, CLICKS + 1)
        for viewer, found in shown
    ]
    ratings = [
        put(f"/api/v1/movies/{found['items'][place]['movie']['id']}/rating", {"stars": 4}, viewer)
        for place in range(RATINGS)
        for viewer, found in shown
    ]
    fetches = FETCHES * len(viewers)
    lists = [get(LIST, viewer) for viewer in viewers]
    requests = {
        "GET /genres, anonymous": [get("/api/v1/genres")] * fetches,
        "GET /programme, kept": [get(PROGRAMME)] * fetches,
        "GET /users/me": [get("/api/v1/users/me", viewer) for viewer in viewers] * FETCHES,
        "GET /recommendations, kept": lists * FETCHES,
        CLICK: clicks,
        "PUT rating": ratings,
        "GET /recommendations after a rating": lists,
        "GET /recommendations?refresh=true": [
            get(f"{LIST}?refresh=true", viewer) for viewer in viewers
        ],
    }
    return {
        name: cost(port, sent, 204 if name == CLICK else 200) for name, sent in requests.items()
    }


def cost(port: int, requests: Sequence[str], expected: int = 200) -> Costs:
    job = Job(port, requests, CONNECTIONS, seconds=600, at_most=len(requests), ignored=0)
    before = cpu_s()
    apply_load(job, expected=expected)
    after = cpu_s()
    ms = {name: 1000 * (after[name] - before[name]) / len(requests) for name in COMMANDS}
    web = ms["web"] + ms["bare"] + ms["unwatched"]  # only one of them has work
    return {"web": web, "postgres": ms["postgres"], "valkey": ms["valkey"]}


def cpu_s() -> dict[str, float]:
    """CPU seconds of each program that this process runs, and of all that it has started."""
    found = dict.fromkeys(COMMANDS, 0.0)
    for program in psutil.Process().children():
        command = " ".join(program.cmdline())
        for name, words in COMMANDS.items():
            if words in command:
                tree = [program, *program.children(recursive=True)]
                found[name] += sum(sum(process.cpu_times()[:4]) for process in tree)
                break
    return found


def _report(rounds: Sequence[Mapping[str, Costs]], viewers: int) -> Report:
    figures: list[dict[str, Cell]] = []
    targets = []
    for name, (before, goal) in BEFORE_AND_GOAL.items():
        costs = {
            program: median(each[name][program] for each in rounds)
            for program in ("web", "postgres", "valkey")
        }
        totals = [sum(each[name].values()) for each in rounds]
        bare = [sum(each[BARE].values()) for each in rounds]
        multiple = median(total / one for total, one in zip(totals, bare, strict=True))
        figures.append(
            {
                "request": name,
                **costs,
                "total": median(totals),
                "before": before,
                "goal": goal,
                "times the bare view": multiple,
                "before ": before / BEFORE_AND_GOAL[BARE][0],
                "goal ": goal / BEFORE_AND_GOAL[BARE][0],
            }
        )
        if name != BARE:
            limit = goal / BEFORE_AND_GOAL[BARE][0]
            targets.append(Target(f"{name}, times the bare view", multiple, "at most", limit))
    return Report(
        name="cpu",
        figures=figures,
        targets=targets,
        rounds={name: [each[name] for each in rounds] for name in BEFORE_AND_GOAL},
        notes=[
            f"CPU milliseconds of one answer, medians; {viewers} viewers in turn over "
            f"{CONNECTIONS} connections, one web process, no worker. `before` and `goal` stand in "
            "issue 14: of the total, and then as a multiple of the bare view.",
        ],
    )
