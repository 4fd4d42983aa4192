"""The files of compose as Docker reads them: merged, variables filled in, commands as words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from tests.running import ROOT

#: `$$`, `${NAME}`, `${NAME:-default}`; a default may be another variable.
VARIABLE = re.compile(r"\$(?:(\$)|{(\w+)(?::-((?:[^{}]|{[^{}]*})*))?})")


def document(*overlays: str) -> dict[str, Any]:
    """compose.yaml, with deploy/compose.NAME.yaml of each overlay merged into it."""
    merged: dict[str, Any] = {}
    for file in ("compose.yaml", *(f"deploy/compose.{name}.yaml" for name in overlays)):
        merged = _merge(merged, yaml.safe_load((ROOT / file).read_text()))
    return merged


def _merge(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        common = {key: _merge(below[key], above[key]) for key in below.keys() & above.keys()}
        return below | above | common
    return above


def services(variables: Mapping[str, str], *overlays: str) -> dict[str, Any]:
    """The services, interpolated with these variables."""

    def fill(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return variables.get(match[2]) or VARIABLE.sub(fill, match[3] or "")

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return VARIABLE.sub(fill, value)
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return [filled(inner) for inner in value] if isinstance(value, list) else value

    found: dict[str, Any] = filled(document(*overlays)["services"])
    return found


def command(service: Mapping[str, Any]) -> list[str]:
    """Docker divides a text into words, and runs no shell."""
    words = service["command"]
    return shlex.split(words) if isinstance(words, str) else words


def health_command(service: Mapping[str, Any]) -> list[str]:
    """Docker gives a text to `sh -c`."""
    test = service["healthcheck"]["test"]
    return ["sh", "-c", test] if isinstance(test, str) else test[1:]


def seconds(duration: str) -> int:
    """The seconds of a duration such as `30s`."""
    return int(duration.removesuffix("s"))
