"""The endpoints of the catalogue and the programme, on 100,000 films and a million screenings."""

from __future__ import annotations

from statistics import median

from bench.data import CATALOGUE, DataSets
from bench.reporting import Report, Target

#: By the issue: the programme made anew, and what trends.
TARGETS = {"/programme": 50.0, "/movies/trending": 5.0, "/movies": 20.0}


def run(data: DataSets) -> Report:
    with data.opened(CATALOGUE) as home:
        found = home.call("endpoints.measure_endpoints", rounds=data.scale.list_rounds)
    anew = {each["GET"]: median(each["anew"]) for each in found}
    return Report(
        name="endpoints",
        figures=[
            {
                "GET": each["GET"],
                "ms anew": median(each["anew"]),
                "ms kept": median(each["kept"]),
                "queries anew": each["queries_anew"],
                "queries kept": each["queries_kept"],
                "bytes": each["bytes"],
            }
            for each in found
        ],
        targets=[
            Target(f"{path} made anew, median ms", anew[path], "at most", limit)
            for path, limit in TARGETS.items()
        ],
        rounds={each["GET"]: {"anew": each["anew"], "kept": each["kept"]} for each in found},
        notes=[
            "Within one process, through all middleware, without HTTP. `anew`: nothing is kept, in "
            "memory or in Valkey, as after a change. Queries count the look at the catalogue's "
            "version."
        ],
    )
