"""Search: texts and filters as `tsquery` literals, and the statement that ranks the matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQueryField
from django.db.models import BigIntegerField, BooleanField, F, Func, QuerySet, Value
from django.db.models.functions import Cast

from cinema import replicas
from movies.models import Movie, MovieSearch
from movies.schemas import MovieFilters
from movies.search import index
from movies.search.index import IN_NAME
from movies.search.text import (
    IS_UNSPACED,
    MAX_WORD_LENGTH,
    RUN,
    SortKey,
    joined,
    letters_of,
    spellings,
)

#: Words of a query that count; the longest titles need fewer.
MAX_WORDS = 12
#: The last word may be unfinished. With this many letters it may begin a word of any text, with
#: fewer one of a name: every overview has a word with c, and collecting those took the most time.
ANYWHERE_FROM = 4
#: Other words may be cut short: with this many letters they may begin a word of a name.
CUT_SHORT_FROM = 4
#: The bounds of open ranges of years.
YEARS = range(1800, 2300)
YEARS_EACH = {index.DECADE: 10, index.YEAR: 1}
#: The index checks every lexeme of a range.
FEW_YEARS = 8
#: Filters that most films of a large catalogue pass; dropping the others afterwards is faster.
MANY_YEARS, NO_SELECTION = 50, ("finished",)


@dataclass(frozen=True)
class SearchQuery:
    """The `tsquery` literals for a text or for one of its words.

    Attributes:
        in_names: Names of the film or of its people contain every word.
        beginning_names: Every word begins a word of such names.
        anywhere: Any text contains every word.
        words, beginnings: For the ranking, any of the words, and any as a beginning.
    """

    in_names: str
    beginning_names: str
    anywhere: str
    words: str
    beginnings: str

    @classmethod
    def combined(
        cls, queries: Iterable[SearchQuery], combine: Callable[[Iterable[str]], str]
    ) -> SearchQuery:
        columns = zip(*(vars(each).values() for each in queries), strict=True)
        in_names, beginning_names, anywhere, words, beginnings = columns
        return cls(
            combine(in_names),
            combine(beginning_names),
            combine(anywhere),
            _any_of(words),
            _any_of(beginnings),
        )


# The spellings of one term, each of one or several words.
_Ways = Sequence[Sequence[SearchQuery]]


def parse_query(text: str) -> SearchQuery | None:
    """The query; None if the text has no letters or digits."""
    terms: list[_Ways] = []
    room = MAX_WORDS
    chunks = text.split()
    for place, chunk in enumerate(chunks, 1):
        # A single letter begins too many words. `find_movie_ids` also looks at titles.
        is_last = place == len(chunks) and len(text) > 1
        ways = _spellings(chunk, at_most=room, is_last=is_last)
        if ways and ways not in terms:
            terms.append(ways)
            room -= len(ways[0])
        if room <= 0:
            break
    if not terms:
        return None

    combined = SearchQuery.combined
    of_terms = (combined((combined(words, _all_of) for words in ways), _any_of) for ways in terms)
    return combined(of_terms, _all_of)


def _spellings(chunk: str, *, at_most: int, is_last: bool) -> _Ways:
    """The spellings of a term: Spider-Man is two words or one, Müller is muller or mueller."""
    spelled = [RUN.findall(spelling)[:at_most] for spelling in spellings(chunk)]
    ways = [runs for each in spelled for runs in (each, [joined(each)]) if any(runs)]
    return [
        [
            word
            for place, run in enumerate(runs, 1)
            for word in _words(run[:MAX_WORD_LENGTH], is_last=is_last and place == len(runs))
        ]
        for runs in ways
    ]


def _words(run: str, *, is_last: bool) -> Iterator[SearchQuery]:
    if not IS_UNSPACED.match(run):
        yield _word_query(run, is_last=is_last)
    elif len(run) == 1:
        yield SearchQuery(IN_NAME + run, f"{IN_NAME}{run}:*", f"{run}:*", run, f"{run}:*")
    else:
        for pair in map("".join, pairwise(run)):
            yield SearchQuery(IN_NAME + pair, IN_NAME + pair, pair, pair, pair)


def _word_query(word: str, *, is_last: bool) -> SearchQuery:
    in_names, beginning, length = IN_NAME + word, f"{word}:*", len(word)
    if is_last and length >= ANYWHERE_FROM:
        return SearchQuery(in_names, IN_NAME + beginning, beginning, word, beginning)
    if is_last or length >= CUT_SHORT_FROM:
        beginning = IN_NAME + beginning
        return SearchQuery(in_names, beginning, _any_of((word, beginning)), word, beginning)
    return SearchQuery(in_names, in_names, word, word, word)


def facet_query(filters: MovieFilters, *, genre: int | None) -> str:
    """A query for the selective ones of these filters, the genre by its id; it may be empty."""
    terms = []
    if genre is not None:
        terms.append(f"{index.GENRE}{genre}")
    if filters.status not in (None, *NO_SELECTION):
        terms.append(index.STATUS + letters_of(filters.status))
    if filters.language is not None:
        terms.append(index.LANGUAGE + letters_of(filters.language))
    if filters.year_from is not None or filters.year_to is not None:
        first = max(filters.year_from or 0, YEARS[0])
        last = YEARS[-1] if filters.year_to is None else min(filters.year_to, YEARS[-1])
        if last - first < MANY_YEARS:
            terms.append(_any_of(_years(first, last)))
    return both(*terms)


def _years(first: int, last: int) -> Sequence[str]:
    """A few lexemes that cover the years, and maybe some more: Y1988, Y1989, D199."""
    exact = list(_covering(first, last))
    if len(exact) <= FEW_YEARS:
        return exact
    return list(_covering(first - first % 10, last - last % 10 + 9))


def _covering(first: int, last: int) -> Iterator[str]:
    while first <= last:
        for kind, span in YEARS_EACH.items():
            if first % span == 0 and first + span - 1 <= last:
                yield f"{kind}{first // span}"
                first += span
                break


def person_query(*names: str) -> str:
    """A query for the films of people with one of these full names; it may be empty."""
    return _any_of(lexeme for name in names for lexeme in index.person_lexemes(name))


def keyword_query(*keywords: str) -> str:
    """A query for the films with one of these keywords; it may be empty."""
    return _any_of(lexeme for text in keywords for lexeme in index.keyword_lexemes(text))


def both(*queries: str) -> str:
    return _all_of(queries)


def _all_of(queries: Iterable[str]) -> str:
    return _combined(queries, " & ")


def _any_of(queries: Iterable[str]) -> str:
    return _combined(queries, " | ")


def _combined(queries: Iterable[str], operator: str) -> str:
    each = list(dict.fromkeys(filter(None, queries)))
    return each[0] if len(each) == 1 else f"({operator.join(each)})" if each else ""


#: The largest number of results, as ranking every film with a common word takes long, and of
#: candidates whose title begins with the query. Films with the words in names follow, then others.
AT_MOST, SO_TITLED = 400, 200

# The CTEs are materialized, as the planner would otherwise trust a limit and scan the table until
# it is reached. `beginning_names` runs only if too few films match in names, and `anywhere` only if
# those are too few as well.
# The first weight is that of D. A whole word counts twice. A title equal to the query comes first,
# then titles that begin with it.
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
), beginning_names AS MATERIALIZED (
    SELECT movie_id FROM movies_moviesearch WHERE document @@ %s::tsquery
      AND (SELECT count(*) FROM named) < {at_most}
), almost AS MATERIALIZED (
    TABLE beginning_names LIMIT {at_most}
), anywhere AS MATERIALIZED (
    SELECT movie_id FROM movies_moviesearch WHERE document @@ %s::tsquery
      AND (SELECT count(*) FROM named) < {at_most}
      AND (SELECT count(*) FROM almost) < {at_most}
), mentioned AS (
    TABLE anywhere LIMIT {at_most}
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
    """Like `pk__in`, with a single parameter."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()


def matches_query(query: str) -> Func:
    """A condition for `MovieSearch`."""
    return _Matches(F("document"), Cast(Value(query), SearchQueryField()))


def is_found_by(query: str) -> Func:
    """A condition for `Movie`, by a subquery that uses the index first.

    The planner takes people to be as common as words, and would scan the films in list order.
    """
    return _IsAmong(
        F("pk"), ArraySubquery(MovieSearch.objects.filter(matches_query(query)).values("pk"))
    )


def is_among(ids: list[int]) -> Func:
    return _IsAmong(F("pk"), _array(ids))


def position_in(ids: list[int]) -> Func:
    return Func(_array(ids), F("pk"), function="array_position")


def _array(ids: list[int]) -> Cast:
    # A text literal: the driver takes milliseconds to adapt hundreds of numbers.
    return Cast(Value(f"{{{','.join(map(str, ids))}}}"), ArrayField(BigIntegerField()))


def find_movie_ids(text: str, movies: QuerySet[Movie], facets: str) -> list[int]:
    """The ids of the best matches among `movies`, the best first.

    Args:
        facets: The filters of `movies` as a query, which lets the index apply them.
    """
    if (query := parse_query(text)) is None:
        return []
    narrowed, parameters = movies.order_by().values("pk").query.sql_with_params()
    statement = FIND.format(
        key=SortKey.template % {"expressions": "%s::text"},
        movies=narrowed,
        weights="{0.05, 0.2, 0.4, 1}",
        at_most=AT_MOST,
        so_titled=SO_TITLED,
    )
    anywhere = query.anywhere
    if anywhere == _any_of((query.words, query.beginning_names)):
        # A single short word. The other films have been found by `beginning_names`.
        anywhere = query.words
    tiers = (query.in_names, query.beginning_names, anywhere)
    with replicas.cursor() as cursor:
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
