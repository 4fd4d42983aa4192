"""The storage of a Cinema that keeps its uploads on its own disk."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage

#: How the name of a file begins while it is being written.
UNFINISHED = ".unfinished-"


class MediaFiles(FileSystemStorage):
    """Django's, but a file appears whole or not at all, and links lead nowhere outside."""

    def _save(self, name: str, content: File[Any]) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=UNFINISHED, delete=False) as aside:
            try:
                for chunk in content.chunks():
                    aside.write(chunk)
                aside.flush()
                os.fsync(aside.fileno())
                os.chmod(aside.name, settings.FILE_UPLOAD_PERMISSIONS or 0o644)
                os.replace(aside.name, path)
            except BaseException:
                os.unlink(aside.name)
                raise
        return name

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        path = Path(self.path(name)).resolve()
        if not path.is_relative_to(Path(self.location).resolve()):
            raise FileNotFoundError(name)
        return File(path.open(mode))
