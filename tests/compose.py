"""compose.yaml as Docker reads it: variables filled in, commands as lists of words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from tests.running import ROOT

#: `$$`, `${NAME}`, `${NAME:-default}`.
VARIABLE = re.compile(r"\$(?:(\$)|{(\w+)(?::-([^}]*))?})")


def services(variables: Mapping[str, str]) -> dict[str, Any]:
    """The services, interpolated with these variables."""

    def fill(match: re.Match[str]) -> str:
        return "$" if match[1] else variables.get(match[2]) or match[3] or ""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return VARIABLE.sub(fill, value)
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return [filled(inner) for inner in value] if isinstance(value, list) else value

    found: dict[str, Any] = filled(yaml.safe_load((ROOT / "compose.yaml").read_text()))["services"]
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
