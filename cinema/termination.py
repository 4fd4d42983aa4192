"""The end of a command by SIGTERM, as `docker stop`, systemd and `timeout` send it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit in the block, so that it deletes what it has not finished.

    By default SIGTERM ends the process without that. Outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(*args: object) -> None:
    sys.exit(128 + signal.SIGTERM)
