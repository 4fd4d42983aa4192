"""The admin pages, filled in as a browser does."""

from __future__ import annotations

import uuid
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client as Browser
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from movies import services
from movies.models import CatalogueVersion, Genre, Hall, Movie, Screening
from recommendations.models import Interaction, Release, TrainingRun
from tests.builders import interact, make_movie, make_screening, make_user
from users.models import RefreshToken, User

pytestmark = pytest.mark.django_db

admin.autodiscover()
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
WRITTEN_BY_THE_SERVER = {CatalogueVersion, RefreshToken, Release, TrainingRun}


class Form(HTMLParser):
    """The values that a page's fields hold, by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._name = ""
        self._is_text = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attributes}
        name = found.get("name", "")
        is_ticked = found.get("type") not in ("checkbox", "radio") or "checked" in found
        if tag == "input" and name and found.get("type") != "submit" and is_ticked:
            self.values[name] = found.get("value", "on" if "checked" in found else "")
        elif tag == "select":
            self._name = name
            if "multiple" in found:
                self.values[name] = []
        elif tag == "option" and "selected" in found:
            if isinstance(self.values.get(self._name), list):
                self.values[self._name].append(found.get("value", ""))
            else:
                self.values[self._name] = found.get("value", "")
        elif tag == "textarea":
            self._name, self._is_text, self.values[name] = name, True, ""

    def handle_data(self, data: str) -> None:
        if self._is_text:
            self.values[self._name] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._is_text = False
            # The line end after the tag is the page's, not the value's.
            self.values[self._name] = self.values[self._name].removeprefix("\n").strip("\r\n")


def page(model: type[Model], name: str, pk: object = None) -> str:
    prefix = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    return prefix + (f"{pk}/{name}/" if pk is not None else f"{name}/" if name else "")


def fill_in(browser: Browser, path: str, **values: Any) -> str:
    """Open a form, change the values and save; what went wrong, or nothing."""
    opened = browser.get(path)
    assert opened.status_code == 200
    answer = browser.post(path, {**Form(opened.content.decode()).values, **values})
    if answer.status_code == 302:
        return ""
    assert answer.status_code == 200
    return " ".join(str(error) for errors in answer.context["errors"] for error in errors)


@pytest.fixture
def one_of_each() -> dict[type[Model], Model]:
    user = make_user()
    screening = make_screening(make_movie(genres=["drama"]))
    now = timezone.now()
    release = Release.objects.create(users=1, items=1, interactions=1, training_s=1)
    return {
        type(row): row
        for row in (
            user,
            screening,
            screening.movie,
            screening.hall,
            Genre.objects.get(),
            CatalogueVersion.objects.get(),
            interact(user, screening.movie),
            release,
            TrainingRun.objects.create(release=release),
            Group.objects.create(name="Box office"),
            RefreshToken.objects.create(
                user=user, family=uuid.uuid4(), token_hash=b"x", expires_at=now
            ),
            TaskResult.objects.create(task_id="1", result='"done"'),
            GroupResult.objects.create(group_id="1"),
        )
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_pages_of_every_model_open(
    admin_client: Browser, one_of_each: dict[type[Model], Model], model: type[Model]
) -> None:
    row = one_of_each[model]
    for query in ({}, {"q": "Movie 'x"}, {"o": "1"}, {"o": "-2"}, {"p": "1"}):
        assert admin_client.get(page(model, ""), query).status_code == 200
    assert admin_client.get(page(model, "change", row.pk)).status_code == 200
    assert admin_client.get(page(model, "history", row.pk)).status_code == 200
    may_add = admin_client.get(page(model, "add")).status_code
    assert may_add == (403 if model in WRITTEN_BY_THE_SERVER else 200)


@pytest.mark.parametrize("path", ["/admin/", "/admin/movies/movie/", "/admin/users/user/add/"])
def test_who_is_not_staff_is_sent_to_the_sign_in(client: Browser, path: str) -> None:
    for user in (None, make_user(), make_user(is_staff=True, is_active=False)):
        if user:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_staff_sign_in_with_address_and_password(client: Browser) -> None:
    make_user(email="staff@example.org", password="projector room", is_staff=True)
    who = {"username": "Staff@Example.org", "password": "projector room"}
    assert client.post("/admin/login/", {**who, "password": "wrong"}).status_code == 200
    assert client.post("/admin/login/?next=/admin/", who).status_code == 302
    assert client.get("/admin/").status_code == 200


# --- movies


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


def test_what_changes_while_a_movies_form_is_open_is_not_overwritten(
    admin_client: Browser,
) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=1))
    path = page(Movie, "change", movie.pk)
    form = Form(admin_client.get(path).content.decode()).values
    services.tick_ranking()
    interact(make_user(), movie, "rating", half_stars=8)
    services.update_movie(movie_id=movie.pk, fields={"runtime_minutes": 91})
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
        "start_date": timezone.localdate(),
        "status": chosen,
    }
    assert fill_in(admin_client, page(Movie, "add"), **values) == ""
    movie = Movie.objects.get()
    assert movie.protagonists == ["Corinne Marchand", "Sammy Davis, Jr."]
    assert (movie.status, movie.status_is_manual) == (status, is_manual)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": " "}, "required"),
        ({"name": "standing"}, "already"),
        ({"name": "STANDING "}, "already"),
        ({"slug": "standing"}, "already exists"),
        ({"tmdb_id": 499}, "already exists"),
        ({"tmdb_id": 2**31}, "less than"),
        ({"end_date": "1990-01-01"}, "violated"),
        ({"protagonists": "\r\n"}, "required"),
        ({"protagonists": "x\r\n" * 101}, "violated"),
        ({"release_year": 1}, "violated"),
        ({"runtime_minutes": 0}, "violated"),
        ({"poster": "javascript:alert(1)"}, "valid URL"),
        ({"name": "a\x00"}, "Null characters"),
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


def test_a_movie_in_use_is_not_deleted(admin_client: Browser) -> None:
    movie = make_screening().movie
    answer = admin_client.post(page(Movie, "delete", movie.pk), {"post": "yes"})
    assert answer.status_code == 200
    assert b"protected" in answer.content
    assert Movie.objects.filter(pk=movie.pk).exists()
    Screening.objects.all().delete()
    answer = admin_client.post(page(Movie, "delete", movie.pk), {"post": "yes"})
    assert answer.status_code == 302
    assert not Movie.objects.exists()


# --- screenings and halls


def test_a_screening_saved_as_it_was_stays_as_it_was(admin_client: Browser) -> None:
    screening = make_screening(tags=["q&a, live", "35mm"], language="de")
    before = Screening.objects.values().get()
    assert fill_in(admin_client, page(Screening, "change", screening.pk)) == ""
    after = Screening.objects.values().get()
    assert {**after, "updated_at": None} == {**before, "updated_at": None}


def test_a_tag_given_in_the_admin_is_found_by_the_api(admin_client: Browser) -> None:
    screening = make_screening()
    path = page(Screening, "change", screening.pk)
    assert fill_in(admin_client, path, tags="35MM\r\nQ&A") == ""
    found = admin_client.get("/api/v1/screenings", {"tag": "35mm"}).json()["data"]
    assert [each["tags"] for each in found] == [["35mm", "q&a"]]


def test_a_screening_in_a_taken_hall_is_refused_in_the_form(admin_client: Browser) -> None:
    first = make_screening()
    second = make_screening(first.movie)
    path = page(Screening, "change", second.pk)
    assert "screening_hall_is_free" in fill_in(admin_client, path, hall=first.hall_id)
    assert fill_in(admin_client, path, hall=first.hall_id, state="cancelled") == ""
    assert "screening_ends_after_start" in fill_in(admin_client, path, ends_at_0="2020-01-01")


def test_a_hall_has_its_name_alone(admin_client: Browser) -> None:
    assert fill_in(admin_client, page(Hall, "add"), name="Large") == ""
    assert "violated" in fill_in(admin_client, page(Hall, "add"), name="LARGE")
    make_screening(hall="Large")
    hall = Hall.objects.get(name="Large")
    answer = admin_client.post(page(Hall, "delete", hall.pk), {"post": "yes"})
    assert b"protected" in answer.content


# --- other apps


def test_a_viewer_is_added_with_an_address_in_lower_case(admin_client: Browser) -> None:
    password = dict.fromkeys(["password1", "password2"], "clé de 5 à 7")
    values = {"email": "Agnes@Example.org", "usable_password": "true", **password}
    assert fill_in(admin_client, page(User, "add"), **values) == ""
    assert User.objects.filter(email="agnes@example.org").exists()


def test_an_interaction_that_breaks_a_rule_is_refused_in_the_form(admin_client: Browser) -> None:
    interaction = interact(make_user(), make_movie())
    path = page(Interaction, "change", interaction.pk)
    assert "violated" in fill_in(admin_client, path, half_stars=3)
    assert fill_in(admin_client, path, kind=Interaction.Kind.HIDE) == ""
