"""Runs minutes of computing in a process of its own, outside the worker.

In a pool of greenlets or threads, or in a solo worker, computing would block every other task, and
a forked process hangs if its parent ever ran OpenMP. A new process works under every pool, needs no
time limit of the pool, and returns its memory.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import django
from celery import current_task
from celery.exceptions import TimeLimitExceeded
from django.conf import settings
from django.utils.module_loading import import_string

from cinema.celery import SERVER_AWAY, lower_priority
from cinema.logs import current_request_id, request_id_variable, without_values
from cinema.programs import die_with_parent
from cinema.tracing import context_headers, span

log = logging.getLogger(__name__)

#: Held while a process runs: two at once take twice the memory and no less time.
_one_at_a_time = threading.Lock()
#: Exit status of a process whose function raised an error; the error is on its standard output.
FAILED = 1


class ProcessFailed(Exception):
    """The function raised an error, or its process ended without an answer."""


class FunctionFailed(ProcessFailed):
    """The function raised an error, which its process has logged."""


class ProcessLost(ConnectionError):
    """The process was killed, or a server that it needs is away: worth another attempt."""


def run_in_process(function: str, *arguments: Any, time_limit_s: float) -> Any:
    """Call a function in a new process, or in this one outside a worker.

    The new process dies with this one.

    Args:
        function: Its dotted name. Arguments and result must be JSON.

    Raises:
        TimeLimitExceeded: It took longer; the process is killed.
        ProcessLost: The process was killed, or a server that the function needs is away.
        ProcessFailed: The process ended without an answer.
        FunctionFailed: The function raised another error, which the process has logged.
    """
    if not current_task or current_task.request.called_directly or current_task.request.is_eager:
        return import_string(function)(*arguments)
    with _one_at_a_time:
        return _run(function, arguments, time_limit_s)


def _run(function: str, arguments: tuple[Any, ...], time_limit_s: float) -> Any:
    carrier = {"request_id": current_request_id(), **context_headers()}
    call = [function, json.dumps(arguments), json.dumps(carrier), str(os.getpid())]
    process = subprocess.Popen(
        [sys.executable, "-m", "cinema.task_process", *call],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            answer, _ = process.communicate(timeout=time_limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimeLimitExceeded(time_limit_s) from None
        except BaseException:  # such as the pool's own time limit, or the worker's end
            process.kill()
            raise
    return _result(function, process.returncode, answer)


def _result(function: str, status: int, answer: bytes) -> Any:
    if status < 0:
        raise ProcessLost(f"The process of {function} was killed by signal {-status}.")
    if status not in (0, FAILED) or not answer:
        raise ProcessFailed(f"The process of {function} ended with status {status}.")
    outcome = json.loads(answer)
    if status == FAILED:
        raise (ProcessLost if outcome["is_server_away"] else FunctionFailed)(outcome["error"])
    return outcome["result"]


def main() -> None:
    function, arguments, carried, parent = sys.argv[1:]
    if die := die_with_parent(signal.SIGKILL, int(parent)):
        die()
    # Ctrl-C reaches all processes of a terminal, and the worker waits for its task before it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # for the output of libraries
        carrier = json.loads(carried)
        request_id_variable.set(carrier["request_id"])
        django.setup()
        call = import_string(function)
        lower_priority()  # only now: at a low priority the imports take a minute on a busy machine
        with span(function, "INTERNAL", carrier=carrier):
            status, outcome = _outcome(call, json.loads(arguments))
        json.dump(outcome, answer)
    sys.exit(status)


def _outcome(call: Any, arguments: list[Any]) -> tuple[int, dict[str, Any]]:
    try:
        return 0, {"result": call(*arguments)}
    except Exception as error:
        log.exception("%s failed", getattr(call, "__name__", call))
        shown = without_values(f"{type(error).__name__}: {error}")
        return FAILED, {"error": shown, "is_server_away": isinstance(error, SERVER_AWAY)}


if __name__ == "__main__":
    main()
