"""A mail server on loopback that takes what it is sent, or does what the test tells it to."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import SMTP


@dataclass
class Mailbox:
    """The mails that the server was given, and its answers.

    Attributes:
        refusals: Answers by the command that they come upon, such as `{"RCPT": "550 no"}`; an
            empty one ends the connection.
    """

    port: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    messages: list[tuple[list[str], Message]] = field(default_factory=list)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 60

    def handle(self) -> None:
        recipients: list[str] = []
        self._say("220 cinema.example ESMTP")
        while line := self.rfile.readline().decode("ascii").strip():
            verb = line.partition(" ")[0].upper()
            box = self.server.box
            box.commands.append(line)
            if (refusal := box.refusals.get(verb)) is not None:
                if not refusal:
                    return
                self._say(refusal)
            elif verb == "EHLO":
                self._say("250 cinema.example")
            elif verb == "RCPT":
                recipients.append(line.partition("<")[2].partition(">")[0])
                self._say("250 OK")
            elif verb == "DATA":
                self._say("354 go on")
                box.messages.append((recipients, self._message()))
                self._say("250 OK")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 OK")

    def _message(self) -> Message:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        return message_from_bytes(b"".join(lines), policy=SMTP)

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, box: Mailbox) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.box = box
        box.port = self.server_address[1]


@contextmanager
def running() -> Iterator[Mailbox]:
    box = Mailbox()
    with _Server(box) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
