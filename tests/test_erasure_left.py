"""The films' counts are left of an erased viewer; and there are other ways to the same end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.contrib import admin
from django.test import Client as Browser

from movies.models import CatalogueVersion, Movie
from recommendations.engine import artifacts
from recommendations.models import Interaction, Release
from recommendations.selectors import fingerprint
from tests.admin_pages import choose, messages, page
from tests.audience import current, make_audience, rate, say, train, train_release
from tests.belongings import (
    EMAIL,
    PASSWORD,
    counted,
    leave,
    make_known_viewer,
    tables_that_say,
)
from tests.builders import Client, interact, make_movie, make_user
from users.erasure import erase
from users.models import Playlist, User

pytestmark = pytest.mark.django_db

admin.autodiscover()


# --- what stays


def test_the_films_keep_count_and_average(viewer: Client) -> None:
    leaving = Client(make_user(password=PASSWORD))
    film, liked = make_movie(), make_movie()
    rate(viewer, film, 2)
    rate(leaving, film, 5)
    say(leaving, liked, "like")
    before = counted(film)
    assert before[:2] == (2, 3.5)
    assert leave(leaving).status_code == 204
    assert counted(film) == before
    assert Interaction.objects.count() == 1
    assert viewer.get(f"/movies/{film.pk}").json()["rating_count"] == 2


def test_a_single_rating_that_is_taken_back_is_not_counted(viewer: Client) -> None:
    film = make_movie()
    rate(viewer, film, 4)
    assert viewer.delete(f"/movies/{film.pk}/rating").status_code == 204
    assert counted(film) == (0, None, None)


def test_after_an_erasure_in_the_same_transaction_deletions_count_again(viewer: Client) -> None:
    film, leaving = make_movie(), make_user()
    for user in (viewer.user, leaving):
        interact(user, film, "rating", half_stars=8)
    erase(user_id=leaving.pk)
    assert counted(film)[0] == 2
    Interaction.objects.all().delete()
    assert counted(film)[:2] == (1, 4)


def test_only_the_erasure_of_public_data_renews_the_catalogue() -> None:
    def version() -> int:
        return CatalogueVersion.objects.get().version

    make_movie()
    hidden, shown = make_user(), make_user()
    Playlist.objects.create(user=hidden, name="Mine")
    Playlist.objects.create(user=shown, name="Ours", is_public=True)
    before = version()
    erase(user_id=hidden.pk)
    assert version() == before
    erase(user_id=shown.pk)
    assert version() == before + 1


# --- by staff


@pytest.fixture
def staff_browser(client: Browser) -> Browser:
    boss = make_user(is_staff=True, is_superuser=True, email="boss@example.org")
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_staff_erase_a_closed_account_in_the_same_way(staff_browser: Browser) -> None:
    viewer = make_known_viewer()
    film = Interaction.objects.get().movie
    before = counted(film)
    User.objects.filter(email=EMAIL).update(is_active=False)
    path = page(User, "delete", User.objects.get(email=EMAIL).pk)
    assert EMAIL in staff_browser.get(path).content.decode()
    assert "deleted" in messages(staff_browser.post(path, {"post": "yes"}, follow=True))
    assert viewer.get("/users/me").status_code == 401
    assert [*tables_that_say(EMAIL)] == []
    assert counted(film) == before


def test_staff_erase_several_at_once_and_the_last_superuser_stays(staff_browser: Browser) -> None:
    films, viewers = [make_movie() for _ in range(2)], [make_user() for _ in range(3)]
    for viewer in viewers:
        interact(viewer, films[0], "rating", half_stars=8)
    boss = User.objects.get(is_superuser=True)
    told = choose(staff_browser, page(User, ""), "delete_selected", *viewers, boss, post="yes")
    assert "superuser" in told
    assert [*User.objects.all()] == [boss]
    assert counted(films[0])[0] == 3
    told = messages(staff_browser.post(page(User, "delete", boss.pk), {"post": "yes"}, follow=True))
    assert "superuser" in told
    assert User.objects.count() == 1


# --- what is learnt


def test_a_release_trained_afterwards_knows_nothing_of_the_person(home: Path) -> None:
    make_audience(viewers_each=6, movies_each=5)
    leaving, film = make_user(), make_movie()
    interact(leaving, film, "rating", half_stars=10)
    first = train_release()
    assert is_learnt_from(first, leaving.pk, film)
    erase(user_id=leaving.pk)
    second = train_release()
    assert not is_learnt_from(second, leaving.pk, film)
    assert second.users == first.users - 1 == User.objects.count()
    assert second.interactions == first.interactions - 1 == Interaction.objects.count()


def is_learnt_from(release: Release, user_id: int, film: Movie) -> bool:
    """Whether the release names the viewer, or knows anything of the film that nobody else saw."""
    arrays, _ = artifacts.load(release.path)
    place = arrays["item_ids"].tolist().index(film.pk)
    knows_film = bool(arrays["als.known"][place]) or bool(np.diff(arrays["ratings.starts"])[place])
    names_viewer = user_id in arrays["user_ids"]
    assert knows_film == names_viewer
    return names_viewer


def test_an_erasure_is_always_a_reason_to_train(home: Path) -> None:
    """Even if somebody comes instead and says just as much."""
    make_audience(viewers_each=4, movies_each=5)
    leaving, film = make_user(), Movie.objects.all()[0]
    interact(leaving, film, "like")
    before = fingerprint()
    train()
    erase(user_id=leaving.pk)
    assert fingerprint() != before
    interact(make_user(), film, "like")
    assert fingerprint() != before
    assert train().state == "published"
    assert current().users == User.objects.count()
