"""Health checks of the containers: `python -IS cinema/healthcheck.py web|worker|trainer|beat`.

`trainer` is a worker for trainings alone: `--queues=training --hostname=trainer@%h`.

It runs every few seconds, so it imports neither Django nor any package (`-S`), and Python does not
search its folder for modules (`-I`): 30 ms of CPU.
"""

import http.client
import os
import socket
import sys
import time
from pathlib import Path

TIMEOUT_S = 5
#: Workers touch their file every two seconds, beat every ten, both later on a busy machine.
STALE_AFTER_S = 60


def check_web() -> str:
    """The fault of the web; empty if it is healthy."""
    host = os.environ.get("HOST", "") or "127.0.0.1"
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound
    connection = http.client.HTTPConnection(
        here, int(os.environ.get("PORT", "") or 8000), timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", "/health/live", headers={"Host": _allowed_host()})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}"
    return "" if status == http.HTTPStatus.OK else f"status {status}"


def _allowed_host() -> str:
    """A name that the server answers to. A pattern such as `.example.org` means its domain."""
    names = [name.strip() for name in os.environ.get("ALLOWED_HOSTS", "").split(",")]
    first = next((name for name in names if name and name != "*"), "localhost")
    return first.lstrip(".")


def check_heartbeat(name: str) -> str:
    """The fault of a worker or of beat; empty if it is healthy."""
    if os.environ.get("ENABLE_BACKGROUND_JOBS", "").strip().lower() in {"0", "false", "off", "no"}:
        return ""  # cinema/programs.py: it waits and does nothing
    default = Path(__file__).resolve().parent.parent / ".cinema"
    home = Path(os.environ.get("CINEMA_HOME", "") or default).expanduser()
    file = home / "heartbeats" / f"{name}@{socket.gethostname()}"
    try:
        age_s = time.time() - file.stat().st_mtime
    except OSError:
        return f"no heartbeat at {file}"
    # The age is negative if the clock was set back.
    return "" if abs(age_s) < STALE_AFTER_S else f"the last heartbeat is {age_s:.0f} s old"


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in {"web", "worker", "trainer", "beat"}:
        sys.exit("usage: healthcheck.py web|worker|trainer|beat")
    [name] = arguments
    if fault := check_web() if name == "web" else check_heartbeat(name):
        sys.exit(f"{name}: {fault}")


if __name__ == "__main__":
    main(sys.argv[1:])
