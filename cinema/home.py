"""Files that only the account that runs Cinema may read.

Logs, mails, releases and uploads tell about people, and other users of the machine have accounts
of their own. Imported by the settings, so it cannot use Django.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sockets:
    """Where the embedded servers listen. A socket's path may have about 100 bytes, hence /tmp."""

    directory: Path

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def valkey(self) -> Path:
        return self.directory / "valkey.sock"


def socket_paths(home: Path) -> Sockets:
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    return Sockets(Path("/tmp") / f"cinema-{digest}")  # noqa: S108 - its owner is checked


UMASK = 0o077
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
#: Root runs PostgreSQL as another account, which must be able to pass through the home to its
#: data; it cannot list the home.
PASSABLE_MODE = 0o711


def keep_private() -> None:
    """Give no access to others in any file that this process and its children make.

    Each entry point calls it: `manage.py`, `cinema/wsgi.py`, `cinema/web/application.py` and
    `cinema/celery.py`.
    """
    os.umask(UMASK)


@contextmanager
def readable_by_others() -> Iterator[None]:
    """For what another account must read. Only where no other thread makes files."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def home_mode() -> int:
    return PASSABLE_MODE if os.geteuid() == 0 else DIRECTORY_MODE


def remove_access_of_others(home: Path) -> None:
    """Take access from others in a home that an earlier version made.

    PostgreSQL keeps its own data private; they may belong to its own account.
    """
    home.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    with suppress(PermissionError):  # somebody else's directory, such as a mounted volume
        home.chmod(home_mode())
    _tighten_within(home, skipped={"postgres", "postgres.new"})


def _tighten_within(directory: Path, *, skipped: frozenset[str] | set[str] = frozenset()) -> None:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.name in skipped:
                continue
            is_directory = entry.is_dir(follow_symlinks=False)
            with suppress(OSError):  # deleted meanwhile, or another account's
                mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                if mode & UMASK:
                    os.chmod(entry.path, mode & ~UMASK)
            if is_directory:
                _tighten_within(Path(entry.path))
