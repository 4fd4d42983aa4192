"""Count the files, functions and SQL statements of one warm request or training."""

from __future__ import annotations

from typing import Any

from bench.data import MOVIELENS, PROGRAMME, DataSets
from bench.reporting import Report, Target

#: Files of each journey, by the issue.
GOALS = {
    "POST /movies": 14,
    "PUT /movies/{id}/rating": 13,
    "GET /recommendations, new list": 32,
    "GET /recommendations, kept list": 14,
    "train()": 22,
    "GET /programme, made anew": 10,
}


def run(data: DataSets) -> Report:
    with data.opened(PROGRAMME) as home:
        found: list[dict[str, Any]] = home.call("journeys.trace_catalogue")
    with data.opened(MOVIELENS) as home:
        found += home.call("journeys.trace_recommendations")
    by_name = {each["name"]: each for each in found}
    return Report(
        name="journeys",
        figures=[
            {
                "journey": name,
                "files": len(by_name[name]["files"]),
                "before the endpoint": by_name[name]["files_before"],
                "functions": len(by_name[name]["functions"]),
                "SQL": by_name[name]["queries"],
            }
            for name in GOALS
        ],
        targets=[
            Target(f"{name}, files", len(by_name[name]["files"]), "at most", goal)
            for name, goal in GOALS.items()
        ],
        rounds={
            name: {"files": each["files"], "functions": each["functions"]}
            for name, each in by_name.items()
        },
        notes=[
            "Distinct files and named functions of the four packages by sys.setprofile, in one "
            "process: Django's test client, all middleware, without the web server. A training is "
            "counted with its first call, the requests with their fourth."
        ],
    )
