"""The cast of a film without its directors, and the series that it belongs to.

The series is the one that is given, or else follows from the title, where only usual endings are
recognised: a number, a part, a subtitle. A false match costs little: lists keep such films apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import dropwhile

from movies.search.text import RUN, fold

#: The only protagonist of a film whose people are unknown, as the list cannot be empty.
UNKNOWN = "Unknown"


def actors_of(protagonists: Sequence[str], directors: Collection[str]) -> list[str]:
    """The protagonists without the directors at their beginning.

    Many lists name the directors, then the cast. A director after an actor acts too.
    """
    cast = dropwhile(lambda name: name in directors, protagonists)
    return [name for name in cast if name != UNKNOWN]


def as_protagonists(cast: Sequence[str], directors: Collection[str]) -> list[str]:
    """The cast in order, but an actor first, so that `actors_of` keeps directors who act."""
    leading = next((name for name in cast if name not in directors), None)
    return list(dict.fromkeys([*([leading] if leading else []), *cast]))


#: Cached titles: with every change of the catalogue the same titles are asked for again.
REMEMBERED = 1 << 16
#: A title of this many words may begin another: "Mad Max" begins "Mad Max Beyond Thunderdome", but
#: "Big" does not begin a series with "Big Fish".
LEADING_WORDS = 2
#: Words that continue a title: "The Deep End of the Ocean" is no sequel of "The Deep End".
GOES_ON = frozenset({"of", "in", "on", "at", "from", "for", "with", "to", "or"})

# These patterns match folded titles.
ALTERNATIVE = re.compile(r"(?<=\S) \(([^()]*)\)")
KNOWN_AS = re.compile(r"^a\.?k\.?a\.? ")
SUBTITLE = re.compile(r"(?<=\w)[.!?]?(?:: | [-–—] ).*")
ARTICLE_LAST = re.compile(r"^(.+), (the|an?|la|le|les|der|die|das|el|los|las|il)$")
#: "Harry Potter and the …"; a hero of one word is not enough: "Beauty and the Beast".
HERO = re.compile(r"^(\w+\.? \w+) (?:and|&|und|et) (?:the|der|die|das|les?|la) .*")

WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen"
ROMAN = "ii|iii|iv|v|vi|vii|viii|ix"
PART = (
    r"(?:part|parts|pt|vol|volume|chapter|episode|teil|partie|parte)\.? "
    rf"(?:\d+|i|x|{ROMAN}|{WORDS})"
)
#: 8, 9 and X end titles that are no sequels: "Super 8", "District 9", "Malcolm X".
NUMBER = rf"[2-7]|\d+ \d/\d|{ROMAN}|{WORDS.removeprefix('one|')}"
NUMBERED = re.compile(rf"(?<=\w)[,.:!?]? (?:{NUMBER}|{PART})(?:,? {PART})?$")
LEADING_ARTICLE = re.compile(r"^(?:the|an?) (?=\w)")
FILLING = frozenset({"the", "and"})


@lru_cache(maxsize=REMEMBERED)
def series_key(name: str, series: str = "") -> str:
    """A key that films of one series share; "" if the title has no words."""
    return _spelled(_without_article(fold(series))) or _of_title(fold(name))


def series_keys(films: Iterable[tuple[int, str, str]]) -> dict[int, str]:
    """The series key by id, for films given as (id, name, series).

    A film whose title begins with the whole title of another belongs to the series of that one.
    """
    keys = {film: series_key(name, series) for film, name, series in films}
    known = set(keys.values())
    return {
        film: next((start for start in _beginnings(key) if start in known), key)
        for film, key in keys.items()
    }


def _beginnings(key: str) -> Iterator[str]:
    words = key.split()
    for count in range(LEADING_WORDS, len(words)):
        if words[count] not in GOES_ON:
            yield " ".join(words[:count])


def _of_title(title: str) -> str:
    """The key of the first name that looks like a sequel's, else of the whole title."""
    main = ALTERNATIVE.sub("", title)
    others = (KNOWN_AS.sub("", other) for other in ALTERNATIVE.findall(title))
    names = [_without_article(name) for name in (main, *others)]
    stems = (stem for name in names if (stem := _series_stem(name)) != name)
    return _spelled(next(stems, names[0]))


def _without_article(name: str) -> str:
    """Remove the article. Leading German and French ones stay: "die" is an English word too."""
    return LEADING_ARTICLE.sub("", ARTICLE_LAST.sub(r"\2 \1", name))


def _series_stem(name: str) -> str:
    return HERO.sub(r"\1", NUMBERED.sub("", _without_article(SUBTITLE.sub("", name))))


def _spelled(text: str) -> str:
    words = RUN.findall(text.replace("'", "").replace("’", ""))
    return " ".join(word for word in words if word not in FILLING) or " ".join(words)
