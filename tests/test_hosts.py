"""A site on 14 hosts loses some of them. `python -m bench.hosts` loses each one in each way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(
        os.geteuid() != 0
        or not shutil.which("ip", path="/usr/sbin:/sbin")
        or not [*Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server")],
        reason="it needs root, iproute2 and RabbitMQ",
    ),
]


def test_a_lost_host_costs_no_acknowledged_write_and_no_minute() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.hosts", "--short"],
        cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
