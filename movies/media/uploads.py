"""Receive uploads, with limits on their sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse
from ninja.decorators import decorate_view

from movies.errors import FileRefused, FileTooLarge
from movies.media.files import MB

#: The boundaries, headers and short fields of a form beside the file.
FORM_BYTES = 64 * 1024


class LimitedUpload(FileUploadHandler):
    """Refuses a form by its declared size, before its files fill the disk.

    Django reads forms before it authenticates the sender, and does not limit files.
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
            raise RequestDataTooBig(f"The form may have at most {limit // MB} MB.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


class SingleFileHandler(FileUploadHandler):
    """Accepts one file of a limited size.

    A large one lies in an unnamed temporary file, which the system removes even after a crash.
    """

    def __init__(self, limit_mb: int) -> None:
        super().__init__()
        self.limit_mb = limit_mb
        self.file: IO[bytes] | None = None

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: dict[str, str],  # noqa: N803 - Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        """Refuse a too large request by its Content-Length."""
        if content_length > self.limit_mb * MB + FORM_BYTES:
            # A client that is still sending may miss the answer when the server closes the
            # connection. So read the rest of a request that exceeds the limit by little.
            if content_length <= 2 * self.limit_mb * MB:
                while input_data.read(self.chunk_size):
                    pass
            raise FileTooLarge(self.limit_mb)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.file is not None:
            self.upload_interrupted()
            raise FileRefused("Send one file, not several.")
        self.file = SpooledTemporaryFile(max_size=self.chunk_size)  # noqa: SIM115 - the request closes it

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self.file
        if start + len(raw_data) <= self.limit_mb * MB:
            self.file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile[Any]:
        assert self.file
        if file_size > self.limit_mb * MB:
            self.upload_interrupted()
            raise FileTooLarge(self.limit_mb)
        self.file.seek(0)
        return UploadedFile(self.file, self.file_name, self.content_type, file_size, self.charset)

    def upload_interrupted(self) -> None:
        if self.file:
            self.file.close()


def accept_file(limit_mb: Callable[[], int]) -> Callable[[Any], Any]:
    """Let an operation, also one with the method PUT, receive a file of up to `limit_mb` MB.

    The form is parsed when the operation asks for the file, after authentication.
    """

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            request.upload_handlers = [SingleFileHandler(limit_mb())]
            method = request.method
            # Django parses forms of POST requests only: ticket 12635.
            request.method = "POST"
            try:
                return view(request, *args, **kwargs)
            finally:
                request.method = method

        return answer

    return decorate_view(decorate)
