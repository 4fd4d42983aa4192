"""The metrics that files name, and those that a server exports."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.running import ROOT

MONITORING = ROOT / "deploy/monitoring"
#: Labels that Prometheus adds itself, and that of the buckets of a histogram.
ADDED = {"instance", "job", "le"}
SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass
class Exported:
    """A response of /metrics."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, text: str) -> Exported:
        found = cls()
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.types[name] = family.type
            for sample in family.samples:
                found.samples[sample.name, frozenset(sample.labels.items())] = sample.value
                found.labels[name].update(sample.labels.keys() - {"le"})
        return found

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels."""
        wanted = labels.items()
        return sum(
            v for (n, given), v in self.samples.items() if n == name and wanted <= set(given)
        )

    def has(self, name: str, **labels: str) -> bool:
        wanted = labels.items()
        return any(n == name and wanted <= set(given) for n, given in self.samples)


def documented() -> dict[str, tuple[str, set[str]]]:
    """The type and the labels of each metric in docs/metrics.md."""
    rows = re.findall(
        r"^\| `(cinema_\w+)` \| (\w+) \|([^|]*)\| (?:server|site) \|",
        (ROOT / "docs/metrics.md").read_text(),
        flags=re.MULTILINE,
    )
    return {name: (type_, set(re.findall(r"\w+", labels))) for name, type_, labels in rows}


def alert_rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panel_expressions() -> list[str]:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def named_metrics(expression: str) -> set[str]:
    return {_family(name) for name in re.findall(r"\bcinema_\w+", expression)}


def named_labels(expression: str) -> dict[str, set[str]]:
    """The labels by which an expression selects samples of each metric."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, matchers in re.findall(r"\b(cinema_\w+){([^}]*)}", expression):
        found[_family(name)].update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    return found


def grouping_labels(expression: str) -> set[str]:
    lists = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    return {label for each in lists for label in re.findall(r"\w+", each)}


def _family(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name
