"""Releases in a bucket: what the trainer uploads, hosts fetch, and nobody serves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest
import stamina
from django.core.management import call_command
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from cinema import doctor
from cinema.backup.archive import Archive
from cinema.health import check_release
from recommendations import release_bucket, releases
from recommendations.engine.artifacts import ArtifactError
from recommendations.models import Release, TrainingRun
from recommendations.releases import forget_release, loaded_release
from tests import bucket_server
from tests.audience import change_something, current, directories, train
from tests.bucket_server import BUCKET, KEY, SECRET, BucketServer, Prefix
from tests.builders import Client
from tests.restoring import backup_of_this_test
from tests.running import ROOT, free_port
from tests.tastes import publish_popularity, two_camps

# A bucket refuses requests that are signed at another time.
pytestmark = [pytest.mark.django_db, pytest.mark.real_clock]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    with bucket_server.running(tmp_path_factory.mktemp("buckets")) as found:
        yield found


class Hosts:
    """Machines with a CINEMA_HOME each, on one of which this process runs at a time."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self._settings, self._root = settings, root
        self.move_to("trainer")

    def move_to(self, name: str) -> Path:
        """Be a new process of this host; returns its home."""
        home = self._root / name
        home.mkdir(exist_ok=True)
        self._settings.CINEMA_HOME = home
        forget_release()
        return home

    @contextmanager
    def elsewhere(self, name: str) -> Iterator[None]:
        """Act as another host in the block."""
        here, self._settings.CINEMA_HOME = self._settings.CINEMA_HOME, self._root / name
        yield
        self._settings.CINEMA_HOME = here


@pytest.fixture
def hosts(settings: Settings, tmp_path: Path) -> Hosts:
    settings.RELEASE_CHECK_INTERVAL_S = 0
    return Hosts(settings, tmp_path)


@pytest.fixture
def bucket(
    server: BucketServer, hosts: Hosts, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Prefix]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    # A failed upload is not repeated: the pauses would be real ones.
    stamina.set_active(False)
    monkeypatch.setattr(release_bucket, "PAUSE_S", 0)
    prefix = Prefix(server.client())
    settings.RELEASES_URL, settings.MEDIA_ENDPOINT_URL = prefix.url, server.url
    two_camps(n_viewers=4, n_films=8)
    yield prefix
    stamina.set_active(True)
    if release_bucket._fetching.is_alive():
        release_bucket._fetching.join()


@contextmanager
def away(settings: Settings) -> Iterator[None]:
    """The server refuses connections meanwhile."""
    there = settings.MEDIA_ENDPOINT_URL
    settings.MEDIA_ENDPOINT_URL = f"http://127.0.0.1:{free_port()}"
    yield
    settings.MEDIA_ENDPOINT_URL = there


def health() -> tuple[object, object]:
    """The state of the release, and the id of the one that is served."""
    found = check_release()
    return found.get("state", "ok"), found.get("id")


def fetched() -> int | None:
    """The release that is served once no fetch is running."""
    loaded_release()
    if release_bucket._fetching.is_alive():
        release_bucket._fetching.join()
    return loaded_release().id


# --- the way of a release


def test_a_release_is_uploaded_and_served_by_another_host(bucket: Prefix, hosts: Hosts) -> None:
    release = publish_popularity()
    files = {file.name: file.read_bytes() for file in release.path.iterdir()}
    assert bucket.names() == {f"{release.directory}/{name}" for name in files}
    home = hosts.move_to("web")
    assert loaded_release().id == release.pk
    assert {file.name: file.read_bytes() for file in release.path.iterdir()} == files
    assert release.path.is_relative_to(home)
    assert health() == ("ok", release.pk)


def test_requests_do_not_wait_for_a_release(
    bucket: Prefix, hosts: Hosts, settings: Settings, server: BucketServer
) -> None:
    settings.FIRST_RELEASE_PATIENCE_S = 0
    first = publish_popularity()
    hosts.move_to("web")
    server.pause()
    try:
        assert loaded_release().id is None
        assert health() == ("refused", None)
        assert release_bucket._fetching.is_alive()
    finally:
        server.go_on()
    assert fetched() == first.pk
    with hosts.elsewhere("trainer"):
        second = publish_popularity()
    server.pause()
    try:
        assert loaded_release().id == first.pk
        # A release that is on its way is no reason to take a host out of service.
        assert health() == ("ok", first.pk)
    finally:
        server.go_on()
    assert fetched() == second.pk
    assert health() == ("ok", second.pk)


def test_a_host_keeps_the_current_release_and_the_one_before(bucket: Prefix, hosts: Hosts) -> None:
    before: list[str] = []
    for _ in range(4):
        hosts.move_to("trainer")
        release = publish_popularity()
        home = hosts.move_to("web")
        (home / "releases" / ".20250101T000000-0badcafe.unfinished").mkdir(parents=True)
        assert loaded_release().id == release.pk
        assert directories(home) == {release.directory, *before}
        before = [release.directory]
        # Names begin with the second.
        begun = release.directory[:15]
        while f"{now():%Y%m%dT%H%M%S}" == begun:
            sleep(0.05)


def test_directories_unknown_to_the_database_leave_the_bucket(bucket: Prefix) -> None:
    unknown = "20250101T000000-0badcafe"
    bucket.write(f"{unknown}/als.gram.npy", b"of a training that was killed")
    bucket.write("notes/of-staff.txt", b"no release")
    published = [publish_popularity() for _ in range(5)]
    kept = {release.directory for release in published[-3:]}
    assert bucket.releases() == {*kept, "notes"}


def test_the_manifest_is_the_last_to_come_and_the_first_to_go(
    bucket: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def watched(method: str) -> None:
        original = getattr(release_bucket._Objects, method)

        def call(self: object, *arguments: object) -> None:
            original(self, *arguments)
            seen.append(any(name.endswith("manifest.json") for name in bucket.names()))

        monkeypatch.setattr(release_bucket._Objects, method, call)

    watched("upload")
    release = publish_popularity()
    assert seen[-1]
    assert not any(seen[:-1])
    seen.clear()
    watched("delete")
    release_bucket.remove(release.directory)
    assert seen
    assert not any(seen)
    assert bucket.names() == set()


# --- what is not served


def damaged(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def other_format(manifest: bytes) -> bytes:
    return manifest.replace(b'"format": 1', b'"format": 99')


def leading_out(manifest: bytes) -> bytes:
    return manifest.replace(b'"item_ids"', b'"../../item_ids"')


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("item_ids.npy", damaged),
        ("item_ids.npy", lambda content: content[: len(content) // 2]),
        ("item_ids.npy", None),
        ("manifest.json", None),
        ("manifest.json", lambda content: content[:100]),
        ("manifest.json", lambda content: b"[]"),
        ("manifest.json", other_format),
        ("manifest.json", leading_out),
    ],
)
def test_a_damaged_release_is_not_served_and_tried_again(
    bucket: Prefix,
    hosts: Hosts,
    caplog: pytest.LogCaptureFixture,
    file: str,
    change: Callable[[bytes], bytes] | None,
) -> None:
    first = publish_popularity()
    home = hosts.move_to("web")
    assert loaded_release().id == first.pk
    second = publish_on_another_host(hosts)
    hosts.move_to("web")
    assert second.path.exists() is False
    name = f"{second.directory}/{file}"
    whole = bucket.read(name)
    if change is None:
        bucket.delete(name)
    else:
        assert change(whole) != whole
        bucket.write(name, change(whole))
    assert [fetched(), fetched()] == [first.pk, first.pk]
    assert caplog.text.count("is not fetched") >= 2
    assert directories(home) == {first.directory}
    assert [*home.rglob("*item_ids.npy")] == [first.path / "item_ids.npy"]
    assert health() == ("refused", first.pk)
    fetched()
    bucket.write(name, whole)
    assert fetched() == second.pk
    assert health() == ("ok", second.pk)


def publish_on_another_host(hosts: Hosts) -> Release:
    hosts.move_to("trainer")
    return publish_popularity()


def test_after_a_failure_all_processes_of_the_host_pause(
    bucket: Prefix,
    hosts: Hosts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = publish_popularity()
    manifest = f"{release.directory}/manifest.json"
    whole = bucket.read(manifest)
    bucket.delete(manifest)
    monkeypatch.setattr(release_bucket, "PAUSE_S", 3600)
    for _ in range(3):
        hosts.move_to("web")
        assert loaded_release().id is None
    assert caplog.text.count("is not fetched") == 1
    bucket.write(manifest, whole)
    assert loaded_release().id is None
    monkeypatch.setattr(release_bucket, "PAUSE_S", 0)
    assert loaded_release().id == release.pk


# --- the server is away


def test_a_host_serves_on_while_the_bucket_is_away(
    bucket: Prefix, hosts: Hosts, settings: Settings, viewer: Client
) -> None:
    first = publish_popularity()
    hosts.move_to("web")
    assert loaded_release().id == first.pk
    second = publish_on_another_host(hosts)
    hosts.move_to("web")
    with away(settings):
        assert loaded_release().id == first.pk  # also in a new process
        assert health() == ("refused", first.pk)
        assert said_by_doctor(f"{settings.RELEASES_URL}: Could not connect")
        hosts.move_to("new")
        assert loaded_release().id is None
        assert viewer.get("/recommendations").status_code == 200
    hosts.move_to("web")
    assert fetched() == second.pk
    assert not said_by_doctor(settings.RELEASES_URL)


def said_by_doctor(beginning: str) -> bool:
    return any(finding.what.startswith(beginning) for finding in doctor.check_release())


@pytest.mark.parametrize("trouble", ["away", "no such bucket", "wrong keys"])
def test_a_training_without_the_bucket_fails_and_says_why(
    bucket: Prefix,
    hosts: Hosts,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    published = publish_popularity()
    change_something()
    with monkeypatch.context() as patched, away_if(trouble == "away", settings):
        if trouble == "no such bucket":
            settings.RELEASES_URL = "s3://nowhere/releases"
        elif trouble == "wrong keys":
            patched.setenv("AWS_SECRET_ACCESS_KEY", "another one")
        url = settings.RELEASES_URL
        with pytest.raises(ArtifactError):
            train(force=True)
    settings.RELEASES_URL = bucket.url
    run = TrainingRun.objects.latest("pk")
    assert run.state == TrainingRun.State.FAILED
    assert run.message.startswith(f"ArtifactError: {url}: ")
    assert current() == published
    assert Release.objects.count() == 1
    # The next training publishes, and cleans away what that one has left.
    assert train(force=True).state == TrainingRun.State.PUBLISHED
    kept = {release.directory for release in Release.objects.all()}
    assert bucket.releases() == directories(settings.CINEMA_HOME) == kept


@contextmanager
def away_if(is_away: bool, settings: Settings) -> Iterator[None]:
    if not is_away:
        yield
        return
    with away(settings):
        yield


def test_old_releases_that_cannot_be_removed_now_are_removed_later(
    bucket: Prefix, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        publish_popularity()
    oldest = Release.objects.exclude(directory="").earliest("pk")
    with away(settings):
        Release.objects.filter(pk=oldest.pk).update(directory="")
        release_bucket.remove(oldest.directory)
    assert "cannot remove old releases" in caplog.text
    assert oldest.directory in bucket.releases()
    publish_popularity()
    assert oldest.directory not in bucket.releases()


# --- back to an older release


def test_an_older_release_that_is_not_here_is_activated(
    bucket: Prefix, hosts: Hosts, staff: Client
) -> None:
    older, newer = publish_popularity(), publish_popularity()
    home = hosts.move_to("web")
    assert loaded_release().id == newer.pk
    assert directories(home) == {newer.directory}
    assert staff.post(f"/releases/{older.pk}/activate").status_code == 200
    assert fetched() == older.pk
    assert directories(home) == {older.directory, newer.directory}


def test_a_release_that_the_bucket_lacks_is_not_activated(
    bucket: Prefix, staff: Client, settings: Settings
) -> None:
    older, newer = publish_popularity(), publish_popularity()
    with away(settings):
        assert staff.post(f"/releases/{older.pk}/activate").status_code == 409
    bucket.delete(f"{older.directory}/item_ids.npy")
    answer = staff.post(f"/releases/{older.pk}/activate")
    assert answer.status_code == 409
    assert f"lacks {older.directory}/item_ids.npy" in answer.json()["detail"]
    assert current() == newer


# --- several processes, and commands


def test_processes_of_one_host_fetch_once(bucket: Prefix, hosts: Hosts, settings: Settings) -> None:
    release = publish_popularity()
    home = hosts.move_to("web")
    program = (
        "import django; django.setup()\n"
        "from pathlib import Path; from recommendations import release_bucket\n"
        f"release_bucket.fetch(Path({str(release.path)!r}))"
    )
    variables = {
        "CINEMA_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "cinema.settings",
        "RELEASES_URL": settings.RELEASES_URL,
        "MEDIA_ENDPOINT_URL": settings.MEDIA_ENDPOINT_URL,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert "".join(said).count("is fetched") == 1
    assert loaded_release().id == release.pk
    assert directories(home) == {release.directory}


@pytest.mark.django_db(transaction=True)
def test_prepare_fetches_the_release_and_uploads_what_only_this_host_has(
    bucket: Prefix, hosts: Hosts, settings: Settings
) -> None:
    there = settings.RELEASES_URL
    settings.RELEASES_URL = ""  # the folder of one machine, before it is told of a bucket
    release = publish_popularity()
    assert bucket.names() == set()
    settings.RELEASES_URL = there
    call_command("prepare")
    assert bucket.releases() == {release.directory}
    home = hosts.move_to("web")
    call_command("prepare")
    assert directories(home) == {release.directory}
    with away(settings):
        hosts.move_to("new")
        call_command("prepare")  # the programme can be served


@pytest.mark.django_db(transaction=True)
def test_a_backup_has_the_releases_of_the_bucket(
    bucket: Prefix, hosts: Hosts, settings: Settings, tmp_path: Path
) -> None:
    published = [publish_popularity() for _ in range(2)]
    hosts.move_to("web")
    archive = Archive(backup_of_this_test(tmp_path / "backup.zip"))
    assert archive.manifest.missing == []
    for release in published:
        part = f"releases/{release.directory}/item_ids.npy"
        assert b"".join(archive.chunks(part, lambda size: None)) == bucket.read(
            part.removeprefix("releases/")
        )
    with away(settings):
        hosts.move_to("other")
        archive = Archive(backup_of_this_test(tmp_path / "without.zip"))
        assert archive.manifest.missing == [f"releases/{r.directory}" for r in published[::-1]]


def test_the_bucket_of_no_prefix_is_one_too(
    bucket: Prefix, hosts: Hosts, settings: Settings
) -> None:
    settings.RELEASES_URL = f"s3://{BUCKET}"
    release = publish_popularity()
    hosts.move_to("web")
    assert loaded_release().id == release.pk
    release_bucket.remove(release.directory)
    with pytest.raises(ArtifactError, match="NoSuchKey"):
        release_bucket.check(release.directory)


@pytest.mark.usefixtures("hosts")
def test_without_a_bucket_nothing_of_it_is_used(settings: Settings) -> None:
    settings.MEDIA_ENDPOINT_URL = "http://127.0.0.1:1"
    two_camps(n_viewers=4, n_films=8)
    published = [publish_popularity() for _ in range(4)]
    releases.activate_release(release_id=published[1].pk)
    assert loaded_release().id == published[1].pk
    assert not (Path(settings.CINEMA_HOME) / "releases.lock").exists()
