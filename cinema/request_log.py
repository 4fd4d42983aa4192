"""Lines of the log: of each request, and of each statement of a request that is slow."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from multiprocessing.util import Finalize
from select import PIPE_BUF
from typing import Any, NamedTuple

from django.utils.crypto import salted_hmac

from cinema.logs import IS_JSON, current_request_id, json_line, shortened

log = logging.getLogger(__name__)

#: A slower request, and a slower statement, is a warning.
SLOW_REQUEST_S = 1.0
SLOW_STATEMENT_S = 0.5
#: Programs ask these every few seconds.
HEALTH_PATHS = ("/health", "/api/v1/health")
#: Any other method is one that a client has invented.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
STANDARD_ERROR = 2
BATCH_S = 0.1
#: The limit of waiting lines. The oldest are dropped if nothing reads standard error.
MAX_WAITING = 10_000

#: Requests whose lines a thread is about to write; None if each is written at once.
_waiting: deque[_Record] | None = None
_is_due = threading.Event()
_writing = threading.Lock()


class _Record(NamedTuple):
    created: float
    request_id: str
    method: str | None
    status: int
    route: str | None
    seconds: float | None
    queries: int
    viewer: str | None


def is_slow(seconds: float) -> bool:
    return seconds >= SLOW_REQUEST_S


def write_request_line(
    method: str | None,
    status: int,
    *,
    route: str | None = None,
    seconds: float | None = None,
    queries: int = 0,
    viewer: str | None = None,
) -> None:
    """Write the line of a request.

    Not by a logger: its search for the calling line, its record and its handlers take more CPU than
    the line itself.
    """
    record = _Record(
        time.time(), current_request_id(), method, status, route, seconds, queries, viewer
    )
    if _waiting is None:
        _write(_line(record))
        return
    _waiting.append(record)
    if not _is_due.is_set():
        _is_due.set()


def _line(record: _Record) -> bytes:
    level, message = "INFO", "request"
    if record.seconds is not None and is_slow(record.seconds):
        level, message = "WARNING", "slow request"
    fields: dict[str, object] = {
        "method": record.method if record.method in METHODS else "other",
        "route": record.route,
        "status": record.status,
        "ms": None if record.seconds is None else round(record.seconds * 1000, 1),
        "queries": record.queries,
        "viewer": record.viewer,
    }
    if IS_JSON:
        fields = {"request_id": record.request_id, **fields}
        return json_line(record.created, level, "cinema.requests", message, fields) + b"\n"
    shown = " ".join(f"{name}={value}" for name, value in fields.items())
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    return f"{clock} {level} cinema.requests [{record.request_id}] {message} {shown}\n".encode()


def _write(lines: bytes) -> None:
    # A full disk, or a reader that has gone, fails no request.
    with suppress(OSError):
        os.write(STANDARD_ERROR, lines)


def batch_lines() -> None:
    """Let a thread write the lines of this process, ten times a second.

    A line took each request some 5% of its CPU, and takes a fraction of that in a batch. A process
    that is killed loses the last tenth of a second, one that ends loses nothing.
    """
    global _waiting
    _waiting = deque(maxlen=MAX_WAITING)
    threading.Thread(target=_write_batches, name="request log", daemon=True).start()
    atexit.register(_write_waiting)
    Finalize(None, _write_waiting, exitpriority=0)  # granian's processes do not run `atexit`


def _write_batches() -> None:
    while True:
        _is_due.wait()
        _is_due.clear()
        time.sleep(BATCH_S)
        _write_waiting()


def _write_waiting() -> None:
    lines = b""
    with _writing:  # the end of the process may come while the thread writes
        while _waiting:
            line = _line(_waiting.popleft())
            # The processes of the web share a pipe, which keeps no more than this together.
            if len(lines) + len(line) > PIPE_BUF:
                _write(lines)
                lines = b""
            lines += line
        _write(lines)


@lru_cache(maxsize=4096)
def viewer_code(user_id: int) -> str:
    """The code of a viewer in the log. Without SECRET_KEY nobody can compute it from the id."""
    return salted_hmac("cinema.request_log", str(user_id), algorithm="sha256").hexdigest()[:16]


def name_if_slow(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
) -> Any:
    """Name a slow statement of a request. In commands and tasks long statements are normal."""
    started_at = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        seconds = time.perf_counter() - started_at
        if seconds >= SLOW_STATEMENT_S:
            text = shortened(" ".join(str(sql).split()), 500)  # without its values
            log.warning("slow statement, %.0f ms: %s", seconds * 1000, text)
