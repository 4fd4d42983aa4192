"""The search document (`tsvector`) of a film: services write it, and a task if triggers ask."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from django.db import connection, transaction

from cinema.locks import retry_on_deadlock
from movies import catalogue
from movies.languages import language_ranges
from movies.search.text import RUN, joined, letters_of, lexemes_of, spellings

#: The most lexemes of a film, those of its name first. Postgres allows a megabyte.
MAX_LEXEMES = 3_000
#: Characters of a full name that count.
MAX_PERSON_LENGTH = 200

# The prefixes of lexemes that are no plain words. Folded words contain no capital letters.
#: A word of a name, the film's or a person's.
IN_NAME = "N"
#: A person's full name, and a whole keyword.
PERSON, KEYWORD = "P", "K"
#: Filters, so that one index lookup finds words and filters together.
GENRE, STATUS, LANGUAGE = "G", "S", "L"
YEAR, DECADE = "Y", "D"


@dataclass(frozen=True)
class SearchableFilm:
    """The indexed fields of a film, in the order of `READ`. `genres` are ids."""

    name: str
    protagonists: Sequence[str]
    directors: Sequence[str]
    keywords: Sequence[str]
    series: str
    tags: Sequence[str]
    overview: str
    genres: Sequence[int]
    status: str
    language: str | None
    release_year: int | None


def build_document(film: SearchableFilm) -> str:
    """The document as text.

    A word has the weight of the first field that contains it: A name, B protagonists and directors,
    C keywords, series and tags, D overview. A lexeme without a position counts as D too.
    """
    title = list(_words(film.name))
    names = list(chain.from_iterable(map(_words, chain(film.protagonists, film.directors))))
    themes = chain.from_iterable(map(_words, chain(film.keywords, [film.series], film.tags)))
    weighted = chain(
        ((facet, "") for facet in _facets(film)),
        ((word, ":1A") for word in title),
        ((IN_NAME + word, ":1A") for word in title),
        ((word, ":1B") for word in names),
        ((IN_NAME + word, ":1B") for word in names),
        ((word, ":1C") for word in themes),
        ((word, "") for word in _words(film.overview, with_joined=False)),
    )
    weights: dict[str, str] = {}
    for lexeme, weight in weighted:
        weights.setdefault(lexeme, weight)
    return " ".join(lexeme + weight for lexeme, weight in islice(weights.items(), MAX_LEXEMES))


def _words(text: str, *, with_joined: bool = True) -> Iterator[str]:
    for spelling in spellings(text):
        for chunk in spelling.split() if with_joined else (spelling,):
            runs = RUN.findall(chunk)
            yield from chain.from_iterable(map(lexemes_of, runs))
            if with_joined and (word := joined(runs)):
                yield word


def _facets(film: SearchableFilm) -> Iterator[str]:
    yield from (f"{GENRE}{genre}" for genre in film.genres)
    yield STATUS + letters_of(film.status)
    if film.language:
        yield from (LANGUAGE + letters_of(each) for each in language_ranges(film.language))
    if film.release_year:
        year = str(film.release_year)
        yield from (YEAR + year, DECADE + year[:3])
    yield from chain.from_iterable(map(person_lexemes, chain(film.protagonists, film.directors)))
    yield from chain.from_iterable(map(keyword_lexemes, film.keywords))


def person_lexemes(name: str) -> list[str]:
    """The lexemes of a person's full name; none if it has no letters or digits."""
    spelled = (letters_of(spelling)[:MAX_PERSON_LENGTH] for spelling in spellings(name))
    return [PERSON + letters for letters in spelled if letters]


def keyword_lexemes(text: str) -> list[str]:
    """The lexeme of a whole keyword; none if it has no letters or digits."""
    letters = letters_of(text)[:MAX_PERSON_LENGTH]
    return [KEYWORD + letters] if letters else []


BATCH = 1_000

# Films that another transaction writes or deletes are left for the next time.
ADD_MISSING = """
INSERT INTO movies_moviesearch (movie_id)
SELECT id FROM movies_movie
WHERE NOT EXISTS (SELECT FROM movies_moviesearch WHERE movie_id = id) {given}
FOR KEY SHARE SKIP LOCKED
ON CONFLICT DO NOTHING
RETURNING movie_id
"""
# A writer of texts or of tags holds this row until it commits, as a trigger marks it.
LOCK_GIVEN = """
SELECT movie_id FROM movies_moviesearch WHERE is_stale AND movie_id = ANY(%s)
ORDER BY movie_id FOR UPDATE
"""
LOCK_NEXT = """
SELECT movie_id FROM movies_moviesearch WHERE is_stale AND movie_id > %s
ORDER BY movie_id LIMIT %s FOR UPDATE SKIP LOCKED
"""
# A separate statement, which sees what was committed before the lock was released.
READ = """
SELECT id, withdrawn_at IS NULL, name, protagonists, directors, keywords, series,
       ARRAY(
           SELECT DISTINCT tag FROM movies_screening, unnest(tags) AS tag
           WHERE movie_id = film.id AND state <> 'hidden' AND cardinality(tags) > 0 ORDER BY tag
       ),
       overview, genre_ids, status, original_language, release_year
FROM movies_movie AS film WHERE id = ANY(%s)
"""
WRITE = """
UPDATE movies_moviesearch AS search SET document = made.document::tsvector, is_stale = false
FROM unnest(%s::bigint[], %s::text[]) AS made (movie_id, document)
WHERE search.movie_id = made.movie_id
"""


@transaction.atomic(savepoint=False)
def index_movies(movie_ids: Collection[int]) -> None:
    """Index these films as the transaction has written them."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_GIVEN, [list(movie_ids)])
        stale = cursor.fetchall()
        if len(stale) < len(movie_ids):  # the others are up to date, or new
            cursor.execute(ADD_MISSING.format(given="AND id = ANY(%s)"), [list(movie_ids)])
            stale += cursor.fetchall()
        _write([movie_id for (movie_id,) in stale])


def index_stale_movies() -> int:
    """Index films that other writers changed, in batches; returns how many.

    Films that are being written are left for the next run.
    """
    with connection.cursor() as cursor:
        cursor.execute(ADD_MISSING.format(given=""))
    count, last = 0, 0
    while batch := _index_batch(after=last):
        count, last = count + len(batch), batch[-1]
    return count


@retry_on_deadlock
@transaction.atomic
def _index_batch(*, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_NEXT, [after, BATCH])
        movie_ids = [movie_id for (movie_id,) in cursor.fetchall()]
    _write(movie_ids)
    return movie_ids


def _write(movie_ids: Collection[int]) -> None:
    if not movie_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(READ, [list(movie_ids)])
        # Nothing matches an empty document.
        made = [
            (movie_id, build_document(SearchableFilm(*fields)) if is_published else "")
            for movie_id, is_published, *fields in cursor.fetchall()
        ]
        cursor.execute(WRITE, [list(column) for column in zip(*made, strict=True)])
    # Cached answers to searches are valid as long as the version stands.
    catalogue.raise_version()
