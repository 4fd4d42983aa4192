"""movies.clean_media: what no movie names any more goes, and nothing else."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import transaction
from django.utils import timezone

from cinema import locks
from movies import tasks
from movies.media import services
from movies.media.services import clean_media
from movies.services import delete_movie
from tests.builders import Client, make_movie, make_screening
from tests.concurrency import and_disconnect
from tests.uploads import (
    candidates,
    encoded,
    fetched,
    files_in,
    picture,
    uploaded_poster,
    uploaded_trailer,
)

T = TypeVar("T")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def age(media: Path, *, hours: float = 2) -> None:
    """Make all files that there are so much older."""
    then = time.time() - hours * 3600
    for name in files_in(media):
        os.utime(media / name, (then, then), follow_symlinks=False)


def test_a_replaced_poster_and_trailer_are_deleted(staff: Client, media: Path) -> None:
    movie = make_movie()
    uploaded_poster(staff, movie)
    uploaded_trailer(staff, movie)
    before = files_in(media)
    uploaded_poster(staff, movie, encoded(picture((300, 300))))
    staff.patch(f"/movies/{movie.pk}", {"trailer": "https://example.org/trailer"})
    named = files_in(media) - before
    age(media)
    assert clean_media() == len(before)
    assert files_in(media) == named != set()


def test_a_deleted_movies_files_go_and_a_withdrawn_ones_stay(staff: Client, media: Path) -> None:
    withdrawn, deleted = make_screening().movie, make_movie()
    uploaded_poster(staff, withdrawn)
    kept = files_in(media)
    uploaded_poster(staff, deleted, encoded(picture((300, 300))))
    for movie in (withdrawn, deleted):
        delete_movie(movie_id=movie.pk, force=True)
    age(media)
    assert clean_media() > 0
    assert files_in(media) == kept


def test_a_file_that_two_movies_share_stays_while_one_has_it(staff: Client, media: Path) -> None:
    movies = [make_movie(), make_movie()]
    urls = {uploaded_trailer(staff, movie) for movie in movies}
    assert len(urls) == 1
    age(media)
    for movie, deleted in zip(movies, (0, 1), strict=True):
        staff.delete(f"/movies/{movie.pk}/trailer")
        assert clean_media() == deleted


def test_a_young_file_stays_for_as_long_as_is_set(
    staff: Client, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded_trailer(staff, movie := make_movie())
    staff.delete(f"/movies/{movie.pk}/trailer")
    age(media, hours=0)
    assert clean_media() == 0
    monkeypatch.setattr("movies.media.services.MEDIA_KEPT_S", 7200)
    assert clean_media(now=timezone.now() + timedelta(seconds=7100)) == 0
    assert clean_media(now=timezone.now() + timedelta(seconds=7300)) == 1
    assert files_in(media) == set()


def test_files_of_an_unfinished_upload_are_deleted(media: Path) -> None:
    (media / "posters").mkdir(parents=True)
    (media / "posters" / ".unfinished-x1").write_bytes(b"half")
    age(media, hours=0)
    assert clean_media() == 0
    age(media)
    assert clean_media() == 1


def test_foreign_files_are_never_touched(media: Path) -> None:
    strangers = {
        "readme.txt",
        "posters/logo.jpg",
        "posters/" + "a" * 32 + ".jpg",
        "posters/" + "a" * 32 + "-320.png",
        "posters/sub/" + "a" * 32 + "-320.jpg",
        "trailers/" + "A" * 32 + ".mp4",
        "trailers/" + "a" * 32 + ".mov",
        "other/" + "a" * 32 + ".mp4",
    }
    for name in strangers:
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_text("mine")
    (media.parent / "outside").write_text("mine")
    (media / "trailers" / ("b" * 32 + ".mp4")).symlink_to(media.parent / "outside")
    age(media, hours=1000)
    clean_media()
    assert files_in(media) - {"trailers/" + "b" * 32 + ".mp4"} == strangers
    assert (media.parent / "outside").exists()


def test_cleaning_without_uploads_does_nothing(media: Path) -> None:
    assert clean_media() == 0
    assert not media.exists()


def test_hundreds_of_orphans_take_few_queries(
    media: Path, django_assert_max_num_queries: Any
) -> None:
    (media / "trailers").mkdir(parents=True)
    for number in range(250):
        (media / "trailers" / f"{number:032x}.mp4").write_bytes(b"")
    age(media)
    with django_assert_max_num_queries(1 + 3 * 4):
        assert clean_media() == 250


def test_the_task_runs_by_the_clock_and_once_at_a_time(
    staff: Client, media: Path, settings: Any
) -> None:
    assert settings.CELERY_BEAT_SCHEDULE["movies.clean_media"]["schedule"] == 3600
    uploaded_trailer(staff, movie := make_movie())
    staff.delete(f"/movies/{movie.pk}/trailer")
    age(media)
    tasks.clean_media()
    tasks.clean_media()
    assert files_in(media) == set()


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_is_about_to_use_an_old_file_keeps_it(staff: Client, media: Path) -> None:
    """The same image lay there unused, and a row names it just now."""
    uploaded_poster(staff, movie := make_movie())
    files = files_in(media)
    staff.delete(f"/movies/{movie.pk}/poster")
    age(media)
    with transaction.atomic():
        services.set_poster(movie_id=movie.pk, file=io.BytesIO(encoded(picture())))
        assert in_another_connection(clean_media) == 0
    assert clean_media() == 0
    assert files_in(media) == files


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_cleaned_up_during_its_upload_is_saved_again(
    staff: Client, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the saving, which finds an old one there, and the row's change."""
    uploaded_poster(staff, movie := make_movie())
    staff.delete(f"/movies/{movie.pk}/poster")
    age(media)
    cleaned: list[int] = []

    def clean_first(name: str) -> None:
        cleaned.append(in_another_connection(clean_media))
        locks.hold_shared(name)

    monkeypatch.setattr("movies.media.services.hold_shared", clean_first)
    answer = uploaded_poster(staff, movie)
    assert cleaned == [4]
    for url in candidates(answer["srcset"]["webp"]).values():
        assert fetched(staff, url).status == 200


@pytest.mark.django_db(transaction=True)
def test_a_file_referenced_again_before_its_deletion_is_kept(
    staff: Client, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing, in which nothing names it, and the deletion."""
    uploaded_poster(staff, movie := make_movie())
    files = files_in(media)
    staff.delete(f"/movies/{movie.pk}/poster")
    age(media)

    def upload_first(name: str) -> bool:
        in_another_connection(lambda: uploaded_poster(staff, movie))
        return locks.try_hold_exclusive(name)

    monkeypatch.setattr("movies.media.services.try_hold_exclusive", upload_first)
    assert clean_media() == 0
    assert files_in(media) == files


def in_another_connection(call: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(and_disconnect, call).result()
