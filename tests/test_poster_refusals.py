"""A file that is no poster is refused with a sentence, and none of it is left on the disk."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from movies.models import Movie
from tests.builders import Client, make_movie
from tests.catalogue import refused_fields
from tests.uploads import (
    BOUNDARY,
    encoded,
    files_in,
    form,
    picture,
    png,
    send_form,
    upload,
    uploaded_poster,
    video,
)

pytestmark = pytest.mark.django_db
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def nothing_left(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test the folder for temporary files is empty, and media hold but posters."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    assert files_in(temporary) == set()
    for name in files_in(media):
        assert name.startswith("posters/")
        assert name.endswith((".jpg", ".webp"))


@pytest.fixture
def movie() -> Movie:
    return make_movie()


def put(staff: Client, movie: Movie, content: bytes, **options: Any) -> Any:
    return upload(staff, f"/movies/{movie.pk}/poster", content, **options)


def assert_refused(answer: Any, sentence: str, media: Path) -> None:
    assert refused_fields(answer) == ["body.file"]
    assert answer.json()["detail"] == answer.json()["errors"][0]["message"] == sentence
    assert files_in(media) == set()


def animation(form: str) -> bytes:
    frames = [picture(), picture().rotate(180)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


SVG = b"""<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>"""
HTML = b"<!DOCTYPE html><script>alert(document.domain)</script>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        SVG,
        HTML,
        b"GIF89a" + HTML,
        encoded(picture(), "GIF"),
        encoded(picture(), "BMP"),
        encoded(picture(), "TIFF"),
        encoded(picture(), "ICO"),
        encoded(picture(), "AVIF"),
        encoded(picture(), "PDF"),
        encoded(picture(), "EPS"),
        video(),
        HTML + encoded(picture(), "PNG"),
    ],
    ids=lambda content: repr(content[:12]),
)
@pytest.mark.parametrize("filename", ["poster.jpg", "poster.html"])
def test_only_images_of_three_formats_are_taken(
    staff: Client, movie: Movie, media: Path, content: bytes, filename: str
) -> None:
    answer = put(staff, movie, content, filename=filename)
    assert_refused(answer, "Send an image: JPEG, PNG or WebP.", media)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_image_is_refused(
    staff: Client, movie: Movie, media: Path, form: str, share: float
) -> None:
    noise = Image.effect_noise((300, 400), 100).convert("RGB")
    content = encoded(noise, form)
    answer = put(staff, movie, content[: int(len(content) * share)])
    assert_refused(answer, "The image is damaged or cut short.", media)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_damage_anywhere_is_no_fault_of_the_server(staff: Client, movie: Movie, form: str) -> None:
    content = encoded(picture((40, 60)), form)
    for at in range(0, len(content), max(1, len(content) // 30)):
        broken = content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
        assert put(staff, movie, broken).status_code in (200, 422)


def png_of(width: int, height: int) -> bytes:
    """A valid PNG of white pixels that is small for its size."""
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    return png((width, height), row * height, depth=1, colour=0)


def webp_that_claims(width: int, height: int) -> bytes:
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size
    return b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas


@pytest.mark.parametrize(
    "content",
    [
        png_of(8000, 5001),
        png_of(10_000, 10_000),
        png_of(20_000, 20_000)[:4096],
        webp_that_claims(16_383, 16_383),
        encoded(Image.new("L", (9000, 5000)), "JPEG"),
    ],
    ids=["just over", "bomb", "header of a bomb", "webp", "jpeg"],
)
def test_an_image_of_too_many_pixels_is_not_decoded(
    staff: Client, movie: Movie, media: Path, content: bytes
) -> None:
    assert len(content) < 2 * MB
    assert_refused(put(staff, movie, content), "The image may have at most 40 megapixels.", media)


def test_an_image_of_the_largest_size_in_pixels_is_accepted(staff: Client, movie: Movie) -> None:
    assert put(staff, movie, png_of(8000, 5000)).status_code == 200


@pytest.mark.parametrize("size", [(1, 6), (6, 1), (1, 60_000), (60_000, 1), (100, 501)])
def test_a_very_narrow_image_is_refused(
    staff: Client, movie: Movie, media: Path, size: tuple[int, int]
) -> None:
    answer = put(staff, movie, encoded(Image.new("RGB", size), "PNG"))
    sentence = "One side of a poster may be 5 times the other, not more."
    assert_refused(answer, sentence, media)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_is_refused(staff: Client, movie: Movie, media: Path, form: str) -> None:
    answer = put(staff, movie, animation(form))
    assert_refused(answer, "The image is animated. Send one that stands still.", media)


@pytest.mark.parametrize("beyond", [1, 100, 5 * MB])
def test_a_file_that_is_too_large_is_refused(
    staff: Client, movie: Movie, media: Path, beyond: int
) -> None:
    answer = put(staff, movie, encoded(picture()).ljust(10 * MB + beyond, b"\0"))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "The file may have at most 10 MB."
    assert files_in(media) == set()


def test_a_file_of_the_largest_size_is_accepted(staff: Client, movie: Movie) -> None:
    assert put(staff, movie, encoded(picture()).ljust(10 * MB, b"\0")).status_code == 200


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("evil.html", HTML)
    return buffer.getvalue()


@pytest.mark.parametrize("payload", [HTML, archive(), b"*/=1;alert(1)//<?php system($_GET[0])?>"])
@pytest.mark.parametrize("where", ["behind", "comment"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_other_content_hidden_in_an_image_is_removed(
    staff: Client, movie: Movie, media: Path, form: str, where: str, payload: bytes
) -> None:
    if where == "behind":
        content = encoded(picture(), form) + payload
    elif form == "JPEG":
        content = encoded(picture(), form, comment=payload)
    else:
        content = encoded(picture(), form, exif=b"Exif\0\0" + payload)
    assert payload in content
    uploaded_poster(staff, movie, content)
    for name in files_in(media):
        made = (media / name).read_bytes()
        for mark in (payload, b"<script", b"PK\x03\x04", b"<?php", b"evil.html"):
            assert mark not in made


@pytest.mark.parametrize(
    "filename",
    [
        "../../../../etc/passwd",
        "..\\..\\windows\\system32\\x.jpg",
        "/etc/cron.d/x",
        "C:\\x.jpg",
        "poster.jpg.php",
        "poster.php%00.jpg",
        "poster\0.jpg",
        "&#46;&#46;&#47;x.jpg",
        "x" * 900,
        "плакат 七人の侍.jpg",
        "con",
        ".htaccess",
    ],
    ids=lambda name: repr(name[:20]),
)
def test_the_files_name_decides_nothing(
    staff: Client, movie: Movie, media: Path, tmp_path: Path, filename: str
) -> None:
    expected = uploaded_poster(staff, movie)
    files = files_in(media)
    assert put(staff, movie, encoded(picture()), filename=filename).json() == expected
    assert files_in(media) == files
    assert files_in(tmp_path) == {f"media/{name}" for name in files}


FILE = form(encoded(picture()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        form(encoded(picture()), field="picture"),
        form(encoded(picture()), filename=".."),
        form(encoded(picture()), filename=""),
        FILE[: len(FILE) // 2],
        FILE.replace(b'; filename="file"', b""),
        FILE.replace(b"Content-Type: text/html", b"Content-Transfer-Encoding: base64"),
        FILE.replace(f"--{BOUNDARY}--\r\n".encode(), FILE),
        b"".join(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'.encode()
            for _ in range(2000)
        ),
    ],
    ids=[
        "empty", "text", "other field", "dots", "no name", "half", "no file", "base64", "two",
        "fields",
    ],
)  # fmt: skip
def test_a_form_without_just_one_file_is_refused(
    staff: Client, movie: Movie, media: Path, body: bytes
) -> None:
    answer = send_form(staff, f"/movies/{movie.pk}/poster", body)
    assert refused_fields(answer)[0] in ("body", "body.file")
    assert files_in(media) == set()


@pytest.mark.parametrize(
    "content_type", ["application/json", "image/png", "", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("what", ["poster", "trailer"])
def test_a_body_of_another_type_is_415(
    staff: Client, movie: Movie, what: str, content_type: str
) -> None:
    path = f"/movies/{movie.pk}/{what}"
    answer = staff.send("PUT", path, b'{"file": 1}', content_type=content_type)
    assert (answer.status_code, answer["Accept"]) == (415, "multipart/form-data")
    assert "multipart/form-data" in answer.json()["detail"]


def test_a_body_of_another_type_does_not_tell_strangers_that_staff_may_send_one(
    anonymous: Client, viewer: Client, movie: Movie
) -> None:
    for client, status in ((anonymous, 401), (viewer, 403)):
        path = f"/movies/{movie.pk}/poster"
        answer = client.send("PUT", path, b"GIF", content_type="image/gif")
        assert answer.status_code == status


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=é"])
def test_a_form_without_a_boundary_is_refused(
    staff: Client, movie: Movie, content_type: str
) -> None:
    answer = staff.send(
        "PUT", f"/movies/{movie.pk}/poster", b'{"file": 1}', content_type=content_type
    )
    assert refused_fields(answer) == ["body"]


def test_without_a_body_the_file_is_missing(staff: Client, movie: Movie) -> None:
    answer = staff.send("PUT", f"/movies/{movie.pk}/poster", content_type="application/json")
    assert refused_fields(answer) == ["body.file"]


def test_a_long_field_beside_the_file_is_refused(staff: Client, movie: Movie, media: Path) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n'.encode()
    answer = send_form(staff, f"/movies/{movie.pk}/poster", head + b"a" * 6 * MB + b"\r\n" + FILE)
    assert answer.status_code == 413
    assert files_in(media) == set()


def test_a_refused_image_keeps_the_current_poster(staff: Client, movie: Movie) -> None:
    before = uploaded_poster(staff, movie)
    assert put(staff, movie, SVG).status_code == 422
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["poster"], shown["poster_srcset"]) == (before["poster"], before["srcset"])
