"""Log lines without personal data, addresses of servers and secrets, and of a limited size.

A line is a JSON document, or text for people if standard error is a terminal.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

IS_JSON = not sys.stderr.isatty()
NO_REQUEST = "-"
request_id_variable: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)

#: Postgres shows the row that it refuses, or the end of the statement, with e-mail addresses and
#: hashes in them. These parts come last in its messages. Celery writes messages as literals of
#: Python.
_VALUES = re.compile(
    r"(?:\n|\\n)(?:DETAIL|HINT|CONTEXT|LINE \d+):.*?(?=\n\n(?:The above|During handling)|\Z)",
    re.DOTALL,
)

#: An error of a connection repeats the host, the user and the database of the address. If a
#: character of the password is not percent-encoded, parts of the password are among them.
_CONNECTION = re.compile(
    r"connection to server|connection failed|connection attempts failed|resolve host"
    r"|translate host name|password authentication failed|pg_hba\.conf|connecting to|does not exist"
)
_QUOTED = re.compile(
    r"\b(at|socket|host|name|hostaddr|user|database|role)(:? )"
    r"""(?:"[^"\n]*"|'[^'\n]*')(?: \([^)\n]*\))?"""
)
_PORT = re.compile(r"\bport(:? )\d+")
_PEER = re.compile(r"(connecting to )\S+?(?=[.,]?(?:\s|$))")
_URL = re.compile(
    r"\b((?:amqps?|rediss?(?:\+[a-z]+)?|sentinel|unix|postgres(?:ql)?|smtp[+a-z]*)://)[^\s'\"]+"
)


def without_addresses(text: str) -> str:
    """An error's message or traceback without the addresses of servers."""
    text = _URL.sub(r"\1…", text)
    if _CONNECTION.search(text):
        text = _QUOTED.sub(r"\1\2…", _PORT.sub(r"port\1…", _PEER.sub(r"\1…", text)))
    return text


def without_values(text: str) -> str:
    """An error without the values that Postgres repeats, and without the addresses of servers."""
    return without_addresses(_VALUES.sub("", text))


#: The largest number of characters of a message, and of a record with its traceback.
MAX_MESSAGE = 1_000
MAX_RECORD = 8_000


def shortened(text: str, limit: int) -> str:
    """The text without its middle if it is longer: the end of a traceback is the most useful."""
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit - limit // 4
    return f"{text[:head]} …[{len(text) - limit} characters left out]… {text[-tail:]}"


#: Ends of lines, commands to terminals, characters that change the direction of a text, and halves
#: of characters, which are no text.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with a code in place of each character that could forge or hide a line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def current_request_id() -> str:
    """The id of the request that this thread answers, or has answered last.

    In a task it is the id of the request that led to the task, or else the id of the task.
    """
    return request_id_variable.get()


def json_line(
    created: float, level: str, logger: str, message: str, more: Mapping[str, object]
) -> bytes:
    """A line of the log.

    Args:
        created: Seconds since 1970.
        message: It is `visible`, and has no personal data. The same holds for `more`.
    """
    fields = {
        "time": datetime.fromtimestamp(created, UTC),
        "level": level,
        "logger": logger,
        "request_id": current_request_id(),
        "message": message,
        **more,
    }
    return orjson.dumps(fields)


class LineFormatter(logging.Formatter):
    """A line for each message, with the traceback below it, and limits for both."""

    def format(self, record: logging.LogRecord) -> str:
        _omit_needless_traceback(record)
        return shortened(super().format(record), MAX_RECORD)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = shortened(record.message, MAX_MESSAGE)
        record.request_id = current_request_id()
        # A path with an end of line in it would write lines of its own.
        return visible(without_values(super().formatMessage(record)))

    def formatException(self, ei: object) -> str:  # noqa: N802
        text = without_values(super().formatException(ei))  # type: ignore[arg-type]
        # The message of an error can have several lines. None of them may look like a line of ours.
        return "\n  ".join(visible(line) for line in text.split("\n"))


class JsonFormatter(LineFormatter):
    """A JSON document for each message, with the same limits."""

    def format(self, record: logging.LogRecord) -> str:
        _omit_needless_traceback(record)
        message = visible(without_values(shortened(record.getMessage(), MAX_MESSAGE)))
        more = {}
        if record.exc_info:
            more["exception"] = shortened(self.formatException(record.exc_info), MAX_RECORD)
        line = json_line(record.created, record.levelname, record.name, message, more)
        return line.decode()


def _omit_needless_traceback(record: logging.LogRecord) -> None:
    """Django logs a traceback for a suspicious request, such as one with a forged host."""
    if record.name.startswith("django.security"):
        record.exc_info = record.exc_text = None


def log_formatter() -> logging.Formatter:
    """The formatter of every program, granian and Celery among them."""
    if IS_JSON:
        return JsonFormatter()
    return LineFormatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s")
