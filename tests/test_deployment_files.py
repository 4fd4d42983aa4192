"""The files of deploy/, each read by the parser of the program that they are for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import compose, units
from tests.running import ROOT
from tests.test_settings import VARIABLES

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
Built = dict[tuple[str, str], dict[str, Any]]
PROGRAMS = ("web", "worker", "trainer", "beat")


def needs(program: str, package: str) -> pytest.MarkDecorator:
    path = "/usr/sbin:/sbin:" + os.environ["PATH"]
    return pytest.mark.skipif(
        not shutil.which(program, path=path), reason=f"{program} is not here: install {package}"
    )


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:/usr/sbin:/sbin:{os.environ['PATH']}"
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


ALL_OVERLAYS = ("rabbitmq", "tls", "s3", "monitoring")


@pytest.mark.parametrize(
    "overlays", [(), *((name,) for name in ALL_OVERLAYS), ("rabbitmq", "tls"), ALL_OVERLAYS]
)
def test_compose_files_follow_the_specification(overlays: tuple[str, ...]) -> None:
    import jsonschema  # takes two seconds; each process of a run imports all test files

    vendored = files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(vendored.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    document = compose.document(*overlays)
    validator.validate(document | {"services": compose.services({}, *overlays)})
    assert not validator.is_valid(document | {"servces": {}})


def test_each_mounted_file_exists() -> None:
    mounted = [
        volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        for service in compose.services({}, *ALL_OVERLAYS).values()
        for volume in service.get("volumes", ())
    ]
    own = {path for path in mounted if path.startswith("./deploy/")}
    assert "./deploy/Caddyfile" in own
    assert "./deploy/monitoring/grafana" in own
    assert all((ROOT / path).exists() for path in own)
    others = {path for path in mounted if path.startswith("./")} - own
    assert others == {"./secrets", "./secrets/metrics-token"}


@pytest.fixture
def unit_folder(tmp_path: Path) -> Path:
    """The units, with the folder of this code: systemd looks whether the programs exist."""
    folder = tmp_path / "units"
    shutil.copytree(units.FOLDER, folder)
    for file in folder.rglob("*.*"):
        if file.is_file():
            file.write_text(file.read_text().replace(units.CODE, str(ROOT)))
    return folder


@needs("systemd-analyze", "systemd")
def test_systemd_accepts_the_units(unit_folder: Path) -> None:
    names = ("cinema.target", *(f"cinema-{name}.service" for name in units.NAMES))
    found = [unit_folder / name for name in names]
    assert {path.name for path in unit_folder.iterdir() if path.is_file()} == {*names, "caddy.conf"}
    paths = {"SYSTEMD_UNIT_PATH": f"{unit_folder}:"}
    done = run("systemd-analyze", "verify", "--man=no", *found, **paths)
    assert (done.returncode, done.stderr) == (0, "")
    with (unit_folder / "cinema-beat.service").open("a") as file:
        file.write("Wantedby=nothing\n")
    assert "'Wantedby'" in run("systemd-analyze", "verify", *found, **paths).stderr


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("name", units.NAMES)
def test_a_unit_is_exposed_little(unit_folder: Path, name: str) -> None:
    """systemd's own measure, from 0 to 100: below 20 is `OK`."""
    done = run(
        "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager",
        unit_folder / f"cinema-{name}.service", SYSTEMD_UNIT_PATH=f"{unit_folder}:",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_units_and_containers_run_the_same_commands() -> None:
    services = compose.services({})
    for name in units.NAMES:
        program, *arguments = units.command(name)
        assert program == f"{units.CODE}/.venv/bin/python"
        assert arguments == compose.command(services[name])[1:]
        if name != "prepare":
            [period] = units.service(name)["TimeoutStopSec"]
            assert int(period) == compose.seconds(services[name]["stop_grace_period"])


def test_commands_run_with_the_settings_of_the_units(tmp_path: Path) -> None:
    (tmp_path / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "systemd-run").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run(DEPLOY / "cinema-manage", "backup", "a file.zip", PATH=path)
    words, unit = done.stdout.splitlines(), units.service("web")
    assert words[-4:] == [f"{units.CODE}/.venv/bin/python", "manage.py", "backup", "a file.zip"]
    assert f"--uid={unit['User'][0]}" in words
    assert f"--working-directory={unit['WorkingDirectory'][0]}" in words
    assert f"--setenv=CINEMA_HOME={units.HOME}" in words
    for key in ("EnvironmentFile", "UMask"):
        assert f"--property={key}={unit[key][0]}" in words


def test_caddy_accepts_its_file() -> None:
    arguments = ("validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile")
    done = run("caddy", *arguments, PUBLIC_URL="https://cinema.example")
    assert done.returncode == 0, done.stderr
    assert run("caddy", *arguments, PUBLIC_URL="cinema { }").returncode != 0


@needs("nginx", "nginx-light")
def test_nginx_accepts_its_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    run(
        "openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-subj", "/CN=cinema.example", "-days", "2",
        "-keyout", key, "-out", certificate,
    ).check_returncode()  # fmt: skip
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("/etc/letsencrypt/live/cinema.example", str(tmp_path))
    text = text.replace("/var/cache/nginx", str(tmp_path))
    (tmp_path / "cinema.conf").write_text(text)
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; include {tmp_path}/cinema.conf; }}\n"
    )
    done = run("nginx", "-t", "-c", whole)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def manifests() -> list[dict[str, Any]]:
    """The files of Kubernetes as they are, without those that only kustomize reads."""
    skipped = {"kustomization.yaml", "program.yaml"}
    paths = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name not in skipped)
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def test_manifests_follow_the_schemas_of_kubernetes() -> None:
    import kubernetes_validate  # with jsonschema

    found = manifests()
    assert {"Deployment", "StatefulSet", "Job", "Service", "Ingress", "NetworkPolicy"} <= {
        document["kind"] for document in found
    }
    for document in found:
        kubernetes_validate.validate(document, "1.37", strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found[0] | {"speck": {}}, "1.37", strict=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The objects of `kubectl apply -k deploy/kubernetes/small`, by kind and name."""
    folder = tmp_path_factory.mktemp("kustomize") / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    shutil.copy(folder / "base/secrets.env.example", folder / "base/secrets.env")
    done = run("kubectl", "kustomize", folder / "small")
    assert done.returncode == 0, done.stderr
    documents = yaml.safe_load_all(done.stdout)
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


@needs("kubectl", "kubectl")
def test_each_pod_meets_the_restricted_standard(built: Built) -> None:
    """The namespace enforces it: Kubernetes would start no other pod."""
    pods = {
        name: document["spec"]["template"]["spec"]
        for (kind, name), document in built.items()
        if kind in {"Deployment", "StatefulSet", "Job"}
    }
    servers = {"postgres", "valkey"}
    assert pods.keys() == {*PROGRAMS, "prepare", *servers}
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        [container] = pod["containers"]
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert ("readOnlyRootFilesystem" in context) == (name not in servers)
        assert container["resources"]["limits"]["memory"]


@needs("kubectl", "kubectl")
def test_pods_run_the_commands_of_the_containers(built: Built) -> None:
    import kubernetes_validate  # with jsonschema

    services = compose.services({})
    for (kind, _), document in built.items():
        if kind in {"Deployment", "Job"}:
            kubernetes_validate.validate(document, "1.37", strict=True)
    for name in PROGRAMS:
        [container] = built["Deployment", name]["spec"]["template"]["spec"]["containers"]
        assert container["command"] == compose.command(services[name])
        check = compose.health_command(services[name])[-1]
        assert container["livenessProbe"]["exec"]["command"] == check.split()
    [config] = [document["data"] for (kind, _), document in built.items() if kind == "ConfigMap"]
    assert config.keys() <= VARIABLES
    [secret] = [document["data"] for (kind, _), document in built.items() if kind == "Secret"]
    assert secret.keys() <= VARIABLES
