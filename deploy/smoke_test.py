"""Asks a Cinema, as its viewers reach it, whether it serves: `python deploy/smoke_test.py URL`.

It needs Python alone, so that it runs on any machine. It exits with 1 and the first fault if
Cinema does not serve within the time, by default a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT_S = 10
#: Each path, and the key that must be in its JSON; without a key any document will do.
PATHS = {
    "/health/live": "status",
    "/api/v1/programme": "days",
    "/api/v1/genres": "",
    "/api/v1/openapi.json": "paths",
    "/": "",
    "/admin/login/": "",
    "/static/cinema/welcome.css": "",
}


def fault_of(url: str, path: str, key: str) -> str:
    """The fault of the answer; empty if there is none."""
    try:
        with urllib.request.urlopen(url + path, timeout=TIMEOUT_S) as answer:  # noqa: S310
            body = answer.read()
            is_secure = "Strict-Transport-Security" in answer.headers
    except (OSError, urllib.error.HTTPError) as error:
        return f"{path}: {error}"
    if url.startswith("https:") and not is_secure:
        return f"{path}: no Strict-Transport-Security: BEHIND_TLS_PROXY is not set"
    try:
        if key and key not in json.loads(body):
            return f"{path}: the answer has no {key!r}"
    except ValueError:
        return f"{path}: the answer is no JSON"
    return "" if body else f"{path}: the answer is empty"


def first_fault(url: str, *, within_s: float) -> str:
    """The first fault; empty if everything is served."""
    first, *others = PATHS.items()
    deadline = time.monotonic() + within_s
    while fault := fault_of(url, *first):
        if time.monotonic() > deadline:
            return fault
        time.sleep(1)
    return next(filter(None, (fault_of(url, *item) for item in others)), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="such as https://cinema.example")
    parser.add_argument("--within", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args()
    if urlsplit(options.url).scheme not in {"http", "https"}:
        parser.error("URL must begin with http:// or https://")
    if fault := first_fault(options.url.rstrip("/"), within_s=options.within):
        sys.exit(fault)


if __name__ == "__main__":
    main()
