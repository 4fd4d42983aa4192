"""Films as lines of a file, in the form that an import reads."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Any

import orjson
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from movies.importing.cells import FIELDS, to_cell
from movies.models import Genre, Movie

CHUNK = 1_000


def count_films() -> int:
    return Movie.objects.published().count()


def json_lines() -> Iterator[bytes]:
    for film in _films():
        yield orjson.dumps(film) + b"\n"


def csv_lines(separator: str) -> Iterator[bytes]:
    """With a byte order mark, without which Excel takes it for its own encoding."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator)
    writer.writerow(FIELDS)
    yield codecs.BOM_UTF8 + buffer.getvalue().encode()
    for film in _films():
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([to_cell(name, film[name]) for name in FIELDS])
        yield buffer.getvalue().encode()


def _films() -> Iterator[dict[str, Any]]:
    """All published ones as they are at one moment, read bit by bit."""
    genres = Genre.objects.filter(movies=OuterRef("pk")).values(
        key=JSONObject(slug="slug", name="name")
    )
    columns = [name for name in FIELDS if name != "genres"]
    films = Movie.objects.published().order_by("pk").annotate(its_genres=ArraySubquery(genres))
    for film in films.values("its_genres", "status_is_manual", *columns).iterator(CHUNK):
        # A status by the clock is none to bring in: it would be one set by hand.
        film["status"] = film["status"] if film["status_is_manual"] else None
        film["genres"] = sorted(film["its_genres"], key=lambda genre: str(genre["slug"]))
        yield {name: film[name] for name in FIELDS}
