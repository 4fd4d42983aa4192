"""/metrics of a whole Cinema, while its processes are killed and stopped."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from django.conf import settings
from django.utils.crypto import salted_hmac

from cinema.development import STAFF, VIEWER, SignIn
from cinema.development.processes import wait_for
from cinema.home import socket_paths
from tests import compose
from tests.monitoring import MONITORING, Exported, alert_rules, documented, panel_expressions
from tests.running import RunningCinema, command_of, filled_home, free_port

HEALS_WITHIN_S = 120
PROGRAMME = {"method": "GET", "route": "api/v1/programme", "status": "200"}
COUNT = "cinema_request_seconds_count"
FILM = {"name": "Playtime", "protagonists": ["Jacques Tati"], "start_date": "2026-12-17"}
#: Beat sends it every ten seconds.
ENTRY = "recommendations.store_impressions"


@pytest.fixture(scope="module")
def cinema() -> Iterator[RunningCinema]:
    running = RunningCinema(filled_home()).start()
    yield running
    running.stop()


def token_of(cinema: RunningCinema) -> str:
    secret = (cinema.home / "secret-key").read_text()
    return salted_hmac("cinema.metrics", "read", secret=secret, algorithm="sha256").hexdigest()


def read(cinema: RunningCinema) -> str:
    request = urllib.request.Request(  # noqa: S310
        f"{cinema.url}/metrics", headers={"Authorization": f"Bearer {token_of(cinema)}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(answer.read(), "utf-8")


def scrape(cinema: RunningCinema) -> Exported:
    return Exported.of(read(cinema))


def scrape_until(cinema: RunningCinema, holds: Callable[[Exported], bool]) -> Exported:
    """The first scrape for which this holds."""
    found = Exported()

    def is_found() -> bool:
        nonlocal found
        found = scrape(cinema)
        return holds(found)

    assert wait_for(is_found, timeout_s=HEALS_WITHIN_S, every_s=1)
    return found


def is_whole(found: Exported) -> bool:
    """Whether all sources have answered: on a busy machine one is too slow for some seconds."""
    return found.total("cinema_source_up") == 3


def whole(cinema: RunningCinema) -> Exported:
    return scrape_until(cinema, is_whole)


def ask(cinema: RunningCinema, times: int) -> int:
    """Ask for the programme, and return how many answers arrived."""
    arrived = 0
    for _ in range(times):
        try:
            cinema.get("/api/v1/programme")
        except OSError:
            continue
        arrived += 1
    return arrived


def web_processes(web: psutil.Process) -> list[psutil.Process]:
    found = []
    for each in web.children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def task_runs(found: Exported) -> float:
    return found.total("cinema_tasks_total", task=ENTRY, outcome="succeeded")


@contextmanager
def suspended(*processes: psutil.Process) -> Iterator[None]:
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def named(cinema: RunningCinema, *words: str) -> list[psutil.Process]:
    return [p for p in cinema.tree() if set(words) <= set(command_of(p))]


def test_each_request_counts_whichever_process_answers_it(cinema: RunningCinema) -> None:
    before = scrape(cinema)
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(lambda n: ask(cinema, 25), range(8))) == 200
    after = scrape(cinema)
    assert after.total("cinema_counters_shared") == 1
    assert after.total(COUNT, **PROGRAMME) - before.total(COUNT, **PROGRAMME) == 200
    assert (
        after.total("cinema_cache_requests_total", cache="linked programme")
        - before.total("cinema_cache_requests_total", cache="linked programme")
        == 200
    )


def test_the_documented_metrics_are_the_exported_ones(cinema: RunningCinema) -> None:
    known = documented()
    token = sign_in(cinema, VIEWER)
    cinema.get("/api/v1/recommendations", token)
    cinema.post("/api/v1/movies/import", {"movies": [FILM]}, sign_in(cinema, STAFF))
    # cinema_tasks_total is exported before the first task has ended, and the other web process may
    # still show what it read some seconds ago.
    awaited = ("cinema_task_seconds_total", "cinema_imported_rows_total")
    found = scrape_until(cinema, lambda found: is_whole(found) and all(map(found.has, awaited)))
    assert found.types == {name: type_ for name, (type_, _) in known.items()}
    for name, labels in found.labels.items():
        assert labels == known[name][1], name
    without_samples = known.keys() - found.labels.keys()
    # Events that have not happened, tasks that are over, and replicas that are not there.
    assert without_samples <= {
        "cinema_tmdb_requests_total",
        "cinema_tasks_running", "cinema_tasks_waiting", "cinema_replica_up",
    }  # fmt: skip


def sign_in(cinema: RunningCinema, account: SignIn) -> str:
    answer = cinema.post(
        "/api/v1/auth/login", {"email": account.email, "password": account.password}
    )
    return str(answer["access"])


def test_the_state_of_the_site_is_shown(cinema: RunningCinema) -> None:
    found = scrape_until(
        cinema, lambda found: is_whole(found) and found.total("cinema_workers") == 1
    )
    for source in ("postgres", "valkey", "broker"):
        assert found.total("cinema_source_up", source=source) == 1
    assert found.total("cinema_training_runs", state="published") >= 0
    assert 0 < found.total("cinema_release_age_seconds") < 3600
    assert 0 < found.total("cinema_release_quality", algorithm="als", metric="ndcg") <= 1
    assert found.total("cinema_database_connections", program="web") > 0
    assert found.total("cinema_database_connections_max") == 100
    assert found.total("cinema_database_pool_max") == 2 * (settings.WEB_THREADS + 10)
    assert found.has("cinema_queue_length", queue="training")
    for entry in settings.CELERY_BEAT_SCHEDULE:
        assert found.total("cinema_beat_age_seconds", entry=entry) < 3600


def test_many_scrapes_at_once_are_answered_alike(cinema: RunningCinema) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = [*threads.map(lambda n: whole(cinema), range(16))]
    assert len({frozenset(each.types) for each in found}) == 1


def test_a_killed_web_process_takes_no_count_with_it(cinema: RunningCinema) -> None:
    before = whole(cinema)
    [web] = [p for p in named(cinema, "granian") if p.parent() == cinema.tree()[0]]
    asked, arrived = 20, ask(cinema, 20)
    web_processes(web)[0].kill()
    asked, arrived = asked + 20, arrived + ask(cinema, 20)
    # The other process answers meanwhile.
    assert wait_for(lambda: len(web_processes(web)) == 2, timeout_s=HEALS_WITHIN_S, every_s=0.5)
    asked, arrived = asked + 20, arrived + ask(cinema, 20)
    counters = [key for key in before.samples if key[0].endswith(("_total", "_count", "_bucket"))]
    assert counters
    # The new process may show none of Valkey's counters at first: it has 2 s to read them.
    after = scrape_until(cinema, lambda found: found.samples.keys() >= set(counters))
    counted = after.total(COUNT, **PROGRAMME) - before.total(COUNT, **PROGRAMME)
    # A request can have been counted whose answer was lost.
    assert arrived <= counted <= asked
    for key in counters:
        assert after.samples[key] >= before.samples[key], key
    # The two files of a process that has gone belong to the one that came.
    where = socket_paths(cinema.home).directory
    [place] = where.parent.glob(f"{where.name}-metrics-{cinema.port}-*")
    assert len([*place.glob("*.db")]) == 4


def test_a_killed_worker_takes_no_count_with_it(cinema: RunningCinema) -> None:
    before = scrape_until(cinema, lambda found: is_whole(found) and task_runs(found) >= 1)
    [worker] = named(cinema, "celery", "worker")
    worker.kill()
    after = scrape_until(
        cinema,
        lambda found: (
            is_whole(found)
            and task_runs(found) > task_runs(before)
            and found.total("cinema_workers") == 1
        ),
    )
    for key, value in before.samples.items():
        if key[0].startswith("cinema_task") and key[0].endswith("_total"):
            assert after.samples[key] >= value, key


def test_a_worker_that_hangs_is_missed_and_its_tasks_wait(cinema: RunningCinema) -> None:
    def is_missed(found: Exported) -> bool:
        return (
            is_whole(found)
            and found.total("cinema_workers") == 0
            and found.has("cinema_tasks_waiting")
        )

    with suspended(*named(cinema, "celery", "worker")):
        found = scrape_until(cinema, is_missed)
        assert found.total("cinema_queue_length", queue="cinema") >= 1
        assert not found.has("cinema_tasks_running")
    scrape_until(cinema, lambda found: found.total("cinema_workers") == 1)


def test_a_missing_beat_is_visible_within_two_intervals(cinema: RunningCinema) -> None:
    def intervals() -> float:
        found = whole(cinema)
        age_s = found.total("cinema_beat_age_seconds", entry=ENTRY)
        return age_s / found.total("cinema_beat_interval_seconds", entry=ENTRY)

    assert wait_for(lambda: intervals() < 1, timeout_s=HEALS_WITHIN_S, every_s=0.5)
    with suspended(*named(cinema, "celery", "beat")):
        assert wait_for(lambda: intervals() > 2, timeout_s=HEALS_WITHIN_S, every_s=1)
    assert wait_for(lambda: intervals() < 1, timeout_s=HEALS_WITHIN_S, every_s=0.5)


def test_a_scrape_goes_on_while_valkey_hangs(cinema: RunningCinema) -> None:
    [valkey] = cinema.processes("valkey-server")

    def is_said(found: Exported) -> bool:
        up = {"postgres": 1, "valkey": 0, "broker": 0}
        return all(found.total("cinema_source_up", source=s) == n for s, n in up.items())

    cinema.get("/api/v1/programme")
    with suspended(valkey):
        assert scrape_until(cinema, is_said).total(COUNT, **PROGRAMME) > 0
    whole(cinema)


def test_the_exporter_refuses_requests_without_the_token(cinema: RunningCinema) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cinema.url}/metrics", timeout=30)  # noqa: S310


@pytest.mark.skipif(not shutil.which("prometheus"), reason="Prometheus is not installed here")
def test_prometheus_scrapes_it_and_computes_every_rule_and_panel(
    cinema: RunningCinema, tmp_path: Path
) -> None:
    """Debian's Prometheus, with the files of deploy/ and the arguments of its container."""
    port = free_port()
    config = tmp_path / "prometheus.yml"
    text = (MONITORING / "prometheus.yml").read_text()
    config.write_text(text.replace("web:8000", f"127.0.0.1:{cinema.port}").replace("15s", "1s"))
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    (tmp_path / "metrics-token").write_text(token_of(cinema) + "\n")
    service = compose.services({}, "monitoring")["prometheus"]
    places = {"/etc/prometheus": str(tmp_path), "/prometheus": str(tmp_path / "data")}
    pattern = f"({'|'.join(places)})(?=/|$)"
    arguments = [re.sub(pattern, lambda m: places[m[0]], word) for word in service["command"]]
    address = f"127.0.0.1:{port}"

    def query(path: str, **values: str) -> Any:
        url = f"http://{address}/api/v1/{path}?{urlencode(values)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except OSError:  # it starts
            return {"result": []}

    def is_up() -> bool:
        return any(each["value"][1] == "1" for each in query("query", query="up")["result"])

    process = subprocess.Popen(
        ["prometheus", *arguments, f"--web.listen-address={address}"], stderr=subprocess.PIPE
    )
    try:
        assert wait_for(is_up, timeout_s=HEALS_WITHIN_S, every_s=0.5)
        for expression in panel_expressions():
            expression = re.sub(r"\$__(rate_interval|range)", "1m", expression)
            assert query("query", query=expression)["resultType"] == "vector"
        [sources] = [q for q in panel_expressions() if "cinema_source_up" in q]
        assert len(query("query", query=sources)["result"]) == 3
        [group] = query("rules")["groups"]
        assert {rule["name"] for rule in group["rules"]} == {r["alert"] for r in alert_rules()}
        assert wait_for(
            lambda: {r["health"] for r in query("rules")["groups"][0]["rules"]} == {"ok"},
            timeout_s=HEALS_WITHIN_S, every_s=1,
        )  # fmt: skip
        # A server that was too slow for one scrape is back at the next one.
        assert wait_for(
            lambda: not {r["name"] for r in query("rules")["groups"][0]["rules"] if r["alerts"]} & {
                "CinemaDown", "CinemaServerAway", "CinemaNoWorker", "CinemaBeatMissing",
            },
            timeout_s=HEALS_WITHIN_S, every_s=1,
        )  # fmt: skip
    finally:
        process.terminate()
        process.communicate(timeout=60)
