"""Translates granian's request for Django, and Django's response for granian."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import orjson
from django.conf import settings

from cinema.errors import CONTENT_TYPE
from cinema.logs import request_id_variable
from cinema.middleware import request_id_of
from cinema.observation import ROUTE
from cinema.request_log import write_request_line
from cinema.response_cache import Repeatable

#: A smaller file is sent from memory. granian reads a larger one while it sends it.
IN_MEMORY_BYTES = 256 * 1024
#: granian opens a file some moments after it has received the response.
OPENED_WITHIN_S = 30

_ENVIRON: dict[str, Any] = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
#: The body has been read, so its size is known without these headers.
_FRAMING = {"content-length", "transfer-encoding"}


@dataclass(frozen=True)
class FilePart:
    """A part of a file on the disk, sizes in bytes."""

    path: str
    start: int
    size: int
    #: Keeps a file without a name open.
    descriptor: int | None = None

    def release(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


@dataclass(frozen=True)
class ServerResponse:
    """Django's response, ready to be sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | FilePart
    route: str | None = None
    repeatable: Repeatable | None = None

    def release(self) -> None:
        """Close the file of a response that is not sent."""
        if isinstance(self.body, FilePart):
            self.body.release()


class RequestBody(Protocol):
    """The part of the bodies of `cinema.web.bodies` that the WSGI environment needs."""

    size: int
    input: IO[bytes]


def environ_of(scope: Any, body: RequestBody) -> dict[str, Any]:
    """The WSGI environment of a request.

    Like most servers it drops names with an underscore: otherwise `X_Forwarded_For` replaces
    `X-Forwarded-For`.
    """
    server, _, port = scope.server.rpartition(":")
    environ = {
        **_ENVIRON,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body.input,
    }
    if body.size:
        environ["CONTENT_LENGTH"] = str(body.size)
    for name, value in scope.headers.items():
        if "_" in name or name in _FRAMING:
            continue
        key = "HTTP_" + name.upper().replace("-", "_")
        if key == "HTTP_CONTENT_TYPE":
            environ["CONTENT_TYPE"] = value
        elif key in environ:
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + value
        else:
            environ[key] = value
    return environ


def call_django(django: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> ServerResponse:
    """Run Django, in a thread, from the first query to the last."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        started.append((status, headers))

    response: Any = django(environ, start_response)
    try:
        status, headers = started[0]
        return ServerResponse(
            int(status[:3]),
            headers,
            _body(response, environ),
            environ.get(ROUTE),
            getattr(response, "repeatable", None),
        )
    finally:
        response.close()


def _body(response: Any, environ: dict[str, Any]) -> bytes | FilePart:
    if environ["REQUEST_METHOD"] == "HEAD":
        return b""
    if not response.streaming:
        content: bytes = response.content
        return content
    if part := getattr(response, "file_part", None):  # movies.media.serving.FilePartResponse
        return _part(*part)
    file = getattr(response, "file_to_stream", None)  # django.http.FileResponse
    if isinstance(file, io.BufferedReader):
        return _part(file, os.fstat(file.fileno()).st_size - file.tell())
    # Spooled: only a file can be sent without a thread that waits for the client.
    with TemporaryFile() as spool:
        for block in response:
            spool.write(block)
        size = spool.tell()
        spool.seek(0)
        return _part(spool, size)


def _part(file: IO[bytes], size: int) -> bytes | FilePart:
    if size <= IN_MEMORY_BYTES:
        return file.read(size)
    start = file.tell()
    path = getattr(file, "name", None)
    if isinstance(path, str) and os.path.isabs(path):
        return FilePart(path, start, size)
    descriptor = os.dup(file.fileno())
    return FilePart(f"/dev/fd/{descriptor}", start, size, descriptor)


def send(answer: ServerResponse, protocol: Any) -> None:
    """Give the response to granian, which sends it by itself."""
    body = answer.body
    if isinstance(body, FilePart):
        protocol.response_file_range(
            answer.status, answer.headers, body.path, body.start, body.start + body.size
        )
        if body.descriptor is not None:
            asyncio.get_running_loop().call_later(OPENED_WITHIN_S, body.release)
    elif body:
        protocol.response_bytes(answer.status, answer.headers, body)
    else:
        protocol.response_empty(answer.status, answer.headers)


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
        """A problem document, as `cinema.errors` makes them for Django."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
        return cls(status, orjson.dumps(document), CONTENT_TYPE, headers or {})

    def send(self, scope: Any, protocol: Any) -> None:
        identifier = request_id_of(scope.headers.get("x-request-id", ""))
        if self.status >= 400 and settings.REQUEST_LOG:
            request_id_variable.set(identifier)
            write_request_line(scope.method, self.status)
        headers = [
            ("content-type", self.content_type),
            ("content-length", str(len(self.body))),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-request-id", identifier),
            *self.headers.items(),
        ]
        if scope.method == "HEAD":
            protocol.response_empty(self.status, headers)
        else:
            protocol.response_bytes(self.status, headers, self.body)


LIVE = DirectResponse(200, b'{"status": "ok"}')
FAILED = DirectResponse.problem(500, "The server made an error. It is logged.")
BUSY = DirectResponse.problem(503, "The server is busy. Try again.", {"retry-after": "2"})


#: A client that reads nothing for so long counts as gone. granian has no time limit for writing, so
#: the kernel of Linux cuts the connection: it inherits the limit of the listening socket.
LONGEST_READING_PAUSE_S = 30


def limit_writing() -> None:
    """Set the limit on the sockets on which this process listens."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        for name in os.listdir("/proc/self/fd"):
            _limit_socket(int(name))


def _limit_socket(descriptor: int) -> None:
    """Set the limit if the open file is a socket that listens."""
    # A file that is closed meanwhile does not listen.
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return
        with socket.socket(fileno=os.dup(descriptor)) as found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                limit_ms = LONGEST_READING_PAUSE_S * 1000
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
