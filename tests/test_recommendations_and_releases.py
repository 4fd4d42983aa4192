"""Which release serves the lists: a new one, a spoiled one, one that comes meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from pytest_django.fixtures import Settings

from recommendations import releases
from recommendations.models import Release
from recommendations.releases import activate_release
from tests.audience import listed, make_audience, sources, train_release
from tests.builders import Client
from tests.concurrency import and_disconnect

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def damage(release: Release) -> None:
    with (release.path / "als.item_factors.npy").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 0xFF]))


def delete(release: Release) -> None:
    release.path.rename(release.path.with_name("gone"))


def of_another_format(release: Release) -> None:
    manifest = release.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))


def of_an_unknown_algorithm(release: Release) -> None:
    manifest = release.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"popularity",', '"popularity", "oracle",'))


@pytest.mark.parametrize("spoil", [damage, delete, of_another_format, of_an_unknown_algorithm])
def test_a_release_that_cannot_be_used_is_refused_and_the_standing_one_serves_on(
    viewer: Client, caplog: pytest.LogCaptureFixture, spoil: Callable[[Release], None]
) -> None:
    make_audience(n_camps=2)
    standing = train_release()
    assert listed(viewer)["release"] == standing.pk
    spoiled = train_release(force=True)
    spoil(spoiled)
    answer = listed(viewer, refresh=True)
    assert answer["release"] == standing.pk
    assert sources(answer) == ["popularity"]
    assert f"{spoiled} is refused" in caplog.text
    # A process that starts now serves the newest one that it can use.
    releases.forget_release()
    answer = listed(viewer)
    assert (answer["release"], sources(answer)) == (standing.pk, ["popularity"])
    # Without any usable release the list falls back to the programme.
    Release.objects.filter(is_current=False).update(directory="")
    releases.forget_release()
    answer = listed(viewer, refresh=True)
    assert (answer["release"], sources(answer)) == (None, ["programme"])
    Release.objects.filter(pk=standing.pk).update(directory=standing.directory)
    activate_release(release_id=standing.pk)
    assert listed(viewer)["release"] == standing.pk


def test_a_release_with_algorithms_that_are_gone_is_served_without_them(viewer: Client) -> None:
    make_audience(n_camps=2)
    release = train_release()
    manifest = release.path / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"popularity",', '"popularity", "slim", "bpr",')
    )
    assert listed(viewer)["release"] == release.pk
    assert releases.load_release(release).recommenders.keys() == {
        "popularity", "als", "content", "ease", "hybrid",
    }  # fmt: skip


def test_a_new_release_is_seen_within_the_interval(viewer: Client, settings: Settings) -> None:
    make_audience(n_camps=2)
    old = train_release()
    assert listed(viewer)["release"] == old.pk
    new = train_release(force=True)
    settings.RELEASE_CHECK_INTERVAL_S = 60
    assert listed(viewer, refresh=True)["release"] == old.pk
    settings.RELEASE_CHECK_INTERVAL_S = 0.1
    time.sleep(0.1)
    assert listed(viewer)["release"] == new.pk


@pytest.mark.django_db(transaction=True)
def test_no_request_fails_while_releases_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommendations.releases.RELEASES_KEPT", 1)
    audience = make_audience(n_camps=2, viewers_each=6)
    train_release()
    finished = Event()

    def keep_asking(client: Client) -> set[tuple[int, int | None]]:
        answers = set()
        while not finished.is_set():
            answer = client.get("/recommendations", refresh=True)
            answers.add((answer.status_code, answer.json().get("release")))
        return answers

    clients = [Client(camp[0]) for camp in audience.viewers]
    with ThreadPoolExecutor(len(clients)) as pool:
        asking = [pool.submit(and_disconnect, lambda c=c: keep_asking(c)) for c in clients]
        try:
            published = [train_release(force=True).pk for _ in range(4)]
        finally:
            finished.set()
    seen = set().union(*(answer.result() for answer in asking))
    assert {status for status, _ in seen} == {200}
    assert {release for _, release in seen} & set(published)
    assert None not in {release for _, release in seen}
