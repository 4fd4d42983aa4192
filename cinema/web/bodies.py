"""Request bodies, read in the event loop with limits of size, time and rate."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings

from cinema.web.bridge import BUSY, DirectResponse

#: The longest pause between two chunks of a body.
LONGEST_PAUSE_S = 15.0
#: The average rate that a body must have after the first pause. A slow line is well above it.
MIN_BYTES_PER_S = 1024
#: A larger body is kept in a temporary file.
IN_MEMORY_BYTES = 64 * 1024
#: The largest total size of the bodies that a process keeps at one time.
ALL_BODIES_BYTES = 256 * 1024 * 1024
#: Room for boundaries, headers and short fields of a form beside its file.
FORM_BYTES = 64 * 1024
MB = 1024 * 1024


class BodyRefused(Exception):
    """The body was not read to its end. The connection ends with the response."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.response = DirectResponse.problem(status, detail, {"connection": "close"})


class ServerFull(BodyRefused):
    """Too many bodies are kept already."""

    def __init__(self) -> None:
        super().__init__(503, "The server is busy. Try again.")
        self.response = BUSY


@dataclass(frozen=True)
class Limits:
    """The largest sizes of bodies, in bytes.

    Attributes:
        plain: For a body that is not a form.
        form: For a form that is read before Django runs.
        upload: For a form that Django reads during its arrival, once it has authenticated staff.
    """

    plain: int
    form: int
    upload: int

    @classmethod
    def from_settings(cls) -> Limits:
        plain = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        file_mb = max(settings.POSTER_MAX_MB, settings.VIEWER_IMPORT_MAX_MB)
        upload_mb = settings.POSTER_MAX_MB + settings.TRAILER_MAX_MB
        return cls(
            plain=plain,
            form=max(plain, file_mb * MB) + FORM_BYTES,
            upload=plain + upload_mb * MB + FORM_BYTES,
        )


class BodyStream:
    """The chunks of one body as they arrive."""

    def __init__(self, protocol: Any, length: int | None) -> None:
        self.length = length
        self.received = 0
        self._chunks = aiter(protocol)
        self._empty_chunks = 0
        self._started_at = time.monotonic()

    async def read(self) -> bytes:
        """The next chunk; empty at the end.

        Raises:
            BodyRefused: The body is too slow, or has ended too early.
        """
        while self.received != self.length:
            try:
                async with asyncio.timeout(self._patience_s()):
                    chunk: bytes = await anext(self._chunks)
            except TimeoutError:
                raise BodyRefused(408, "The body of the request arrives too slowly.") from None
            except StopAsyncIteration:
                # granian ends with one empty chunk, and with two after a lost connection.
                if self.length is not None or self._empty_chunks > 1:
                    raise BodyRefused(400, "The body of the request is incomplete.") from None
                break
            self.received += len(chunk)
            if chunk:
                return chunk
            self._empty_chunks += 1
        return b""

    def _patience_s(self) -> float:
        allowed_s = LONGEST_PAUSE_S + self.received / MIN_BYTES_PER_S
        left_s = self._started_at + allowed_s - time.monotonic()
        return max(0.0, min(LONGEST_PAUSE_S, left_s))


class NoBody:
    """A request without a body."""

    size = 0
    input: IO[bytes] = io.BytesIO()

    def close(self) -> None:
        """There is nothing to release."""


class WholeBody:
    """A body that was read to its end."""

    _kept_bytes = 0

    def __init__(self) -> None:
        self.size = 0
        self.input: IO[bytes] = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - see close

    @classmethod
    async def receive(cls, stream: BodyStream, limit: int) -> WholeBody:
        """Read all of it.

        Raises:
            BodyRefused: It is too large or too slow, or the process keeps too much already.
        """
        body = cls()
        try:
            while chunk := await stream.read():
                body._append(chunk)
                if body.size > limit:
                    raise BodyRefused(
                        411, f"A body of more than {limit // MB} MB needs a Content-Length."
                    )
        except BaseException:
            body.close()
            raise
        body.input.seek(0)
        return body

    def _append(self, chunk: bytes) -> None:
        if WholeBody._kept_bytes + len(chunk) > ALL_BODIES_BYTES:
            raise ServerFull
        self.size += len(chunk)
        WholeBody._kept_bytes += len(chunk)
        self.input.write(chunk)

    def close(self) -> None:
        WholeBody._kept_bytes -= self.size
        self.size = 0
        self.input.close()


class ArrivingBody(io.RawIOBase):
    """A large form, which a thread of Django reads during its arrival.

    Attributes:
        refused: The reason why reading has failed. Django may raise another error instead.
    """

    def __init__(self, stream: BodyStream, length: int) -> None:
        super().__init__()
        self.size = length
        self.input: IO[bytes] = io.BufferedReader(self, IN_MEMORY_BYTES)
        self.refused: BodyRefused | None = None
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._chunk = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes of the body; Django expects an `OSError` if there are none."""
        if not self._chunk:
            reading = asyncio.run_coroutine_threadsafe(self._stream.read(), self._loop)
            try:
                self._chunk = reading.result()
            except BodyRefused as error:
                self.refused = error
                raise OSError(str(error)) from error
        count = min(len(buffer), len(self._chunk))
        buffer[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count


Body = NoBody | WholeBody | ArrivingBody
NO_BODY = NoBody()


async def receive_body(headers: Any, protocol: Any, limits: Limits) -> Body:
    """The body of a request. It is read here, unless it is a very large form.

    Raises:
        BodyRefused: The body is too large or too slow, or the server keeps too many.
    """
    declared = headers.get("content-length")
    if declared is None and "transfer-encoding" not in headers:
        return NO_BODY
    is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
    if declared is not None and not declared.isdecimal():
        raise BodyRefused(400, "The Content-Length of the request is not a number.")
    length = None if declared is None else int(declared)
    if length == 0:
        return NO_BODY
    if length is not None and length > (limits.upload if is_form else limits.plain):
        limit = limits.upload if is_form else limits.plain
        raise BodyRefused(413, f"The body may have at most {limit // MB} MB.")
    stream = BodyStream(protocol, length)
    if length is not None and length > limits.form:
        return ArrivingBody(stream, length)
    return await WholeBody.receive(stream, limits.form if is_form else limits.plain)
