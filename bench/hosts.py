"""The loss of hosts: `python -m bench.hosts [--short | --several] [HOST ...]`, as root.

A whole Cinema runs in network namespaces. While viewers rate, each host in turn is cut off, killed
and made slow, and comes back. With `--several`, two are lost at once, and then the network is
divided. The table says what the viewers met and when all was whole again.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.host_network import Host, accepts
from bench.host_site import NUMBERS, Site
from bench.host_viewers import Viewers
from bench.reporting import Cell, Report, Target

VIEWERS = 12
#: Each host is away for so long.
AWAY_S = 15.0
#: All must be whole again within this time after the host is back.
WHOLE_WITHIN_S = 60.0
CALM_S = 5.0
PAIRS = {"database": "db", "Valkey": "valkey"}
#: The hosts to lose. A role of a pair is that of the host that has it at the moment.
NAMES = (
    *(name for name in NUMBERS if not name.startswith(("db", "valkey"))),
    *(f"{role} {pair}" for pair in PAIRS for role in ("primary", "replica")),
)
WAYS = ("cut off", "killed", "slow")
#: Both are lost in the same moment.
TOGETHER = ("primary Valkey and web1", "lb2 and worker1", "primary database and primary Valkey")
#: One side of a divided network. The keeper of the database, most Sentinels and the broker are on
#: the other side, and viewers reach both.
MINORITY = "primary database and primary Valkey and lb2 and web3 and worker2"
SEVERAL = (
    *((names, how) for names in TOGETHER for how in ("cut off", "killed")),
    (MINORITY, "divided"),
)  # fmt: skip
SHORT = (
    ("web1", "killed"), ("primary database", "cut off"), ("primary Valkey", "killed"),
    ("worker1", "killed"), ("broker", "killed"),
    (MINORITY, "divided"),
)  # fmt: skip
RESULTS = Path(__file__).parent / "results"
#: Beat's entries that leave a row for each run, and their intervals in seconds.
COUNTED = {"movies.advance_statuses": 60, "recommendations.resume_training": 30}


@dataclass(frozen=True)
class Loss:
    """The effects of the loss of one host, or of several at once."""

    host: str
    how: str
    answers: int
    errors: Mapping[str, int]
    errors_end_after_s: float
    gap_s: float
    whole_after_s: float
    lost_writes: int
    problems: list[str]

    def row(self) -> dict[str, Cell]:
        return {
            "host": self.host,
            "": self.how,
            "answers": self.answers,
            "errors": sum(self.errors.values()),
            "last error after s": round(self.errors_end_after_s, 1),
            "longest gap s": round(self.gap_s, 1),
            "whole again s": round(self.whole_after_s, 1),
            "lost writes": self.lost_writes,
        }


def _host_of(site: Site, name: str) -> Host:
    role, _, pair = name.partition(" ")
    if pair not in PAIRS:
        return site.hosts[name]
    primary = site.keeper.primary if pair == "database" else site.valkey_primary()
    hosts = [host for host in site.hosts.values() if host.name.startswith(PAIRS[pair])]
    is_primary = role == "primary"
    [found] = [host for host in hosts if (primary in (host.name, host.address)) is is_primary]
    return found


def _lose(site: Site, viewers: Viewers, name: str, how: str) -> Loss:
    hosts = [_host_of(site, each) for each in name.split(" and ")]
    viewers.next_phase()
    lost_at = time.monotonic()
    if how == "divided":
        site.network.divide(hosts, reached=site.balancers)
    else:
        for host in hosts:
            {"cut off": host.cut_off, "killed": host.kill, "slow": host.slow_down}[how]()
    time.sleep(AWAY_S)
    back_at = time.monotonic()
    if how == "divided":
        site.network.unite(hosts)
    for host in hosts:
        _bring_back(site, host, how)
    problems = ["unknown"]
    while problems and time.monotonic() - back_at < 3 * WHOLE_WITHIN_S:
        time.sleep(0.5)
        problems = site.problems()
    whole_after_s = time.monotonic() - back_at
    time.sleep(CALM_S)
    phase = viewers.next_phase()
    return Loss(
        name, how, phase.answers, dict(phase.errors),
        errors_end_after_s=max(phase.failed_at, default=lost_at) - lost_at,
        gap_s=phase.longest_gap_s(),
        whole_after_s=whole_after_s,
        lost_writes=len(viewers.lost(lambda: _stored(site))),
        problems=problems,
    )  # fmt: skip


def _bring_back(site: Site, host: Host, how: str) -> None:
    if how == "cut off":
        host.reconnect()
    elif how == "slow":
        host.speed_up()
    is_ended = host.name.startswith("db") and not accepts(host.address, 5432)  # by the keeper
    if how == "killed" or is_ended:
        host.kill()
        site.start_host(host.name)


def _stored(site: Site) -> dict[tuple[int, int], int]:
    rows = site.keeper.rows(
        "SELECT user_id, movie_id, half_stars FROM recommendations_interaction WHERE kind = 1"
    )
    return {(user, movie): half_stars for user, movie, half_stars in rows}


def _runs(site: Site) -> dict[str, int]:
    return dict(site.keeper.rows(
        "SELECT task_name, count(*) FROM django_celery_results_taskresult GROUP BY 1"
    ))  # fmt: skip


def _done_twice(runs: Mapping[str, int], seconds: float) -> int:
    """Runs of scheduled tasks beyond those that were due."""
    return sum(
        max(0, runs[task] - int(seconds / interval_s) - 1) for task, interval_s in COUNTED.items()
    )


def run(events: Sequence[tuple[str, str]]) -> Report:
    directory = Path(tempfile.mkdtemp(prefix="cinema-hosts-"))
    directory.chmod(0o755)  # PostgreSQL runs as another account
    site = Site(directory)
    viewers = Viewers(site.balancers, VIEWERS)
    losses = []
    try:
        print("Starting 14 hosts ...", flush=True)
        started_at = time.monotonic()
        site.start()
        _wait_until_whole(site)
        print(f"All is whole after {time.monotonic() - started_at:.0f} s.", flush=True)
        viewers.start()
        time.sleep(3 * CALM_S)
        for name, how in events:
            losses.append(_lose(site, viewers, name, how))
            print(losses[-1].row(), losses[-1].problems, dict(losses[-1].errors), flush=True)
        viewers.stop()
        lost = len(viewers.lost(lambda: _stored(site)))
        runs, seconds = _runs(site), time.monotonic() - started_at
    finally:
        site.remove()
        shutil.rmtree(directory, ignore_errors=True)
    return _report(losses, lost, runs, seconds, viewers.writes)


def _wait_until_whole(site: Site) -> None:
    deadline = time.monotonic() + 300
    while problems := site.problems():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the site does not start: {problems}")
        time.sleep(1)


def _report(
    losses: list[Loss], lost: int, runs: Mapping[str, int], seconds: float, writes: int
) -> Report:
    requests = sum(loss.answers + sum(loss.errors.values()) for loss in losses)
    errors = sum(sum(loss.errors.values()) for loss in losses)
    return Report(
        name="hosts",
        figures=[loss.row() for loss in losses],
        targets=[
            Target("acknowledged writes that are lost", lost, "at most", 0),
            Target("scheduled runs beyond those due", _done_twice(runs, seconds), "at most", 0),
            Target("requests that failed, share", errors / max(requests, 1), "at most", 0.1),
            Target("s until all is whole again", max(each.whole_after_s for each in losses),
                   "at most", WHOLE_WITHIN_S, "time"),
        ],
        rounds={
            "seconds": seconds,
            "runs": {task: runs[task] for task in COUNTED},
            "errors": {f"{each.host} {each.how}": dict(each.errors) for each in losses},
        },
        notes=[
            f"{VIEWERS} viewers, half a second between their requests; each host away for"
            f" {AWAY_S:.0f} s; {writes:,} acknowledged ratings.",
        ],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("--short", action="store_true", help="six losses, in a few minutes")
    parser.add_argument("--several", action="store_true", help="losses of several hosts at once")
    parser.add_argument("names", nargs="*", metavar="HOST", help=", ".join(NAMES))
    arguments = parser.parse_args()
    # Ended politely, as by Ctrl-C: every namespace goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no such host: {', '.join(sorted(unknown))}")
    every = [(name, how) for name in arguments.names or NAMES for how in WAYS]
    if arguments.several:
        every = [*SEVERAL]
    report = run(SHORT if arguments.short else every)
    print(report.as_text())
    if not (arguments.short or arguments.names):
        report.save(RESULTS / ("hosts-several.json" if arguments.several else "hosts.json"))
    if not all(target.met for target in report.targets):
        sys.exit(1)


if __name__ == "__main__":
    main()
