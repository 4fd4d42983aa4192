"""The two clients of tests/test_tour.py do as their originals do, where these differ."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import time_machine

from tests.http_file import Block
from tests.jetbrains_client import JetBrainsClient
from tests.jetbrains_tour import translate
from tests.rest_client import RestClient

NOON = 1_790_000_000


class Echo(BaseHTTPRequestHandler):
    """Answers with what came: the body, a header and the cookie; sets one at `/set`."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        came = {"body": body, "cookie": self.headers.get("Cookie"), "items": [{"id": 7}]}
        content = json.dumps(came).encode()
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/here")
        if self.path == "/set":
            self.send_header("Set-Cookie", "seen=yes")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def sent_bodies(client: RestClient | JetBrainsClient) -> list[str]:
    return [client.send(block).body["body"] for block in client.blocks]


@pytest.fixture
def tour(url: str) -> str:
    """Two requests that both name a variable made of the time, the second also an answer."""
    return (
        "@run = {{$timestamp}}\n### First\n# @name first\n"
        f"POST {url}/\n\n{{{{run}}}}\n### Second\nPOST {url}/\n\n"
        "{{run}} {{first.response.body.$.items[0].id}} {{nowhere}}\n"
    )


def test_rest_client_evaluates_a_variable_of_the_file_for_each_request(tour: str) -> None:
    client = RestClient(tour, Path())
    with time_machine.travel(NOON, tick=False) as moment:
        first = client.send(client.blocks[0])
        moment.shift(5)
        second = client.send(client.blocks[1])
    assert first.body["body"] == str(NOON)
    assert second.body["body"] == f"{NOON + 5} 7 {{{{nowhere}}}}"


def test_rest_client_sends_scripts_as_the_body(url: str) -> None:
    script = '> {%\n  client.global.set("a", response.body.a);\n%}'
    client = RestClient(f"### A\nPOST {url}/\n\n{{}}\n\n{script}\n", Path())
    assert sent_bodies(client) == [f"{{}}\n\n{script}"]
    with pytest.raises(ValueError, match="no GET with a body"):
        sent_bodies(RestClient(f"### A\nGET {url}/\n\n{script}\n", Path()))


def test_rest_client_leaves_comments_out_also_in_a_body(url: str) -> None:
    client = RestClient(f"### A\nPOST {url}/\n\n1\n# no\n  // no\n2\n\n# end\n", Path())
    assert sent_bodies(client) == ["1\n2"]


def test_the_client_of_jetbrains_does_not_know_earlier_answers(tour: str) -> None:
    client = JetBrainsClient(tour, Path())
    with time_machine.travel(NOON, tick=False):
        sent = sent_bodies(client)
    assert sent[1] == f"{NOON} {{{{first.response.body.$.items[0].id}}}} {{{{nowhere}}}}"


def test_the_client_of_jetbrains_keeps_what_a_script_keeps(tour: str) -> None:
    """The file that is made for it does not need what it does not know."""
    with time_machine.travel(NOON, tick=False):
        assert (
            sent_bodies(JetBrainsClient(translate(tour), Path()))[1] == f"{NOON} 7 {{{{nowhere}}}}"
        )


def test_the_client_of_jetbrains_goes_by_the_script_and_not_by_the_file(url: str) -> None:
    script = '> {%\n  client.global.set("a", response.body.items[0].id);\n%}'
    text = (
        f"@a = file\n### A\nPOST {url}/\n\n{{{{a}}}}\n\n{script}\n### B\nPOST {url}/\n\n{{{{a}}}}\n"
    )
    assert sent_bodies(JetBrainsClient(text, Path())) == ["file", "7"]


def test_a_variable_with_a_future_time_is_evaluated_per_request(url: str) -> None:
    request = f"POST {url}/\n\n"
    text = f"### A\n{request}{{{{$datetime iso8601 2 d}}}}\n### B\n{request}{{{{in_2_days}}}}\n"
    with time_machine.travel(NOON, tick=False):
        assert sent_bodies(RestClient(text, Path()))[0] == "2026-09-23T14:13:20.000Z"
        made = sent_bodies(JetBrainsClient(translate(text), Path()))
    assert made == ["2026-09-23T14:13:20.000Z", "{{in_2_days}}"]


def test_a_statement_that_is_not_understood_is_an_error(url: str) -> None:
    client = JetBrainsClient(f"### A\nGET {url}/\n\n> {{%\n  client.exit();\n%}}\n", Path())
    with pytest.raises(ValueError, match="not a statement"):
        sent_bodies(client)


@pytest.mark.parametrize("client_of", [RestClient, JetBrainsClient])
def test_cookies_are_kept_and_redirects_followed(
    url: str, client_of: type[RestClient] | type[JetBrainsClient]
) -> None:
    client = client_of(f"### A\nGET {url}/set\n### B\nGET {url}/moved\n", Path())
    client.send(client.blocks[0])
    answer = client.send(client.blocks[1])
    assert (answer.status, answer.body["cookie"]) == (200, "seen=yes")


@pytest.mark.parametrize("client_of", [RestClient, JetBrainsClient])
def test_a_form_carries_files_and_ends_its_lines_with_crlf(
    url: str, client_of: type[RestClient] | type[JetBrainsClient], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("text\n")
    kind = "Content-Type: multipart/form-data; boundary=b"
    client = client_of(f"### A\nPOST {url}/\n{kind}\n\n--b\n\n< ./a.txt\n--b--\n", tmp_path)
    assert sent_bodies(client) == ["--b\r\n\r\ntext\n\r\n--b--\r\n"]


def test_a_block_knows_its_request_line_and_its_notes() -> None:
    block = Block("A", ("# @name a", "# @expect 201", "POST {{api}}/x", "", "GET off"))
    assert block.request_line == "POST {{api}}/x"
    assert block.notes == {"name": "a", "expect": "201"}
