"""What the models may know of a film: what TMDb filled in only where the settings allow it.

TMDb's terms: docs/decisions/0022-tmdb-terms.md. Fields are called as in `Movie.tmdb_fields`.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.db.models import Case, Expression, F, Q, When

from movies.people import UNKNOWN

#: Stand among the protagonists of films of which nobody knows who is in them.
NOBODY = frozenset([UNKNOWN])


def is_usable(field: str, tmdb_fields: Collection[str]) -> bool:
    return settings.TMDB_USE_FOR_TRAINING or field not in tmdb_fields


def usable(field: str) -> Q:
    """The films of which the field may be used."""
    return Q() if settings.TMDB_USE_FOR_TRAINING else ~Q(tmdb_fields__contains=[field])


def where_usable(field: str, value: Expression | F) -> Expression | F:
    """The value, of these films; null of the others."""
    condition = usable(field)
    return Case(When(condition, then=value)) if condition else value
