"""Beats on several hosts: one of them sends, and another one goes on. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from cinema.development.embedded_servers import Servers
from cinema.development.processes import wait_for
from tests.running import ROOT, database_of_this_test, new_home

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real_clock]

#: More than a busy machine needs to start a beat.
PATIENCE_S = 90
BEATS = "cinema:1:metrics:beats"
DAY_S = 86_400


@dataclass(frozen=True)
class Sent:
    at: float
    task: str
    by: int


@dataclass
class Hosts:
    """Hosts with a beat each, and a Valkey that they share as cache and broker."""

    directory: Path
    valkey: Servers = field(
        default_factory=lambda: Servers(new_home(), postgres=False, valkey=True)
    )
    #: Seconds after which a leader that does not renew the lock loses it.
    lease_s: int = 4
    beats: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    _is_open: bool = True

    def client(self, database: int) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.valkey.sockets.valkey), db=database)

    def start_beat(self) -> int:
        home = self.directory / f"home {len(self.beats)}"
        home.mkdir()
        socket = self.valkey.sockets.valkey
        with (self.directory / "beats.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cinema.programs", "beat"],
                cwd=ROOT,
                env={**os.environ, **database_of_this_test(), "CINEMA_HOME": str(home),
                     "REDIS_URL": f"unix://{socket}?db=0",
                     "CELERY_BROKER_URL": f"redis+socket://{socket}?virtual_host=1",
                     "TEST_LEASE_S": str(self.lease_s),
                     "DJANGO_SETTINGS_MODULE": "tests.beat_settings"},
                stdout=log, stderr=log,
            )  # fmt: skip
        self.beats[process.pid] = process
        return process.pid

    def standby_says_so(self) -> bool:
        return "stands by" in (self.directory / "beats.log").read_text()

    def collect(self) -> None:
        """Take each task from the queue as it comes."""
        queue = self.client(1)
        while self._is_open:
            try:
                found = queue.brpop(["cinema"], timeout=0.5)
            except redis.RedisError:
                time.sleep(0.1)
                continue
            if found:
                headers = json.loads(found[1])["headers"]
                by = int(headers["origin"].partition("@")[0].removeprefix("gen"))
                self.sent.append(Sent(time.monotonic(), headers["task"], by))

    def count(self, task: str) -> int:
        return sum(sent.task == task for sent in self.sent)

    def senders(self, since: float = 0.0) -> set[int]:
        return {sent.by for sent in self.sent if sent.at >= since}

    def wait_for_sender(self, *pids: int) -> int:
        """Wait until one of them sends; returns which one."""
        since = time.monotonic()
        wanted = set(pids)
        assert wait_for(lambda: bool(self.senders(since) & wanted), timeout_s=PATIENCE_S), (
            self.directory / "beats.log"
        ).read_text()
        [sender] = self.senders(since) & wanted
        return sender

    def daily_is_due_in(self, seconds: float) -> None:
        self.client(0).hset(BEATS, "daily", str(time.time() - DAY_S + seconds))

    def close(self) -> None:
        self._is_open = False
        for process in self.beats.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.valkey.stop()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path)
    hosts.valkey.start()
    collecting = threading.Thread(target=hosts.collect)
    collecting.start()
    try:
        yield hosts
    finally:
        hosts._is_open = False
        collecting.join()
        hosts.close()


def start_two(hosts: Hosts) -> tuple[int, int]:
    """Start two beats; returns the one that leads and the other."""
    pids = {hosts.start_beat(), hosts.start_beat()}
    leader = hosts.wait_for_sender(*pids)
    assert wait_for(hosts.standby_says_so, timeout_s=PATIENCE_S)
    [other] = pids - {leader}
    return leader, other


def rate_is_that_of_one(hosts: Hosts) -> bool:
    often = [sent.at for sent in hosts.sent if sent.task == "often"]
    return len(often) <= often[-1] - often[0] + 2


@pytest.mark.parametrize(
    "ending", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.scale)]
)
def test_the_other_beat_goes_on_where_the_leader_ended(
    hosts: Hosts, ending: signal.Signals
) -> None:
    hosts.lease_s = 30  # a busy machine suspends a process for seconds
    hosts.daily_is_due_in(0)
    leader, other = start_two(hosts)
    assert wait_for(lambda: hosts.count("daily") == 1, timeout_s=PATIENCE_S)
    time.sleep(3)
    assert hosts.senders() == {leader}
    hosts.beats[leader].send_signal(ending)
    assert hosts.wait_for_sender(other) == other
    time.sleep(3)
    assert hosts.count("daily") == 1


@pytest.mark.scale
def test_a_suspended_leader_sends_nothing_once_it_goes_on(hosts: Hosts) -> None:
    """The other beat sends once what became due meanwhile."""
    leader, other = start_two(hosts)
    os.kill(leader, signal.SIGSTOP)
    hosts.daily_is_due_in(1)
    assert hosts.wait_for_sender(other) == other
    assert wait_for(lambda: hosts.count("daily") == 1, timeout_s=PATIENCE_S)
    went_on_at = time.monotonic()
    os.kill(leader, signal.SIGCONT)
    time.sleep(6)
    assert hosts.senders(went_on_at) == {other}
    assert hosts.count("daily") == 1
    assert rate_is_that_of_one(hosts)
    # It stands by, and leads again when it is needed.
    hosts.beats[other].kill()
    assert hosts.wait_for_sender(leader) == leader
    assert hosts.count("daily") == 1


@pytest.mark.scale
@pytest.mark.parametrize("leader_ends", [False, True])
def test_one_beat_sends_after_valkey_was_away(hosts: Hosts, leader_ends: bool) -> None:
    hosts.daily_is_due_in(0)
    leader, other = start_two(hosts)
    assert wait_for(lambda: hosts.count("daily") == 1, timeout_s=PATIENCE_S)
    time.sleep(2)  # Valkey writes its file every second
    [valkey] = hosts.valkey.children
    valkey.kill()
    if leader_ends:
        hosts.beats[leader].kill()
    time.sleep(4)
    valkey.start()
    hosts.valkey.wait_until_ready(valkey)
    back_at = time.monotonic()
    # A leader that has waited too long for the broker has lost the lock, and does not send then.
    sender = hosts.wait_for_sender(*({other} if leader_ends else {leader, other}))
    time.sleep(6)
    assert hosts.senders(back_at) == {sender}
    assert hosts.count("daily") == 1
    assert rate_is_that_of_one(hosts)


def test_a_beat_on_a_new_host_knows_the_earlier_runs(hosts: Hosts) -> None:
    """The host has no file of earlier runs. A run that became due meanwhile is sent at once."""
    hosts.client(0).hset(BEATS, mapping={"often": str(time.time()), "daily": str(time.time() - 60)})
    first = hosts.start_beat()
    hosts.wait_for_sender(first)
    time.sleep(2)
    assert hosts.count("daily") == 0
    hosts.beats[first].kill()
    hosts.beats[first].wait()
    hosts.daily_is_due_in(-3600)
    hosts.wait_for_sender(hosts.start_beat())
    assert wait_for(lambda: hosts.count("daily") == 1, timeout_s=PATIENCE_S)
