"""The admin site: who may see what, and that every page opens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.staticfiles import finders
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.test import Client as Browser
from django.utils import timezone
from django_celery_results.models import TaskResult

from cinema.audit.models import AuditEntry
from cinema.audit.recording import recording_as
from movies.models import Genre, Movie
from movies.tmdb.models import SyncReport, TmdbGenre
from recommendations.models import Interaction, Release, TrainingRun
from tests.admin_pages import Form, choose, fill_in, page
from tests.builders import interact, make_movie, make_screening, make_user
from tests.catalogue import while_uncommitted
from tests.experimenting import make_experiment
from tests.promoting import make_promotion
from tests.running import ROOT
from users.erasure import erase
from users.models import Session, User

pytestmark = pytest.mark.django_db

admin.autodiscover()
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
TO_LOOK_AT = {
    AuditEntry, Interaction, Session, Release, SyncReport, TaskResult, TmdbGenre, TrainingRun,
}  # fmt: skip
FOR_SUPERUSERS = {Interaction, Session, TaskResult, User}


@pytest.fixture
def staff_browser(client: Browser) -> Browser:
    """A member of staff who is no superuser."""
    return signed_in(client, make_user(is_staff=True))


def signed_in(browser: Browser, user: User) -> Browser:
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


@pytest.fixture
def one_of_each() -> dict[type[Model], Model]:
    user = make_user()
    with recording_as(via="command", path="test"):
        screening = make_screening(make_movie(genres=["drama"]))
    now = timezone.now()
    release = Release.objects.create(users=1, items=1, interactions=1, training_s=1)
    entry = AuditEntry.objects.first()
    assert entry
    return {
        type(row): row
        for row in (
            user,
            screening,
            screening.movie,
            screening.hall,
            entry,
            Genre.objects.get(),
            interact(user, screening.movie),
            release,
            TrainingRun.objects.create(release=release),
            Session.objects.create(user=user, expires_at=now),
            TaskResult.objects.create(task_id="1", result='"done"'),
            SyncReport.objects.create(kind="films", fetched_before=now),
            TmdbGenre.objects.create(tmdb_id=18, name="Drama", fetched_at=now),
            make_promotion(screening.movie),
            make_experiment(),
        )
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_pages_of_every_model_open(
    admin_client: Browser, one_of_each: dict[type[Model], Model], model: type[Model]
) -> None:
    row = one_of_each[model]
    for query in ({}, {"q": "Movie 'x"}, {"q": "x" * 500, "o": "-2", "p": "1"}):
        assert admin_client.get(page(model, ""), query).status_code == 200
    assert admin_client.get(page(model, "change", row.pk)).status_code == 200
    assert admin_client.get(page(model, "history", row.pk)).status_code == 200
    for name, pk in (("change", "9" * 30), ("history", "x"), ("delete", "-1")):
        assert admin_client.get(page(model, name, pk)).status_code in (302, 403)
    may_add = admin_client.get(page(model, "add")).status_code
    assert may_add == (403 if model in TO_LOOK_AT else 200)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_staff_see_the_programme_and_superusers_the_viewers(
    staff_browser: Browser, one_of_each: dict[type[Model], Model], model: type[Model]
) -> None:
    expected = 403 if model in FOR_SUPERUSERS else 200
    assert staff_browser.get(page(model, "")).status_code == expected
    assert staff_browser.get(page(model, "change", one_of_each[model].pk)).status_code == expected
    assert staff_browser.get(page(model, "history", one_of_each[model].pk)).status_code == expected


@pytest.mark.parametrize("path", ["/admin/", "/admin/movies/movie/", "/admin/users/user/add/"])
def test_others_are_redirected_from_the_admin_to_the_sign_in(client: Browser, path: str) -> None:
    for user in (None, make_user(), make_user(is_staff=True, is_active=False)):
        if user:
            signed_in(client, user)
        for answer in (client.get(path), client.post(path, {"name": "x"})):
            assert answer.status_code == 302
            assert answer["Location"].startswith("/admin/login/")


def test_staff_sign_in_with_address_and_password(client: Browser) -> None:
    make_user(email="staff@example.org", password="projector room", is_staff=True)
    who = {"username": "Staff@Example.org", "password": "projector room"}
    assert client.post("/admin/login/", {**who, "password": "wrong"}).status_code == 200
    assert client.post("/admin/login/?next=/admin/", who).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_the_sidebar_has_the_permitted_pages(staff_browser: Browser, settings: Any) -> None:
    settings.CINEMA_NAME = "Kino No. 5"
    html = staff_browser.get("/admin/").content.decode()
    for name in ("Films", "Screenings", "Halls", "Genres", "Promotions", "Releases", "Audit"):
        assert f"<span>{name}</span>" in html
    assert "<span>Viewers</span>" not in html


@pytest.mark.any_moment
def test_the_first_page_shows_today_and_what_was_changed_last(staff_browser: Browser) -> None:
    now = timezone.now()
    with recording_as(via="command", path="import_movies"):
        make_screening(make_movie(name="Cléo from 5 to 7"), starts_at=now, hall="Large")
    html = staff_browser.get("/admin/").content.decode()
    assert "Cléo from 5 to 7" in html
    assert "import_movies" in html


def test_the_pages_load_nothing_from_elsewhere(staff_browser: Browser) -> None:
    """A cinema whose line is down still cancels its screenings."""
    for path in ("/admin/", "/admin/movies/screening/", "/admin/movies/movie/add/"):
        links = staff_browser.get(path).content.decode().replace("'", '"').split('"')
        files = [link for link in links if link.startswith("/static/")]
        assert len(files) > 5
        for file in files:
            assert finders.find(file.removeprefix("/static/")), file
        assert not [link for link in links if link.startswith(("http:", "https:", "//"))]


def test_a_process_without_pages_does_not_load_them() -> None:
    code = "import django, sys; django.setup(); print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = printed.stdout.split()
    assert "movies.models" in loaded
    assert not {"unfold.sites", "unfold.widgets", "movies.admin"} & {*loaded}


def test_a_form_of_others_than_staff_cannot_fill_the_disk(client: Browser, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    large = SimpleUploadedFile("film.mp4", b"x" * 2000)
    assert client.post("/admin/login/", {"trailer_file": large}).status_code == 400
    signed_in(client, make_user(is_staff=True))
    large.seek(0)
    assert client.post(page(Movie, "add"), {"trailer_file": large}).status_code == 200


def test_the_search_that_would_not_fit_into_the_cache_is_not_offered(
    staff_browser: Browser,
) -> None:
    assert staff_browser.get("/admin/search/", {"s": "film"}).status_code == 404


def test_djangos_own_log_of_names_and_addresses_stays_empty(admin_client: Browser) -> None:
    assert fill_in(admin_client, page(Genre, "add"), name="Drama", slug="drama") == ""
    genre = Genre.objects.get()
    assert fill_in(admin_client, page(Genre, "change", genre.pk), name="Dramas") == ""
    choose(admin_client, page(Genre, ""), "delete_selected", genre, post="yes")
    assert not Genre.objects.exists()
    assert not LogEntry.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.filter(model="genre").order_by("id")] == [
        "create",
        "update",
        "delete",
    ]


def test_a_viewer_is_added_with_an_address_in_lower_case(admin_client: Browser) -> None:
    password = dict.fromkeys(["password1", "password2"], "clé de 5 à 7")
    values = {"email": "Agnes@Example.org", "usable_password": "true", **password}
    assert fill_in(admin_client, page(User, "add"), **values) == ""
    assert User.objects.filter(email="agnes@example.org").exists()


def test_a_viewers_rights_are_given_and_the_password_is_changed(admin_client: Browser) -> None:
    user = make_user(password="front row centre")
    path = page(User, "change", user.pk)
    assert fill_in(admin_client, path, is_staff="on") == ""
    user.refresh_from_db()
    assert user.is_staff
    assert user.check_password("front row centre")
    new = dict.fromkeys(["password1", "password2"], "clé de 5 à 7")
    fill_in(
        admin_client, f"{page(User, 'change', user.pk).removesuffix('change/')}password/", **new
    )
    user.refresh_from_db()
    assert user.check_password("clé de 5 à 7")


def test_interactions_are_read_only_in_the_admin(admin_client: Browser) -> None:
    interaction = interact(make_user(), make_movie())
    path = page(Interaction, "change", interaction.pk)
    assert admin_client.get(path).status_code == 200
    assert admin_client.post(path, {"kind": Interaction.Kind.HIDE}).status_code == 403


def _change_the_password(viewer: User) -> None:
    viewer.set_password("a new one")
    viewer.save()
    User.objects.filter(pk=viewer.pk).update(taste_version=7)


@pytest.mark.django_db(transaction=True)
def test_a_saved_form_leaves_what_the_viewer_changes_meanwhile(admin_client: Browser) -> None:
    viewer = make_user(name="Agnès")
    path = page(User, "change", viewer.pk)
    values = {**Form(admin_client.get(path).content.decode()).values, "name": "Other"}
    answer = while_uncommitted(
        partial(_change_the_password, viewer), partial(admin_client.post, path, values)
    )
    assert answer.status_code == 302
    viewer.refresh_from_db()
    assert viewer.check_password("a new one")
    assert (viewer.name, viewer.taste_version) == ("Other", 7)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("view", ["change", "password"])
def test_a_saved_form_does_not_bring_an_erased_viewer_back(
    admin_client: Browser, view: str
) -> None:
    viewer = make_user(name="Agnès")
    path = page(User, "change", viewer.pk)
    values = {**Form(admin_client.get(path).content.decode()).values, "name": "Other"}
    if view == "password":
        path = path.replace("/change/", "/password/")
        values = dict.fromkeys(("password1", "password2"), "projector room")
    answer = while_uncommitted(
        partial(erase, user_id=viewer.pk), partial(admin_client.post, path, values)
    )
    assert answer.status_code in (302, 404)
    assert not User.objects.filter(pk=viewer.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_a_new_password_gives_no_rights_back_and_restores_no_account() -> None:
    path, password = "/admin/password_change/", "projector room"
    values = {"old_password": password, "new_password1": "la pointe courte"}
    values["new_password2"] = values["new_password1"]

    make_user(is_staff=True, is_superuser=True)  # the last one could not be erased

    def answered(change: Callable[[User], object]) -> User | None:
        boss = make_user(password=password, is_staff=True, is_superuser=True)
        browser = Browser()
        assert browser.login(username=boss.email, password=password)
        answer = while_uncommitted(partial(change, boss), partial(browser.post, path, values))
        assert answer.status_code == 302
        return User.objects.filter(pk=boss.pk).first()

    demoted = answered(lambda boss: User.objects.filter(pk=boss.pk).update(is_superuser=False))
    assert demoted
    assert not demoted.is_superuser
    assert answered(lambda boss: erase(user_id=boss.pk)) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [User, Movie])
def test_a_form_that_is_sent_to_the_history_changes_nothing(
    admin_client: Browser, model: type[Model]
) -> None:
    row = make_movie() if model is Movie else make_user()
    answer = admin_client.post(page(model, "history", row.pk), {"name": "Other"})
    assert answer.status_code == 200
