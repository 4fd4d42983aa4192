from __future__ import annotations

import logging
from functools import partial

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from cinema.locks import again_after_deadlock
from movies import selectors as movies
from movies.answers import rating_changed
from recommendations.errors import InteractionNotFound, RatingNotFound
from recommendations.locking import hold_writes
from recommendations.models import Interaction, TrainingRun
from users.models import User

log = logging.getLogger(__name__)

Kind = Interaction.Kind

LATER_VERDICT = """
SELECT FROM recommendations_evidence
WHERE user_id = %s AND movie_id = %s AND updated_at > %s AND kind <> %s LIMIT 1
"""

#: Of requests that get in each other's way. The second attempt finds what the others have left.
ATTEMPTS = 5


def record_interaction(
    *, user: User, movie_id: int, kind: Interaction.Kind, stars: float | None = None
) -> tuple[Interaction, bool]:
    """Take note of what a viewer thinks of a movie; returns the row and whether it is new.

    The same again changes nothing, unless it takes back something said in between; other stars
    replace those that stand. Of several at once one row comes, with one of their stars.

    Args:
        stars: 0.5 to 5 in halves for a rating, else None.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    half_stars = round(stars * 2) if stars is not None else 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            row, created = _find_or_create(user, movie_id, kind, half_stars)
        except IntegrityError:  # the row that was in the way, or the movie, is deleted since
            if attempt == ATTEMPTS:
                raise
        else:
            if kind == Kind.RATING:
                rating_changed(movie_id)
            return row, created
    raise AssertionError("unreachable")


@again_after_deadlock
@transaction.atomic
def _find_or_create(
    user: User, movie_id: int, kind: Interaction.Kind, half_stars: int
) -> tuple[Interaction, bool]:
    movies.get_movie(movie_id)
    # Locked, or another request could delete it before it is saved.
    row, created = Interaction.objects.select_for_update().get_or_create(
        user=user, movie_id=movie_id, kind=kind, defaults={"half_stars": half_stars}
    )
    if not created and (row.half_stars != half_stars or _is_outdated(row)):
        row.half_stars, row.updated_at = half_stars, timezone.now()
        row.save(update_fields=["half_stars", "updated_at"])
    return row, created


def _is_outdated(row: Interaction) -> bool:
    """Whether the viewer has said something else of the movie since: like, dislike, like again.

    A favourite or a check-in is such a word too.
    """
    if row.kind == Kind.SEEN:
        return False
    with connection.cursor() as cursor:
        cursor.execute(LATER_VERDICT, [row.user_id, row.movie_id, row.updated_at, Kind.SEEN])
        return cursor.fetchone() is not None


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
    rating_changed(movie_id)


def delete_interaction(*, user: User, interaction_id: int) -> None:
    """Take an interaction back.

    Raises:
        InteractionNotFound: It is not there, or not this viewer's.
    """
    mine = Interaction.objects.filter(pk=interaction_id, user=user)
    row = mine.first()
    if row is None or not mine.delete()[0]:
        raise InteractionNotFound(interaction_id)
    if row.kind == Kind.RATING:
        rating_changed(row.movie_id)


# --- training


@transaction.atomic
def request_training() -> TrainingRun:
    """Ask for a training; while one waits or runs, it is that one.

    The row is the request: should the message to the trainer get lost, `resume_training` sends
    another.
    """
    hold_writes(TrainingRun)  # two at once would both find none
    unfinished = TrainingRun.objects.filter(state__in=TrainingRun.UNFINISHED)
    if (waiting := unfinished.first()) is not None:
        return waiting
    run = TrainingRun.objects.create()
    transaction.on_commit(partial(send_to_trainer, run.pk))
    return run


def send_to_trainer(run_id: int) -> None:
    from recommendations.tasks import train

    try:
        train.delay(run_id)
    except (BrokerAway, OSError) as error:
        log.warning("training %d waits for the broker: %s", run_id, error)
