"""Servers on loopback to which Cinema sends traces and errors."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """A server that keeps what is sent to it.

    Attributes:
        spans: OTLP over HTTP, in protobuf: https://opentelemetry.io/docs/specs/otlp/
        events: Of envelopes: https://develop.sentry.dev/sdk/foundations/transport/envelopes/
        bodies: All of it as it came.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.events: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a Cinema that sends its traces and errors here."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "SENTRY_DSN": f"http://key@127.0.0.1:{self.port}/1",
        }

    def receive(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        if path == "/v1/traces":
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for of_scope in of_resource.scope_spans:
                    self.spans.extend(of_scope.spans)
        else:
            assert path == "/api/1/envelope/", path
            self.events.extend(_events(body))

    def named(self, *parts: str) -> list[Span]:
        return [span for span in self.spans if all(part in span.name for part in parts)]

    def parent(self, span: Span) -> Span | None:
        """The parent, if it is in the same trace."""
        every = {(s.trace_id, s.span_id): s for s in list(self.spans)}
        return every.get((span.trace_id, span.parent_span_id))


def _events(envelope: bytes) -> Iterator[dict[str, Any]]:
    _, _, rest = envelope.partition(b"\n")
    while rest:
        header, _, rest = rest.partition(b"\n")
        item = json.loads(header)
        # An item without a length ends with its line.
        end = item.get("length", rest.find(b"\n") if b"\n" in rest else len(rest))
        payload, rest = rest[:end], rest[end + 1 :]
        if item["type"] == "event":
            yield json.loads(payload)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            encoding = self.headers.get("Content-Encoding", "")
            body = {"gzip": gzip.decompress, "br": brotli.decompress}.get(encoding, bytes)(body)
            receiver.receive(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Write nothing to standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
