"""Errors for a server that speaks Sentry's protocol: each line of the log with the level ERROR.

Sentry's integrations stay off: they read requests, arguments of tasks and local variables.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from cinema.logs import MAX_MESSAGE, current_request_id, shortened, visible, without_values
from cinema.task_process import FunctionFailed
from cinema.tracing import TELEMETRY_MISSING

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

#: E-mail addresses and signed tokens, which errors can repeat in their messages.
_PERSONAL = re.compile(r"[\w.+%-]+@[\w-]+\.[\w.-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
#: The parts of an event without personal data.
_KEPT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "sdk")


def start_error_reports() -> None:
    """Send the errors of this process to the server of SENTRY_DSN, if there is one.

    Raises:
        ImproperlyConfigured: Sentry's library is not installed, or SENTRY_DSN is no address of one.
    """
    if not settings.SENTRY_DSN:
        return
    try:
        import sentry_sdk
        from sentry_sdk.integrations.atexit import AtexitIntegration
        from sentry_sdk.integrations.dedupe import DedupeIntegration
        from sentry_sdk.integrations.logging import EventHandler
        from sentry_sdk.utils import BadDsn
    except ImportError as error:
        raise ImproperlyConfigured(TELEMETRY_MISSING.format("SENTRY_DSN")) from error
    try:
        sentry_sdk.init(
            dsn=settings.SENTRY_DSN,
            default_integrations=False,
            # The first one sends waiting events at the end of a process, and prints nothing.
            integrations=[AtexitIntegration(callback=lambda *_: None), DedupeIntegration()],
            include_local_variables=False,
            max_breadcrumbs=0,
            before_send=_clean,
        )
    except BadDsn:
        raise ImproperlyConfigured(
            "SENTRY_DSN must have the form https://key@host/project."
        ) from None
    logging.getLogger().addHandler(EventHandler(level=logging.ERROR))


def _clean(event: Event, hint: Hint) -> Event | None:
    """A new event with the parts that may leave this server; None for an event to drop."""
    given: dict[str, Any] = {**event}
    record: logging.LogRecord = hint["log_record"]
    error = record.exc_info[1] if record.exc_info else None
    # The error of a process, and the error behind a response, have been sent already.
    if isinstance(error, FunctionFailed) or (record.name == "django.request" and not error):
        return None
    cleaned: Any = {name: given[name] for name in _KEPT if name in given}
    request = getattr(record, "request", None)
    if request is None:
        text = record.getMessage()
    else:  # Django's message has the path, and the path can have a secret in it
        match = request.resolver_match
        text = cleaned["transaction"] = f"{request.method} {match.route if match else '?'}"
    cleaned["logentry"] = {"message": _clean_text(str(record.msg)), "formatted": _clean_text(text)}
    cleaned["tags"] = {"request_id": current_request_id()}
    if "exception" in given:
        values = given["exception"]["values"]
        cleaned["exception"] = {
            "values": [{**each, "value": _clean_text(str(each["value"]))} for each in values]
        }
    return cleaned  # type: ignore[no-any-return]


def _clean_text(text: str) -> str:
    text = _PERSONAL.sub("…", without_values(text))
    return visible(shortened(text, MAX_MESSAGE))
