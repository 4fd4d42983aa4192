"""What time does to a movie: its status by the dates, and its ranking until it runs."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Case, F, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from movies import catalogue
from movies.models import Movie, RatingPrior

#: A community score counts so many ratings more, each with the mean of all ratings.
RATING_PRIOR_COUNT = 10

#: The clock moves a movie through these from left to right.
STATUS_ORDER = list(Movie.Status)


def current_status(movie: Movie, *, manual: str | None = None, today: date | None = None) -> str:
    """The status by the dates, or the one set by hand where that is further on."""
    today = today or timezone.localdate()
    if movie.end_date and today > movie.end_date:
        by_date = Movie.Status.FINISHED
    elif today < movie.start_date:
        by_date = Movie.Status.COMING_UP
    elif today < movie.start_date + timedelta(days=settings.STARTING_DAYS):
        by_date = Movie.Status.STARTING
    else:
        by_date = Movie.Status.RUNNING
    return max(by_date, Movie.Status(manual or by_date), key=STATUS_ORDER.index)


def advance_statuses(*, today: date | None = None) -> int:
    """Give each movie the status of the date; returns how many changed.

    A status set by hand only moves forward. The others also move back, after the clock was ahead
    for a while and was set right.
    """
    today = today or timezone.localdate()
    starting_since = today - timedelta(days=settings.STARTING_DAYS)
    moves = [
        (Movie.Status.FINISHED, Q(end_date__lt=today)),
        (Movie.Status.RUNNING, Q(start_date__lte=starting_since)),
        (Movie.Status.STARTING, Q(start_date__lte=today)),
    ]
    # The first condition that holds names the furthest status, so one UPDATE moves all.
    cases = [When(condition, then=Value(status.value)) for status, condition in moves]
    by_date = Case(*cases, default=Value(Movie.Status.COMING_UP.value))
    movies = Movie.objects.annotate(by_date=by_date)
    is_due = Q(status_is_manual=False) & ~Q(status=F("by_date"))
    for status, condition in moves:
        is_due |= condition & Q(status__in=STATUS_ORDER[: STATUS_ORDER.index(status)])
    return _update_any(movies.filter(is_due), status=F("by_date"))


def _update_any(movies: QuerySet[Movie], **values: Any) -> int:
    """Update the movies, if there are any: an UPDATE of no row still fires the trigger that raises
    the catalogue's version, upon which every process makes all its bytes anew.
    """
    return movies.update(**values) if movies.exists() else 0


def tick_ranking(*, now: datetime | None = None) -> int:
    """Raise the ranking of each movie that does not run yet; returns how many rose.

    One step at most, however long nobody ticked: a server that was down for a night must not
    turn the order upside down in the morning. A second tick within three quarters of an
    interval, from a second beat or a second worker, finds nothing to do: it waits for the first
    one's row locks and then sees the new `ranked_at`. More than half, so that two beats cannot
    take turns; less than all, so that one late tick does not cost the next one.
    """
    now = now or timezone.now()
    pause = timedelta(seconds=settings.RANKING_INTERVAL_S * 0.75)
    # A tick far in the future was made before the clock was set back.
    due = Q(ranked_at=None) | ~Q(ranked_at__range=(now - pause, now + pause))
    waiting = Movie.objects.filter(due, status__in=["coming-up", "starting"])
    return _update_any(waiting, ranking=F("ranking") + settings.RANKING_STEP, ranked_at=now)


#: Below it, no score that is shown with two digits changes by more than one in the last.
WORTH_RENEWING = 0.01
#: Films whose rows are locked at once: each holds up the viewers who rate it meanwhile.
SCORES_PER_BATCH = 500

# In the order of the ids, as whoever rates several films takes them. What differs is found again
# once it is locked: its viewers may have been faster.
RENEW_SCORES = """
WITH outdated AS (
    SELECT id FROM movies_movie
    WHERE id > %(after)s AND rating_count > 0
      AND community_score IS DISTINCT FROM movies_community_score(rating_count, rating_sum)
    ORDER BY id LIMIT %(batch)s FOR NO KEY UPDATE
), renewed AS (
    UPDATE movies_movie AS film SET community_score = NULL FROM outdated
    WHERE film.id = outdated.id RETURNING film.id
)
SELECT count(*), max(id) FROM renewed
"""


def renew_community_scores() -> int:
    """Have all scores go by the mean of today's ratings; returns how many changed.

    What was interrupted is done by the next call, as it looks for the scores that differ.
    """
    _renew_prior()
    changed, after = 0, 0
    with connection.cursor() as cursor:
        while after is not None:
            cursor.execute(RENEW_SCORES, {"after": after, "batch": SCORES_PER_BATCH})
            count, after = cursor.fetchone()
            changed += count
    if changed:
        catalogue.raise_version()
    return changed


def _renew_prior() -> None:
    """Let the trigger know the mean of all ratings, if it has moved.

    Committed before any score is renewed: a rating that comes in between goes by it already.
    """
    sums = Movie.objects.aggregate(count=Sum("rating_count"), stars=Sum("rating_sum"))
    if not sums["count"]:
        return
    mean, weight = sums["stars"] / sums["count"], RATING_PRIOR_COUNT
    standing = RatingPrior.objects.first()
    if standing is None or standing.weight != weight or abs(standing.mean - mean) > WORTH_RENEWING:
        RatingPrior.objects.update_or_create(pk=1, defaults={"mean": mean, "weight": weight})
