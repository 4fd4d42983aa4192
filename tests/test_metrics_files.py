"""The counter files of web processes: no count is lost, whatever happens to a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.multiprocess import MultiProcessCollector
from pytest_django.fixtures import Settings

from cinema.development.processes import wait_for
from cinema.home import socket_paths
from cinema.metrics import files
from tests.running import ROOT

COUNT = """
import sys, time, django
from cinema.metrics.files import keep_in_files
keep_in_files()
django.setup()
from cinema.metrics.counters import refused_requests, request_seconds
for _ in range(int(sys.argv[1])):
    refused_requests.labels("busy").inc()
    request_seconds.labels("GET", "programme", "200").observe(0.003)
print("counted", flush=True)
time.sleep(600)
"""


class Counting:
    """A process that has counted and lives on."""

    def __init__(self, home: Path, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(count)],
            cwd=ROOT,
            env={
                **os.environ,
                "CINEMA_HOME": str(home),
                "DJANGO_SETTINGS_MODULE": "cinema.settings",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        said = self.process.stdout.readline()
        assert said == "counted\n", self.process.communicate()[1]

    def kill(self) -> str:
        self.process.send_signal(signal.SIGKILL)
        return self.process.communicate()[1]


@pytest.fixture
def place(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    settings.CINEMA_HOME = tmp_path
    settings.PORT = 8000
    yield files.directory()
    for file in files.directory().parent.glob(f"{socket_paths(tmp_path).directory.name}-metrics-*"):
        if file.is_dir():
            for each in file.iterdir():
                each.unlink()
            file.rmdir()
        else:
            file.unlink()


def total(place: Path) -> tuple[float, float, float]:
    """The counts of all processes: refusals, requests, requests within 5 ms."""
    samples = {
        (sample.name, sample.labels.get("le", sample.labels.get("reason"))): sample.value
        for family in MultiProcessCollector.merge([*map(str, place.glob("*.db"))])  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    return (
        samples["cinema_refused_requests_total", "busy"],
        samples["cinema_request_seconds_count", None],
        samples["cinema_request_seconds_bucket", "0.005"],
    )


def test_a_killed_process_loses_nothing_and_its_successor_goes_on(
    place: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        processes = [Counting(tmp_path, n) for n in (3, 40)]
        for process in processes:
            stack.callback(process.kill)
        assert total(place) == (43, 43, 43)
        processes[0].kill()
        assert total(place) == (43, 43, 43)
        third = Counting(tmp_path, 500)
        stack.callback(third.kill)
        assert total(place) == (543, 543, 543)
        # The third process took the place of the first one.
        assert {file.name for file in place.glob("*.db")} == {
            f"{kind}_{slot}.db" for kind in files.KINDS for slot in (0, 1)
        }
        third.kill()
        stack.callback(Counting(tmp_path, 1).kill)
        assert total(place) == (544, 544, 544)


@pytest.mark.parametrize("content", [b"", b"damaged " * 1000, b"\x40\x00\x00\x00" + b"\xff" * 500])
def test_a_damaged_file_starts_again_and_stops_nothing(
    place: Path, tmp_path: Path, content: bytes
) -> None:
    Counting(tmp_path, 5).kill()
    (place / "counter_0.db").write_bytes(content)
    said = Counting(tmp_path, 7).kill()
    assert total(place) == (7, 12, 12)
    assert "counter_0.db is damaged" in said


def test_room_is_taken_at_the_start_so_that_a_full_disk_kills_no_process(
    place: Path, tmp_path: Path
) -> None:
    Counting(tmp_path, 1).kill()
    for file in place.glob("*.db"):
        assert file.stat().st_blocks * 512 >= files.FILE_BYTES


def test_a_directory_that_cannot_be_used_is_said_and_stops_nothing(
    place: Path, tmp_path: Path
) -> None:
    place.write_text("not a directory")
    said = Counting(tmp_path, 5).kill()
    assert "the metrics are those of single processes" in said
    assert place.read_text() == "not a directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another account")
def test_a_directory_of_another_account_is_not_used(place: Path, tmp_path: Path) -> None:
    place.mkdir(mode=0o777)
    os.chown(place, 999, 999)
    said = Counting(tmp_path, 5).kill()
    assert "belongs to another account" in said
    assert not [*place.iterdir()]


def test_a_cleaner_of_temporary_files_finds_the_directory_locked(
    place: Path, tmp_path: Path
) -> None:
    process = Counting(tmp_path, 1)
    try:
        assert subprocess.run(["flock", "-n", str(place), "true"]).returncode == 1
    finally:
        process.kill()
    assert wait_for(
        lambda: subprocess.run(["flock", "-n", str(place), "true"]).returncode == 0, timeout_s=10
    )
