"""Releases through HTTP: activated, rolled back and listed; and which files are kept."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from recommendations import releases, selectors
from recommendations.errors import ReleaseUnusable
from recommendations.models import Release, TrainingRun
from recommendations.training import fitting, runs
from recommendations.training.fitting import TrainedModels
from tests.audience import (
    change_something,
    current,
    directories,
    make_audience,
    train,
    train_release,
)
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


def test_directories_that_no_release_names_are_deleted(home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    for name in (".20250101T000000-0badcafe.unfinished", "20250101T000000-0badcafe"):
        (home / "releases" / name).mkdir(parents=True)
        (home / "releases" / name / "als.gram.npy").write_bytes(b"half of it")
    release = train_release()
    assert directories(home) == {release.directory}


def test_a_release_that_staff_activate_meanwhile_keeps_its_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, _, newest = (train_release(force=True) for _ in range(3))
    found = selectors.releases_with_files()

    def activate_after_reading() -> list[Release]:
        read = list(found)
        releases.activate_release(release_id=old.pk)
        return read

    monkeypatch.setattr("recommendations.releases.RELEASES_KEPT", 1)
    monkeypatch.setattr(selectors, "releases_with_files", activate_after_reading)
    releases.remove_old_releases()
    assert directories(home) == {old.directory, newest.directory}
    assert releases.load_release(current())


def test_a_release_whose_files_are_deleted_meanwhile_is_not_activated() -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    found = selectors.get_release(old.pk)
    Release.objects.filter(pk=old.pk).update(directory="")
    with pytest.raises(ReleaseUnusable, match="files are deleted"):
        releases.make_current(found)
    assert current() == new


def test_a_damaged_release_is_read_again_after_a_while(
    home: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.RELEASE_CHECK_INTERVAL_S = 0
    make_audience(viewers_each=4, movies_each=5)
    old = train_release()
    assert releases.loaded_release().id == old.pk
    new = train_release(force=True)
    [file] = new.path.glob("item_ids.npy")
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    standing = releases.loaded_release()
    assert (standing.id, standing.instead_of) == (old.pk, new.pk)
    file.write_bytes(whole)
    assert releases.loaded_release() is standing
    monkeypatch.setattr(releases, "RETRY_AFTER_S", 0)
    releases.forget_release()
    file.write_bytes(whole[:-8])
    assert releases.loaded_release().id == old.pk
    file.write_bytes(whole)
    assert releases.loaded_release().id == new.pk


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


def test_an_unknown_release_or_run_is_404(staff: Client) -> None:
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


# --- hold


def states(staff: Client) -> dict[int, tuple[bool, bool]]:
    """Whether each release is current, and whether it is held."""
    rows = staff.get("/releases").json()["data"]
    return {row["id"]: (row["is_current"], row["is_held"]) for row in rows}


def test_a_training_is_not_published_over_a_release_that_staff_went_back_to(
    staff: Client,
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    answer = staff.post(f"/releases/{old.pk}/activate").json()
    assert (answer["is_current"], answer["is_held"]) == (True, True)
    change_something()
    assert selectors.was_trained_on(selectors.fingerprint())  # beat asks for no training
    run = train(force=True)
    assert run.state == TrainingRun.State.REJECTED
    assert run.message == f"release {old.pk} is held: lift its hold, and train again."
    assert states(staff) == {old.pk: (True, True), new.pk: (False, False)}
    assert staff.delete(f"/releases/{old.pk}/hold").status_code == 204
    assert staff.delete(f"/releases/{old.pk}/hold").status_code == 404
    newest = train_release()
    assert states(staff)[newest.pk] == (True, False)


def test_a_release_that_is_held_during_a_training_stays(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    held = train_release()

    def train_all_and_hold(*args: Any, **options: Any) -> TrainedModels:
        trained = fitting.train_all(*args, **options)
        assert staff.put(f"/releases/{held.pk}/hold").status_code == 200
        return trained

    monkeypatch.setattr(runs, "train_all", train_all_and_hold)
    run = train(force=True)
    assert run.state == TrainingRun.State.REJECTED
    assert run.release
    assert states(staff) == {held.pk: (True, True), run.release.pk: (False, False)}
    # The training is not lost: staff may serve it, which is the newest and so not held.
    assert staff.post(f"/releases/{run.release.pk}/activate").status_code == 200
    assert states(staff) == {held.pk: (False, False), run.release.pk: (True, False)}


def test_beat_asks_for_a_training_once_the_hold_is_lifted(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a training of the same data was rejected for it, before or after it was fitted."""
    make_audience(viewers_each=4, movies_each=5)
    held = train_release()
    change_something()

    def train_all_and_hold(*args: Any, **options: Any) -> TrainedModels:
        trained = fitting.train_all(*args, **options)
        assert staff.put(f"/releases/{held.pk}/hold").status_code == 200
        return trained

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(runs, "train_all", train_all_and_hold)
        assert train().state == TrainingRun.State.REJECTED
    for _ in range(2):
        assert selectors.was_trained_on(selectors.fingerprint())  # while it is held
        assert staff.delete(f"/releases/{held.pk}/hold").status_code == 204
        assert not selectors.was_trained_on(selectors.fingerprint())
        assert staff.put(f"/releases/{held.pk}/hold").status_code == 200
        assert train().state == TrainingRun.State.REJECTED


def test_only_the_current_release_is_held_and_both_changes_are_recorded(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    assert staff.put(f"/releases/{old.pk}/hold").status_code == 409
    assert staff.put("/releases/999/hold").status_code == 404
    for _ in range(2):  # the second changes nothing
        assert staff.put(f"/releases/{new.pk}/hold").json()["is_held"] is True
    staff.delete(f"/releases/{new.pk}/hold")
    entries = staff.get("/audit", model="release").json()["data"]
    assert [(each["object_id"], each["after"]) for each in entries] == [
        (new.pk, {"is_held": False}),
        (new.pk, {"is_held": True}),
    ]


def test_staff_hold_and_lift_in_the_admin_site(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    browser = Browser()
    browser.force_login(staff.user, "django.contrib.auth.backends.ModelBackend")
    address = reverse("admin:recommendations_release_changelist")

    def act(action: str, *chosen: Release) -> str:
        form = {"action": action, "_selected_action": [release.pk for release in chosen]}
        return browser.post(address, form, follow=True).content.decode()

    assert "1 served" in act("activate", old)
    assert states(staff) == {old.pk: (True, True), new.pk: (False, False)}
    assert "1 no longer held" in act("lift_hold", old)
    assert states(staff)[old.pk] == (True, False)
    assert "1 held" in act("hold", old)
    assert "is not served. Activate it first." in act("hold", new)
    assert "Select exactly one" in act("activate", old, new)
    assert states(staff) == {old.pk: (True, True), new.pk: (False, False)}
