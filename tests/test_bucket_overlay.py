"""deploy/compose.s3.yaml: its command, run as written, makes a private and a public bucket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session
from botocore.exceptions import ClientError

from cinema.development.processes import wait_for
from tests import compose
from tests.bucket_server import SERVERS
from tests.running import free_port

# A bucket refuses requests that are signed at another time.
pytestmark = pytest.mark.real_clock

KEYS = {"AWS_ACCESS_KEY_ID": "cinema", "AWS_SECRET_ACCESS_KEY": "Zk3/9w=$'#@:% x"}
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of the server, once it is ready; its folders and ports are those of this test."""
    service = compose.services(KEYS, "s3")["s3"]
    ports = {f"{name}.port": free_port() for name in SERVERS}
    extra = {f"{name}.port.grpc": free_port() for name in SERVERS} | {
        "s3.port.iceberg": free_port()
    }
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    program = folder / "bin/weed"
    program.write_text(
        f"""#!/bin/sh
if [ "$1" = shell ]; then
  exec {shutil.which("weed", path=PATH)} shell \\
    -master=127.0.0.1:{ports["master.port"]}.{extra["master.port.grpc"]} \\
    -filer=127.0.0.1:{ports["filer.port"]}.{extra["filer.port.grpc"]}
fi
exec {shutil.which("weed", path=PATH)} "$@" \\
  {" ".join(f"-{name}={number}" for name, number in (ports | extra).items())}
"""
    )
    program.chmod(0o755)
    *shell, script = service["command"]
    script = script.replace("/tmp/", f"{folder}/").replace("=/data", f"={folder}/data")  # noqa: S108
    (folder / "ready").unlink(missing_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*shell, script],
            env=service["environment"] | {"PATH": f"{folder}/bin{os.pathsep}{PATH}"},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{ports['s3.port']}"

    def is_healthy() -> bool:
        """As the health check asks."""
        return (folder / "ready").exists() and status_of(f"{url}/healthz") == 200

    try:
        assert wait_for(is_healthy, timeout_s=60), (folder / "log").read_text()[-4000:]
        yield url
    finally:
        process.kill()
        process.wait()


def client(url: str) -> Any:
    return Session(*KEYS.values()).client("s3", endpoint_url=url, region_name="us-east-1")


def status_of(url: str) -> int:
    """The status of the answer to an unsigned request; 0 if no answer comes."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - on loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def takes_uploads(buckets: Any) -> bool:
    try:
        buckets.put_object(Bucket="films", Key="first", Body=b"")
    except ClientError:
        return False
    return True


def test_uploads_are_public_releases_are_private_and_both_outlive_the_server(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as url:
        buckets = client(url)
        names = {bucket["Name"] for bucket in buckets.list_buckets()["Buckets"]}
        assert names == {"films", "releases"}
        assert wait_for(lambda: takes_uploads(buckets), timeout_s=60)
        buckets.put_object(Bucket="films", Key="posters/a.webp", Body=b"poster")
        buckets.put_object(Bucket="releases", Key="cinema/1/ids.npy", Body=b"ratings")
        assert status_of(f"{url}/films/posters/a.webp") == 200
        for hidden in ("films", "films?list-type=2", "releases/cinema/1/ids.npy", "releases", ""):
            assert status_of(f"{url}/{hidden}") == 403, hidden
    with running(tmp_path) as url:
        buckets = client(url)

        def is_read() -> bool:
            try:
                found = buckets.get_object(Bucket="releases", Key="cinema/1/ids.npy")
            except ClientError:
                return False
            return bool(found["Body"].read() == b"ratings")

        # It answers some moments before it has found all its files again.
        assert wait_for(is_read, timeout_s=60)
