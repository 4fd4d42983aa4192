"""PUT and DELETE /movies/{id}/poster: what a movie shows afterwards."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from movies import selectors
from movies.errors import FileTooLarge
from movies.media import services
from movies.media.files import poster_url
from movies.models import Movie
from movies.services import delete_movie
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import programme, while_uncommitted
from tests.concurrency import at_once
from tests.uploads import (
    candidates,
    decoded,
    encoded,
    fetched,
    files_in,
    picture,
    upload,
    uploaded_poster,
)

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "fresh_and_alone")]


def test_a_poster_comes_in_three_widths_and_two_formats(staff: Client, anonymous: Client) -> None:
    answer = uploaded_poster(staff, make_movie(), encoded(picture((2000, 3000))))
    assert answer.keys() == {"poster", "srcset"}
    for form in ("webp", "jpeg"):
        urls = candidates(answer["srcset"][form])
        assert list(urls) == [320, 640, 1280]
        for width, url in urls.items():
            found = fetched(anonymous, url)
            assert found.status == 200
            assert found.headers["Content-Type"] == f"image/{form}"
            image = decoded(found.body)
            assert image.format == form.upper()
            assert image.size == (width, width * 3 // 2)
    assert answer["poster"] == candidates(answer["srcset"]["jpeg"])[1280]


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        ((1, 1), [1]),
        ((200, 300), [200]),
        ((320, 480), [320]),
        ((500, 200), [320, 500]),
        ((1000, 1500), [320, 640, 1000]),
        ((1281, 1000), [320, 640, 1280]),
        ((700, 3500), [320, 640, 700]),
    ],
)
def test_no_poster_is_made_larger(staff: Client, size: tuple[int, int], widths: list[int]) -> None:
    answer = uploaded_poster(staff, make_movie(), encoded(picture(size)))
    assert list(candidates(answer["srcset"]["webp"])) == widths


def test_the_upload_is_the_movies_poster_wherever_it_is_shown(
    staff: Client, anonymous: Client
) -> None:
    movie = make_movie(poster="https://example.org/a.jpg")
    make_screening(movie)
    assert programme(anonymous)["days"]  # and is kept in memory
    answer = uploaded_poster(staff, movie)
    [listed] = anonymous.get("/movies").json()["data"]
    [planned] = [m for day in programme(anonymous)["days"] for m in day["movies"]]
    for shown in (listed, planned, anonymous.get(f"/movies/{movie.pk}").json()):
        assert shown["poster"] == answer["poster"]
        assert shown["poster_srcset"] == answer["srcset"]


def test_uploads_make_a_list_take_no_more_queries(staff: Client, anonymous: Client) -> None:
    movies = [make_movie() for _ in range(3)]
    with CaptureQueriesContext(connection) as without:
        anonymous.get("/movies", per_page=50)
    for movie in movies:
        uploaded_poster(staff, movie)
    with CaptureQueriesContext(connection) as with_uploads:
        shown = anonymous.get("/movies", per_page=50).json()["data"]
    assert all(movie["poster_srcset"] for movie in shown)
    assert len(with_uploads) == len(without) > 0


def test_the_same_image_again_has_the_same_names(staff: Client, media: Path) -> None:
    first = uploaded_poster(staff, movie := make_movie())
    files = files_in(media)
    assert uploaded_poster(staff, movie) == first
    assert uploaded_poster(staff, make_movie()) == first
    assert files_in(media) == files


def test_a_new_image_replaces_the_poster(staff: Client, anonymous: Client) -> None:
    first = uploaded_poster(staff, movie := make_movie())
    second = uploaded_poster(staff, movie, encoded(picture((300, 300))))
    assert second["poster"] != first["poster"]
    assert anonymous.get(f"/movies/{movie.pk}").json()["poster"] == second["poster"]
    # A viewer who has the old page open still sees its picture.
    assert fetched(anonymous, first["poster"]).status == 200


@pytest.mark.parametrize(
    ("width", "shown"), [(None, 1280), (1, 320), (320, 320), (321, 640), (1280, 1280), (4000, 1280)]
)
def test_a_page_uses_the_smallest_image_that_is_wide_enough(width: int | None, shown: int) -> None:
    stem = "posters/" + "a" * 32
    movie = Movie(poster_upload=stem, poster_widths=[320, 640, 1280], poster="https://e.org/a.jpg")
    assert poster_url(movie, width) == f"http://127.0.0.1:8000/media/{stem}-{shown}.jpg"


@pytest.mark.parametrize("address", ["https://example.org/b.jpg", None])
def test_an_address_takes_the_uploads_place(staff: Client, address: str | None) -> None:
    uploaded_poster(staff, movie := make_movie())
    changed = staff.patch(f"/movies/{movie.pk}", {"poster": address}).json()
    assert (changed["poster"], changed["poster_srcset"]) == (address, None)
    movie.refresh_from_db()
    assert (movie.poster_upload, movie.poster_widths) == ("", [])


def test_an_upload_stays_when_its_own_address_is_sent_back(staff: Client) -> None:
    answer = uploaded_poster(staff, movie := make_movie())
    fields = {"poster": answer["poster"], "overview": "New."}
    changed = staff.patch(f"/movies/{movie.pk}", fields).json()
    assert (changed["poster"], changed["poster_srcset"]) == (answer["poster"], answer["srcset"])
    assert changed["overview"] == "New."


@pytest.mark.parametrize("uploaded", [True, False])
def test_a_poster_is_deleted_once(staff: Client, uploaded: bool) -> None:
    movie = make_movie(poster="https://example.org/a.jpg")
    if uploaded:
        uploaded_poster(staff, movie)
    assert staff.delete(f"/movies/{movie.pk}/poster").status_code == 204
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["poster"], shown["poster_srcset"]) == (None, None)
    again = staff.delete(f"/movies/{movie.pk}/poster")
    assert (again.status_code, again.json()["detail"]) == (404, f"Movie {movie.pk} has no poster.")


def test_an_uploaded_poster_replaces_the_one_from_tmdb_for_good(staff: Client) -> None:
    movie = make_movie(poster="https://image.tmdb.org/a.jpg")
    Movie.objects.update(tmdb_fields=["poster", "overview"])
    uploaded_poster(staff, movie)
    movie.refresh_from_db()
    assert (movie.tmdb_fields, movie.poster) == (["overview"], None)


def test_only_staff_may_and_nobody_elses_file_is_read(anonymous: Client, viewer: Client) -> None:
    path = f"/movies/{make_movie().pk}/poster"
    for client, status in ((anonymous, 401), (viewer, 403)):
        assert upload(client, path, b"x" * 11 * 1024 * 1024).status_code == status
        assert client.delete(path).status_code == status


def test_a_movie_that_is_not_there_has_no_poster(staff: Client, media: Path) -> None:
    withdrawn = make_screening().movie
    delete_movie(movie_id=withdrawn.pk, force=True)
    for movie_id in (withdrawn.pk, 10**12, 10**30):
        path = f"/movies/{movie_id}/poster"
        assert upload(staff, path, encoded(picture())).status_code == 404
        assert staff.delete(path).status_code == 404
    assert files_in(media) == set()


@pytest.mark.django_db(transaction=True)
def test_the_later_of_simultaneous_uploads_remains_with_its_files(
    staff: Client, anonymous: Client
) -> None:
    movie = make_movie()
    images = [encoded(picture((400, height))) for height in (400, 500, 600, 700)]
    answers = at_once([partial(uploaded_poster, staff, movie, image) for image in images])
    shown = anonymous.get(f"/movies/{movie.pk}").json()
    assert shown["poster"] in {answer["poster"] for answer in answers}
    for url in candidates(shown["poster_srcset"]["webp"]).values():
        assert fetched(anonymous, url).status == 200


@pytest.mark.django_db(transaction=True)
def test_an_upload_for_a_movie_deleted_meanwhile_is_404(staff: Client) -> None:
    movie = make_movie()
    answer = while_uncommitted(
        partial(delete_movie, movie_id=movie.pk),
        lambda: upload(staff, f"/movies/{movie.pk}/poster", encoded(picture())),
    )
    assert answer.status_code == 404
    with pytest.raises(Exception, match="no movie"):
        selectors.get_movie(movie.pk)


def test_the_admin_site_may_upload_no_more_than_the_api(settings: Settings) -> None:
    """Whatever reads the file, the service that keeps it looks at its size."""
    settings.POSTER_MAX_MB = settings.TRAILER_MAX_MB = 1
    movie = make_movie()
    for set_file in (services.set_poster, services.set_trailer):
        with pytest.raises(FileTooLarge, match="The file may have at most 1 MB"):
            set_file(movie_id=movie.pk, file=io.BytesIO(encoded(picture()).ljust(1024**2 + 1)))
