"""Uploads in storages of other kinds, and in ones that fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage

from cinema import bucket
from movies.media.services import clean_media
from tests.builders import Client, make_movie
from tests.uploads import (
    candidates,
    decoded,
    encoded,
    fetched,
    files_in,
    picture,
    upload,
    uploaded_poster,
    uploaded_trailer,
    video,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def in_memory(settings: Any) -> None:
    """A storage whose files have no path."""
    backend = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": backend}


@pytest.mark.usefixtures("in_memory")
def test_a_storage_without_paths_is_enough(
    staff: Client, anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = make_movie()
    answer = uploaded_poster(staff, movie)
    assert uploaded_poster(staff, movie) == answer
    for form in ("webp", "jpeg"):
        for width, url in candidates(answer["srcset"][form]).items():
            assert decoded(fetched(anonymous, url).body).width == width
    trailer = uploaded_trailer(staff, movie)
    part = fetched(anonymous, trailer, {"Range": "bytes=4-7"})
    assert (part.status, part.body) == (206, b"ftyp")
    staff.delete(f"/movies/{movie.pk}/poster")
    monkeypatch.setattr("movies.media.services.MEDIA_KEPT_S", 0)
    assert clean_media() == 4
    assert fetched(anonymous, answer["poster"]).status == 404
    assert fetched(anonymous, trailer).status == 200


@pytest.mark.usefixtures("in_memory")
def test_the_slower_upload_of_the_same_file_leaves_no_second_one(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file appears after it was looked for: the storage gives the second one another name."""
    url = uploaded_trailer(staff, make_movie())
    answers = iter([False, True, False, True, True])
    monkeypatch.setattr(InMemoryStorage, "exists", lambda storage, name: next(answers))
    assert uploaded_trailer(staff, make_movie()) == url
    assert len(default_storage.listdir("trailers")[1]) == 1


def test_addresses_of_another_server_are_given_as_they_are(staff: Client, settings: Any) -> None:
    settings.MEDIA_URL = "https://cdn.example.org/cinema/"
    answer = uploaded_poster(staff, movie := make_movie())
    assert answer["poster"].startswith("https://cdn.example.org/cinema/posters/")
    assert staff.get(f"/movies/{movie.pk}").json()["poster"] == answer["poster"]


def test_a_full_disk_is_503_and_changes_nothing(
    staff: Client, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uploaded_poster(staff, movie := make_movie())
    files = files_in(media)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("movies.media.files.os.fsync", full)
    for path, content in (
        ("poster", encoded(picture((300, 300)))),
        ("trailer", video()),
    ):
        answer = upload(staff, f"/movies/{movie.pk}/{path}", content)
        assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["poster"], shown["trailer"]) == (before["poster"], None)
    assert files_in(media) == files


def test_a_file_appears_whole_and_for_its_owner_alone(media: Path) -> None:
    default_storage.save("posters/x", ContentFile(b"whole"))
    assert (media / "posters" / "x").stat().st_mode & 0o777 == 0o600

    class BreaksOff(ContentFile[bytes]):
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield b"ha"
            raise ConnectionError

    with pytest.raises(ConnectionError):
        default_storage.save("posters/y", BreaksOff(b""))
    assert files_in(media) == {"posters/x"}


def test_a_bucket_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket, "find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"MEDIA_BUCKET is set.*`make s3`"):
        bucket.bucket_storage("films", "https://s3.example.org/films", "", "eu-west-1")
    with pytest.raises(ImproperlyConfigured, match=r"RELEASES_URL is set.*`make s3`"):
        bucket.require_packages("RELEASES_URL")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("", "https://films.s3.eu-west-1.amazonaws.com"),
        ("https://s3.example.org/", "https://s3.example.org/films"),
    ],
)
def test_the_url_of_a_bucket_follows_the_style_of_its_server(endpoint: str, url: str) -> None:
    assert bucket.bucket_url("films", endpoint, "eu-west-1") == url


def test_a_bucket_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "find_spec", lambda name: object())
    storage = bucket.bucket_storage("films", "https://cdn.example.org/films/", "", "eu-west-1")
    assert storage["BACKEND"] == "storages.backends.s3.S3Storage"
    options = storage["OPTIONS"]
    assert options["bucket_name"] == "films"
    assert (options["url_protocol"], options["custom_domain"]) == (
        "https:",
        "cdn.example.org/films",
    )
    assert options["querystring_auth"] is False
    assert "immutable" in options["object_parameters"]["CacheControl"]
