"""`make fuzz`: requests made from the OpenAPI document, as anonymous, viewer and staff.

No answer may be a 5xx, have a status or a content type that the document does not name, or a body
of another shape. It is no test of the suite: it takes minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.limits import NO_LIMITS
from tests.running import RunningCinema

#: The least number of cases for each role.
CASES = 2000
#: Cases for each operation. With the examples and edge cases they exceed CASES in all.
EXAMPLES = 40
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
STAFF = {"email": "staff@cinema.example", "password": "projector room"}
VIEWER = {"email": "fuzz@example.org", "password": "a long evening"}


def main() -> int:
    os.environ.update(NO_LIMITS)
    cinema = RunningCinema(settings="bench.unlimited")
    cinema.start()
    try:
        cinema.post("/api/v1/auth/register", VIEWER)
        roles = {
            "anonymous": None,
            "viewer": cinema.post("/api/v1/auth/login", VIEWER)["access"],
            "staff": cinema.post("/api/v1/auth/login", STAFF)["access"],
        }
        failed = [name for name, token in roles.items() if not _fuzz(cinema, name, token)]
    finally:
        cinema.stop()
    if failed:
        print(f"Found something as {', '.join(failed)}.")
    return len(failed)


def _fuzz(cinema: RunningCinema, role: str, token: str | None) -> bool:
    """Whether enough cases were sent as this role and none was answered wrongly."""
    print(f"\n=== as {role}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{cinema.url}/api/v1/openapi.json",
            f"--checks={','.join(CHECKS)}", "--phases=examples,coverage,fuzzing",
            f"--max-examples={EXAMPLES}", "--seed=20261120", "--no-shrink",
            "--continue-on-failure", "--request-timeout=20", "--suppress-health-check=all",
            "--warnings=off", "--report=json", f"--report-json-path={report}",
            *([f"--header=Authorization: Bearer {token}"] if token else []),
        ]  # fmt: skip
        done = subprocess.run(command, check=False)
        cases = json.loads(report.read_text())["test_cases"]["generated"]
    if cases < CASES:
        print(f"Only {cases} cases were made, {CASES} are asked for: raise EXAMPLES.")
    return done.returncode == 0 and cases >= CASES


if __name__ == "__main__":
    sys.exit(main())
