from __future__ import annotations

import logging
from functools import partial

from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from movies import selectors as movies
from recommendations.errors import InteractionNotFound, RatingNotFound
from recommendations.models import Interaction, TrainingRun
from users.models import User

log = logging.getLogger(__name__)

Kind = Interaction.Kind


@transaction.atomic
def record_interaction(
    *, user: User, movie_id: int, kind: Interaction.Kind, stars: float | None = None
) -> tuple[Interaction, bool]:
    """Take note of what a viewer thinks of a movie; returns the row and whether it is new.

    The same again changes nothing, other stars replace those that stand. Of several at once one
    row comes, with one of their stars.

    Args:
        stars: 0.5 to 5 in halves for a rating, else None.

    Raises:
        MovieNotFound: No published movie has this id.
    """
    movies.get_movie(movie_id)
    half_stars = round(stars * 2) if stars is not None else 0
    row, created = Interaction.objects.get_or_create(
        user=user, movie_id=movie_id, kind=kind, defaults={"half_stars": half_stars}
    )
    if not created and row.half_stars != half_stars:
        row.half_stars, row.updated_at = half_stars, timezone.now()
        row.save(update_fields=["half_stars", "updated_at"])
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


# --- training


@transaction.atomic
def request_training() -> TrainingRun:
    """Ask for a training; while one waits or runs, it is that one.

    The row is the request: should the message to the trainer get lost, `resume_training` sends
    another.
    """
    unfinished = TrainingRun.objects.filter(state__in=TrainingRun.UNFINISHED)
    if (waiting := unfinished.select_for_update().first()) is not None:
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
