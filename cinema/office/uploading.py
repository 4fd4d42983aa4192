from __future__ import annotations

from typing import IO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

MB = 1024 * 1024


class LimitedUpload(FileUploadHandler):
    """Refuses a form by the size that it says it has, before its files fill the disk.

    Django reads forms before it knows who sent them, and limits only what is no file.
    """

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: dict[str, str],  # noqa: N803 - Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if getattr(getattr(self.request, "user", None), "is_staff", False):
            limit += (settings.POSTER_MAX_MB + settings.TRAILER_MAX_MB) * MB
        if content_length > limit:
            raise RequestDataTooBig(f"A form may have {limit // MB} MB.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
