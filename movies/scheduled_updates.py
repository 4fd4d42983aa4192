"""Scheduled changes of movies: status by date, ranking until the run, community scores.

The community score of a movie is the mean of its ratings drawn towards the mean of all ratings: one
vote of five stars says less than two hundred of 4.6. Each movie is scored as if it had
`RATING_PRIOR_COUNT` more ratings with the mean of all. A trigger keeps the score up to date with
each movie's count and sum; this module updates the mean that the trigger uses.
"""

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
#: A smaller change of the prior's mean moves no displayed score by more than its last digit.
MIN_PRIOR_CHANGE = 0.01
#: Movies locked at once: each locked row delays the viewers who rate the movie.
SCORES_PER_BATCH = 500
# It locks movies in the order of their ids, as all writers of ratings do. Rows are compared again
# after they are locked, as a viewer may have rated meanwhile.
RENEW_SCORES = """
WITH outdated AS (
    SELECT film.id FROM movies_movie AS film, movies_ratingprior AS prior
    WHERE film.id > %(after)s AND rating_count > 0
      AND community_score IS DISTINCT FROM
          (rating_sum + weight * mean) / (rating_count + weight)
    ORDER BY film.id LIMIT %(batch)s FOR NO KEY UPDATE OF film
), renewed AS (
    UPDATE movies_movie AS film SET community_score = NULL FROM outdated
    WHERE film.id = outdated.id RETURNING film.id
)
SELECT count(*), max(id) FROM renewed
"""


def advance_statuses(*, today: date | None = None) -> int:
    """Update the status of each movie by its dates; returns how many changed.

    A manual status only moves forward. Others also move back, after the clock was corrected.
    """
    today = today or timezone.localdate()
    starting_since = today - timedelta(days=settings.STARTING_DAYS)
    moves = [
        (Movie.Status.FINISHED, Q(end_date__lt=today)),
        (Movie.Status.RUNNING, Q(start_date__lte=starting_since)),
        (Movie.Status.STARTING, Q(start_date__lte=today)),
    ]
    # The first true condition gives the furthest status.
    cases = [When(condition, then=Value(status.value)) for status, condition in moves]
    by_date = Case(*cases, default=Value(Movie.Status.COMING_UP.value))
    movies = Movie.objects.annotate(by_date=by_date)
    is_due = Q(status_is_manual=False) & ~Q(status=F("by_date"))
    for status, condition in moves:
        is_due |= condition & Q(status__in=STATUS_ORDER[: STATUS_ORDER.index(status)])
    return _update_any(movies.filter(is_due), status=F("by_date"))


def _update_any(movies: QuerySet[Movie], **values: Any) -> int:
    """Update the movies, if there are any.

    An UPDATE of no row would also fire the trigger that raises the catalogue's version, and every
    process would then rebuild its cache.
    """
    return movies.update(**values) if movies.exists() else 0


def tick_ranking(*, now: datetime | None = None) -> int:
    """Raise the ranking of each movie that does not run yet; returns how many rose.

    A movie rises by one step however much time has passed: after a night without a server the
    order must not turn over. A second tick within three quarters of an interval, from a second
    beat or worker, changes nothing: it waits for the row locks and then sees the new `ranked_at`.
    The pause is more than half an interval, so that two beats cannot alternate, and less than a
    whole one, so that a late tick does not suppress the next.
    """
    now = now or timezone.now()
    pause = timedelta(seconds=settings.RANKING_INTERVAL_S * 0.75)
    # A tick far in the future comes from before the clock was set back.
    due = Q(ranked_at=None) | ~Q(ranked_at__range=(now - pause, now + pause))
    waiting = Movie.objects.filter(due, status__in=["coming-up", "starting"])
    return _update_any(waiting, ranking=F("ranking") + settings.RANKING_STEP, ranked_at=now)


def renew_community_scores() -> int:
    """Recompute the scores with the present mean of all ratings; returns how many changed.

    After an interruption the next call continues, as it looks for scores that differ.
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
    """Store the mean of all ratings for the trigger, if it has changed.

    It is committed before the scores are recomputed, so that a rating in between uses it too.
    """
    sums = Movie.objects.aggregate(count=Sum("rating_count"), stars=Sum("rating_sum"))
    if not sums["count"]:
        return
    mean, weight = sums["stars"] / sums["count"], RATING_PRIOR_COUNT
    standing = RatingPrior.objects.first()
    if (
        standing is None
        or standing.weight != weight
        or abs(standing.mean - mean) > MIN_PRIOR_CHANGE
    ):
        RatingPrior.objects.update_or_create(pk=1, defaults={"mean": mean, "weight": weight})
