"""A server on loopback that behaves like TMDb, well or badly as a test scripts it."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.tmdb_payloads import GENRES, summary

TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LW9mLXRoZS10ZXN0cw.s-e_cretSignature"
PER_PAGE = 20

#: The ways in which the server treats one request.
Behaviour = Callable[["Handler"], None]


@dataclass(frozen=True)
class Seen:
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)


@dataclass
class TmdbServer:
    """Films by id, lists by path, and what the next requests are to meet instead of an answer."""

    films: dict[int, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[int]] = field(default_factory=dict)
    genres: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: dict(GENRES))
    seen: list[Seen] = field(default_factory=list)
    #: Seconds that the client would have slept.
    waits: list[float] = field(default_factory=list)
    #: Set when the server stops, so that no slow answer outlives its test.
    stopping: threading.Event = field(default_factory=threading.Event)
    _scripted: dict[str, deque[Behaviour]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[str, Behaviour] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/3"

    def add(self, *films: dict[str, Any]) -> None:
        self.films.update({film["id"]: film for film in films})

    def next(self, path: str, *behaviours: Behaviour) -> None:
        """Set the behaviour for the next requests to the path, one after the other."""
        self._scripted[path].extend(behaviours)

    def always(self, path: str, behaviour: Behaviour) -> None:
        self._always[path] = behaviour

    def well_again(self) -> None:
        self._always.clear()
        self._scripted.clear()

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    def behaviour(self, path: str) -> Behaviour | None:
        if waiting := self._scripted[path]:
            return waiting.popleft()
        return self._always.get(path) or self._always.get("*")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tmdb: TmdbServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/3")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.tmdb.seen.append(Seen(path, query, dict(self.headers)))
        if behave := self.tmdb.behaviour(path):
            behave(self)
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.say(401, {"status_code": 7, "status_message": "Invalid API key."})
        else:
            self._answer(path, query)

    def _answer(self, path: str, query: dict[str, str]) -> None:
        tmdb = self.tmdb
        if path == "/genre/movie/list":
            self.say(200, {"genres": tmdb.genres.get(query["language"][:2], [])})
        elif path == "/search/movie":
            words = query["query"].lower()
            found = [film for film in tmdb.films.values() if words in film["title"].lower()]
            self._say_page(found, query)
        elif path in tmdb.lists:
            self._say_page([tmdb.films[number] for number in tmdb.lists[path]], query)
        elif (name := path.removeprefix("/movie/")).isdigit() and int(name) in tmdb.films:
            self.say(200, tmdb.films[int(name)])
        else:
            message = "The resource you requested could not be found."
            self.say(404, {"success": False, "status_code": 34, "status_message": message})

    def _say_page(self, films: list[dict[str, Any]], query: dict[str, str]) -> None:
        page = int(query.get("page", 1))
        shown = films[(page - 1) * PER_PAGE : page * PER_PAGE]
        self.say(
            200,
            {
                "page": page,
                "results": [summary(film) for film in shown],
                "total_pages": -(-len(films) // PER_PAGE),
                "total_results": len(films),
            },
        )

    def say(self, status: int, body: Any, **headers: str) -> None:
        """The body as JSON, or as it is if it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def running() -> Iterator[TmdbServer]:
    tmdb = TmdbServer()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"tmdb": tmdb}))
    tmdb.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield tmdb
    finally:
        tmdb.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


# --- behaviours


def says(status: int, body: Any = None, **headers: str) -> Behaviour:
    return lambda handler: handler.say(status, {} if body is None else body, **headers)


def redirects(location: str, status: int = 302) -> Behaviour:
    return says(status, {}, Location=location)


def hangs_up(handler: Handler) -> None:
    """The connection is reset, as by a machine that died."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True
    handler.connection.close()


def is_slow(handler: Handler) -> None:
    """No byte, until the test is over."""
    handler.tmdb.stopping.wait(timeout=30)
    handler.close_connection = True


def drips(handler: Handler) -> None:
    """A byte now and then, so that no single wait is long; after five seconds a good answer."""
    number = int(urlsplit(handler.path).path.rpartition("/")[2])
    answer = json.dumps(handler.tmdb.films[number]).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(500 + len(answer)))
    handler.end_headers()
    for _ in range(500):
        handler.wfile.write(b" ")
        time.sleep(0.01)
    handler.wfile.write(answer)


def breaks_off(handler: Handler) -> None:
    """Fewer bytes than were promised."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": 499, "tit')
    handler.close_connection = True
