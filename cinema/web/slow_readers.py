"""Connections whose client does not read its response are cut by the kernel.

granian has no time limit for writing. Connections inherit this one from the socket on which they
were accepted. Linux alone has it.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

#: A client that takes nothing for so long is gone.
LONGEST_PAUSE_S = 30


def limit_writing() -> None:
    """Set the limit on the sockets on which this process listens."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        for name in os.listdir("/proc/self/fd"):
            _limit(int(name))


def _limit(descriptor: int) -> None:
    """Set the limit if the open file is a socket that listens."""
    # A file may be closed at any moment: then it is none that listens.
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return
        with socket.socket(fileno=os.dup(descriptor)) as found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                limit_ms = LONGEST_PAUSE_S * 1000
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
