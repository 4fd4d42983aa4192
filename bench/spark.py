"""`python -m bench.spark`: a standalone cluster on this machine, beside one process without Spark.

Each worker has one core and, as root with cgroups of version 1, MEMORY for its Java and Python
processes together. It needs the extra `spark` and Java 17.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyspark

from bench import spark_figure
from bench.data import MOVIELENS_FOLDER
from bench.homes import REPOSITORY, Home, free_port
from bench.load import HOST
from bench.spark_figure import RESULTS

MEMORY = 2 * 1024**3
#: What Java may take of it; the rest is for Python.
HEAP = "768m"
CGROUPS = Path("/sys/fs/cgroup/memory")
SPARK = Path(pyspark.__file__).parent


class Cluster:
    """A master and workers of one core each."""

    def __init__(self, root: Path, n_workers: int) -> None:
        self.root, self.n_workers = root, n_workers
        self.master = f"spark://{HOST}:{free_port()}"
        self.groups: list[Path] = []
        self.n_killed = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def running(self) -> Iterator[Cluster]:
        try:
            port = self.master.rpartition(":")[2]
            self._start("Master", "--host", HOST, "--port", port, "--webui-port", str(free_port()))
            time.sleep(4)
            for number in range(self.n_workers):
                group = CGROUPS / f"cinema-spark-{os.getpid()}-{number}"
                for each in (group, _cpu(group)):
                    each.mkdir()
                (group / "memory.limit_in_bytes").write_text(str(MEMORY))
                self.groups.append(group)
                options = ("--host", HOST, "--cores", "1", "--memory", HEAP)
                self._start(
                    "Worker", *options, "--webui-port", str(free_port()), self.master, group=group
                )
            time.sleep(6)
            yield self
        finally:
            self._stop()

    def _start(self, name: str, *arguments: str, group: Path | None = None) -> None:
        command = [str(SPARK / "bin/spark-class"), f"org.apache.spark.deploy.{name.lower()}.{name}"]

        def enter() -> None:
            if group:
                for each in (group, _cpu(group)):
                    (each / "cgroup.procs").write_text(str(os.getpid()))

        work = {
            "SPARK_WORKER_DIR": str(self.root / "work"),
            "SPARK_LOCAL_DIRS": str(self.root / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_LOG_DIR": str(self.root),
        }
        with (self.root / "cluster.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([*command, *arguments], env={**os.environ, **work}, stdout=log,
                                 stderr=log, preexec_fn=enter)
            )  # fmt: skip

    def peaks_mb(self) -> list[float]:
        """The most that each worker has had in memory, without the cache of files."""
        return [self._peaks.get(group, 0) / 1e6 for group in self.groups]

    def cpu_s(self) -> float:
        """The CPU time of all workers."""
        used = (int((_cpu(group) / "cpuacct.usage").read_text()) for group in self.groups)
        return sum(used) / 1e9

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the memory of the workers twice a second."""
        self._peaks: dict[Path, int] = {}
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                for group in self.groups:
                    rows = dict(
                        row.split() for row in (group / "memory.stat").read_text().splitlines()
                    )
                    self._peaks[group] = max(self._peaks.get(group, 0), int(rows["total_rss"]))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def kill_executor(self, once: Path) -> None:
        """Kill an executor with its Python processes once the file is there."""
        while not once.exists():
            time.sleep(0.1)
        for child in psutil.Process(self._processes[1].pid).children(recursive=True):
            if "CoarseGrainedExecutorBackend" in " ".join(child.cmdline()):
                for each in [*child.children(recursive=True), child]:
                    each.kill()
                self.n_killed += 1
                return

    def _stop(self) -> None:
        for process in reversed(self._processes):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
        time.sleep(1)
        for group in self.groups:
            group.rmdir()
            _cpu(group).rmdir()


def _cpu(group: Path) -> Path:
    return CGROUPS.with_name("cpuacct") / group.name


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.spark", description=__doc__)
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4], help="0: no Spark")
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--sweeps", type=int, default=5)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--matched", type=int, default=20_000, help="viewers to match")
    parser.add_argument("--kill", action="store_true", help="kill an executor in the first sweep")
    parser.add_argument("--movielens", action="store_true", help="compare whole trainings instead")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="cinema-spark-"))
    home = Home(root / "home")
    home.path.mkdir()
    if options.movielens:
        _compare_engines(home, root)
        return
    try:
        for ratings in options.ratings:
            path = root / str(ratings)
            sizes = {"viewers": ratings // 150, "films": options.films, "ratings": ratings}
            made_s = home.call("spark.make_files", path=str(path), **sizes)
            print(f"{ratings:,} ratings, made in {made_s:.0f} s", flush=True)
            for n_workers in options.workers:
                row = _measure(home, root, path, n_workers, options)
                whole = {"workers": n_workers, **sizes, "factors": options.factors,
                         "sweeps": options.sweeps, **row}  # fmt: skip
                print(json.dumps(whole), flush=True)
                rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
                RESULTS.write_text(json.dumps([*rows, whole], indent=1) + "\n")
            shutil.rmtree(path)
        spark_figure.draw(json.loads(RESULTS.read_text()))
    finally:
        shutil.rmtree(root)


def _compare_engines(home: Home, root: Path) -> None:
    with home.running():
        home.manage("migrate", "--verbosity=0")
        home.manage("import_movielens", str(MOVIELENS_FOLDER), "--verbosity=0")
        with Cluster(root, 2).running() as cluster:
            found = home.call("spark.compare_engines", master=cluster.master)
    print(json.dumps(found, indent=1))
    shutil.rmtree(root)


def _measure(
    home: Home, root: Path, path: Path, n_workers: int, options: argparse.Namespace
) -> dict[str, Any]:
    matched = min(options.matched, int(path.name) // 150)
    asked = {
        "path": str(path),
        "sweeps": options.sweeps,
        "factors": options.factors,
        "matched": matched,
    }
    if not n_workers:
        found: dict[str, Any] = home.call("spark.measure", master="", **asked)
        return found
    with Cluster(root, n_workers).running() as cluster, cluster.watched():
        if options.kill:
            first = path / "work" / "viewers-0-1.npy"
            threading.Thread(target=cluster.kill_executor, args=(first,), daemon=True).start()
        found = home.call("spark.measure", master=cluster.master, **asked)
        return {
            **found,
            "killed": cluster.n_killed,
            "workers' peak MB": cluster.peaks_mb(),
            "workers' CPU s": cluster.cpu_s(),
        }


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    os.environ.setdefault("SPARK_CONF_DIR", str(REPOSITORY / "bench" / "spark_conf"))
    main()
