"""Clients that send or read slowly, and a database that hangs, on a whole running Cinema."""

from __future__ import annotations

import http.client
import json
import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import psutil
import pytest

from cinema.development import STAFF
from cinema.development.processes import wait_for
from cinema.web import bridge
from cinema.web.bodies import LONGEST_PAUSE_S
from tests.running import RunningCinema, filled_home
from tests.uploads import video

EACH = 100
#: On a quiet machine an answer takes some hundredths of a second.
ANSWERED_WITHIN_S = 5.0
#: A process that is held up for a moment fails one or two.
TRIES = 5
#: More than both processes hash and serve at once: those who come shortly before a film.
AUDIENCE = 12
PROGRAMME = "/api/v1/programme"
LOOKED_AT = ("/health/live", "/health/ready", PROGRAMME)
#: Each process makes it once, in a second or more. Other requests for it wait for that.
OPENAPI = "/api/v1/openapi.json"
#: Each is read by other code.
BODIES = {
    "/api/v1/auth/login": "application/json",
    "/api/v1/auth/register": "application/json",
    "/graphql": "application/json",
    "/admin/login/": "application/x-www-form-urlencoded",
    "/api/v1/movies/1/poster": "multipart/form-data; boundary=x",
    "/api/v1/nothing": "text/plain",
}
TRAILER = f"/media/trailers/{'a' * 32}.mp4"
#: More than the kernel keeps for a connection.
TRAILER_BYTES = 12 * 1024 * 1024
#: The kernel probes a client that takes nothing at growing intervals.
CUT_WITHIN_S = bridge.LONGEST_READING_PAUSE_S * 1.5


@pytest.fixture(scope="module")
def cinema() -> Iterator[RunningCinema]:
    running = RunningCinema(filled_home()).start()
    trailer = running.home / TRAILER.lstrip("/")
    trailer.parent.mkdir(parents=True, exist_ok=True)
    trailer.write_bytes(bytes(range(256)) * (TRAILER_BYTES // 256))
    yield running
    running.stop()


@contextmanager
def sending(cinema: RunningCinema, requests: list[bytes]) -> Iterator[list[socket.socket]]:
    """A connection for each request, which takes in little and reads nothing by itself."""
    with ExitStack() as stack:
        connections = []
        for request in requests:
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", cinema.port))
            connection.sendall(request)
            connections.append(connection)
        yield connections


def head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def stalled_bodies() -> list[bytes]:
    found = [
        head("POST", path, f"Content-Type: {kind}", "Content-Length: 1000") + b"{"
        for path, kind in BODIES.items()
    ]
    return (found * EACH)[:EACH]


def status(cinema: RunningCinema, path: str, timeout_s: float = 30) -> tuple[int, float, bytes]:
    """The status of a GET, how long it took, and the body."""
    started_at = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", cinema.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, time.monotonic() - started_at, body
    finally:
        connection.close()


def response(connection: socket.socket) -> bytes:
    """All that still comes; a reset is an end too."""
    connection.settimeout(120)
    found = b""
    try:
        while block := connection.recv(65536):
            found += block
    except ConnectionResetError:
        pass
    return found


def is_served(cinema: RunningCinema, path: str) -> bool:
    """Whether one of several requests is answered well and soon."""
    for _ in range(TRIES):
        found, seconds, _ = status(cinema, path)
        if found == 200 and seconds < ANSWERED_WITHIN_S:
            return True
    return False


def assert_served(cinema: RunningCinema) -> None:
    for path in LOOKED_AT:
        assert is_served(cinema, path), path


def keep_programme(cinema: RunningCinema) -> None:
    """Let both processes make it."""
    for _ in range(20):
        assert status(cinema, PROGRAMME)[0] == 200


def test_slow_clients_do_not_keep_others_waiting(cinema: RunningCinema) -> None:
    """And are sent away after a while, each in its way."""
    for path in (*LOOKED_AT, OPENAPI) * 4:  # both processes have made what they keep
        status(cinema, path)
    readers = [head("GET", OPENAPI)] * (EACH // 2) + [head("GET", TRAILER)] * (EACH // 2)
    with (
        sending(cinema, stalled_bodies()) as bodies,
        sending(cinema, [b"GET / HTTP/1.1\r\nHost: l", b""] * (EACH // 2)) as heads,
        sending(cinema, readers) as slow,
    ):
        started_at = time.monotonic()
        while time.monotonic() - started_at < CUT_WITHIN_S:
            assert_served(cinema)
            time.sleep(1)
        answers = [response(connection) for connection in bodies]
        assert all(a.startswith(b"HTTP/1.1 408 ") for a in answers)
        assert all(b"application/problem+json" in a for a in answers)
        assert {response(connection) for connection in heads} == {b""}
        taken = [len(response(connection)) for connection in slow[EACH // 2 :]]
        assert max(taken) < TRAILER_BYTES
    assert_served(cinema)


def test_a_slow_line_is_served(cinema: RunningCinema) -> None:
    """A body that arrives for longer than any pause may last, and a reader of 60 KB/s."""
    payload = json.dumps({"email": STAFF.email, "password": STAFF.password}).encode()
    padded = b" " * 40_000 + payload
    fields = ("Content-Type: application/json", f"Content-Length: {len(padded)}")
    request = head("POST", "/api/v1/auth/login", *fields, "Connection: close")
    with (
        sending(cinema, [request]) as [sender],
        sending(cinema, [head("GET", TRAILER)]) as [reader],
        ThreadPoolExecutor(1) as threads,
    ):
        taken = threads.submit(read_slowly, reader)
        pieces = 20
        size = -(-len(padded) // pieces)
        for start in range(0, len(padded), size):
            sender.sendall(padded[start : start + size])
            time.sleep((LONGEST_PAUSE_S + 5) / pieces)
        assert b"HTTP/1.1 200 " in response(sender)
        assert taken.result() > 1_000_000


def read_slowly(connection: socket.socket) -> int:
    """The bytes of a response that came within the time in which a stalled reader is cut."""
    got, started_at = 0, time.monotonic()
    while time.monotonic() - started_at < CUT_WITHIN_S:
        got += len(connection.recv(6_000))
        time.sleep(0.1)
    return got


def test_a_chunked_body_is_read(cinema: RunningCinema) -> None:
    payload = json.dumps({"email": STAFF.email, "password": STAFF.password}).encode()
    assert chunked(cinema, "/api/v1/auth/login", payload) == 200
    assert chunked(cinema, "/api/v1/auth/login", b"{}") == 422
    assert chunked(cinema, "/api/v1/auth/login", b"") == 422


def test_a_chunked_body_without_end_is_refused(cinema: RunningCinema) -> None:
    assert chunked(cinema, "/api/v1/auth/login", b" " * 6 * 1024 * 1024) == 411


def chunked(cinema: RunningCinema, path: str, payload: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", cinema.port, timeout=30)
    pieces = (payload[i : i + 65_536] for i in range(0, len(payload), 65_536))
    try:
        connection.request(
            "POST", path, pieces, {"Content-Type": "application/json"}, encode_chunked=True
        )
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(cinema: RunningCinema) -> None:
    fields = ("Content-Type: application/json", "Content-Length: 6000000")
    with sending(cinema, [head("POST", "/graphql", *fields)]) as [connection]:
        assert response(connection).startswith(b"HTTP/1.1 413 ")


def trailer_form() -> tuple[bytes, bytes]:
    """The head of a request and its form, which is larger than a viewer may send."""
    padding = 11 * 1024 * 1024
    film = video() + struct.pack(">I4s", padding + 8, b"free") + bytes(padding)
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
        b"Content-Type: video/mp4\r\n\r\n"
    )
    form = part + film + b"\r\n--x--\r\n"
    fields = ("Content-Type: multipart/form-data; boundary=x", f"Content-Length: {len(form)}")
    return head("PUT", "/api/v1/movies/1/trailer", "Connection: close", *fields)[:-2], form


def staff_field(cinema: RunningCinema) -> bytes:
    """The end of the head of a request by staff."""
    account = {"email": STAFF.email, "password": STAFF.password}
    access = cinema.post("/api/v1/auth/login", account)["access"]
    return f"Authorization: Bearer {access}\r\n\r\n".encode()


def test_a_large_upload_is_read_while_it_arrives(cinema: RunningCinema) -> None:
    """An upload by staff; others are refused before their body has arrived."""
    staff = staff_field(cinema)
    start, form = trailer_form()
    with sending(cinema, [start + b"\r\n"]) as [anonymous]:
        assert response(anonymous).startswith(b"HTTP/1.1 401 ")
    with sending(cinema, [start + staff, start + staff]) as [whole, stalled]:
        stalled.sendall(form[:100_000])
        for begin in range(0, len(form), 1024 * 1024):
            whole.sendall(form[begin : begin + 1024 * 1024])
            time.sleep((LONGEST_PAUSE_S + 3) / 11)
        assert response(whole).startswith(b"HTTP/1.1 200 ")
        assert response(stalled).startswith(b"HTTP/1.1 408 ")
    with sending(cinema, [start + staff] * 4) as connections:
        busy = [response(each)[:13] for each in connections[2:]]
    assert set(busy) <= {b"HTTP/1.1 503 ", b"HTTP/1.1 408 "}


def test_a_client_that_leaves_holds_no_thread(cinema: RunningCinema) -> None:
    start, form = trailer_form()
    staff = staff_field(cinema)

    def is_taken_in() -> bool:
        with sending(cinema, [start + staff]) as [connection]:
            try:
                connection.sendall(form)
            except ConnectionError:  # refused: the threads have not noticed yet
                return False
            return response(connection).startswith(b"HTTP/1.1 200 ")

    def is_taken_in_soon() -> bool:
        for _ in range(3):
            with sending(cinema, [start + staff] * 4 + stalled_bodies()):
                time.sleep(0.5)
        # Sooner than after the longest pause of a body.
        if wait_for(is_taken_in, timeout_s=LONGEST_PAUSE_S - 5, every_s=0.5):
            return True
        time.sleep(LONGEST_PAUSE_S)  # no thread is held by this attempt when the next one begins
        return False

    # More than once: a machine that is held up for a moment takes up all of that time.
    assert any(is_taken_in_soon() for _ in range(3))


def test_a_file_is_sent_whole_and_in_parts(cinema: RunningCinema) -> None:
    whole = bytes(range(256)) * (TRAILER_BYTES // 256)
    with closing(http.client.HTTPConnection("127.0.0.1", cinema.port, timeout=30)) as connection:
        for wanted, expected in (("", whole), ("bytes=1000-1999", whole[1000:2000])):
            connection.request("GET", TRAILER, headers={"Range": wanted} if wanted else {})
            assert connection.getresponse().read() == expected
        connection.request("HEAD", TRAILER)
        answer = connection.getresponse()
        assert (answer.read(), answer.headers["Content-Length"]) == (b"", str(TRAILER_BYTES))


@contextmanager
def hanging_database(cinema: RunningCinema) -> Iterator[None]:
    [server] = cinema.processes("postgres -D")
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            try:
                process.resume()
            except psutil.NoSuchProcess:
                continue


@pytest.mark.parametrize(("operation", "expected"), [("register", 201), ("login", 200)])
def test_simultaneous_sign_ins_are_served_and_delay_no_other_request(
    cinema: RunningCinema, operation: str, expected: int
) -> None:
    keep_programme(cinema)
    # All hashes are made in the end, also if this process is held up: then it tries again.
    assert any(
        are_answered_before_the_last_hash(cinema, operation, expected, attempt)
        for attempt in range(5)
    )


def are_answered_before_the_last_hash(
    cinema: RunningCinema, operation: str, expected: int, attempt: int
) -> bool:
    """Whether other requests, sent after those of an audience, are answered before all of them."""
    # An account registers once, and the first audience signs in.
    first = attempt * AUDIENCE if operation == "register" else 0
    requests = [with_password(operation, first + n) for n in range(AUDIENCE)]
    with sending(cinema, requests) as connections:
        for path in ("/health/live", PROGRAMME):
            assert status(cinema, path)[0] == 200, path
        answered, _, _ = select.select(connections, [], [], 0)
        answers = [response(connection) for connection in connections]
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 %d " % expected}
    return len(answered) < AUDIENCE


def with_password(operation: str, number: int) -> bytes:
    """A request of one of the audience, which takes the hash of a password."""
    account = {"email": f"audience-{number}@example.com", "password": "cleo from 5 to 7"}
    body = json.dumps(account).encode()
    fields = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return head("POST", f"/api/v1/auth/{operation}", "Connection: close", *fields) + body


def test_a_database_that_hangs_is_not_waited_for(cinema: RunningCinema) -> None:
    paths = [f"/api/v1/screenings?per_page={size}" for size in range(1, 31)]
    keep_programme(cinema)
    with ThreadPoolExecutor(len(paths)) as threads:
        # All threads of the web have just used the connections that they keep.
        assert {found for found, _, _ in threads.map(partial(status, cinema), paths)} == {200}
        with hanging_database(cinema):
            asked = [threads.submit(status, cinema, path, 60) for path in paths]
            for _ in range(5):
                assert is_served(cinema, "/health/live")
                assert status(cinema, PROGRAMME, 60)[0] == 200
            answers = [each.result() for each in asked]
            assert {found for found, _, _ in answers} == {503}
            assert max(seconds for _, seconds, _ in answers) < 30
            assert status(cinema, "/health/ready")[0] == 503
            assert status(cinema, "/admin/login/")[0] in (200, 503)
    assert wait_for(all_served(cinema, [*paths[:3], "/health/ready"]), timeout_s=60, every_s=0.5)


def all_served(cinema: RunningCinema, paths: list[str]) -> Callable[[], bool]:
    return lambda: all(status(cinema, path)[0] == 200 for path in paths)


def test_many_idle_connections_keep_nobody_waiting(cinema: RunningCinema) -> None:
    """Each has had an answer, and stays open for the next request."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, 4096), most))
    with sending(cinema, [head("GET", "/health/live")] * 1100) as idle:
        for connection in idle:
            assert b" 200 " in connection.recv(100)
        assert_served(cinema)
