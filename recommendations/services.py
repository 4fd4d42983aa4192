from __future__ import annotations

from uuid import UUID

import orjson
from django.db import DEFAULT_DB_ALIAS, IntegrityError
from django.utils import timezone

from cinema.database import prepared_cursor
from cinema.locks import retry_at_once, retry_on_deadlock
from movies import selectors as movies
from recommendations.errors import InteractionNotFound, NotRecommended, RatingNotFound
from recommendations.impressions.stream import NotedClick, note_click, withdraw_click
from recommendations.matches.services import find_new_matches
from recommendations.models import Impression, Interaction
from users.models import User

Kind = Interaction.Kind

#: The statement waits for another writer of the same row, and then decides. It writes a repeated
#: verdict if a later one replaced it (like, dislike, like; favourites and check-ins count too). A
#: row is new if it was created now: a table with partitions cannot return `xmax`.
RECORD = """
INSERT INTO recommendations_interaction AS mine
    (user_id, movie_id, kind, half_stars, created_at, updated_at)
SELECT %(user_id)s, id, %(kind)s, %(half_stars)s, %(now)s, %(now)s
FROM movies_movie WHERE id = %(movie_id)s AND withdrawn_at IS NULL
ON CONFLICT (user_id, movie_id, kind) DO UPDATE
SET half_stars = excluded.half_stars, updated_at = excluded.updated_at
WHERE mine.half_stars <> excluded.half_stars OR mine.kind <> %(seen)s AND EXISTS (
    SELECT FROM recommendations_evidence AS other
    WHERE other.user_id = mine.user_id AND other.movie_id = mine.movie_id
      AND other.updated_at > mine.updated_at AND other.kind <> %(seen)s
)
RETURNING id, user_id, movie_id, kind, half_stars, created_at, updated_at, created_at = %(now)s
"""

COLUMNS = [field.attname for field in Interaction._meta.concrete_fields]


# The movie or the row may be deleted meanwhile; the next attempt sees that.
@retry_at_once((IntegrityError, Interaction.DoesNotExist), attempts=5)
@retry_on_deadlock
def record_interaction(
    *, user: User, movie_id: int, kind: Interaction.Kind, stars: float | None = None
) -> tuple[Interaction, bool]:
    """Record an interaction; returns the row and whether it is new.

    A repeated one changes nothing, unless another one came in between; other stars replace those
    of the row. Concurrent requests make one row, with the stars of one of them.

    Args:
        stars: 0.5 to 5 in halves for a rating, else None.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    half_stars = round(stars * 2) if stars is not None else 0
    values = {"user_id": user.pk, "movie_id": movie_id, "kind": kind, "half_stars": half_stars}
    with prepared_cursor() as cursor:
        cursor.execute(RECORD, {**values, "now": timezone.now(), "seen": Kind.SEEN})
        written = cursor.fetchone()
    if written is None:  # there is nothing to change, or no such movie
        movies.get_movie(movie_id)
        row = Interaction.objects.get(user=user, movie_id=movie_id, kind=kind)
        row.half_stars = half_stars  # another request may have changed it since
        return row, False
    *values_written, created = written
    return Interaction.from_db(DEFAULT_DB_ALIAS, COLUMNS, values_written), created


def record_and_match(
    *, user: User, movie_id: int, kind: Interaction.Kind, stars: float | None = None
) -> tuple[Interaction, bool]:
    """Record an interaction; the row has the viewers who match the viewer by it.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    began = timezone.now()
    row, created = record_interaction(user=user, movie_id=movie_id, kind=kind, stars=stars)
    if row.updated_at >= began:  # it changed something
        row.new_matches = find_new_matches(user_id=user.pk, movie_id=movie_id)
    return row, created


def rate_movie(*, user: User, movie_id: int, stars: float) -> Interaction:
    """Create or replace the viewer's rating; `stars` is 0.5 to 5 in halves.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    row, _ = record_interaction(user=user, movie_id=movie_id, kind=Kind.RATING, stars=stars)
    return row


def delete_rating(*, user: User, movie_id: int) -> None:
    """Take the viewer's rating back.

    Raises:
        RatingNotFound: There is none.
    """
    mine = Interaction.objects.filter(user=user, movie_id=movie_id, kind=Kind.RATING)
    if not mine.delete()[0]:
        raise RatingNotFound(movie_id)


def delete_interaction(*, user: User, interaction_id: int) -> None:
    """Take an interaction back.

    Raises:
        InteractionNotFound: It is not there, or not this viewer's.
    """
    if not Interaction.objects.filter(pk=interaction_id, user=user).delete()[0]:
        raise InteractionNotFound(interaction_id)


def record_click(*, user: User, list_id: UUID, movie_id: int) -> None:
    """Record that the viewer opened a movie of a list; of several times the first counts.

    Raises:
        NotRecommended: The viewer was given no such list, or the film is not in it.
    """
    click = note_click(
        user_id=user.pk, list_id=str(list_id), movie_id=movie_id, clicked_at=timezone.now()
    )
    if not _may_be_in(user, list_id, movie_id, click):
        withdraw_click(click)
        raise NotRecommended(list_id, movie_id)


def _may_be_in(user: User, list_id: UUID, movie_id: int, click: NotedClick) -> bool:
    """Whether the movie is in the viewer's list, or that is unknown.

    It is unknown while the cache is away and the list is not stored yet. Such a click counts only
    if its impression comes.
    """
    if click.films:
        return movie_id in orjson.loads(click.films)
    shown = Impression.objects.filter(list_id=list_id, user=user)
    is_away = click.entry_id is None
    return shown.filter(movie_id=movie_id).exists() or (is_away and not shown.exists())
