"""A whole Cinema that is watched: its traces, its errors and its logs, on servers of the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from cinema.development.processes import wait_for
from cinema.home import EMBEDDED_DATABASE, socket_paths
from tests.receivers import Receiver, receiving
from tests.running import RunningCinema

ARRIVES_WITHIN_S = 120
EMAIL, PASSWORD = "agnes-varda@example.org", "cleo from 5 to 7"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclass
class WatchedCinema(RunningCinema):
    receiver: Receiver = field(default_factory=Receiver)
    token: str = ""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.receiver.environment}

    def send(self, path: str, payload: dict[str, str], **headers: str) -> int:
        """The status of a POST."""
        request = Request(  # noqa: S310
            self.url + path,
            data=json.dumps(payload).encode(),
            headers={"Content-Type": "application/json"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code

    def lines(self, program: str) -> list[dict[str, Any]]:
        """The log of a program. Celery prints its warning about root itself, before its log."""
        text = (self.home / "logs" / f"{program}.log").read_text()
        return [json.loads(line) for line in text[text.index("{") :].splitlines()]

    def database(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(socket_paths(self.home).postgres),
            dbname=EMBEDDED_DATABASE,
            user=EMBEDDED_DATABASE,
            autocommit=True,
        )

    @contextmanager
    def without_table(self, table: str) -> Iterator[None]:
        """Make each statement on the table a fault, which is no outage."""
        with self.database() as database:
            database.execute(f"ALTER TABLE {table} RENAME TO taken_away")
            try:
                yield
            finally:
                database.execute(f"ALTER TABLE taken_away RENAME TO {table}")


@pytest.fixture(scope="module")
def cinema() -> Iterator[WatchedCinema]:
    """A running Cinema after a training, a list, an error in a view and one in a task."""
    with receiving() as receiver:
        running = WatchedCinema(arguments=["--empty"], receiver=receiver)
        try:
            running.start()
            be_used(running)
            yield running
        finally:
            running.stop()


def be_used(cinema: WatchedCinema) -> None:
    account = {"email": EMAIL, "password": PASSWORD}
    cinema.post("/api/v1/auth/register", {**account, "name": "Agnès Varda"})
    with cinema.database() as database:
        database.execute("UPDATE users_user SET is_staff = true")
    cinema.token = token = cinema.post("/api/v1/auth/login", account)["access"]
    cinema.get("/api/v1/recommendations", token)
    headers = {"Authorization": f"Bearer {token}", "Traceparent": PARENT}
    assert cinema.send("/api/v1/releases/train", {}, **headers, X_Request_ID="a-click") == 202
    assert cinema.send(f"/api/v1/auth/password/forgot?of={EMAIL}", {}, **headers) == 422
    forgotten = "/api/v1/auth/password/forgot"
    payload = {"email": EMAIL}
    with cinema.without_table("users_mailrequest"):
        assert cinema.send(forgotten, payload, **headers, X_Request_ID="in-a-view") == 500
    with cinema.without_table("users_mailedtoken"):
        assert cinema.send(forgotten, payload, **headers, X_Request_ID="in-a-task") == 202
        assert arrives(lambda: events_of(cinema, "in-a-task"))
    assert arrives(lambda: events_of(cinema, "in-a-view"))
    assert arrives(lambda: cinema.receiver.named("run recommendations.train"))
    assert arrives(lambda: cinema.receiver.named("run users.send_mail"))


def arrives(found: Callable[[], Sequence[object]]) -> bool:
    return wait_for(lambda: bool(found()), timeout_s=ARRIVES_WITHIN_S, every_s=0.2)


def events_of(cinema: WatchedCinema, request_id: str) -> list[dict[str, Any]]:
    events = list(cinema.receiver.events)
    return [event for event in events if event["tags"]["request_id"] == request_id]


def frames(event: dict[str, Any]) -> list[str]:
    """The names of the functions of an error."""
    values = event["exception"]["values"]
    return [frame["function"] for value in values for frame in value["stacktrace"]["frames"]]


def only(spans: list[Span]) -> Span:
    [span] = spans
    return span


def test_one_trace_leads_from_a_click_through_the_broker_to_the_training(
    cinema: WatchedCinema,
) -> None:
    receiver = cinema.receiver

    def of_trace(name: str) -> list[Span]:
        return [span for span in receiver.named(name) if span.trace_id.hex() == TRACE]

    request = only(of_trace("POST api/v1/releases/train"))
    sent = only(of_trace("send recommendations.train"))
    task = only(of_trace("run recommendations.train"))
    process = only(of_trace("recommendations.training."))
    assert request.parent_span_id.hex() == PARENT.split("-")[2]
    assert receiver.parent(sent) == request
    assert receiver.parent(task) == sent
    assert receiver.parent(process) == task
    kinds = (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER)
    assert (request.kind, sent.kind, task.kind) == kinds
    assert request in [receiver.parent(span) for span in of_trace("INSERT")]
    assert process in [receiver.parent(span) for span in of_trace("SELECT")]
    for span in (request, task):
        attributes = {each.key: each.value.string_value for each in span.attributes}
        assert attributes["cinema.request_id"] == "a-click"


def test_the_cache_is_in_the_trace(cinema: WatchedCinema) -> None:
    parents = [cinema.receiver.parent(span) for span in cinema.receiver.named("cache")]
    assert "GET api/v1/recommendations" in [parent.name for parent in parents if parent]


def test_an_error_in_a_view_arrives_once(cinema: WatchedCinema) -> None:
    event = only_event(cinema, "in-a-view")
    assert event["transaction"] == "POST api/v1/auth/password/forgot"
    error = event["exception"]["values"][-1]
    assert error["type"] == "ProgrammingError"
    assert error["value"] == 'relation "users_mailrequest" does not exist'
    assert "forgot_password" in frames(event)


def test_an_error_in_a_task_arrives_once(cinema: WatchedCinema) -> None:
    event = only_event(cinema, "in-a-task")
    assert "users.send_mail" in event["logentry"]["formatted"]
    assert "deliver_mail" in frames(event)
    spans = cinema.receiver.named("run users.send_mail")
    assert Status.STATUS_CODE_ERROR in [span.status.code for span in spans]


def only_event(cinema: WatchedCinema, request_id: str) -> dict[str, Any]:
    [event] = events_of(cinema, request_id)
    return event


def test_neither_traces_nor_errors_nor_logs_hold_anything_personal(cinema: WatchedCinema) -> None:
    logs = [file.read_bytes() for file in (cinema.home / "logs").glob("*.log")]
    sent = cinema.receiver.bodies
    assert len(sent) > 5
    secrets = [EMAIL, PASSWORD, "Varda", cinema.token]
    found = [(s, body[:200]) for s in secrets for body in [*sent, *logs] if s.encode() in body]
    assert found == []


def test_all_programs_write_json_with_the_id_of_the_request(cinema: WatchedCinema) -> None:
    web, worker, beat = (cinema.lines(program) for program in ("web", "worker", "beat"))
    assert {"_granian", "cinema.requests", "django.request"} <= {line["logger"] for line in web}
    assert {"celery.app.trace", "celery.worker.strategy"} <= {line["logger"] for line in worker}
    assert any(line["logger"] == "celery.beat" for line in beat)
    for line in [*web, *worker, *beat]:
        assert line.keys() >= {"time", "level", "logger", "request_id", "message"}
    of_task = [line for line in worker if line["request_id"] == "in-a-task"]
    [failed] = [line for line in of_task if line["level"] == "ERROR"]
    assert re.match(r"Task users\.send_mail\[[0-9a-f-]{36}\] raised unexpected", failed["message"])
    assert "deliver_mail" in failed["exception"]
    [request] = [
        line
        for line in web
        if line["logger"] == "cinema.requests" and line["request_id"] == "in-a-view"
    ]
    assert (request["status"], request["route"]) == (500, "api/v1/auth/password/forgot")
    of_training = [line for line in worker if line["request_id"] == "a-click"]
    assert any(line["logger"].startswith("recommendations.") for line in of_training)
