"""Hosts on this machine: network namespaces on a bridge, each with its own programs. Root only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cinema.development.embedded_servers import postgres_account

IP, TC = "/usr/sbin/ip", "/usr/sbin/tc"
BRIDGE, NETWORK, PREFIX = "cinema-hosts", "10.77.0", "ch-"
#: The bridge of the hosts that a divided network has on its other side.
OTHER_BRIDGE = "cinema-other"
#: A slow host has this bandwidth. The kernel here has no `netem`.
SLOW = ("rate", "256kbit", "burst", "4kb", "latency", "400ms")


def ip(*arguments: str) -> str:
    done = subprocess.run([IP, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@dataclass
class Host:
    """A network namespace with a name, an address, and programs.

    Attributes:
        directory: Of its files, which no other host uses.
    """

    name: str
    number: int
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def _namespace(self) -> str:
        return f"{PREFIX}{self.name}"

    def join(self, bridge: str) -> None:
        ip("link", "set", self._namespace, "master", bridge, "up")

    def plug_in(self) -> None:
        inside = ("-n", self._namespace)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        ip("netns", "add", self._namespace)
        ip("link", "add", self._namespace, "type", "veth", "peer", "eth0", "netns", self._namespace)
        self.join(BRIDGE)
        ip(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip(*inside, "link", "set", device, "up")

    def remove(self) -> None:
        self.kill()
        # The kernel deletes a namespace later, and with it the cable.
        for what in ("link", "netns"):
            with suppress(subprocess.CalledProcessError):
                ip(what, "delete", self._namespace)

    def run(self, *command: str, log: str = "", unprivileged: bool = False) -> None:
        """Start a program of this host, in the background."""
        with (self.directory / f"{log or Path(command[0]).name}.log").open("ab") as output:
            self._started.append(
                subprocess.Popen(
                    self._inside(command, unprivileged),
                    env={**os.environ, **self.environment},
                    cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )
            )  # fmt: skip

    def call(self, *command: str, unprivileged: bool = False) -> str:
        """Run a program to its end; returns its output.

        Raises:
            RuntimeError: It failed.
        """
        done = subprocess.run(
            self._inside(command, unprivileged), env={**os.environ, **self.environment},
            cwd="/", capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _inside(self, command: Sequence[str], unprivileged: bool) -> list[str]:
        account = postgres_account() if unprivileged else None
        as_account = (
            [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
            if account
            else []
        )
        named = f'hostname {self.name} && exec "$@"'
        return [
            *("ip", "netns", "exec", self._namespace, "unshare", "--uts", "sh", "-c", named, "sh"),
            *(["setpriv", *as_account] if as_account else []),
            *command,
        ]

    # --- what happens to hosts

    def cut_off(self) -> None:
        """Pull its cable: what others send is lost, and nobody tells them."""
        ip("link", "set", self._namespace, "down")

    def reconnect(self) -> None:
        ip("link", "set", self._namespace, "up")

    def slow_down(self) -> None:
        self._shape("add", "root", "tbf", *SLOW)

    def speed_up(self) -> None:
        self._shape("delete", "root")

    def _shape(self, action: str, *rule: str) -> None:
        """In both directions."""
        inside = ["ip", "netns", "exec", self._namespace, "tc"]
        for tc, device in ((["tc"], self._namespace), (inside, "eth0")):
            subprocess.run([*tc, "qdisc", action, "dev", device, *rule], check=True)

    def kill(self) -> None:
        """End all its programs at once, as when the power goes."""
        with suppress(subprocess.CalledProcessError):
            while pids := ip("netns", "pids", self._namespace).split():
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                for process in self._started:
                    process.poll()
                time.sleep(0.05)
        for process in self._started:
            process.wait()
        self._started.clear()


class Network:
    """The bridge, and the hosts on it. This process reaches them too."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = hosts

    def build(self) -> None:
        """Build it.

        Raises:
            RuntimeError: This process is not root, the kernel refuses, or another run goes on.
        """
        try:
            ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
            ip("address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
            ip("link", "set", BRIDGE, "up")
            for host in self._hosts:
                host.plug_in()
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "")
            raise RuntimeError(f"no network namespaces here: {error} {said}") from error

    def divide(self, hosts: Sequence[Host], reached: Collection[str]) -> None:
        """Divide these hosts from the others. Nothing passes between the two sides.

        Args:
            reached: Addresses on both sides that this process still reaches, as viewers do.
        """
        ip("link", "add", OTHER_BRIDGE, "type", "bridge", "forward_delay", "0")
        ip("address", "add", f"{NETWORK}.2/32", "dev", OTHER_BRIDGE)
        ip("link", "set", OTHER_BRIDGE, "up")
        for host in hosts:
            host.join(OTHER_BRIDGE)
            if host.address in reached:
                ip("route", "add", host.address, "dev", OTHER_BRIDGE, "src", f"{NETWORK}.2")

    def unite(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            host.join(BRIDGE)
        ip("link", "delete", OTHER_BRIDGE)  # with its routes

    def remove(self) -> None:
        for host in self._hosts:
            host.remove()
        for bridge in (BRIDGE, OTHER_BRIDGE):
            with suppress(subprocess.CalledProcessError):
                ip("link", "delete", bridge)


def accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
