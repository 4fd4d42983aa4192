from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from movies import selectors as movies
from movies.days import local_time
from movies.models import Screening
from movies.screenings.selectors import get_screening
from users.history.errors import (
    CheckInNotOpen,
    HistoryFull,
    ScreeningCancelled,
    ScreeningOfAnotherMovie,
    ViewingNotFound,
    WatchedAtAnotherTime,
    WatchedInTheFuture,
)
from users.locking import again_if_deleted, lock_viewer
from users.models import User, Viewing

MAX_VIEWINGS = 50_000
#: So long before its start one can be at a screening.
CHECK_IN_OPENS = timedelta(hours=2)
#: By so much the clocks of others may be fast.
LEEWAY = timedelta(minutes=5)


@again_if_deleted
@transaction.atomic
def record_viewing(
    *,
    user: User,
    movie_id: int,
    watched_at: datetime | None = None,
    screening_id: int | None = None,
) -> tuple[Viewing, bool]:
    """Take note that the viewer has watched a film; returns the entry and whether it is new.

    With a screening it is a check-in. The same film at the same moment, or the same screening, is
    the entry that stands; a check-in makes one of what was noted without a screening.

    Args:
        watched_at: By default now, to the minute, so that who says it twice at once says it once;
            of a check-in the start of the screening.

    Raises:
        MovieNotFound, ScreeningNotFound: There is none that viewers may know of.
        ScreeningOfAnotherMovie, ScreeningCancelled, CheckInNotOpen, WatchedAtAnotherTime,
        WatchedInTheFuture, HistoryFull: As their names say.
    """
    movies.get_movie(movie_id)
    screening = _screening_of(movie_id, screening_id) if screening_id is not None else None
    moment = _moment_of(watched_at, screening)
    lock_viewer(user)
    mine = Viewing.objects.filter(user=user)
    standing = mine.filter(screening=screening).first() if screening else None
    standing = standing or mine.filter(movie_id=movie_id, watched_at=moment).first()
    if standing is not None:
        return _checked_in(standing, screening), False
    if mine.count() >= MAX_VIEWINGS:
        raise HistoryFull(MAX_VIEWINGS)
    viewing = Viewing(user=user, movie_id=movie_id, watched_at=moment)
    return _checked_in(viewing, screening), True


@transaction.atomic
def delete_viewing(*, user: User, viewing_id: int) -> None:
    """Strike an entry from the viewer's history.

    Raises:
        ViewingNotFound: It is not there, or not this viewer's.
    """
    lock_viewer(user)
    if not Viewing.objects.filter(pk=viewing_id, user=user).delete()[0]:
        raise ViewingNotFound(viewing_id)


def _screening_of(movie_id: int, screening_id: int) -> Screening:
    """The screening, if one can be or have been there."""
    screening = get_screening(screening_id, for_staff=False)
    if screening.movie_id != movie_id:
        raise ScreeningOfAnotherMovie(screening_id, movie_id)
    if screening.state == Screening.State.CANCELLED:
        raise ScreeningCancelled(screening_id)
    if (opens_at := screening.starts_at - CHECK_IN_OPENS) > timezone.now():
        raise CheckInNotOpen(local_time(opens_at))
    return screening


def _moment_of(watched_at: datetime | None, screening: Screening | None) -> datetime:
    now = timezone.now()
    if watched_at is None:
        return screening.starts_at if screening else now.replace(second=0, microsecond=0)
    if watched_at > now + LEEWAY:
        raise WatchedInTheFuture
    if screening and not screening.starts_at <= watched_at <= screening.ends_at:
        raise WatchedAtAnotherTime
    return watched_at


def _checked_in(viewing: Viewing, screening: Screening | None) -> Viewing:
    """The entry, written if it is new, or not yet one of a screening."""
    is_check_in = screening is not None and viewing.screening_id is None
    if is_check_in:
        viewing.screening, viewing.checked_in = screening, True
    if is_check_in or viewing.pk is None:
        viewing.save()
    return viewing
