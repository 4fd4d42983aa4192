"""Connections whose client does not read its response are cut.

granian has no time limit for writing. Its connections are found among the open files of this
process, and the kernel says how much of a response has reached the client. Linux alone has both.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

log = logging.getLogger(__name__)

#: In this time a client must have taken `LEAST_BYTES_PER_S` on average.
WITHIN_S = 30.0
LEAST_BYTES_PER_S = 1024
LOOK_EVERY_S = 5.0

_libc = ctypes.CDLL(None, use_errno=True)
#: `tcpi_bytes_acked` in `struct tcp_info` of linux/tcp.h.
_BYTES_ACKED = struct.Struct("=120xQ")


@dataclass(frozen=True)
class _Mark:
    acknowledged: int
    at: float


class SlowReaders:
    """Looks at all connections again and again, and cuts those that are too slow."""

    def __init__(self) -> None:
        self._marks: dict[int, _Mark] = {}

    def look(self, now: float) -> int:
        """How many connections were cut.

        Args:
            now: Monotonic seconds.
        """
        cut, marks = 0, {}
        for inode, connection in _connections():
            if not _unsent_bytes(connection):
                continue
            acknowledged = _acknowledged_bytes(connection)
            mark = self._marks.get(inode)
            if mark is None or acknowledged - mark.acknowledged >= WITHIN_S * LEAST_BYTES_PER_S:
                mark = _Mark(acknowledged, now)
            elif now - mark.at >= WITHIN_S:
                with suppress(OSError):
                    _cut(connection)
                    cut += 1
            marks[inode] = mark
        self._marks = marks
        return cut


def watch() -> None:
    """Look every few seconds, until the process ends."""
    if sys.platform == "linux":
        threading.Thread(target=_watch, name="slow-readers", daemon=True).start()


def _watch() -> None:
    readers = SlowReaders()
    while True:
        time.sleep(LOOK_EVERY_S)
        try:
            if cut := readers.look(time.monotonic()):
                log.info("%d connections were cut: their clients did not read", cut)
        except Exception:
            log.exception("slow readers were not looked for")


def _connections() -> Iterator[tuple[int, socket.socket]]:
    """The connections of the ports that this process listens on, each with its inode."""
    ports = set()
    candidates = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), _socket(int(name)) as found:
            if found.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            if found.type != socket.SOCK_STREAM:
                continue
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                ports.add(found.getsockname()[1])
            else:
                candidates.append(int(name))
    for descriptor in candidates:
        with suppress(OSError), _socket(descriptor) as found:
            if found.getsockname()[1] in ports:
                yield os.fstat(found.fileno()).st_ino, found


@contextmanager
def _socket(descriptor: int) -> Iterator[socket.socket]:
    """A second handle of an open socket. The first one may be closed at any moment.

    Raises:
        OSError: It is closed, or is not a socket.
    """
    copy = os.dup(descriptor)
    try:
        handle = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with handle:
        yield handle


def _unsent_bytes(connection: socket.socket) -> int:
    packed = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int.from_bytes(packed, sys.byteorder)


def _acknowledged_bytes(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
    acknowledged: int = _BYTES_ACKED.unpack(info)[0]
    return acknowledged


def _cut(connection: socket.socket) -> None:
    """Reset a connection that another thread owns, which sees it as lost.

    A shutdown would leave the unsent bytes to the kernel, for as long as the client is there.
    """
    address = struct.pack("=H14x", socket.AF_UNSPEC)
    if _libc.connect(connection.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "the connection cannot be reset")
