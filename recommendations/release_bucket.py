"""Releases in a bucket (RELEASES_URL): the trainer uploads them, and each host fetches them.

The folder of a host then has the current release and the one before. Without RELEASES_URL, all
processes share one folder, and these functions do nothing.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import stamina
from django.conf import settings

from cinema.bucket import bucket_client
from recommendations.engine import artifacts
from recommendations.engine.artifacts import MANIFEST, ArtifactError

#: The pause of all processes of the host after a fetch that failed.
PAUSE_S = 60.0
CHUNK_BYTES = 1024 * 1024
#: The directory of a release. The bucket may have other objects, which are left alone.
RELEASE_NAME = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")

log = logging.getLogger(__name__)


class _Objects:
    """The objects below RELEASES_URL, by their names without its prefix."""

    def __init__(self) -> None:
        address = settings.RELEASES_URL.removeprefix("s3://")
        self._bucket, _, prefix = address.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = bucket_client(settings.MEDIA_ENDPOINT_URL)

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def names(self, start: str = "") -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + start
        )
        keys = (found["Key"] for page in pages for found in page.get("Contents", ()))
        return [key.removeprefix(self._prefix) for key in keys]

    def open(self, name: str) -> IO[bytes]:
        content: IO[bytes] = self._client.get_object(**self._place(name))["Body"]
        return content

    def upload(self, file: Path, name: str) -> None:
        self._client.upload_file(Filename=str(file), **self._place(name))

    def delete(self, name: str) -> None:
        self._client.delete_object(**self._place(name))


@contextmanager
def _objects() -> Iterator[_Objects]:
    """Raises ArtifactError for whatever the bucket, the network or the disk refuse."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield _Objects()
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        raise ArtifactError(f"{settings.RELEASES_URL}: {error}") from error


@contextmanager
def host_lock() -> Iterator[None]:
    """Held while a process writes, fetches or removes a release of this host."""
    if not settings.RELEASES_URL:
        yield
        return
    with _lock_file().open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_file() -> Path:
    """The file of the lock. It has the reason why the last fetch failed, and the time."""
    return Path(settings.CINEMA_HOME) / "releases.lock"


# --- the trainer


def upload(directory: Path) -> None:
    """Upload a release, the manifest last: until then it does not count as there.

    Raises:
        ArtifactError: The bucket cannot be reached or refuses it.
    """
    if settings.RELEASES_URL:
        with _objects() as objects:
            for file in sorted(directory.iterdir(), key=lambda file: file.name == MANIFEST):
                objects.upload(file, f"{directory.name}/{file.name}")


#: A training took up to half an hour, so it waits about two minutes for a bucket to come back.
upload_patiently = stamina.retry(
    on=ArtifactError, attempts=5, timeout=300, wait_initial=5, wait_max=60
)(upload)


def remove(name: str) -> None:
    """Delete a release from the bucket. What cannot be deleted now `remove_unknown` deletes."""
    if settings.RELEASES_URL:
        with _logging_errors(), _objects() as objects:
            _remove(objects, name)


def remove_unknown(known: Collection[str]) -> None:
    """Delete the releases of killed trainings, and those that `remove` could not delete."""
    if settings.RELEASES_URL:
        with _logging_errors(), _objects() as objects:
            found = {name.partition("/")[0] for name in objects.names()}
            for name in found.difference(known):
                if RELEASE_NAME.fullmatch(name):
                    _remove(objects, name)


def _remove(objects: _Objects, name: str) -> None:
    # The manifest first: without it, no host begins to fetch the rest.
    for each in sorted(objects.names(f"{name}/"), key=lambda name: not name.endswith(MANIFEST)):
        objects.delete(each)


@contextmanager
def _logging_errors() -> Iterator[None]:
    try:
        yield
    except ArtifactError as error:
        log.error("cannot remove old releases: %s", error)


# --- the hosts


def check(name: str) -> None:
    """Check that the bucket has all files of a release, without reading them.

    Raises:
        ArtifactError: The bucket cannot be reached, or a file is missing.
    """
    with _objects() as objects, objects.open(f"{name}/{MANIFEST}") as content:
        expected = artifacts.read_manifest(content.read())["sha256"]
        missing = {f"{name}/{file}.npy" for file in expected}.difference(objects.names(f"{name}/"))
    if missing:
        raise ArtifactError(f"{settings.RELEASES_URL} lacks {', '.join(sorted(missing)[:3])}")


def fetch(directory: Path) -> None:
    """Download a release, unless it is here. Nothing of an incomplete or damaged one stays.

    Raises:
        ArtifactError: The bucket cannot be reached, or a file is missing or damaged.
    """
    if settings.RELEASES_URL:
        with host_lock():
            _download(directory)


_fetching = threading.Thread()


def fetch_soon(directory: Path, patience_s: float) -> bool:
    """Begin to fetch a release in the background; return whether it is still on its way.

    The caller has a lock: it is called by one thread at a time.
    """
    global _fetching
    if not settings.RELEASES_URL or directory.is_dir() or _pauses():
        return False
    if not _fetching.is_alive():
        _fetching = threading.Thread(target=_fetch_and_tidy, args=(directory,), daemon=True)
        _fetching.start()
    _fetching.join(patience_s)
    return _fetching.is_alive()


def _pauses() -> bool:
    try:
        found = _lock_file().stat()
    except FileNotFoundError:
        return False
    # `abs`: after the clock was set back, the pause would otherwise last too long.
    return found.st_size > 0 and abs(time.time() - found.st_mtime) < PAUSE_S


def _fetch_and_tidy(directory: Path) -> None:
    with host_lock():
        if _pauses():  # it has just failed in another process
            return
        try:
            _download(directory)
        except ArtifactError as error:
            log.error("%s is not fetched; tried again in %d s: %s", directory.name, PAUSE_S, error)
            _lock_file().write_text(str(error))
        else:
            _lock_file().write_text("")
            _tidy(directory)


def _download(directory: Path) -> None:
    if directory.is_dir():  # another process has fetched it
        return
    started_at = time.perf_counter()
    with _objects() as objects, artifacts.filled_at_once(directory) as unfinished:

        def download(file: str) -> Path:
            with (
                objects.open(f"{directory.name}/{file}") as content,
                (unfinished / file).open("wb") as target,
            ):
                shutil.copyfileobj(content, target, CHUNK_BYTES)
                target.flush()
                os.fsync(target.fileno())
            return unfinished / file

        manifest = artifacts.read_manifest(download(MANIFEST).read_bytes())
        for name in manifest["sha256"]:
            download(f"{name}.npy")
        artifacts.load(unfinished)
    log.info("%s is fetched in %.1f s", directory.name, time.perf_counter() - started_at)


def _tidy(current: Path) -> None:
    """Keep the current release and the newest other one, as names begin with the time."""
    others = [other for other in current.parent.iterdir() if other != current]
    finished = sorted(other.name for other in others if not other.name.startswith("."))
    for other in others:
        if other.name not in finished[-1:]:
            artifacts.remove(other)
