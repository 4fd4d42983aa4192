"""Sends the requests of a `.http` file as a REST client does, with the syntax that ours uses."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = re.compile(r"{{\s*([^}]+?)\s*}}")
UNTIL_WITHIN_S = 60


@dataclass(frozen=True)
class Request:
    title: str
    name: str | None
    expected: int | None
    until: tuple[str, str] | None
    method: str
    url: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


@dataclass
class Session:
    """Variables of the file, and the answers of its named requests."""

    variables: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Replace each `{{…}}`; a variable's value may hold further ones."""
        while VARIABLE.search(text):
            text = VARIABLE.sub(lambda match: self._value(match[1]), text)
        return text

    def _value(self, expression: str) -> str:
        if expression in self.variables:
            return self.variables[expression]
        if expression == "$timestamp":
            self.variables[expression] = str(int(time.time()))
            return self.variables[expression]
        if match := re.fullmatch(r"\$datetime iso8601 (\d+) d", expression):
            moment = datetime.now(UTC) + timedelta(days=int(match[1]))
            return moment.isoformat(timespec="seconds")
        name, _, path = expression.partition(".response.body.$.")
        value = self.answers[name].body
        for step in re.findall(r"\w+", path):
            value = value[int(step) if step.isdigit() else step]
        return str(value)

    def send(self, request: Request) -> Answer:
        """Send it, and again while `until` is not met."""
        deadline = time.monotonic() + UNTIL_WITHIN_S
        while True:
            answer = self._send_once(request)
            if request.name:
                self.answers[request.name] = answer
            if request.until is None or time.monotonic() > deadline:
                return answer
            key, wanted = request.until
            if answer.body.get(key) == wanted:
                return answer
            time.sleep(0.2)

    def _send_once(self, request: Request) -> Answer:
        body = _with_files(self.fill(request.body)) or None
        sent = urllib.request.Request(  # noqa: S310 - the file's own server
            urllib.parse.quote(self.fill(request.url), safe=":/?&=,%"),
            data=body,
            method=request.method,
            headers={name: self.fill(value) for name, value in request.headers.items()},
        )
        try:
            with urllib.request.urlopen(sent, timeout=30) as response:  # noqa: S310
                return Answer(response.status, _json(response))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _json(error))


def _with_files(body: str) -> bytes:
    """The body, in which a line `< ./path` stands for the file; then it is a form, with CRLF."""
    lines = body.splitlines()
    if not any(line.startswith("< ") for line in lines):
        return body.encode()
    parts = (
        (ROOT / line[2:]).read_bytes() if line.startswith("< ") else line.encode() for line in lines
    )
    return b"\r\n".join(parts) + b"\r\n"


def _json(response: HTTPResponse | urllib.error.HTTPError) -> Any:
    body = response.read()
    kind = response.headers.get_content_type()
    return json.loads(body) if body and kind.endswith("json") else None


def parse(text: str) -> tuple[dict[str, str], list[Request]]:
    """The variables and the requests of a file."""
    head, *blocks = re.split(r"^###", text, flags=re.MULTILINE)
    variables = dict(re.findall(r"^@(\w+)\s*=\s*(.*)$", head, flags=re.MULTILINE))
    return variables, [_parse_block(block) for block in blocks]


def _parse_block(block: str) -> Request:
    title, _, rest = block.partition("\n")
    notes = dict(re.findall(r"^# @(\w+) (.*)$", rest, flags=re.MULTILINE))
    lines = [line for line in rest.splitlines() if not line.startswith("#")]
    head, _, body = "\n".join(lines).strip().partition("\n\n")
    first, *header_lines = head.splitlines()
    method, _, url = first.partition(" ")
    key, _, wanted = notes.get("until", "").partition("=")
    return Request(
        title=title.strip(),
        name=notes.get("name"),
        expected=int(notes["expect"]) if "expect" in notes else None,
        until=(key, wanted) if key else None,
        method=method,
        url=url,
        headers=dict(line.split(": ", 1) for line in header_lines),
        body=body.strip(),
    )
