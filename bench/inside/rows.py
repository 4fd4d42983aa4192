"""The bytes that a row takes in Postgres, its indexes and its share of empty space included."""

from __future__ import annotations

import secrets
from datetime import timedelta
from uuid import uuid4

from django.db import connection
from django.utils import timezone

from movies.models import Movie
from recommendations.models import Impression, Interaction
from users.models import RefreshToken, Session, User

ROWS = 5_000
#: Films of a list that was shown.
SHOWN = 20


def bytes_each() -> dict[str, float]:
    """The bytes of a row by table: of stored interactions, and of other rows that it makes."""
    now = timezone.now()
    # The partition of the present has the indexes of the time before there were months.
    in_a_month = now + timedelta(days=45)
    viewers = User.objects.bulk_create(
        User(email=f"row-{number}@example.org", password=secrets.token_hex(60), name="A viewer")
        for number in range(ROWS)
    )
    sessions = Session.objects.bulk_create(
        Session(user=viewer, device="Firefox on a telephone", expires_at=now + timedelta(days=14))
        for viewer in viewers
    )
    RefreshToken.objects.bulk_create(
        RefreshToken(
            session=session, token_hash=secrets.token_bytes(32), expires_at=session.expires_at
        )
        for session in sessions
    )
    films = list(Movie.objects.values_list("pk", flat=True)[:SHOWN])
    for start in range(0, ROWS, ROWS // 10):
        Impression.objects.bulk_create(
            Impression(
                list_id=list_id,
                position=place,
                user=viewer,
                movie_id=film,
                scope="catalogue",
                algorithm="hybrid",
                source="als",
                is_fallback=False,
                shown_at=in_a_month,
            )
            for viewer in viewers[start : start + ROWS // 10]
            for list_id in [uuid4()]
            for place, film in enumerate(films, 1)
        )
    found = {
        "viewer": _size(User) / User.objects.count(),
        "sign-in": (_size(Session) + _size(RefreshToken)) / ROWS,
        "interaction": _size(Interaction) / Interaction.objects.count(),
        "impression": _size(Impression) / Impression.objects.count(),
    }
    User.objects.filter(email__startswith="row-").delete()
    return found


def _size(model: type) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size(table_) + coalesce((SELECT"
            " sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = table_), 0)"
            " FROM to_regclass(%s) AS table_",
            [model._meta.db_table],  # type: ignore[attr-defined]
        )
        (size,) = cursor.fetchone()
    return int(size)
