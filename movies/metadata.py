"""Who acts in a film and who directs it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import dropwhile

from movies.search.text import RUN, fold

#: Stands among the protagonists of a film whose people are not known: the list cannot be empty.
UNKNOWN = "Unknown"


def actors_of(protagonists: Sequence[str], directors: Collection[str]) -> list[str]:
    """The protagonists without the directors who stand first.

    Many lists name the directors, then the cast. A director acts too who stands behind an actor.
    """
    cast = dropwhile(lambda name: name in directors, protagonists)
    return [name for name in cast if name != UNKNOWN]


def as_protagonists(cast: Sequence[str], directors: Collection[str]) -> list[str]:
    """The cast in its order; but an actor before a director who acts, as `actors_of` needs it."""
    leading = next((name for name in cast if name not in directors), None)
    return list(dict.fromkeys([*([leading] if leading else []), *cast]))


#: So many titles are remembered: with every change of the catalogue the same ones come again.
REMEMBERED = 1 << 16
#: A title of so many words is looked for at the beginning of others: "Mad Max" in "Mad Max Beyond
#: Thunderdome", but not "Big" in "Big Fish".
LEADING_WORDS = 2
#: What goes on so is another title: "The Deep End of the Ocean" is no sequel of "The Deep End".
GOES_ON = frozenset({"of", "in", "on", "at", "from", "for", "with", "to", "or"})

# All of folded titles.
ALTERNATIVE = re.compile(r"(?<=\S) \(([^()]*)\)")
KNOWN_AS = re.compile(r"^a\.?k\.?a\.? ")
SUBTITLE = re.compile(r"(?<=\w)[.!?]?(?:: | [-–—] ).*")
ARTICLE_LAST = re.compile(r"^(.+), (the|an?|la|le|les|der|die|das|el|los|las|il)$")
#: "Harry Potter and the …", and no title whose hero has one name: "Beauty and the Beast".
HERO = re.compile(r"^(\w+\.? \w+) (?:and|&|und|et) (?:the|der|die|das|les?|la) .*")

WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen"
ROMAN = "ii|iii|iv|v|vi|vii|viii|ix"
PART = (
    r"(?:part|parts|pt|vol|volume|chapter|episode|teil|partie|parte)\.? "
    rf"(?:\d+|i|x|{ROMAN}|{WORDS})"
)
#: 8, 9 and X end titles of no series: "Super 8", "District 9", "Malcolm X".
NUMBER = rf"[2-7]|\d+ \d/\d|{ROMAN}|{WORDS.removeprefix('one|')}"
NUMBERED = re.compile(rf"(?<=\w)[,.:!?]? (?:{NUMBER}|{PART})(?:,? {PART})?$")
LEADING_ARTICLE = re.compile(r"^(?:the|an?) (?=\w)")
FILLING = frozenset({"the", "and"})


@lru_cache(maxsize=REMEMBERED)
def series_key(name: str, series: str = "") -> str:
    """The same for films of one series; "" where there is nothing to tell it by."""
    return _spelled(_article_gone(fold(series))) or _of_title(fold(name))


def series_keys(films: Iterable[tuple[int, str, str]]) -> dict[int, str]:
    """By id the key of each film, of (id, name, series).

    Besides `series_key`, a film whose title begins with the whole of another's is of its series.
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
    """Of the first of its names that goes on from another title; else of the whole name."""
    main = ALTERNATIVE.sub("", title)
    others = (KNOWN_AS.sub("", other) for other in ALTERNATIVE.findall(title))
    names = [_article_gone(name) for name in (main, *others)]
    stems = (stem for name in names if (stem := _beginning(name)) != name)
    return _spelled(next(stems, names[0]))


def _article_gone(name: str) -> str:
    """The German and French ones stay, at the beginning: "die" is a word of other titles too."""
    return LEADING_ARTICLE.sub("", ARTICLE_LAST.sub(r"\2 \1", name))


def _beginning(name: str) -> str:
    return HERO.sub(r"\1", NUMBERED.sub("", _article_gone(SUBTITLE.sub("", name))))


def _spelled(text: str) -> str:
    words = RUN.findall(text.replace("'", "").replace("’", ""))
    return " ".join(word for word in words if word not in FILLING) or " ".join(words)
