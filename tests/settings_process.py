"""Reads the settings in a process of their own, which has all modules that they import already.

Importing those takes almost a second of CPU. A server imports them once and forks a process for
each reading.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

WITHIN_S = 300
_server = multiprocessing.get_context("forkserver")
# All that the settings import, and not the settings themselves: each process imports those alone.
_server.set_forkserver_preload(
    [
        "tests.settings_process", "django.templatetags.static", "environ", "kombu", "cinema.beat",
        "cinema.bucket", "cinema.database", "cinema.throttling.counters", "cinema.variables",
    ]
)  # fmt: skip


def run(shown: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Import the settings as `s` with these variables alone, and print an expression."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _server.Process(target=_print, args=(shown, variables, files))
        process.start()
        process.join(WITHIN_S)
        assert process.exitcode is not None, "it still runs"
        return subprocess.CompletedProcess(shown, process.exitcode, *map(Path.read_text, files))


def _print(shown: str, variables: dict[str, str], files: list[Path]) -> None:
    for stream, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    os.environ.clear()
    os.environ.update(variables)
    exec(f"import cinema.settings as s; print({shown})")  # noqa: S102 - from a test
