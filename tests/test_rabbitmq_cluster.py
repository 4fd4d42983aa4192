"""A cluster of three RabbitMQ nodes loses one. Its quorum queues, and all programs, go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cinema.development.processes import wait_for
from tests.running import free_port
from tests.test_quorum_queues import PATIENCE_S, is_done, sender, worker
from tests.test_sentinels import send_until_taken

SERVERS = [*Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server")]
NODES = ("one", "two", "three")

pytestmark = [
    pytest.mark.scale,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not SERVERS, reason="RabbitMQ is not installed"),
]


@dataclass
class Cluster:
    directory: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in NODES})
    #: The port of epmd, which tells the nodes each other's ports.
    names_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        return f"amqp://guest:guest@{hosts}//"

    def start(self) -> None:
        """The nodes find each other by their file of settings."""
        lines = ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += [
            f"cluster_formation.classic_config.nodes.{number} = {name}@localhost"
            for number, name in enumerate(NODES, start=1)
        ]
        (self.directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.directory / "plugins").write_text("[].")
        for name in NODES:
            with (self.directory / f"{name}.log").open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    [str(SERVERS[0])], env=self.environment(name), cwd=self.directory,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            # The first one forms the cluster.
            assert wait_for(lambda: self._listens(name), timeout_s=120), (  # noqa: B023
                self.directory / f"{name}.log"
            ).read_text()
        self.run("await_online_nodes", "3")

    def environment(self, name: str) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.directory), "ERL_EPMD_PORT": str(self.names_port),
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_NODE_PORT": str(self.ports[name]),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.directory / name),
            "RABBITMQ_LOG_BASE": str(self.directory / name),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_PID_FILE": str(self.directory / f"{name}.pid"),
        }  # fmt: skip

    def run(self, *arguments: str) -> None:
        subprocess.run(
            [str(SERVERS[0].with_name("rabbitmqctl")), *arguments],
            env=self.environment("one"), check=True, capture_output=True,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        for name in self.processes:
            self.kill(name)
        wait_for(self._ends_epmd, timeout_s=20, every_s=0.5)  # it refuses while it knows a node

    def _ends_epmd(self) -> bool:
        done = subprocess.run(
            ["epmd", "-kill"], env={**os.environ, "ERL_EPMD_PORT": str(self.names_port)},
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def _listens(self, name: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.ports[name]), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_tasks_survive_the_loss_of_a_node(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are tasks in the queue, tasks that are sent later, and a connected worker."""
    monkeypatch.delenv("CELERY_BROKER_URL")
    app = sender(cluster.url)
    # Beat confirms too. Otherwise RabbitMQ may lose a task that is sent while it elects a leader.
    app.conf.broker_transport_options = {"confirm_publish": True}
    waiting = [app.send_task("movies.advance_statuses").id for _ in range(3)]
    cluster.kill("one")
    lost_at = time.monotonic()
    later = send_until_taken(app, "movies.advance_statuses")
    print(f"a task is sent {time.monotonic() - lost_at:.1f} s after the loss")  # noqa: T201
    with worker(cluster.url, tmp_path) as log:
        for task_id in (*waiting, later):
            assert wait_for(lambda: is_done(task_id), timeout_s=PATIENCE_S), log.read_text()  # noqa: B023
