"""The fields of films that models may read, and a hash of them. This module imports no NumPy.

TMDb's terms forbid training on its data, so fields that TMDb filled in are read only if the setting
TMDB_USE_FOR_TRAINING allows it. Field names are those of `Movie.tmdb_fields`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.conf import settings
from django.contrib.postgres.aggregates import BitXor
from django.db.models import BigIntegerField, Case, Expression, F, Func, Q, When
from django.db.models.functions import Left

from movies.metadata import UNKNOWN
from movies.models import Genre, Movie

#: Placeholders among the protagonists of films without known protagonists.
UNKNOWN_PEOPLE = frozenset([UNKNOWN])
#: Characters of an overview that are read; TMDb's overviews have at most a thousand.
OVERVIEW_LENGTH = 2_000
#: The columns that training reads, in the order of the arguments of `item_features._names`.
COLUMNS_READ: Mapping[str, Expression | F] = {
    "genres": F("genre_ids"),
    "protagonists": F("protagonists"),
    "directors": F("directors"),
    "keywords": F("keywords"),
    "release_year": F("release_year"),
    "original_language": F("original_language"),
    "overview": Left("overview", OVERVIEW_LENGTH),
}


def is_licensed(field: str, tmdb_fields: Collection[str]) -> bool:
    return settings.TMDB_USE_FOR_TRAINING or field not in tmdb_fields


def licensed_films(field: str) -> Q:
    """A condition on films: models may read the field."""
    return Q() if settings.TMDB_USE_FOR_TRAINING else ~Q(tmdb_fields__contains=[field])


def licensed_value(field: str, value: Expression | F) -> Expression | F:
    """The value, or null for films whose field models may not read."""
    condition = licensed_films(field)
    return Case(When(condition, then=value)) if condition else value


def features_hash() -> int:
    """A 64-bit hash of everything that `load_features` reads."""
    films = Movie.objects.published().aggregate(all=BitXor(_hash("pk", *feature_columns())))
    genres = Genre.objects.aggregate(all=BitXor(_hash("pk", "slug")))
    return ((films["all"] or 0) ^ (genres["all"] or 0)) % 2**64


def feature_columns() -> list[Expression | F]:
    """The columns that training reads, null where models may not read the field."""
    return [licensed_value(field, value) for field, value in COLUMNS_READ.items()]


def _hash(*columns: Expression | F | str) -> Func:
    """A 64-bit hash of a row."""
    template = "hashtextextended(ROW(%(expressions)s)::text, 0)"
    return Func(*columns, template=template, output_field=BigIntegerField())
