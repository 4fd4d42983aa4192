"""The least that a server can do: the same bytes for whatever comes. Shows what `load` can ask for.

`python -m bench.trivial PORT BYTES` serves until it is ended.
"""

from __future__ import annotations

import selectors
import socket
import sys

from bench.load import HOST


def serve(port: int, body_bytes: int) -> None:
    """A request must arrive in one piece, as it does over loopback."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % body_bytes + b"x" * body_bytes
    with socket.create_server((HOST, port), backlog=128) as listener:
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                peer = key.fileobj
                assert isinstance(peer, socket.socket)
                if peer is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif not _answered(peer, answer):
                    selector.unregister(peer)
                    peer.close()


def _answered(peer: socket.socket, answer: bytes) -> bool:
    """False once the other side has gone."""
    try:
        if peer.recv(64 * 1024):
            peer.sendall(answer)
            return True
    except ConnectionError:
        pass
    return False


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
