"""Releases, training runs, and the film data that models may read. This module imports no NumPy.

TMDb's terms forbid training on its data, so fields that TMDb filled in are read only if the setting
TMDB_USE_FOR_TRAINING allows it. Field names are those of `Movie.tmdb_fields`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from typing import TypeVar

from django.conf import settings
from django.contrib.postgres.aggregates import BitXor
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Expression,
    F,
    Func,
    Model,
    Q,
    QuerySet,
    Sum,
    When,
)
from django.db.models.functions import Left

from cinema.errors import NotFound
from movies.metadata import UNKNOWN
from movies.models import Genre, Movie
from recommendations.models import Release, TrainingRun
from users.models import User

M = TypeVar("M", bound=Model)

#: Placeholders among the protagonists of films without known protagonists.
UNKNOWN_PEOPLE = frozenset([UNKNOWN])
#: Characters of an overview that are read; TMDb's overviews have at most a thousand.
OVERVIEW_LENGTH = 2_000
#: The columns that training reads, in the order of the arguments of `feature_builder._names`.
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


#: Settings that training depends on.
SETTINGS = (
    "HYBRID_WEIGHTS",
    "INTERACTION_WEIGHTS",
    "TRAINING_ALGORITHMS",
    "TMDB_USE_FOR_TRAINING",
)


def current_release() -> Release | None:
    return Release.objects.filter(is_current=True).first()


def find_row(rows: QuerySet[M], pk: int) -> M:
    """Raises NotFound."""
    if (found := rows.filter(pk=pk).first()) is None:
        raise NotFound(f"There is no {rows.model._meta.verbose_name} {pk}.")
    return found


def get_release(release_id: int) -> Release:
    """Raises NotFound."""
    return find_row(Release.objects.all(), release_id)


def list_releases() -> QuerySet[Release]:
    return Release.objects.order_by("-pk")


def releases_with_files() -> QuerySet[Release]:
    """The newest first."""
    return Release.objects.exclude(directory="").order_by("-pk")


def get_run(run_id: int) -> TrainingRun:
    """Raises NotFound."""
    return find_row(TrainingRun.objects.all(), run_id)


def longest_waiting_run() -> TrainingRun | None:
    return TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("created_at").first()


def was_trained_on(fingerprint: str) -> bool:
    """Whether the current release or the last rejected training was made from these data.

    A release that is held counts as made from any data.
    """
    current = current_release()
    if current and (current.is_held or current.is_of(fingerprint)):
        return True
    last = TrainingRun.objects.exclude(state__in=TrainingRun.UNFINISHED).first()
    return bool(
        last and last.state == TrainingRun.State.REJECTED and last.fingerprint == fingerprint
    )


def fingerprint() -> str:
    """A hash that changes with the data and settings that training reads.

    The sum of the taste versions stands for the interactions, as each change raises one. The sum of
    the ids differs if new viewers have acted as much as erased ones.
    """
    users = User.objects.filter(is_active=True).aggregate(
        n=Count("pk"), ids=Sum("pk"), tastes=Sum("taste_version")
    )
    how = zlib.crc32(repr([getattr(settings, name) for name in SETTINGS]).encode())
    ids, tastes = int(users["ids"] or 0), users["tastes"] or 0
    return "-".join(f"{part:x}" for part in [users["n"], ids, tastes, features_hash(), how])
