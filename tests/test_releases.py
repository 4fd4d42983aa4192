"""Releases through HTTP: activated, rolled back and listed; and which files are kept."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from pytest_django import DjangoAssertNumQueries

from recommendations import releases
from recommendations.models import Release, TrainingRun
from tests.audience import current, directories, make_audience, train_release
from tests.builders import Client
from tests.concurrency import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
over_connections = pytest.mark.django_db(transaction=True)


# --- old files


def test_the_last_three_are_kept(home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    published = [train_release(force=True) for _ in range(5)]
    kept = {release.directory for release in published[-3:]}
    assert directories(home) == kept
    stored = dict(Release.objects.values_list("pk", "directory"))
    assert [stored[release.pk] for release in published[:2]] == ["", ""]
    assert {stored[release.pk] for release in published[2:]} == kept


def test_the_current_release_is_kept_though_it_is_old(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    oldest, middle, newest = (train_release(force=True) for _ in range(3))
    releases.activate_release(release_id=oldest.pk)
    monkeypatch.setattr("recommendations.releases.RELEASES_KEPT", 1)
    releases.remove_old_releases()
    assert directories(home) == {oldest.directory, newest.directory}
    assert current() == oldest
    assert Release.objects.get(pk=middle.pk).directory == ""


def test_what_no_release_knows_is_cleaned_away(home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    for name in (".20250101T000000-0badcafe.unfinished", "20250101T000000-0badcafe"):
        (home / "releases" / name).mkdir(parents=True)
        (home / "releases" / name / "als.gram.npy").write_bytes(b"half of it")
    release = train_release()
    assert directories(home) == {release.directory}


# --- through HTTP


def test_staff_go_back_and_forth_between_releases(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    for wanted in (old, new, new):
        answer = staff.post(f"/releases/{wanted.pk}/activate")
        assert answer.status_code == 200
        assert (answer.json()["id"], answer.json()["is_current"]) == (wanted.pk, True)
        assert current() == wanted


def test_a_release_whose_files_are_deleted_cannot_be_activated(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommendations.releases.RELEASES_KEPT", 1)
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    answer = staff.post(f"/releases/{old.pk}/activate")
    assert answer.status_code == 409
    assert "deleted" in answer.json()["detail"]
    assert current() == new
    shown = {row["id"]: row["can_be_activated"] for row in staff.get("/releases").json()["data"]}
    assert shown == {old.pk: False, new.pk: True}


def test_a_damaged_release_cannot_be_activated(staff: Client, home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    with (home / "releases" / old.directory / "als.gram.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x5a")
    assert staff.post(f"/releases/{old.pk}/activate").status_code == 409
    assert current() == new


@over_connections
def test_releases_activated_at_once_leave_one_current(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    published = [train_release(force=True) for _ in range(3)]
    for _ in range(3):
        calls = [partial(staff.post, f"/releases/{release.pk}/activate") for release in published]
        assert {answer.status_code for answer in at_once(calls * 3)} == {200}
        assert current() in published


def test_what_is_not_there_is_404(staff: Client) -> None:
    for number in (999_999_999, 10**30):
        assert staff.post(f"/releases/{number}/activate").status_code == 404
        assert staff.get(f"/releases/runs/{number}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/releases"),
        ("POST", "/releases/train"),
        ("GET", "/releases/runs/1"),
        ("POST", "/releases/1/activate"),
    ],
)
def test_releases_are_for_staff(anonymous: Client, viewer: Client, method: str, path: str) -> None:
    assert anonymous.send(method, path).status_code == 401
    assert viewer.send(method, path).status_code == 403
    assert not TrainingRun.objects.exists()


def test_releases_are_listed_with_a_fixed_number_of_queries(
    staff: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    for _ in range(4):
        train_release(force=True)
    with django_assert_num_queries(3):  # who asks, how many, which
        body = staff.get("/releases", per_page=3).json()
    assert body["pagination"] == {"page": 1, "per_page": 3, "total": 4, "pages": 2}
    ids = [row["id"] for row in body["data"]]
    assert ids == sorted(ids, reverse=True)
    assert [row["is_current"] for row in body["data"]] == [True, False, False]
