"""A load generator: keep-alive connections over loopback, from a process of its own.

`python -m bench.load` reads a `Job` from its input and writes a `Load`; `apply_load` starts it.
`python -m bench.load PORT BYTES` serves that many bytes until it is ended.
"""

from __future__ import annotations

import itertools
import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from statistics import median

HOST = "127.0.0.1"
RECEIVE_BYTES = 256 * 1024
#: A server that is silent for so long has failed.
SILENCE_S = 20.0

_head = re.compile(rb"HTTP/1\.1 (\d{3})")
_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BODILESS = {204, 304}


@dataclass(frozen=True)
class Job:
    """The requests to send, and when to stop.

    Attributes:
        requests: Whole HTTP requests, sent in turn by whichever connection is free.
        ignored: So many answers come before those that count: code warms up, caches fill.
        seconds, at_most: Whichever comes first ends it.
    """

    port: int
    requests: Sequence[str]
    connections: int
    seconds: float
    at_most: int = 200_000
    ignored: int = 200


@dataclass(frozen=True)
class Load:
    """The answers.

    Attributes:
        generator_share: The share of one core that the generator used.
    """

    per_second: float
    median_ms: float
    p99_ms: float
    answers: int
    statuses: Mapping[str, int]
    generator_share: float


class UnexpectedAnswers(Exception):
    """The server did not answer as it should, so its speed says nothing."""


def get(path: str, headers: Mapping[str, str] | None = None) -> str:
    """A GET request as it goes over the wire."""
    return _request("GET", path, headers or {})


def post(path: str, payload: object, headers: Mapping[str, str] | None = None) -> str:
    """A POST request of JSON as it goes over the wire."""
    return _with_body("POST", path, payload, headers or {})


def put(path: str, payload: object, headers: Mapping[str, str] | None = None) -> str:
    """A PUT request of JSON as it goes over the wire."""
    return _with_body("PUT", path, payload, headers or {})


def _with_body(method: str, path: str, payload: object, headers: Mapping[str, str]) -> str:
    body = json.dumps(payload)  # ASCII: as many bytes as characters
    length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return _request(method, path, {**headers, **length}) + body


def _request(method: str, path: str, headers: Mapping[str, str]) -> str:
    fields = {"Host": HOST, "Accept": "application/json", **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""])


def apply_load(job: Job, *, expected: int = 200) -> Load:
    """Run the job in a process of its own.

    Raises:
        UnexpectedAnswers: There was another status than `expected`.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(job)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=job.seconds + 300,
    )
    load = Load(**json.loads(done.stdout))
    if set(load.statuses) != {str(expected)}:
        raise UnexpectedAnswers(f"expected only {expected}, got {dict(load.statuses)}")
    return load


def median_load(loads: Sequence[Load]) -> dict[str, float]:
    """The medians over the rounds, as a row of a table."""
    return {
        "requests/s": median(load.per_second for load in loads),
        "median ms": median(load.median_ms for load in loads),
        "p99 ms": median(load.p99_ms for load in loads),
        "generator": median(load.generator_share for load in loads),
    }


# --- the process


class Connection:
    """One connection with one request under way.

    Attributes:
        sent_at: Of the request, by `time.perf_counter`.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=SILENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Read only once the selector has seen data; a time-out would cost a poll for each read.
        self.socket.settimeout(None)
        self.sent_at = 0.0
        self._parts: list[bytes] = []
        self._status = 0
        self._missing_bytes = 0

    def send(self, request: bytes) -> None:
        self._parts.clear()
        self._status = 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read received bytes; returns the status once the answer is complete."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._parts.append(data)
        if self._status:
            self._missing_bytes -= len(data)
        else:
            self._read_head()
        return self._status if self._status and self._missing_bytes <= 0 else None

    @property
    def body(self) -> bytes:
        """The body of the complete response."""
        return b"".join(self._parts).partition(b"\r\n\r\n")[2]

    def _read_head(self) -> None:
        begun = b"".join(self._parts)
        end = begun.find(b"\r\n\r\n")
        head = _head.match(begun)
        if end < 0 or not head:
            return
        self._status = int(head[1])
        length = _length.search(begun, 0, end)
        if not length and self._status not in BODILESS:
            raise ConnectionError("the server does not say how long its answer is")
        body_bytes = int(length[1]) if length and self._status not in BODILESS else 0
        self._missing_bytes = body_bytes - (len(begun) - end - 4)


@dataclass
class _LoadTally:
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    began_at: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=time.process_time)

    def load(self) -> Load:
        elapsed_s = time.perf_counter() - self.began_at
        ordered = sorted(self.latencies_s)
        return Load(
            per_second=len(ordered) / elapsed_s,
            median_ms=median(ordered) * 1000,
            p99_ms=ordered[int(0.99 * (len(ordered) - 1))] * 1000,
            answers=len(ordered),
            statuses={str(status): count for status, count in self.statuses.items()},
            generator_share=(time.process_time() - self.cpu_s) / elapsed_s,
        )


def generate(job: Job) -> Load:
    """Send requests as fast as they are answered."""
    requests = itertools.cycle([request.encode() for request in job.requests])
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for _ in range(job.connections):
            connection = Connection(job.port)
            stack.enter_context(connection.socket)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(requests))
        answers = _answers(selector, requests)
        for _ in itertools.islice(answers, job.ignored):
            pass
        tally = _LoadTally()
        for status, latency_s in itertools.islice(answers, job.at_most):
            tally.statuses[status] += 1
            tally.latencies_s.append(latency_s)
            if time.perf_counter() - tally.began_at > job.seconds:
                break
        return tally.load()


def _answers(
    selector: selectors.BaseSelector, requests: Iterator[bytes]
) -> Iterator[tuple[int, float]]:
    """The status and the latency of each answer; each is followed by the next request."""
    while True:
        ready = selector.select(SILENCE_S)
        if not ready:
            raise ConnectionError(f"the server was silent for {SILENCE_S:.0f} s")
        for key, _ in ready:
            connection: Connection = key.data
            if status := connection.receive():
                latency_s = time.perf_counter() - connection.sent_at
                connection.send(next(requests))
                yield status, latency_s


def serve(port: int, body_bytes: int) -> None:
    """Answer each request with the same bytes, to show the limit of the generator itself.

    A request must arrive in one piece, as it does over loopback.
    """
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % body_bytes + b"x" * body_bytes
    with socket.create_server((HOST, port), backlog=128) as listener:
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                peer = key.fileobj
                assert isinstance(peer, socket.socket)
                if peer is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif not _answered(peer, answer):
                    selector.unregister(peer)
                    peer.close()


def _answered(peer: socket.socket, answer: bytes) -> bool:
    """False once the other side has gone."""
    try:
        if peer.recv(64 * 1024):
            peer.sendall(answer)
            return True
    except ConnectionError:
        pass
    return False


if __name__ == "__main__":
    if sys.argv[1:]:
        serve(*map(int, sys.argv[1:]))
    else:
        json.dump(asdict(generate(Job(**json.load(sys.stdin)))), sys.stdout)
