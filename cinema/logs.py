"""Log lines without personal data, addresses of servers and secrets, and of a limited size."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

request_id_variable: ContextVar[str] = ContextVar("request_id", default="-")

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
    r"\b((?:amqps?|rediss?|redis\+socket|unix|postgres(?:ql)?|smtp[+a-z]*)://)[^\s'\"]+"
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


def current_request_id() -> str:
    """The id of the request that this thread answers, or has answered last."""
    return request_id_variable.get()


class RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id()
        return True


class LineFormatter(logging.Formatter):
    """A line for each message, with the traceback below it, and limits for both."""

    def format(self, record: logging.LogRecord) -> str:
        # Django logs a traceback for a suspicious request, such as one with a forged host.
        if record.name.startswith("django.security"):
            record.exc_info = record.exc_text = None
        return shortened(super().format(record), MAX_RECORD)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = shortened(record.message, MAX_MESSAGE)
        line = without_values(super().formatMessage(record))
        # Otherwise a path with an end of line in it writes lines of its own.
        return line.replace("\r", "\\r").replace("\n", "\\n")

    def formatException(self, ei: object) -> str:  # noqa: N802
        return without_values(super().formatException(ei))  # type: ignore[arg-type]
