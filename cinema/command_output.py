"""The output of an export command: a file, or standard output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

from django.core.management.base import CommandError, OutputWrapper

from cinema.termination import exit_on_sigterm

STDOUT = "-"


@contextmanager
def opened_output(name: str, stdout: OutputWrapper) -> Iterator[BinaryIO]:
    """Open the output. A file is private, and replaces an older one only when it is complete.

    Raises:
        CommandError: The output cannot be written.
    """
    path = Path(name).resolve()
    binary_stdout = cast("BinaryIO", stdout.buffer)
    try:
        if name == STDOUT:
            yield binary_stdout
            binary_stdout.flush()
        elif path.exists() and not path.is_file():  # a pipe, or /dev/null
            with path.open("wb") as file:
                yield file
        else:
            with exit_on_sigterm(), _replacement(path) as file:
                yield file
    except BrokenPipeError:
        # The reader has closed the pipe. Python would report it again when it closes its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), binary_stdout.fileno())
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from error


@contextmanager
def _replacement(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that replaces the path once it is complete; only its owner can read it.

    Two exports may write to one path at once, so each has a file of its own.
    """
    prefix = f".{path.name[:50]}."
    with NamedTemporaryFile(dir=path.parent, prefix=prefix, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            yield cast("BinaryIO", file)
            file.close()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
