"""A film's pages in the admin site."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from cinema.audit.models import AuditEntry
from movies import scheduled_updates, services
from movies.days import Week
from movies.models import Movie, Screening
from movies.tmdb.models import SyncReport
from tests.admin_pages import Form, choose, fill_in, page
from tests.builders import Client, at, change_movie, interact, make_movie, make_screening, make_user

pytestmark = pytest.mark.django_db

FILMS = page(Movie, "")


def listed(browser: Browser, **query: Any) -> list[str]:
    answer = browser.get(FILMS, query)
    assert answer.status_code == 200
    return sorted(film.name for film in answer.context["cl"].result_list)


def without_time_of_editing(movie: Movie) -> dict[str, object]:
    movie.refresh_from_db()
    names = [field.name for field in movie._meta.concrete_fields if field.name != "updated_at"]
    return {**{name: getattr(movie, name) for name in names}, "genres": [*movie.genres.all()]}


def test_a_movie_saved_as_it_was_stays_as_it_was(admin_client: Browser) -> None:
    movie = make_movie(
        protagonists=["Sammy Davis, Jr.", "Agnès Varda"],
        overview="Two lines.\nAnd a comma, here.",
        genres=["drama", "music"],
        end_date=timezone.localdate(),
        poster="https://example.org/a.jpg",
    )
    make_screening(movie, tags=["35mm", "q&a, live"])
    before = without_time_of_editing(movie)
    assert fill_in(admin_client, page(Movie, "change", movie.pk)) == ""
    assert without_time_of_editing(movie) == before


def test_changes_made_while_a_movies_form_is_open_are_not_overwritten(
    admin_client: Browser,
) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=1))
    path = page(Movie, "change", movie.pk)
    form = Form(admin_client.get(path).content.decode()).values
    scheduled_updates.tick_ranking()
    interact(make_user(), movie, "rating", half_stars=8)
    change_movie(movie, runtime_minutes=91)
    changed = {**form, "name": "New", "runtime_minutes": 91}
    assert admin_client.post(path, changed).status_code == 302
    movie.refresh_from_db()
    assert (movie.name, movie.runtime_minutes) == ("New", 91)
    assert (movie.ranking, movie.rating_count, movie.rating_average) == (10, 1, 4.0)


def test_a_status_chosen_by_hand_is_manual_and_an_empty_one_goes_by_the_dates(
    admin_client: Browser,
) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=9))
    path = page(Movie, "change", movie.pk)

    def state() -> tuple[str, bool]:
        movie.refresh_from_db()
        return movie.status, movie.status_is_manual

    assert fill_in(admin_client, path, name="Other") == ""
    assert state() == ("coming-up", False)
    assert fill_in(admin_client, path, status="running") == ""
    assert state() == ("running", True)
    assert fill_in(admin_client, path, name="Third") == ""
    assert state() == ("running", True)
    assert fill_in(admin_client, path, status="") == ""
    assert state() == ("coming-up", False)
    assert fill_in(admin_client, path, start_date=timezone.localdate()) == ""
    assert state() == ("starting", False)


@pytest.mark.parametrize(
    ("chosen", "status", "is_manual"), [("", "starting", False), ("running", "running", True)]
)
def test_a_movie_is_added(admin_client: Browser, chosen: str, status: str, is_manual: bool) -> None:
    values = {
        "name": "Cléo",
        "slug": "cleo",
        "protagonists": "Corinne Marchand\r\nSammy Davis, Jr.\r\n\r\n",
        "directors": "Agnès Varda\r\n",
        "series": " Cléo ",
        "start_date": timezone.localdate(),
        "status": chosen,
    }
    assert fill_in(admin_client, page(Movie, "add"), **values) == ""
    movie = Movie.objects.get()
    assert movie.protagonists == ["Corinne Marchand", "Sammy Davis, Jr."]
    assert (movie.directors, movie.series) == (["Agnès Varda"], "Cléo")
    assert (movie.status, movie.status_is_manual) == (status, is_manual)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": " "}, "required"),
        ({"name": "standing"}, "has the same name and start date"),
        ({"name": "STANDING "}, "has the same name and start date"),
        ({"slug": "standing"}, "already exists"),
        ({"tmdb_id": 499}, "already exists"),
        ({"tmdb_id": 2**31}, "less than"),
        ({"end_date": "1990-01-01"}, "end_date lies before start_date"),
        ({"protagonists": "\r\n"}, "required"),
        ({"protagonists": "x\r\n" * 101}, "at most 100"),
        ({"directors": "x\r\n" * 21}, "at most 20 items"),
        ({"series": "x" * 201}, "at most 200"),
        ({"release_year": 1}, "greater than or equal to 1870"),
        ({"runtime_minutes": 0}, "greater than or equal to 1"),
        ({"poster": "javascript:alert(1)"}, "valid URL"),
        ({"name": "a\x00"}, "Null characters"),
        ({"name": "\u200b"}, "blank"),
        ({"original_language": "French"}, "BCP 47"),
        ({"slug": "no spaces"}, "slug"),
        ({"overview": "x" * 10_001}, "at most 10000"),
    ],
)
def test_a_movie_that_breaks_a_rule_is_refused_in_the_form(
    admin_client: Browser, values: dict[str, object], complaint: str
) -> None:
    today = timezone.localdate()
    make_movie(name="Standing", start_date=today, tmdb_id=499)
    movie = {"name": "Cléo", "slug": "cleo", "protagonists": "A", "start_date": today}
    assert complaint in fill_in(admin_client, page(Movie, "add"), **{**movie, **values})
    assert Movie.objects.count() == 1


def test_a_movie_that_is_needed_is_withdrawn_and_another_deleted(admin_client: Browser) -> None:
    needed, other = make_screening().movie, make_movie()
    path = page(Movie, "delete", needed.pk)
    assert "withdrawn, as it has 1 screenings" in admin_client.get(path).content.decode()
    for movie in (needed, other):
        answer = admin_client.post(page(Movie, "delete", movie.pk), {"post": "yes"})
        assert answer.status_code == 302
    needed.refresh_from_db()
    assert needed.withdrawn_at
    assert [one.state for one in needed.screenings.all()] == ["cancelled"]
    assert not Movie.objects.filter(pk=other.pk).exists()
    assert admin_client.post(path, {"post": "yes"}).status_code == 403


def test_withdrawn_movies_are_found_by_a_filter_and_brought_back(admin_client: Browser) -> None:
    day = timezone.localdate()
    movies = [make_movie(name=name, start_date=day) for name in ("Cléo", "Vagabond")]
    for movie in movies:
        interact(make_user(), movie)
    said = choose(admin_client, FILMS, "delete_selected", *movies, post="yes")
    assert "2 deleted, or withdrawn" in said
    assert listed(admin_client) == []
    assert listed(admin_client, catalogue="withdrawn") == ["Cléo", "Vagabond"]
    make_movie(name="Vagabond", start_date=day)
    said = choose(admin_client, f"{FILMS}?catalogue=withdrawn", "restore", *movies)
    assert "1 brought back" in said
    assert "has the same name and start date" in said
    assert listed(admin_client) == ["Cléo", "Vagabond"]
    movies[0].refresh_from_db()
    assert (movies[0].withdrawn_at, movies[0].slug) == (None, "cleo")


def test_movies_are_filtered(admin_client: Browser) -> None:
    today = timezone.localdate()
    monday = today - timedelta(days=today.weekday())
    make_movie(name="No screening", genres=["drama"], poster="https://example.org/a.jpg")
    now = make_movie(name="Now", original_language="de", genres=["drama"])
    make_screening(now, starts_at=at(monday + timedelta(days=6), 23))
    # Sunday night belongs to the week that ends.
    late = make_movie(name="Late", start_date=today + timedelta(days=1))
    make_screening(late, starts_at=at(monday + timedelta(days=7), 1))
    later = make_movie(name="Later")
    make_screening(later, starts_at=at(monday + timedelta(days=7), 18))
    off = make_movie(name="Off")
    make_screening(off, starts_at=at(monday + timedelta(days=6), 18), state="cancelled")
    drama = now.genres.get().pk
    assert listed(admin_client, week=str(monday)) == ["Late", "Now"]
    assert listed(admin_client, week=str(monday + timedelta(days=9))) == ["Later"]
    assert listed(admin_client, status__exact="coming-up") == ["Late"]
    assert listed(admin_client, genre=drama) == ["No screening", "Now"]
    assert listed(admin_client, language="de") == ["Now"]
    assert len(listed(admin_client, genre="drama")) == 5
    assert listed(admin_client, poster="yes") == ["No screening"]
    assert listed(admin_client, poster="no", language="de") == ["Now"]
    for nonsense in ("x", "0001-01-01", "9999-12-31", "2026-02-30", "'; DROP TABLE"):
        assert len(listed(admin_client, week=nonsense, genre=nonsense)) == 5
    assert listed(admin_client, genre="9" * 18) == []


def test_films_are_found_as_viewers_find_them(admin_client: Browser) -> None:
    make_movie(name="Amélie", protagonists=["Audrey Tautou"])
    gone = make_movie(name="Amelie's sister")
    interact(make_user(), gone)
    services.delete_movie(movie_id=gone.pk, force=True)
    assert listed(admin_client, q="amelie") == ["Amélie"]
    assert listed(admin_client, q="taut") == ["Amélie"]
    assert listed(admin_client, q="amelie", catalogue="withdrawn") == ["Amelie's sister"]
    assert listed(admin_client, q="'\";%_\\") == []
    where = {"app_label": "movies", "model_name": "screening", "field_name": "movie"}
    answer = admin_client.get("/admin/autocomplete/", {**where, "term": "amelie"})
    assert [each["text"] for each in answer.json()["results"]] == ["Amélie"]


def test_a_film_edited_in_the_admin_site_is_found_at_once(
    admin_client: Browser, anonymous: Client
) -> None:
    movie = make_movie(name="Cleo")
    assert fill_in(admin_client, page(Movie, "change", movie.pk), overview="A singer") == ""
    found = anonymous.get("/movies", q="singer").json()["data"]
    assert [each["id"] for each in found] == [movie.pk]


def test_films_are_refreshed_from_tmdb_where_there_is_a_token(
    admin_client: Browser, settings: Any
) -> None:
    known, other = make_movie(tmdb_id=499), make_movie()
    settings.TMDB_ACCESS_TOKEN = ""
    assert "refresh_from_tmdb" not in admin_client.get(FILMS).content.decode()
    choose(admin_client, FILMS, "refresh_from_tmdb", known)
    assert not SyncReport.objects.exists()
    settings.TMDB_ACCESS_TOKEN = "a token"[2:]
    assert "refresh_from_tmdb" in admin_client.get(FILMS).content.decode()
    assert "None of these films" in choose(admin_client, FILMS, "refresh_from_tmdb", other)
    assert "will refresh 1 film." in choose(admin_client, FILMS, "refresh_from_tmdb", known, other)
    report = SyncReport.objects.get()
    assert report.movie_ids == [known.pk]
    entry = AuditEntry.objects.get(model="tmdb-sync")
    assert (entry.object_id, entry.via) == (report.pk, "admin")


def test_a_list_of_any_length_takes_the_same_queries(
    admin_client: Browser, django_assert_num_queries: Any
) -> None:
    def count(rows: int) -> None:
        for _ in range(rows):
            make_screening(make_movie(genres=["drama"], poster="https://example.org/a.jpg"))
        # Session, user; how many, which; screenings to come; genres and languages to filter by.
        with django_assert_num_queries(7):
            assert admin_client.get(FILMS).status_code == 200

    count(1)
    count(20)


def test_a_status_is_set_for_several_and_given_back_to_the_dates(admin_client: Browser) -> None:
    movies = [make_movie(start_date=timezone.localdate() + timedelta(days=9)) for _ in range(2)]
    said = choose(admin_client, FILMS, "set_status_running", *movies)
    assert "2 set to “running”" in said
    assert {m.status for m in Movie.objects.all()} == {"running"}
    assert AuditEntry.objects.filter(model="movie", via="admin").count() == 2
    choose(admin_client, FILMS, "set_status_by_date", *movies)
    assert {m.status for m in Movie.objects.all()} == {"coming-up"}


def test_an_action_on_too_many_films_is_refused(
    admin_client: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movies.admin.actions.MAX_CHOSEN", 2)
    movies = [make_movie() for _ in range(3)]
    said = choose(admin_client, FILMS, "set_status_finished", movies[0], select_across="1")
    assert "Select at most 2" in said
    assert not Movie.objects.filter(status="finished").exists()


def test_the_weeks_screenings_are_copied_and_what_collides_is_told(admin_client: Browser) -> None:
    monday = Week.present().monday
    movie = make_movie(name="Cléo")
    for hall in ("Large", "Small"):
        make_screening(movie, hall=hall, starts_at=at(monday + timedelta(days=2), 20))
    other = make_screening(hall="Small", starts_at=at(monday + timedelta(days=9), 21))
    said = choose(admin_client, FILMS, "copy_weeks_screenings", movie)
    assert "1 screenings copied" in said
    assert other.movie.name in said
    copy = Screening.objects.get(hall__name="Large", starts_at__gt=at(monday + timedelta(7), 6))
    assert copy.starts_at == at(monday + timedelta(days=9), 20)
    Screening.objects.all().delete()
    assert "nothing to copy" in choose(admin_client, FILMS, "copy_weeks_screenings", movie)


def test_two_who_save_the_same_at_once_are_told_so(
    admin_client: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form has found nothing standing, and then somebody else was faster."""
    day = timezone.localdate()
    make_movie(name="Cléo", start_date=day)
    monkeypatch.setattr("movies.admin.forms.services.find_same_movie", lambda movie: None)
    values = {"name": "Cléo", "slug": "other", "protagonists": "A", "start_date": day}
    assert "has just saved the same" in fill_in(admin_client, page(Movie, "add"), **values)
    assert Movie.objects.count() == 1
