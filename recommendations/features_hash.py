"""What training reads of the films, and a hash of it. Without NumPy: the worker asks for it too."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.postgres.aggregates import BitXor
from django.db.models import BigIntegerField, Expression, F, Func
from django.db.models.functions import Left

from movies.models import Genre, Movie
from recommendations.usable import where_usable

#: So many characters of an overview are read; TMDb's have a thousand at most.
OVERVIEW_LENGTH = 2_000

#: In the order in which `features._names` takes them; by field as `Movie.tmdb_fields` calls it.
READ: Mapping[str, Expression | F] = {
    "genres": F("genre_ids"),
    "protagonists": F("protagonists"),
    "directors": F("directors"),
    "keywords": F("keywords"),
    "release_year": F("release_year"),
    "original_language": F("original_language"),
    "overview": Left("overview", OVERVIEW_LENGTH),
}


def features_hash() -> int:
    """64 bits that change with what `load_features` reads, and with nothing else."""
    films = Movie.objects.published().aggregate(all=BitXor(_hash("pk", *feature_columns())))
    genres = Genre.objects.aggregate(all=BitXor(_hash("pk", "slug")))
    return ((films["all"] or 0) ^ (genres["all"] or 0)) % 2**64


def feature_columns() -> list[Expression | F]:
    """Null where a film's may not be used."""
    return [where_usable(field, value) for field, value in READ.items()]


def _hash(*columns: Expression | F | str) -> Func:
    """Of a row."""
    template = "hashtextextended(ROW(%(expressions)s)::text, 0)"
    return Func(*columns, template=template, output_field=BigIntegerField())
