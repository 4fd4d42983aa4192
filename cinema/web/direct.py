"""Responses that the event loop sends by itself, without Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from cinema.errors import CONTENT_TYPE
from cinema.middleware import request_id_of


@dataclass(frozen=True)
class DirectResponse:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def problem(
        cls, status: int, detail: str, headers: Mapping[str, str] | None = None
    ) -> DirectResponse:
        """A problem document like those of `cinema.errors`."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
        return cls(status, orjson.dumps(document), CONTENT_TYPE, headers or {})

    def send(self, scope: Any, protocol: Any) -> None:
        headers = [
            ("content-type", self.content_type),
            ("content-length", str(len(self.body))),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-request-id", request_id_of(scope.headers.get("x-request-id", ""))),
            *self.headers.items(),
        ]
        if scope.method == "HEAD":
            protocol.response_empty(self.status, headers)
        else:
            protocol.response_bytes(self.status, headers, self.body)


LIVE = DirectResponse(200, b'{"status": "ok"}')
FAILED = DirectResponse.problem(500, "The server made an error. It is logged.")
BUSY = DirectResponse.problem(503, "The server is busy. Try again.", {"retry-after": "2"})
