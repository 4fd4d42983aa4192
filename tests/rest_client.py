"""Runs a file as VS Code's REST Client (Huachao.rest-client 0.26) does.

Written after its sources: `selector.ts`, `httpRequestParser.ts`, `variableProcessor.ts` and the
providers of variables. A variable of the file is evaluated for each request; a variable that has
no value is sent as it stands; scripts are no part of the syntax, so they are sent as the body.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.http_file import Answer, Block, as_text, at, blocks, file_variables, opener, send

VARIABLE = re.compile(r"{{(.+?)}}")
COMMENT = re.compile(r"\s*(#|//)")
FILE_VARIABLE = re.compile(r"\s*@[^\s=]+\s*=")
INPUT_FILE = re.compile(r"<(?:@\w*)?\s+(.+?)\s*")
ANSWER = re.compile(r"(\w+)\.response\.body\.\$\.(.+)")
TIMESTAMP = re.compile(r"\$timestamp")
DATETIME = re.compile(r"\$datetime iso8601(?: (-?\d+) ([dhms]))?")
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class RestClient:
    def __init__(self, text: str, folder: Path) -> None:
        self.blocks = blocks(text)
        self._folder = folder
        self._file = file_variables(text)
        self._names = {block.notes.get("name") for block in self.blocks}
        self.answers: dict[str, Answer] = {}
        self._opener = opener()

    def send(self, block: Block) -> Answer:
        lines = self.fill("\n".join(_request_lines(block))).split("\n")
        request_line, headers, body_lines = _divide(lines)
        method, _, url = request_line.partition(" ")
        if method == "GET" and body_lines:
            raise ValueError(f"{block.title}: REST Client sends no GET with a body")
        content_type = {k.lower(): v for k, v in headers.items()}.get("content-type", "")
        body = self._body(body_lines, "multipart/form-data" in content_type)
        answer = send(self._opener, method, url.strip(), headers, body)
        if name := block.notes.get("name"):
            self.answers[name] = answer
        return answer

    def fill(self, text: str) -> str:
        """Replace the variables; within one request those of the file have one value."""
        known: dict[str, str] = {}

        def value(match: re.Match[str]) -> str:
            name = match[1].strip()
            found = known.get(name) or self._system(name) or self._answer(name)
            if found is None and name in self._file:
                found = self._file_variable(name)
            if found is None:
                return "{{" + name + "}}"
            if not name.startswith("$"):
                known[name] = found
            return found

        return VARIABLE.sub(value, text)

    def _file_variable(self, name: str) -> str:
        def value(match: re.Match[str]) -> str:
            inner = match[1].strip()
            if inner in self._file:
                return self._file_variable(inner)
            return self._system(inner) or self._answer(inner) or match[0]

        return VARIABLE.sub(value, self._file[name])

    def _system(self, name: str) -> str | None:
        now = datetime.now(UTC)
        if TIMESTAMP.fullmatch(name):
            return str(int(now.timestamp()))
        if match := DATETIME.fullmatch(name):
            offset = timedelta(**{UNITS[match[2]]: int(match[1])}) if match[1] else timedelta()
            return (now + offset).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return None

    def _answer(self, expression: str) -> str | None:
        match = ANSWER.fullmatch(expression)
        if match is None or match[1] not in self.answers:
            return None
        try:
            return as_text(at(self.answers[match[1]].body, match[2]))
        except (LookupError, TypeError):
            return None

    def _body(self, lines: list[str], multipart: bool) -> bytes | None:
        if not lines:
            return None
        end = b"\r\n" if multipart else b"\n"
        if not any(INPUT_FILE.fullmatch(line) for line in lines):
            return end.join(line.encode() for line in lines)
        parts = [self._input(line) for line in lines]
        return end.join(parts) + (end if multipart else b"")

    def _input(self, line: str) -> bytes:
        match = INPUT_FILE.fullmatch(line)
        return (self._folder / match[1]).read_bytes() if match else line.encode()


def _request_lines(block: Block) -> list[str]:
    """The lines of the request without comments, and without empty lines at its ends."""
    lines = [line for line in block.lines if not COMMENT.match(line)]
    while lines and (not lines[0].strip() or FILE_VARIABLE.match(lines[0])):
        lines = lines[1:]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _divide(lines: list[str]) -> tuple[str, dict[str, str], list[str]]:
    """The request line with the lines that continue its query, the headers, and the body."""
    request_line, *rest = lines
    while rest and re.match(r"\s*[&?]", rest[0]):
        request_line += rest.pop(0).strip()
    headers: dict[str, str] = {"User-Agent": "vscode-restclient"}
    while rest and rest[0].strip():
        name, _, value = rest.pop(0).partition(":")
        headers[name.strip()] = value.strip()
    return request_line.strip(), headers, rest[1:]
