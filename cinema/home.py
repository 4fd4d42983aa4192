"""The directory CINEMA_HOME: who may read its files, and where embedded servers listen.

Logs, mails, releases and uploads contain personal data, and other users of the machine have
accounts of their own. The settings import this module, so it cannot use them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

UMASK = 0o077
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
#: Root runs PostgreSQL as another account, which must be able to pass through the home to its
#: data. It cannot list the home.
PASSABLE_MODE = 0o711
#: The name of the embedded database and of its user.
EMBEDDED_DATABASE = "cinema"
#: The file with the address of the web while `manage.py up` runs.
ADDRESS_FILE = "address"


@dataclass(frozen=True)
class Sockets:
    """The sockets of the embedded servers. They are in /tmp, as a path may have about 100 bytes."""

    directory: Path

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def valkey(self) -> Path:
        return self.directory / "valkey.sock"


def socket_paths(home: Path) -> Sockets:
    """The sockets of this home. Every process finds them by the name of the home alone."""
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    return Sockets(Path("/tmp") / f"cinema-{digest}")  # noqa: S108 - its owner is checked


def keep_private() -> None:
    """Give no access to others in any file that this process and its children make.

    Each entry point calls it: `manage.py`, `cinema/web/application.py` and `cinema/celery.py`.
    """
    os.umask(UMASK)


def home_mode() -> int:
    return PASSABLE_MODE if os.geteuid() == 0 else DIRECTORY_MODE


def make_home(home: Path) -> None:
    home.mkdir(mode=home_mode(), parents=True, exist_ok=True)


def unfinished_restore(home: Path) -> Path:
    """A file that exists from the first to the last write of a restore, with the backup's id."""
    return home / "restore-unfinished"


def secret_key_of(home: Path) -> str:
    """The secret of this home, which is made once.

    Raises:
        ImproperlyConfigured: The file is empty.
    """
    make_home(home)
    path = home / "secret-key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
    if not (key := path.read_text()):
        raise ImproperlyConfigured(f"{path} is empty. Delete it: a new secret is then made.")
    return key


def remove_access_of_others(home: Path) -> None:
    """Make the files private that an earlier version made in this home.

    PostgreSQL keeps its own data private. They may belong to its own account.
    """
    make_home(home)
    with suppress(PermissionError):  # a directory of another account, such as a mounted volume
        home.chmod(home_mode())
    _remove_access_within(home, skipped={"postgres", "postgres.new"})


def _remove_access_within(directory: Path, *, skipped: set[str]) -> None:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.name in skipped:
                continue
            is_directory = entry.is_dir(follow_symlinks=False)
            with suppress(OSError):  # it was deleted meanwhile, or belongs to another account
                mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                if mode & UMASK:
                    os.chmod(entry.path, mode & ~UMASK)
            if is_directory:
                _remove_access_within(Path(entry.path), skipped=set())
