"""The output of an export command: a file, or standard output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from django.core.management.base import CommandError, OutputWrapper

from cinema.home import FILE_MODE

STDOUT = "-"


@contextmanager
def opened_output(name: str, stdout: OutputWrapper) -> Iterator[BinaryIO]:
    """Open the output. A file is private, and replaces an older one only when it is complete.

    Raises:
        CommandError: The output cannot be written.
    """
    path = Path(name).resolve()
    part = path.with_name(f"{path.name}.part")
    binary_stdout = cast("BinaryIO", stdout.buffer)
    try:
        if name == STDOUT:
            yield binary_stdout
            binary_stdout.flush()
        elif path.exists() and not path.is_file():  # a pipe, or /dev/null
            with path.open("wb") as file:
                yield file
        else:
            part.unlink(missing_ok=True)
            try:
                with open(part, "xb", opener=partial(os.open, mode=FILE_MODE)) as file:
                    yield file
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    except BrokenPipeError:
        # The reader has closed the pipe. Python would report it again when it closes its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), binary_stdout.fileno())
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from error
