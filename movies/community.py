"""The community score of films: the mean of their ratings, drawn towards that of all ratings.

One vote of five stars says less than two hundred of 4.6. So each film is scored as if it had been
rated `RATING_PRIOR_COUNT` times more, with the mean of all ratings. A trigger keeps the score with
each film's count and sum; here the mean that it goes by follows the ratings.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from movies import catalogue
from movies.models import Movie, RatingPrior

#: Below it, no score that is shown with two digits changes by more than one in the last.
WORTH_RENEWING = 0.01
#: Films whose rows are locked at once: each holds up the viewers who rate it meanwhile.
BATCH = 500

# In the order of the ids, as whoever rates several films takes them. What differs is found again
# once it is locked: its viewers may have been faster.
RENEW = """
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
            cursor.execute(RENEW, {"after": after, "batch": BATCH})
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
    mean, weight = sums["stars"] / sums["count"], settings.RATING_PRIOR_COUNT
    standing = RatingPrior.objects.first()
    if standing is None or standing.weight != weight or abs(standing.mean - mean) > WORTH_RENEWING:
        RatingPrior.objects.update_or_create(pk=1, defaults={"mean": mean, "weight": weight})
