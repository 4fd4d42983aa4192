"""Counter files of the web processes, which outlive a process that is killed.

Each web process has a slot, and the next process that takes the slot goes on with its files. So
the sum over all slots never falls, and there are as many files as processes ever ran at once.
prometheus-client's own files have the names of process ids: each restart would leave another set.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from cinema.home import socket_paths

log = logging.getLogger(__name__)

MAX_PROCESSES = 128
#: Room for some 4,000 counters of a kind. The room is taken at the start: a process that writes to
#: a mapped file on a full disk is killed by SIGBUS.
FILE_BYTES = 1024 * 1024
KINDS = ("counter", "histogram")

#: Kept open: closing them would give up the locks.
_locked: list[int] = []
_files: dict[str, MmapedDict] = {}
_adding = threading.Lock()


def directory() -> Path:
    """The directory of this server's files, in the memory or the /tmp of this machine.

    Not in CINEMA_HOME, which several machines may share. Other editions of the counters have
    another directory, as they would add up other things under the same name.
    """
    edition = zlib.crc32(Path(__file__).with_name("counters.py").read_bytes())
    sockets = socket_paths(Path(settings.CINEMA_HOME)).directory
    return sockets.with_name(f"{sockets.name}-metrics-{settings.PORT}-{edition:08x}")


def keep_in_files() -> None:
    """Keep the counters of this process in files. Call it before `counters` is imported.

    Without a place for them this process counts for itself, and `/metrics` says so.
    """
    try:
        place = directory()
        slot = _take_slot(place)
    except OSError as error:
        log.warning("the metrics are those of single processes: %s", error)
        return
    for kind in KINDS:
        _files[kind] = MmapedDict(str(place / f"{kind}_{slot}.db"))  # type: ignore[no-untyped-call]
    values.ValueClass = FileValue


def are_kept() -> bool:
    return bool(_locked)


class FileValue:
    """A number in a file. prometheus-client's own class takes four times as long to add to it."""

    _multiprocess = True

    def __init__(
        self, typ: str, metric_name: str, name: str, labelnames: Sequence[str],
        labelvalues: Sequence[str], help_text: str, **kwargs: object,
    ) -> None:  # fmt: skip
        key = mmap_key(metric_name, name, [*labelnames], [*labelvalues], help_text)
        file = _files[typ]
        with _adding:
            file.read_value(key)  # type: ignore[no-untyped-call]  # makes it
            # Numbers have eight bytes. This mapping stays valid when the file grows.
            self._numbers = memoryview(file._m).cast("d")
            self._index = file._positions[key] // 8

    def inc(self, amount: float) -> None:
        with _adding:
            self._numbers[self._index] += amount


def _take_slot(place: Path) -> int:
    """The first slot that no living process has.

    Raises:
        OSError: The directory belongs to another account, the disk is full, or all are taken.
    """
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise OSError(f"{place} belongs to another account")
    # systemd-tmpfiles deletes nothing old in a directory that is locked.
    shared_lock = os.open(place, os.O_RDONLY)
    fcntl.flock(shared_lock, fcntl.LOCK_SH)
    for slot in range(MAX_PROCESSES):
        lock = os.open(place / f"{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _locked.extend((shared_lock, lock))
            for kind in KINDS:
                _reserve(place / f"{kind}_{slot}.db")
            return slot
        os.close(lock)
    raise OSError(f"all {MAX_PROCESSES} slots of {place} are taken")


def _reserve(file: Path) -> None:
    """Go on with the file, or make it if it is not there or cannot be read."""
    try:
        MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - damaged in any way, as after a power cut
        if not isinstance(error, FileNotFoundError):
            log.warning("%s is damaged: its counters start again", file)
        # Another process may be reading all files.
        unfinished = file.with_suffix(".new")
        unfinished.write_bytes(bytes(FILE_BYTES))
        unfinished.replace(file)
