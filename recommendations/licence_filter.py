"""What the models may know of a film: what TMDb filled in only where the settings allow it.

TMDb's terms: docs/decisions/0022-tmdb-terms.md. Fields are called as in `Movie.tmdb_fields`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.conf import settings
from django.contrib.postgres.aggregates import BitXor
from django.db.models import BigIntegerField, Case, Expression, F, Func, Q, When
from django.db.models.functions import Left

from movies.metadata import UNKNOWN
from movies.models import Genre, Movie

#: Stand among the protagonists of films of which nobody knows who is in them.
UNKNOWN_PEOPLE = frozenset([UNKNOWN])


def is_licensed(field: str, tmdb_fields: Collection[str]) -> bool:
    return settings.TMDB_USE_FOR_TRAINING or field not in tmdb_fields


def licensed_films(field: str) -> Q:
    """The films of which the field may be used."""
    return Q() if settings.TMDB_USE_FOR_TRAINING else ~Q(tmdb_fields__contains=[field])


def licensed_value(field: str, value: Expression | F) -> Expression | F:
    """The value, of these films; null of the others."""
    condition = licensed_films(field)
    return Case(When(condition, then=value)) if condition else value


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
    return [licensed_value(field, value) for field, value in READ.items()]


def _hash(*columns: Expression | F | str) -> Func:
    """Of a row."""
    template = "hashtextextended(ROW(%(expressions)s)::text, 0)"
    return Func(*columns, template=template, output_field=BigIntegerField())
