"""The films that fit best, the best first, in one query."""

from __future__ import annotations

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQueryField
from django.db import connection
from django.db.models import BigIntegerField, BooleanField, F, Func, QuerySet, Value
from django.db.models.functions import Cast

from movies.models import Movie, MovieSearch
from movies.search.queries import both, parse
from movies.sorting import SortKey

#: So many are found: nobody turns more than twenty pages, and to rank every film that has a common
#: word takes long. First come, up to so many, films with a title that begins with the query; then
#: those that have its words in names, as they stand or as beginnings; then any.
AT_MOST, SO_TITLED = 400, 200

# Materialized, or the planner would trust in a limit and read the table until it is reached. What
# has the words anywhere is looked for only if too few have them in names; what has beginnings in
# names, which is among it, only if there is more of that than can be ranked.
# Of the weights the first is that of D; a word that is found as it stands counts twice. A film
# whose title is the query goes before all others, and one whose title begins with it before those
# that have it elsewhere in the title.
FIND = """
WITH key AS (
    SELECT start, start || chr(1114111) AS beyond FROM (SELECT {key} AS start) AS made
), titled AS (
    SELECT id FROM movies_movie
    WHERE name_key >= (SELECT start FROM key) AND name_key < (SELECT beyond FROM key)
      AND (SELECT start FROM key) <> '' AND id IN ({movies})
    ORDER BY name_key, id LIMIT {so_titled}
), in_names AS MATERIALIZED (
    SELECT movie_id FROM movies_moviesearch WHERE document @@ %s::tsquery
), named AS MATERIALIZED (
    TABLE in_names LIMIT {at_most}
), anywhere AS MATERIALIZED (
    SELECT movie_id FROM movies_moviesearch WHERE document @@ %s::tsquery
      AND (SELECT count(*) FROM named) < {at_most}
), mentioned AS MATERIALIZED (
    TABLE anywhere LIMIT {at_most}
), beginning_names AS MATERIALIZED (
    SELECT movie_id FROM movies_moviesearch WHERE document @@ %s::tsquery
      AND (SELECT count(*) FROM mentioned) = {at_most}
), almost AS (
    TABLE beginning_names LIMIT {at_most}
), in_turn AS (
    SELECT id, row_number() OVER () AS place FROM (
        TABLE titled UNION ALL TABLE named UNION ALL TABLE almost UNION ALL TABLE mentioned
    ) AS each_again_and_again
), candidates AS (
    SELECT id FROM in_turn GROUP BY id ORDER BY min(place) LIMIT {at_most}
)
SELECT film.id FROM movies_movie AS film JOIN movies_moviesearch ON movie_id = film.id, key
WHERE film.id IN (TABLE candidates) AND film.id IN ({movies})
ORDER BY ts_rank('{weights}', document, %s::tsquery) + ts_rank('{weights}', document, %s::tsquery)
         + CASE WHEN name_key = start THEN 1
                WHEN name_key > start AND name_key < beyond THEN 0.2 ELSE 0 END DESC,
         rating_count DESC, name_key, film.id
"""


class _Matches(Func):
    template = "%(expressions)s"
    arg_joiner = " @@ "
    output_field = BooleanField()


class _IsAmong(Func):
    """As `pk__in`, with one parameter however many they are."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()


def has(query: str) -> Func:
    """A condition for `MovieSearch`."""
    return _Matches(F("document"), Cast(Value(query), SearchQueryField()))


def is_found_by(query: str) -> Func:
    """A condition for `Movie`. The index is asked first: the planner takes people for as common as
    words, and would look for them among all films in the order of the list.
    """
    return _IsAmong(F("pk"), ArraySubquery(MovieSearch.objects.filter(has(query)).values("pk")))


def is_among(ids: list[int]) -> Func:
    return _IsAmong(F("pk"), _array(ids))


def place_in(ids: list[int]) -> Func:
    return Func(_array(ids), F("pk"), function="array_position")


def _array(ids: list[int]) -> Cast:
    # As text: the driver takes milliseconds for hundreds of numbers.
    return Cast(Value(f"{{{','.join(map(str, ids))}}}"), ArrayField(BigIntegerField()))


def find(text: str, movies: QuerySet[Movie], facets: str) -> list[int]:
    """The ids of the films among `movies` that fit the words best.

    Args:
        facets: What `movies` is narrowed by, as a query: thus the index knows.
    """
    if (query := parse(text)) is None:
        return []
    narrowed, parameters = movies.order_by().values("pk").query.sql_with_params()
    statement = FIND.format(
        key=SortKey.template % {"expressions": "%s::text"},
        movies=narrowed,
        weights="{0.05, 0.2, 0.4, 1}",
        at_most=AT_MOST,
        so_titled=SO_TITLED,
    )
    tiers = (query.in_names, query.anywhere, query.beginning_names)
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            [
                text,
                *parameters,
                *(both(tier, facets) for tier in tiers),
                *parameters,
                query.words,
                query.beginnings,
            ],
        )
        return [movie_id for (movie_id,) in cursor.fetchall()]
