from __future__ import annotations

import os
from typing import IO

from django.core.files import File
from django.http.response import HttpResponseBase

from cinema.errors import problem
from movies.media.serving import Blocks, FilePartResponse, TooManyDownloads


def download(file: IO[bytes], *, name: str) -> HttpResponseBase:
    """The file block by block, to be saved under this name; nobody else may keep it.

    The answer closes it. A large one that is read slowly holds a thread: as with trailers, there
    are no more of these at once than leave threads for the others.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        blocks = Blocks(File(file), size)
    except TooManyDownloads:
        file.close()
        return problem(503, "Too many downloads. Try again.", headers={"Retry-After": "10"})
    return FilePartResponse(
        blocks,
        content_type="application/json",
        headers={
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{name}"',
            # Said here: what is streamed gets no such header by itself.
            "Cache-Control": "no-store",
        },
    )
