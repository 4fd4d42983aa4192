"""The parts of a `.http` file that all clients read alike, and how a request is sent."""

from __future__ import annotations

import gzip
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 60


@dataclass(frozen=True)
class Block:
    """The lines between two separators."""

    title: str
    lines: tuple[str, ...]

    @property
    def notes(self) -> dict[str, str]:
        """`name` and `expect` of the lines `# @name film` and `# @expect 201`."""
        return dict(re.findall(r"^# @(\w+) (.*)$", "\n".join(self.lines), flags=re.MULTILINE))

    @property
    def request_line(self) -> str:
        """The request line, such as `GET {{api}}/genres`."""
        [line] = [line for line in self.lines if re.match(r"[A-Z]+ (http|{{)", line)]
        return line


@dataclass(frozen=True)
class Answer:
    """A status, and the body if it is JSON."""

    status: int
    body: Any = None


class Client(Protocol):
    """A client that runs the blocks of a file in their order."""

    def send(self, block: Block) -> Answer: ...


def blocks(text: str) -> list[Block]:
    """The text below each line that begins with `###`."""
    found = re.split(r"^###+", text, flags=re.MULTILINE)[1:]
    parts = (block.partition("\n") for block in found)
    return [Block(title.strip(), tuple(rest.splitlines())) for title, _, rest in parts]


def file_variables(text: str) -> dict[str, str]:
    """`@api = http://…` as a name and a value, in which `{{…}}` still stands."""
    return dict(re.findall(r"^\s*@([^\s=]+)\s*=\s*(.*?)\s*$", text, flags=re.MULTILINE))


def opener() -> urllib.request.OpenerDirector:
    """It keeps cookies and follows redirects, as both clients do by default."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def send(
    through: urllib.request.OpenerDirector,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
) -> Answer:
    request = urllib.request.Request(  # noqa: S310 - the file's own server
        encode_url(url),
        data=body,
        method=method,
        headers={"Accept-Encoding": "gzip", **headers},
    )
    try:
        with through.open(request, timeout=TIMEOUT_S) as response:
            return Answer(response.status, _json(response))
    except urllib.error.HTTPError as error:
        return Answer(error.code, _json(error))


def encode_url(url: str) -> str:
    """Spaces and all beyond ASCII as `%…`; a `%` of the file stays."""
    safe = "!#$&'()*+,/:;=?@[]~%"
    return urllib.parse.quote(url, safe=safe)


def _json(response: HTTPResponse | urllib.error.HTTPError) -> Any:
    body = response.read()
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return (
        json.loads(body) if body and response.headers.get_content_type().endswith("json") else None
    )


def at(value: Any, path: str) -> Any:
    """The value at a path such as `data[0].id`.

    Raises:
        LookupError: There is none.
    """
    for step in re.findall(r"\w+", path):
        value = value[int(step) if isinstance(value, list) else step]
    return value


def as_text(value: Any) -> str:
    """A value of JSON where a variable stands: a string without quotes."""
    return value if isinstance(value, str) else json.dumps(value)
