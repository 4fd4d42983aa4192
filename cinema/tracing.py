"""Traces by OpenTelemetry, if the standard variables name a collector.

The spans are made here and not by OpenTelemetry's instrumentation libraries. Those would read
addresses and query strings, repeat the messages of errors, miss the statements of
`prepared_cursor`, and learn no route, because `cinema.middleware.http` calls the views itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from celery.signals import before_task_publish, task_postrun, task_prerun
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponseBase

from cinema.logs import current_request_id, shortened
from cinema.request_log import HEALTH_PATHS, METHODS

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TELEMETRY_MISSING = (
    "{} is set, but the extra `telemetry` is not installed. Install it by `make telemetry`, or "
    'build the image with `--build-arg EXTRAS="s3 telemetry"`.'
)
LONGEST_STATEMENT = 1000

_NO_SPAN: AbstractContextManager[Any] = nullcontext()
_tracer: Tracer | None = None


def start_tracing() -> None:
    """Send the spans of this process to the collector, if there is one.

    Raises:
        ImproperlyConfigured: OpenTelemetry is not installed, or the protocol is not supported.
    """
    global _tracer
    named = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if not named or _tracer or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    for variable in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        if os.environ.get(variable) not in (None, "", "http/protobuf"):
            raise ImproperlyConfigured(f"{variable}: only http/protobuf is supported.")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImproperlyConfigured(TELEMETRY_MISSING.format(named)) from error
    os.environ["OTEL_SERVICE_NAME"] = os.environ.get("OTEL_SERVICE_NAME") or "cinema"
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("cinema")
    connection_created.connect(_trace_statements)
    before_task_publish.connect(_send_context)
    task_prerun.connect(_begin_task)
    task_postrun.connect(_end_task)


def is_tracing() -> bool:
    return _tracer is not None


def span(
    name: str, kind: str, *, carrier: Mapping[str, str] | None = None
) -> AbstractContextManager[Any]:
    """A span of what is done within the context; no span if tracing is off.

    Errors are not recorded: their messages can hold personal data.

    Args:
        kind: SERVER, CLIENT, PRODUCER, CONSUMER or INTERNAL.
        carrier: `context_headers` of the parent, if it is in another process.
    """
    if not _tracer:
        return _NO_SPAN
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    return _tracer.start_as_current_span(
        name,
        context=None if carrier is None else extract(carrier),
        kind=SpanKind[kind],
        record_exception=False,
        set_status_on_exception=False,
    )


def context_headers() -> dict[str, str]:
    """The headers by which another process continues the current trace."""
    headers: dict[str, str] = {}
    if _tracer:
        from opentelemetry.propagate import inject

        inject(headers)
    return headers


def _set_failed(current: Any) -> None:
    from opentelemetry.trace import StatusCode

    current.set_status(StatusCode.ERROR)


# --- requests


def trace_requests(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Make a span for each request, as a part of the caller's trace if the caller names one."""
    if not _tracer:
        raise MiddlewareNotUsed

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(HEALTH_PATHS):
            return get_response(request)
        method = request.method if request.method in METHODS else "other"
        given = {"traceparent": request.META.get("HTTP_TRACEPARENT", "")}
        with span(str(method), "SERVER", carrier=given) as current:
            response = get_response(request)
            if match := request.resolver_match:
                current.update_name(f"{method} {match.route}")
                current.set_attribute("http.route", match.route)
            current.set_attribute("http.request.method", method)
            current.set_attribute("http.response.status_code", response.status_code)
            current.set_attribute("cinema.request_id", current_request_id())
            if response.status_code >= 500:
                _set_failed(current)
        return response

    return middleware


# --- statements


def _trace_statements(connection: Any, **kwargs: object) -> None:
    if _trace_statement not in connection.execute_wrappers:
        # The first: the end of Django's `execute_wrapper` removes the last one, whichever it is.
        connection.execute_wrappers.insert(0, _trace_statement)


def _trace_statement(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
) -> Any:
    text = shortened(str(sql), LONGEST_STATEMENT)
    with span(text.split(maxsplit=1)[0], "CLIENT") as current:
        current.set_attribute("db.system.name", "postgresql")
        current.set_attribute("db.query.text", text)
        return execute(sql, params, many, context)


# --- tasks


def _send_context(sender: str, headers: dict[str, Any], **kwargs: object) -> None:
    with span(f"send {sender}", "PRODUCER"):
        headers.update(context_headers())


def _begin_task(task: Any, **kwargs: object) -> None:
    given = {"traceparent": task.request.get("traceparent") or ""}
    manager = span(f"run {task.name}", "CONSUMER", carrier=given)
    task.request.span = manager, manager.__enter__()


def _end_task(task: Any, state: str | None, **kwargs: object) -> None:
    manager, current = task.request.span
    current.set_attribute("cinema.request_id", current_request_id())
    current.set_attribute("celery.state", state or "")
    if state == "FAILURE":
        _set_failed(current)
    manager.__exit__(None, None, None)
