"""Variables that ask for traces or errors which this process cannot send stop the start."""

from __future__ import annotations

import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from cinema import tracing
from cinema.error_reports import start_error_reports
from cinema.tracing import start_tracing


@pytest.fixture(autouse=True)
def none_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)


def test_traces_without_the_extra_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ImproperlyConfigured, match=r"^OTEL_\S+ is set, but .* `make telemetry`"):
        start_tracing()


def test_errors_without_the_extra_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SENTRY_DSN = "http://key@127.0.0.1:1/1"
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(ImproperlyConfigured, match=r"^SENTRY_DSN is set, but .* `make telemetry`"):
        start_error_reports()


def test_an_invalid_address_is_not_repeated_in_the_error(settings: Settings) -> None:
    settings.SENTRY_DSN = "the-secret-key"
    with pytest.raises(ImproperlyConfigured, match=r"^SENTRY_DSN must have the form") as refused:
        start_error_reports()
    assert "the-secret-key" not in str(refused.value)


def test_a_protocol_that_is_not_supported_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ImproperlyConfigured, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL: only http"):
        start_tracing()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_telemetry_is_off_without_its_variables(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    start_tracing()
    settings.SENTRY_DSN = ""
    start_error_reports()
    assert tracing.context_headers() == {}
