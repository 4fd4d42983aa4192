"""A film as a literal of type `tsvector`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from movies.languages import ranges_of
from movies.search.words import RUN, joined, letters_of, lexemes_of, spellings

#: Of one film, its name first. Postgres takes a megabyte.
MAX_LEXEMES = 3_000
#: So much of a full name counts.
MAX_PERSON_LENGTH = 200

# Lexemes of another kind begin with a capital; folded words hold none.
#: A word of a name, the film's or somebody's.
IN_NAME = "N"
#: Somebody's full name, and a whole keyword.
PERSON, KEYWORD = "P", "K"
#: What one filters by, so that the index finds what is both.
GENRE, STATUS, LANGUAGE = "G", "S", "L"
YEAR, DECADE, CENTURY = "Y", "D", "C"


@dataclass(frozen=True)
class Film:
    """What a film is found by. `genres` are ids."""

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


def document(film: Film) -> str:
    """Words have the weight of the first field that they are in: A name, B protagonists and
    directors, C keywords, the series and tags, D overview, which is also what a lexeme without a
    position counts as.
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


def _facets(film: Film) -> Iterator[str]:
    yield from (f"{GENRE}{genre}" for genre in film.genres)
    yield STATUS + letters_of(film.status)
    if film.language:
        yield from (LANGUAGE + letters_of(each) for each in ranges_of(film.language))
    if film.release_year:
        year = str(film.release_year)
        yield from (YEAR + year, DECADE + year[:3], CENTURY + year[:2])
    yield from chain.from_iterable(map(person, chain(film.protagonists, film.directors)))
    yield from chain.from_iterable(map(keyword, film.keywords))


def person(name: str) -> list[str]:
    """The lexemes of somebody's full name; none if nothing in it can be looked for."""
    spelled = (letters_of(spelling)[:MAX_PERSON_LENGTH] for spelling in spellings(name))
    return [PERSON + letters for letters in spelled if letters]


def keyword(text: str) -> list[str]:
    """The lexeme of a whole keyword; none if nothing in it can be looked for."""
    letters = letters_of(text)[:MAX_PERSON_LENGTH]
    return [KEYWORD + letters] if letters else []
