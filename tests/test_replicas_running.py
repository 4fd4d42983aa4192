"""Two web processes, a primary and a replica: each write is read at once through the other one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from cinema.development.processes import wait_for
from tests.builders import access_token, make_movie, make_user
from tests.environment import HOME
from tests.limits import NO_LIMITS
from tests.replication import Standby
from tests.running import ROOT, database_of_this_test, free_port
from users.models import User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.real_clock,
    pytest.mark.skipif(not settings.EMBEDDED_POSTGRES, reason="it copies the embedded server"),
]


@dataclass
class Web:
    port: int

    def send(self, method: str, path: str, payload: Any = None, *, of: str = "") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            method=method,
            data=json.dumps(payload).encode() if payload else None,
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {of}"} if of else {}),
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read() or b"null")

    def is_up(self) -> bool:
        try:
            self.send("GET", "/movies")
        except OSError:
            return False
        return True


@contextmanager
def two_webs(standby: Standby, logs: Path) -> Iterator[list[Web]]:
    webs = [Web(free_port()) for _ in range(2)]
    shared = {**os.environ, **database_of_this_test(), **NO_LIMITS, "CINEMA_HOME": str(HOME),
              "DATABASE_REPLICA_URLS": standby.url, "WEB_WORKERS": "1", "THROTTLE_EXEMPT": "",
              "DJANGO_SETTINGS_MODULE": "cinema.settings"}  # fmt: skip
    processes = []
    try:
        for web in webs:
            with (logs / f"{web.port}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "cinema.programs", "web"],
                        cwd=ROOT, env={**shared, "PORT": str(web.port)}, stdout=log, stderr=log,
                    )
                )  # fmt: skip
        for web in webs:
            said = logs / f"{web.port}.log"
            assert wait_for(web.is_up, timeout_s=240, every_s=0.5), said.read_text()
        yield webs
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


def reads_of(standby: Standby) -> int:
    """The transactions of the replica: those of the watches are few."""
    found = standby.run("SELECT sum(xact_commit)::bigint FROM pg_stat_database")
    return int(found[0])


def test_each_write_is_read_at_once_through_the_other_process(tmp_path: Path) -> None:
    movies = [make_movie(name=f"Film {number}") for number in range(20)]
    viewer, staff = make_user(), make_user(is_staff=True)
    token, of_staff = access_token(viewer), access_token(staff)
    standby = Standby()
    try:
        standby.copy_primary()
        standby.start()
        with two_webs(standby, tmp_path) as webs:
            one, other = webs
            for web in webs:  # each has read a list from the replica
                web.send("GET", "/users/me/ratings", of=token)
            time.sleep(2)
            before = reads_of(standby)
            for number, movie in enumerate(movies, start=1):
                if number == 10:
                    standby.pause()
                if number == 15:
                    standby.resume()
                one, other = other, one
                one.send("PUT", f"/movies/{movie.pk}/rating", {"stars": 4}, of=token)
                found = other.send("GET", "/users/me/ratings?per_page=50", of=token)
                assert len(found["data"]) == number
                name = f"New {number}"
                one.send("PATCH", f"/movies/{movie.pk}", {"name": name}, of=of_staff)
                assert other.send("GET", f"/movies/{movie.pk}", of=of_staff)["name"] == name
                assert wait_for(
                    lambda web=other, pk=movie.pk, name=name: (  # type: ignore[misc]
                        web.send("GET", f"/movies/{pk}")["name"] == name
                    ),
                    timeout_s=30,
                )
            assert User.objects.count() == 2
            time.sleep(2)
            for web in webs:
                for _ in range(50):
                    web.send("GET", "/users/me/ratings", of=token)
            assert wait_for(lambda: reads_of(standby) - before > 100, timeout_s=15)
    finally:
        standby.remove()
