"""Posters and trailers that come with a film's form in the admin site."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from PIL import Image

from movies.media import services as media
from movies.media.images import Poster, encode_poster
from movies.models import Movie
from tests.admin_pages import Form, fill_in, page
from tests.builders import make_movie, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def storage(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def picture(**fields: Any) -> SimpleUploadedFile:
    out = io.BytesIO()
    Image.new("RGB", (600, 900), "teal").save(out, "JPEG")
    return SimpleUploadedFile("poster.jpg", fields.get("content", out.getvalue()))


def test_a_poster_is_uploaded_with_the_form_and_shown(admin_client: Browser, storage: Path) -> None:
    movie = make_movie(poster="https://example.org/a.jpg")
    path = page(Movie, "change", movie.pk)
    assert fill_in(admin_client, path, poster_file=picture(), name="Cléo") == ""
    movie.refresh_from_db()
    assert (movie.name, movie.poster, movie.poster_widths[-1] > 0) == ("Cléo", None, True)
    for where in (page(Movie, ""), path):
        assert movie.poster_upload in admin_client.get(where).content.decode()
    assert fill_in(admin_client, path, without_poster="on") == ""
    movie.refresh_from_db()
    assert movie.poster_upload == ""


def test_an_address_takes_the_place_of_an_upload(admin_client: Browser, storage: Path) -> None:
    movie = make_movie()
    path = page(Movie, "change", movie.pk)
    fill_in(admin_client, path, poster_file=picture())
    assert fill_in(admin_client, path, name="Other") == ""
    movie.refresh_from_db()
    assert movie.poster_upload
    assert fill_in(admin_client, path, poster="https://example.org/b.jpg") == ""
    movie.refresh_from_db()
    assert (movie.poster, movie.poster_upload) == ("https://example.org/b.jpg", "")


@pytest.mark.parametrize("name", ["poster_file", "trailer_file"])
def test_an_invalid_file_returns_the_form_with_all_entries(
    admin_client: Browser, storage: Path, name: str
) -> None:
    movie = make_movie(name="Cléo")
    broken = {name: picture(content=b"<svg onload=alert(1)>"), "name": "Cléo from 5 to 7"}
    path = page(Movie, "change", movie.pk)
    values = {**Form(admin_client.get(path).content.decode()).values, **broken}
    answer = admin_client.post(path, values)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors[name]
    assert "Cléo from 5 to 7" in answer.content.decode()
    movie.refresh_from_db()
    assert movie.name == "Cléo"


def test_a_file_that_is_too_large_is_refused(
    admin_client: Browser, storage: Path, settings: Any
) -> None:
    settings.POSTER_MAX_MB = 0
    movie = make_movie()
    path = page(Movie, "change", movie.pk)
    assert "may have at most 0 MB" in fill_in(admin_client, path, poster_file=picture())


@pytest.mark.django_db(transaction=True)
def test_no_lock_is_held_while_a_file_is_stored(
    admin_client: Browser, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def note(file: IO[bytes]) -> Poster:
        seen.append(connection.in_atomic_block)
        return encode_poster(file)

    monkeypatch.setattr(media, "encode_poster", note)
    path = page(Movie, "change", make_movie().pk)
    assert fill_in(admin_client, path, poster_file=picture()) == ""
    assert Movie.objects.get().poster_upload
    assert seen == [False]


def test_a_viewer_cannot_store_files(client: Browser, storage: Path) -> None:
    client.force_login(make_user(), backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(page(Movie, "add"), {"poster_file": picture()})
    assert answer.status_code == 302
    assert [*storage.iterdir()] == []
