"""Writes the interactions to Parquet files, for the workers of a cluster.

A file has all evidence of the viewers of one range of ids, and its name has a hash of their ids and
taste versions. Each change of a viewer's evidence raises the taste version, and an erased or closed
account is not in the hash: what has changed has another name, and is written again. A file that is
not named any more is deleted. So a file is never changed, and never has what Postgres has not.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem

from cinema import replicas
from cinema.bucket import region
from movies.models import Movie
from recommendations.dataset import (
    HALF_STARS,
    Evidence,
    latest_verdict_rows,
    load_ids,
    read_evidence,
    weight_table,
)
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.feature_builder import load_features
from recommendations.spark.shared_folder import SharedFolder
from recommendations.spark.viewer_blocks import SharedInteractions, ViewerFile
from users.models import User

#: The ids of a file: with 150 interactions of each viewer about 600,000 rows, 5 MB.
IDS_EACH = 4096
#: The format of the files; it changes with their columns.
FORMAT = 1
#: The hash also tells this database from another one, whose taste versions mean nothing here.
HASHES = """
SELECT id / %s, bit_xor(hashint8extended(id, hashint8extended(taste_version, database)))
FROM users_user, (
    SELECT hashint8extended(system_identifier, oid::bigint) AS database
    FROM pg_control_system(), pg_database WHERE datname = current_database()
) here
WHERE is_active GROUP BY 1 ORDER BY 1
"""

log = logging.getLogger(__name__)


def interactions_folder() -> SharedFolder:
    """`interactions` in the bucket of RELEASES_URL, or in CINEMA_HOME."""
    filesystem: FileSystem
    if not settings.RELEASES_URL:
        root = Path(settings.CINEMA_HOME) / "interactions"
        return SharedFolder(LocalFileSystem(), str(root))
    scheme, _, host = settings.MEDIA_ENDPOINT_URL.rpartition("://")
    filesystem = S3FileSystem(
        region=region(), endpoint_override=host or None, scheme=scheme or "https"
    )
    return SharedFolder(filesystem, f"{settings.RELEASES_URL.removeprefix('s3://')}/interactions")


def extract_interactions(folder: SharedFolder) -> tuple[SharedInteractions, ItemFeatures]:
    """Bring the files up to date; returns what they contain, and the features of the movies."""
    return replicas.read_everything(lambda: _extract(folder))


def _extract(folder: SharedFolder) -> tuple[SharedInteractions, ItemFeatures]:
    database = replicas.alias()
    alone = not connections[database].in_atomic_block
    with transaction.atomic(using=database), connections[database].cursor() as cursor:
        if alone:  # one snapshot of taste versions and evidence
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        users = load_ids(User.objects.filter(is_active=True))
        movies = load_ids(Movie.objects.all())
        items = load_ids(Movie.objects.published())
        features = load_features(items)
        cursor.execute(HASHES, [IDS_EACH])
        files = _files(users, cursor.fetchall())
        known = folder.names()
        missing = [file for file in files if file.name not in known]
        for file in missing:
            folder.write_table(file.name, _table(cursor, file, movies))
    for name in known.difference(file.name for file in files):
        folder.remove(name)
    log.info("interactions: %d of %d files are written", len(missing), len(files))
    first = int(Evidence.RATING) * HALF_STARS + 1
    ratings = range(first, first + HALF_STARS - 1)
    found = SharedInteractions(folder, files, items.ids, weight_table().ravel(), ratings)
    return found, features


def _files(users: IdMap, hashes: list[tuple[int, int]]) -> tuple[ViewerFile, ...]:
    places = np.searchsorted(users.ids, [number * IDS_EACH for number, _ in hashes])
    parts = np.split(users.ids, places[1:])
    return tuple(
        ViewerFile(f"v{FORMAT}-{number:08}-{found % 2**64:016x}.parquet", int(first), own)
        for (number, found), first, own in zip(hashes, places, parts, strict=False)
    )


def _table(cursor: CursorWrapper, file: ViewerFile, movies: IdMap) -> pa.Table:
    """All evidence of these viewers, by viewer and movie.

    `code` is the place in the flattened `weight_table`, and `counts` tells the latest verdict.
    """
    users = IdMap(file.users)
    which = f"user_id BETWEEN {users.ids[0]} AND {users.ids[-1]}"
    rows = read_evidence(cursor, users, movies, which=which)
    rows.keep(np.lexsort((rows.codes, rows.keys)))
    counts = np.zeros(len(rows.keys), dtype=bool)
    counts[latest_verdict_rows(rows)] = True
    return pa.table({
        "user": users.ids[rows.keys // max(len(movies), 1)],
        "movie": movies.ids[rows.keys % max(len(movies), 1)],
        "code": rows.codes,
        "seconds": rows.seconds,
        "counts": counts,
    })  # fmt: skip
