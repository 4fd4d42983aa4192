"""What viewers look for, as literals of type `tsquery`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from movies.search.documents import (
    CENTURY,
    DECADE,
    GENRE,
    IN_NAME,
    LANGUAGE,
    STATUS,
    YEAR,
    keyword,
    person,
)
from movies.search.words import (
    IS_UNSPACED,
    MAX_WORD_LENGTH,
    RUN,
    joined,
    letters_of,
    spellings,
)

#: So many words are looked for: the longest titles are known by fewer.
MAX_WORDS = 12
#: The last word may be unfinished. From so many letters on it begins a word of any text, else of a
#: name: every overview has a word in c and every fourth one in con, and to gather these took longer
#: than all the rest.
ANYWHERE_FROM = 4
#: Other words may be cut short; from so many letters on they begin a word of a name.
CUT_SHORT_FROM = 4
#: All years that there are, so that a range without an end has one.
YEARS = range(1800, 2300)
YEARS_EACH = {CENTURY: 100, DECADE: 10, YEAR: 1}
#: The index goes through all of them for each film.
FEW_YEARS = 8
#: Most films of a large catalogue are within so many years, and have finished: to drop the others
#: later is faster.
MANY_YEARS, NO_SELECTION = 50, ("finished",)


@dataclass(frozen=True)
class SearchQuery:
    """Each word must be found.

    Attributes:
        in_names: As it stands, in names of the film or of its people.
        beginning_names: There, itself or as a beginning.
        anywhere: In any text.
        words, beginnings: To rank by, any of the words as it stands, and as a beginning.
    """

    in_names: str
    beginning_names: str
    anywhere: str
    words: str
    beginnings: str


@dataclass(frozen=True)
class _Word:
    """Its part in each of the queries."""

    in_names: str
    beginning_names: str
    anywhere: str
    word: str
    beginning: str


# What a viewer takes for a word is one or several in one of the ways to write it.
_Ways = Sequence[Sequence[_Word]]


def parse(text: str) -> SearchQuery | None:
    """The query, or None if there is not a letter or a digit in the text."""
    terms: list[_Ways] = []
    room = MAX_WORDS
    chunks = text.split()
    for place, chunk in enumerate(chunks, 1):
        # A single letter begins too many words; that it begins a title is looked for elsewhere.
        is_last = place == len(chunks) and len(text) > 1
        ways = _ways(chunk, at_most=room, is_last=is_last)
        if ways and ways not in terms:
            terms.append(ways)
            room -= len(ways[0])
        if room <= 0:
            break
    if not terms:
        return None

    def every(found: Callable[[_Word], str]) -> str:
        return _all_of(_any_of(_all_of(map(found, words)) for words in ways) for ways in terms)

    parts = [word for ways in terms for words in ways for word in words]
    return SearchQuery(
        in_names=every(lambda word: word.in_names),
        beginning_names=every(lambda word: word.beginning_names),
        anywhere=every(lambda word: word.anywhere),
        words=_any_of(part.word for part in parts),
        beginnings=_any_of(part.beginning for part in parts),
    )


def _ways(chunk: str, *, at_most: int, is_last: bool) -> _Ways:
    """Spider-Man as two words or one, Müller as muller or mueller."""
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


def _words(run: str, *, is_last: bool) -> Iterator[_Word]:
    if not IS_UNSPACED.match(run):
        yield _word(run, is_last=is_last)
    elif len(run) == 1:
        yield _Word(IN_NAME + run, f"{IN_NAME}{run}:*", f"{run}:*", run, f"{run}:*")
    else:
        for pair in map("".join, pairwise(run)):
            yield _Word(IN_NAME + pair, IN_NAME + pair, pair, pair, pair)


def _word(word: str, *, is_last: bool) -> _Word:
    in_names, beginning, length = IN_NAME + word, f"{word}:*", len(word)
    if is_last and length >= ANYWHERE_FROM:
        return _Word(in_names, IN_NAME + beginning, beginning, word, beginning)
    if is_last or length >= CUT_SHORT_FROM:
        beginning = IN_NAME + beginning
        return _Word(in_names, beginning, _any_of((word, beginning)), word, beginning)
    return _Word(in_names, in_names, word, word, word)


def facets(
    *,
    genre: int | None,
    status: str | None,
    language: str | None,
    year_from: int | None,
    year_to: int | None,
) -> str:
    """A query for what has these, as far as they say much; perhaps empty."""
    terms = []
    if genre is not None:
        terms.append(f"{GENRE}{genre}")
    if status not in (None, *NO_SELECTION):
        terms.append(STATUS + letters_of(status))
    if language is not None:
        terms.append(LANGUAGE + letters_of(language))
    if year_from is not None or year_to is not None:
        first, last = (
            max(year_from or 0, YEARS[0]),
            min(YEARS[-1] if year_to is None else year_to, YEARS[-1]),
        )
        if last - first < MANY_YEARS:
            terms.append(_any_of(_years(first, last)))
    return both(*terms)


def _years(first: int, last: int) -> Sequence[str]:
    """In a few lexemes, if need be of some years more: from 1988 to 1999 is Y1988, Y1989, D199."""
    for span in (YEARS_EACH[YEAR], YEARS_EACH[DECADE]):
        covering = list(_covering(first - first % span, last - last % span + span - 1))
        if len(covering) <= FEW_YEARS:
            return covering
    return list(_covering(first - first % 100, last - last % 100 + 99))


def _covering(first: int, last: int) -> Iterator[str]:
    while first <= last:
        for kind, span in YEARS_EACH.items():
            if first % span == 0 and first + span - 1 <= last:
                yield f"{kind}{first // span}"
                first += span
                break


def by_person(*names: str) -> str:
    """A query for the films of whoever has one of these full names; empty without a letter."""
    return _any_of(lexeme for name in names for lexeme in person(name))


def by_keyword(*keywords: str) -> str:
    """A query for the films with one of these keywords; empty without a letter."""
    return _any_of(lexeme for text in keywords for lexeme in keyword(text))


def both(*queries: str) -> str:
    return _all_of(queries)


def _all_of(queries: Iterable[str]) -> str:
    return _combined(queries, " & ")


def _any_of(queries: Iterable[str]) -> str:
    return _combined(queries, " | ")


def _combined(queries: Iterable[str], operator: str) -> str:
    each = list(dict.fromkeys(filter(None, queries)))
    return each[0] if len(each) == 1 else f"({operator.join(each)})" if each else ""
