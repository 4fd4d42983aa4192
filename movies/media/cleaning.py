"""Files that no movie names any more: replaced, of a movie that is gone, or never finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cinema.locks import try_hold_alone
from movies.media.files import FOLDERS, LOCK, row_key
from movies.media.storages import UNFINISHED
from movies.models import Movie

#: Uploads wait for one batch at the most.
BATCH = 100


def clean_media(*, now: datetime | None = None) -> int:
    """Delete the files that no row names and that are older than `MEDIA_KEPT_S`.

    Younger ones may belong to an upload that is going on, or stand in a page that a viewer has
    still open. A file that is not named as ours are is never touched.

    Returns:
        How many were deleted.
    """
    before = (now or timezone.now()) - timedelta(seconds=settings.MEDIA_KEPT_S)
    orphans = _orphans(before)
    deleted = 0
    while batch := list(islice(orphans, BATCH)):
        deleted += _delete(batch)
    return deleted


def _orphans(before: datetime) -> Iterator[str]:
    named = _named(Q())
    for folder in FOLDERS:
        try:
            _, names = default_storage.listdir(folder)
        except FileNotFoundError:  # nothing was uploaded yet
            continue
        for name in (f"{folder}/{name}" for name in names):
            if _is_ours(name) and row_key(name) not in named and _is_older(name, before):
                yield name


def _is_ours(name: str) -> bool:
    return row_key(name) is not None or name.partition("/")[2].startswith(UNFINISHED)


def _is_older(name: str, than: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < than
    except FileNotFoundError:  # it was being written, and has its name by now
        return False


def _named(which: Q) -> set[str]:
    """What the rows name, withdrawn movies' too: the viewers' histories still show them."""
    movies = Movie.objects.filter(which).values_list("poster_upload", "trailer_upload")
    return {key for keys in movies.iterator() for key in keys if key}


def _delete(names: Sequence[str]) -> int:
    """Delete those that still no row names; none while an upload is about to name some."""
    with transaction.atomic():
        if not try_hold_alone(LOCK):
            return 0
        keys = [row_key(name) for name in names]
        named = _named(Q(poster_upload__in=keys) | Q(trailer_upload__in=keys))
        orphans = [name for name in names if row_key(name) not in named]
        for name in orphans:
            default_storage.delete(name)
    return len(orphans)
