"""PUT and DELETE /movies/{id}/trailer: videos, as their first bytes show, and nothing else."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as DjangoClient

from tests.builders import API, Client, make_movie
from tests.catalogue import refused_fields
from tests.uploads import (
    BOUNDARY,
    encoded,
    fetched,
    files_in,
    form,
    picture,
    send_form,
    upload,
    uploaded_trailer,
    video,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def temporary(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def put(staff: Client, content: bytes, **options: Any) -> Any:
    return upload(staff, f"/movies/{make_movie().pk}/trailer", content, **options)


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


FTYP = box(b"ftyp", b"isom\0\0\0\0isommp42")
MDAT = box(b"mdat", b"pictures")


def webm(doc_type: bytes = b"webm") -> bytes:
    doc_type = b"\x42\x82" + bytes([0x80 | len(doc_type)]) + doc_type
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(doc_type)]) + doc_type


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (video("trailer.mp4"), "mp4"),
        (video("fragmented.mp4"), "mp4"),
        (FTYP + MDAT, "mp4"),
        (box(b"ftyp", b"iso5\0\0\0\0") + MDAT, "mp4"),
        (box(b"ftyp", b"none\0\0\0\0iso6") + MDAT, "mp4"),
        (video("trailer.webm"), "webm"),
        (video("streamed.webm"), "webm"),
        (webm(), "webm"),
    ],
)
def test_a_video_is_shown_as_the_movies_trailer(
    staff: Client, anonymous: Client, content: bytes, kind: str
) -> None:
    movie = make_movie(trailer="https://example.org/trailer")
    url = uploaded_trailer(staff, movie, content)
    assert url.endswith(f".{kind}")
    assert anonymous.get(f"/movies/{movie.pk}").json()["trailer"] == url
    found = fetched(anonymous, url)
    assert (found.status, found.body) == (200, content)
    assert found.headers["Content-Type"] == f"video/{kind}"


HTML = b"<!DOCTYPE html><script>alert(1)</script>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"just some text",
        HTML,
        HTML + video(),
        encoded(picture()),
        encoded(picture(), "AVIF"),
        b"RIFF\x20\0\0\0AVI LIST",
        video("quicktime.mov"),
        MDAT + FTYP,
        box(b"ftyp", b"qt  \0\0\0\0isom") + MDAT,
        video("sound.mp4"),
        box(b"ftyp"),
        box(b"ftyp", b"none\0\0\0\0") + MDAT + b"isom",
        b"\xff\xff\xff\xffftyp",
        video("matroska.mkv"),
        webm(b"matroska"),
        webm(b""),
    ],
    ids=lambda content: repr(content[:12]),
)
@pytest.mark.parametrize("filename", ["trailer.mp4", "trailer.webm.html"])
def test_a_file_that_is_no_video_is_refused(
    staff: Client, media: Path, temporary: Path, content: bytes, filename: str
) -> None:
    answer = put(staff, content, filename=filename)
    assert refused_fields(answer) == ["body.file"]
    assert answer.json()["detail"] == "Send a video: MP4 or WebM."
    assert files_in(media) == files_in(temporary) == set()


def test_a_video_that_is_also_a_page_is_served_as_a_video(staff: Client, anonymous: Client) -> None:
    polyglot = FTYP + box(b"free", HTML) + MDAT
    found = fetched(anonymous, uploaded_trailer(staff, make_movie(), polyglot))
    assert found.headers["Content-Type"] == "video/mp4"
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    policy = found.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_the_limit_is_a_setting(staff: Client, media: Path, settings: Any) -> None:
    settings.TRAILER_MAX_MB = 1
    whole = FTYP + MDAT
    assert put(staff, whole.ljust(MB, b"\0")).status_code == 200
    answer = put(staff, whole.ljust(MB + 1, b"\0"))
    assert (answer.status_code, answer.json()["detail"]) == (413, "The file may have at most 1 MB.")
    assert len(files_in(media)) == 1


class Endless(io.RawIOBase):
    """A file that goes on for as long as someone reads, and counts how much that was."""

    def __init__(self) -> None:
        self.sent = 0
        self._head = form(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + FTYP

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "the whole was asked for at once"
        block = (self._head if self.sent == 0 else b"").ljust(size, b"\0")[:size]
        self.sent += len(block)
        return block


@pytest.mark.parametrize("claimed", [MB, 2 * MB + 60_000, 3 * MB, 4 * MB + 1, 10**13])
def test_a_file_beyond_the_limit_is_not_read_to_its_end(
    staff: Client, media: Path, temporary: Path, settings: Any, claimed: int
) -> None:
    """One that is not so much too large is, lest the client misses the answer."""
    settings.TRAILER_MAX_MB = 2
    stream = Endless()
    environ: dict[str, Any] = {
        "wsgi.input": stream,
        "CONTENT_LENGTH": str(claimed),
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
    }
    path = f"{API}/movies/{make_movie().pk}/trailer"
    answer = DjangoClient().generic("PUT", path, headers=staff.headers, **environ)
    assert answer.status_code == (413 if claimed > 2 * MB + 64 * 1024 else 422)
    assert stream.sent == (0 if claimed > 4 * MB else claimed)
    assert files_in(media) == files_in(temporary) == set()


def test_the_same_video_again_is_one_file(staff: Client, media: Path) -> None:
    urls = {uploaded_trailer(staff, make_movie()) for _ in range(3)}
    assert len(urls) == len(files_in(media)) == 1


@pytest.mark.parametrize("address", ["https://example.org/b", None])
def test_an_address_takes_the_uploads_place(staff: Client, address: str | None) -> None:
    uploaded_trailer(staff, movie := make_movie())
    assert staff.patch(f"/movies/{movie.pk}", {"trailer": address}).json()["trailer"] == address
    movie.refresh_from_db()
    assert movie.trailer_upload == ""


def test_an_upload_stays_when_its_own_address_is_sent_back(staff: Client) -> None:
    url = uploaded_trailer(staff, movie := make_movie())
    assert staff.patch(f"/movies/{movie.pk}", {"trailer": url}).json()["trailer"] == url
    movie.refresh_from_db()
    assert movie.trailer_upload


@pytest.mark.parametrize("uploaded", [True, False])
def test_a_trailer_is_deleted_once(staff: Client, uploaded: bool) -> None:
    movie = make_movie(trailer="https://example.org/trailer")
    if uploaded:
        uploaded_trailer(staff, movie)
    assert staff.delete(f"/movies/{movie.pk}/trailer").status_code == 204
    assert staff.get(f"/movies/{movie.pk}").json()["trailer"] is None
    again = staff.delete(f"/movies/{movie.pk}/trailer")
    assert (again.status_code, again.json()["detail"]) == (404, f"Movie {movie.pk} has no trailer.")


def test_only_staff_may(anonymous: Client, viewer: Client, staff: Client) -> None:
    path = f"/movies/{make_movie().pk}/trailer"
    for client, status in ((anonymous, 401), (viewer, 403)):
        assert upload(client, path, video()).status_code == status
        assert client.delete(path).status_code == status
    assert upload(staff, "/movies/999999/trailer", video()).status_code == 404
    assert staff.delete("/movies/999999/trailer").status_code == 404
    assert refused_fields(send_form(staff, path, b"")) == ["body.file"]
