"""docs/metrics.md, the alert rules and the dashboard name what the server exports."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import compose
from tests.monitoring import (
    ADDED,
    MONITORING,
    alert_rules,
    documented,
    grouping_labels,
    named_labels,
    named_metrics,
    panel_expressions,
)
from tests.running import ROOT

EXPRESSIONS = [*(rule["expr"] for rule in alert_rules()), *panel_expressions()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    known = documented()
    names = named_metrics(expression)
    assert names <= known.keys()
    for name, labels in named_labels(expression).items():
        assert labels <= known[name][1] | ADDED, name
    available = ADDED.union(*(known[name][1] for name in names))
    assert grouping_labels(expression) <= available


def test_the_dashboard_shows_every_metric() -> None:
    shown = set.union(*map(named_metrics, panel_expressions()))
    assert shown | {"cinema_counters_shared"} == documented().keys()


def test_each_alert_is_explained() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    explained = re.findall(r"^\| `(Cinema\w+)` \|", text, flags=re.MULTILINE)
    assert explained == [rule["alert"] for rule in alert_rules()]


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_a_severity_and_a_summary(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}


def test_prometheus_reads_the_rules_and_sends_the_token() -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert all((MONITORING / file).exists() for file in config["rule_files"])
    [job] = config["scrape_configs"]
    assert job["job_name"] == "cinema"
    assert job["authorization"] == {"credentials_file": "metrics-token"}


def test_grafana_finds_prometheus_and_the_dashboard_where_compose_puts_them() -> None:
    services = compose.services({}, "monitoring")
    places = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    provisioning = MONITORING / "grafana"
    assert places["./deploy/monitoring/grafana"] == "/etc/grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    [port] = services["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.rpartition(':')[2]}"
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    [provider] = yaml.safe_load((provisioning / "dashboards/cinema.yml").read_text())["providers"]
    dashboard = places["./deploy/monitoring/dashboard.json"]
    assert dashboard.startswith(f"{provider['options']['path']}/")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == dashboard
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is in Debian's prometheus")
def test_promtool_accepts_the_files_and_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    folder = shutil.copytree(MONITORING, tmp_path / "deploy/monitoring")
    (folder / "metrics-token").write_text("token")
    tests = tmp_path / "tests/alerts.yml"
    tests.parent.mkdir()
    shutil.copy(ROOT / "tests/alerts.yml", tests)
    for command in (
        ["check", "config", "--lint-fatal", str(folder / "prometheus.yml")],
        ["check", "rules", "--lint-fatal", str(folder / "alerts.yml")],
        ["test", "rules", str(tests)],
    ):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
