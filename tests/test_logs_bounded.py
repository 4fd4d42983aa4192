"""Hostile requests cannot write records or log files without limit."""

from __future__ import annotations

import json
import logging
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cinema.development import processes
from cinema.development.processes import Child, stop, wait_for
from cinema.logs import MAX_RECORD, JsonFormatter, LineFormatter
from tests.builders import Client


def written(message: str, error: BaseException | None = None, name: str = "cinema") -> str:
    formatter = LineFormatter("%(levelname)s %(name)s %(message)s")
    info = (type(error), error, error.__traceback__) if error else None
    return formatter.format(logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), info))


def raised(message: str) -> ValueError:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_a_giant_message_is_cut() -> None:
    assert len(written("x" * 5_000_000)) < 1_200
    assert written("short") == "ERROR cinema short"


def test_a_giant_traceback_keeps_its_beginning_and_its_end() -> None:
    text = written("it failed", raised("x" * 5_000_000 + " the end"))
    assert len(text) < MAX_RECORD + 100
    assert text.startswith("ERROR cinema it failed\nTraceback")
    assert text.endswith("the end")


def test_a_giant_json_line_is_cut_and_stays_json() -> None:
    error = raised("x" * 5_000_000 + " the end")
    record = logging.LogRecord(
        "cinema", logging.ERROR, __file__, 1, "y" * 5_000_000, (), (ValueError, error, None)
    )
    line = JsonFormatter().format(record)
    assert len(line) < MAX_RECORD + 1_500
    assert json.loads(line)["exception"].endswith("the end")


def test_a_suspicious_request_is_one_line() -> None:
    text = written("Invalid HTTP_HOST header", raised("no"), "django.security.DisallowedHost")
    assert text.count("\n") == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "{ movies(after: %s) { totalCount } }" % ('"' + "x" * 4_900_000 + '"'),
        "{ movies(first: %s) { totalCount } }" % ("9" * 4_900_000),
        "{ node(id: %s) { id } }" % ('"' + "x" * 4_900_000 + '"'),
        "{ %s }" % ("x" * 4_900_000),
    ],
    ids=["cursor", "number", "id", "field"],
)
def test_five_megabytes_to_graphql_write_one_short_line(
    anonymous: Client, query: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = anonymous.post("/graphql", {"query": query})
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"]["code"] != "INTERNAL_SERVER_ERROR"
    assert len(answer.content) < 10_000
    assert len(capfd.readouterr().err) < 500


WRITER = "import sys, time\nwhile True:\n  print('x' * 999, flush=True); time.sleep(0.0005)"


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 50_000)
    return Child(name="writer", command=[sys.executable, "-c", WRITER], home=tmp_path)


@contextmanager
def suspended(writer: Child) -> Iterator[None]:
    process = psutil.Process(writer.pid)
    process.suspend()
    try:
        assert wait_for(lambda: process.status() == psutil.STATUS_STOPPED, timeout_s=60)
        yield
    finally:
        process.resume()


def test_a_log_is_rotated_while_its_program_writes(writer: Child) -> None:
    writer.start()
    try:
        older = writer.log.with_suffix(".log.1")
        for _ in range(3):
            assert wait_for(lambda: writer.log.stat().st_size > 50_000, timeout_s=120)
            with suspended(writer):  # it fills the new log within a moment
                writer.rotate_log()
                assert older.stat().st_size > 50_000
                assert writer.log.stat().st_size < 50_000
        size = writer.log.stat().st_size
        assert wait_for(lambda: writer.log.stat().st_size > size, timeout_s=120)
        assert b"\0" not in writer.log.read_bytes()  # it goes on at the beginning: no hole
        assert {file.name for file in writer.log.parent.iterdir()} == {"writer.log", "writer.log.1"}
    finally:
        stop([writer], timeout_s=2)


def test_the_log_is_bounded_when_the_older_one_cannot_be_written(writer: Child) -> None:
    writer.start()
    try:
        assert wait_for(lambda: writer.log.stat().st_size > 50_000, timeout_s=120)
        older = writer.log.with_suffix(".log.1")
        older.mkdir()
        with pytest.raises(IsADirectoryError):
            older.unlink()
        with suspended(writer):
            writer.rotate_log()
            assert writer.log.stat().st_size < 50_000
    finally:
        stop([writer], timeout_s=2)


def test_a_log_is_for_its_owner_alone(writer: Child) -> None:
    writer.start()
    try:
        assert stat.S_IMODE(writer.log.stat().st_mode) == 0o600
        assert stat.S_IMODE(writer.log.parent.stat().st_mode) == 0o700
    finally:
        stop([writer], timeout_s=2)
