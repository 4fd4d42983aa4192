"""The OpenAPI document, which takes a second of CPU and is made once in a process."""

from __future__ import annotations

from functools import cache
from typing import Any

from cinema.api import api


@cache
def document() -> dict[str, Any]:
    """To be read and not changed."""
    return api.get_openapi_schema()
