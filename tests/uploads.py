"""Builders for files that are uploaded, and for the forms that carry them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from PIL import Image, ImageDraw

from movies.models import Movie
from tests.builders import Client

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

#: Real videos of two seconds, as ffmpeg writes them.
VIDEOS = Path(__file__).parent / "media"
BOUNDARY = "-----the-end-of-the-reel"


def video(name: str = "trailer.mp4") -> bytes:
    return (VIDEOS / name).read_bytes()


def picture(size: tuple[int, int] = (400, 600), mode: str = "RGB") -> Image.Image:
    """Red, but for a blue square in the upper left corner."""
    image = Image.new("RGB", size, "red")
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 4, size[1] // 4), "blue")
    return image.convert(mode)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(size: tuple[int, int], rows: bytes, *, depth: int, colour: int) -> bytes:
    """A PNG of any kind that the format knows; each row begins with its filter, 0."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def decoded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def form(content: bytes, *, filename: str = "file", field: str = "file") -> bytes:
    """A form with one file, byte by byte as it is given."""
    head = f'Content-Disposition: form-data; name="{field}"; filename="{filename}"'
    part = f"--{BOUNDARY}\r\n{head}\r\nContent-Type: text/html\r\n\r\n".encode()
    return part + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(
    client: Client, path: str, content: bytes, *, filename: str = "file", field: str = "file"
) -> Response:
    return send_form(client, path, form(content, filename=filename, field=field))


def send_form(client: Client, path: str, body: bytes) -> Response:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return client.send("PUT", path, body, content_type=kind)


def uploaded_poster(staff: Client, movie: Movie, content: bytes | None = None) -> dict[str, Any]:
    """The response to the upload of a poster."""
    content = encoded(picture()) if content is None else content
    answer = upload(staff, f"/movies/{movie.pk}/poster", content)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def uploaded_trailer(staff: Client, movie: Movie, content: bytes | None = None) -> str:
    """The address under which an uploaded trailer is shown."""
    content = video() if content is None else content
    answer = upload(staff, f"/movies/{movie.pk}/trailer", content)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["trailer"])


@dataclass(frozen=True)
class Fetched:
    status: int
    headers: Mapping[str, str]
    body: bytes


def fetched(
    client: Client, url: str, headers: dict[str, str] | None = None, *, method: str = "GET"
) -> Fetched:
    """The response under an address that the server gave out, read to the end."""
    assert url.startswith("http://127.0.0.1:8000/media/"), url
    answer = client.send(method, urlsplit(url).path, headers=headers)
    content = b"".join(answer) if answer.streaming else answer.content
    return Fetched(answer.status_code, answer.headers, content)


def candidates(srcset: str) -> dict[int, str]:
    """The addresses of a `srcset` by their width."""
    pairs = (candidate.split(" ") for candidate in srcset.split(", "))
    return {int(width.removesuffix("w")): url for url, width in pairs}


def files_in(media: Path) -> set[str]:
    """All files below, by their paths."""
    return {str(path.relative_to(media)) for path in media.rglob("*") if not path.is_dir()}
