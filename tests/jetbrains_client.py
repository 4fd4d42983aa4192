"""Runs a file as the HTTP Client of JetBrains' IDEs does, after its documentation (2025.3).

A variable gets its value from a script: `> {% client.global.set(…) %}` behind a request keeps a
part of its answer, `< {% request.variables.set(…) %}` before one serves that request alone. Of
JavaScript this reads the two statements that our file uses and refuses every other one. A variable
that has no value is sent as it stands.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from uuid import uuid4

from tests.http_file import Answer, Block, as_text, at, blocks, file_variables, opener, send

#: The characters of a name; `$` begins those that the client makes itself.
VARIABLE = re.compile(r"{{\s*(\$?[\w.-]+)\s*}}")
HANDLER = re.compile(r"^> {%\n(.*?)\n%}$", re.DOTALL | re.MULTILINE)
BEFORE = re.compile(r"^< {%\n(.*?)\n%}$", re.DOTALL | re.MULTILINE)
SET_GLOBAL = re.compile(r'client\.global\.set\("([\w.-]+)", response\.body\.([\w.\[\]]+)\);')
SET_MOMENT = re.compile(
    r'request\.variables\.set\("([\w.-]+)", '
    r"new Date\(Date\.now\(\) \+ (\d+) \* 86400000\)\.toISOString\(\)\);"
)


class JetBrainsClient:
    def __init__(self, text: str, folder: Path) -> None:
        self.blocks = blocks(text)
        self._folder = folder
        self._file = file_variables(text.partition("###")[0])
        self._global: dict[str, str] = {}
        self._opener = opener()

    def send(self, block: Block) -> Answer:
        text = "\n".join(block.lines)
        handlers, before = HANDLER.findall(text), BEFORE.findall(text)
        of_request = _moments(before)
        text = BEFORE.sub("", HANDLER.sub("", text))
        lines = [line for line in text.split("\n") if not re.match(r"\s*(#|//)", line)]
        head, _, body = "\n".join(lines).strip().partition("\n\n")
        request_line, *header_lines = self.fill(head, of_request).splitlines()
        method, _, url = request_line.partition(" ")
        headers = dict(line.split(": ", 1) for line in header_lines)
        content = self._body(self.fill(body, of_request))
        answer = send(self._opener, method, url, headers, content)
        self._run(handlers, answer)
        return answer

    def fill(self, text: str, of_request: dict[str, str] | None = None) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in self._global:
                return self._global[name]
            if name in self._file:
                return self.fill(self._file[name])
            return (of_request or {}).get(name) or _dynamic(name) or match[0]

        return VARIABLE.sub(value, text)

    def _run(self, handlers: list[str], answer: Answer) -> None:
        for line in "\n".join(handlers).split("\n") if handlers else []:
            match = SET_GLOBAL.fullmatch(line.strip())
            if match is None:
                raise ValueError(f"not a statement that our file uses: {line}")
            try:
                self._global[match[1]] = as_text(at(answer.body, match[2]))
            except (LookupError, TypeError):
                self._global[match[1]] = "undefined"

    def _body(self, body: str) -> bytes | None:
        lines = body.rstrip().splitlines()
        if not lines:
            return None
        files = [line.startswith("< ") for line in lines]
        parts = [
            (self._folder / line[2:]).read_bytes() if is_file else line.encode()
            for line, is_file in zip(lines, files, strict=True)
        ]
        return b"\r\n".join(parts) + b"\r\n" if any(files) else "\n".join(lines).encode()


def _moments(scripts: list[str]) -> dict[str, str]:
    found = {}
    for line in "\n".join(scripts).split("\n") if scripts else []:
        match = SET_MOMENT.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"not a statement that our file uses: {line}")
        moment = datetime.now(UTC) + timedelta(days=int(match[2]))
        found[match[1]] = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return found


def _dynamic(name: str) -> str | None:
    """Each place in a file gets a value of its own."""
    made = {
        "$timestamp": lambda: str(int(time())),
        "$uuid": lambda: str(uuid4()),
        "$isoTimestamp": lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    return made[name]() if name in made else None
