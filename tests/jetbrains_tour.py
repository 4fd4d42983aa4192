"""Makes docs/request-jetbrains.http from request.http: `python -m tests.jetbrains_tour`.

REST Client reads a value out of an earlier answer where it is needed,
`{{film.response.body.$.id}}`. JetBrains' client keeps it with a script behind the request that got
the answer, and names it `{{film_id}}`. A moment to come is a script before the request.
"""

from __future__ import annotations

import re
from collections import defaultdict

from tests.http_file import ROOT, Block, blocks

SOURCE = ROOT / "request.http"
MADE = ROOT / "docs/request-jetbrains.http"
HEAD = """\
# A tour of the API, from top to bottom, for the HTTP Client of JetBrains' IDEs: request.http in its
# syntax. Do not edit it: `python -m tests.jetbrains_tour` makes it from request.http.
# Start the server with `make run` first.
"""
FROM_ANSWER = re.compile(r"{{(\w+)\.response\.body\.\$\.([\w.\[\]]+)}}")
MOMENT = re.compile(r"{{\$datetime iso8601 (\d+) d}}")


def translate(text: str) -> str:
    """The same requests in JetBrains' syntax."""
    kept: defaultdict[str, list[str]] = defaultdict(list)
    for name, path in FROM_ANSWER.findall(text):
        if path not in kept[name]:
            kept[name].append(path)
    variables = re.findall(r"^@.*$", text.partition("###")[0], flags=re.MULTILINE)
    head = HEAD + "\n" + "\n".join(variables)
    return "\n\n".join([head, *(_block(block, kept) for block in blocks(text))]) + "\n"


def _block(block: Block, kept: dict[str, list[str]]) -> str:
    text = "\n".join(block.lines).strip()
    if days := sorted({int(day) for day in MOMENT.findall(text)}):
        text = text.replace(block.request_line, _before(days) + block.request_line, 1)
    text = FROM_ANSWER.sub(lambda match: "{{" + _name(match[1], match[2]) + "}}", text)
    text = MOMENT.sub(lambda match: "{{" + f"in_{match[1]}_days" + "}}", text)
    text = re.sub(r"^< \./", "< ../", text, flags=re.MULTILINE)
    name = block.notes.get("name", "")
    return f"### {block.title}\n{text}{_handler(name, kept[name]) if kept.get(name) else ''}"


def _name(request: str, path: str) -> str:
    """`horror`, `data[0].id` as `horror_data_0_id`."""
    return "_".join([request, *re.findall(r"\w+", path)])


def _before(days: list[int]) -> str:
    moments = (
        f'  request.variables.set("in_{day}_days", '
        f"new Date(Date.now() + {day} * 86400000).toISOString());"
        for day in days
    )
    return "\n".join(["< {%", *moments, "%}\n"])


def _handler(name: str, paths: list[str]) -> str:
    sets = (f'  client.global.set("{_name(name, path)}", response.body.{path});' for path in paths)
    return "\n".join(["\n\n> {%", *sets, "%}"])


if __name__ == "__main__":
    MADE.write_text(translate(SOURCE.read_text()))
