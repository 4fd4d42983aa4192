"""MovieLens titles: the year stands at the end, and an article after a comma."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

YEARS = range(1870, 2201)

#: "(1999)"; of a series "(2006–2007)" or "(2011- )" the first year.
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)\s*$")
ARTICLE = re.compile(
    r"(?P<rest>.+), (?P<article>L'|L’|(?:The|An?|L[aeo]s?|Der|Die|Das|El|Il|Una?|Une)(?= ))", re.S
)
ALTERNATIVE = re.compile(r"\(([^()]+)\)")
ALSO_KNOWN_AS = re.compile(r"a\.?k\.?a\.? ", re.I)


@dataclass(frozen=True)
class Title:
    """`name` is all of it; `others` are the names that it is made of."""

    name: str
    others: tuple[str, ...]
    release_year: int | None


def parse_title(text: str) -> Title:
    """Split "Postman, The (Postino, Il) (1994)" to "The Postman (Il Postino)" and 1994.

    The name is empty where there is none. A year out of range stays in the name.
    """
    text = _clean(text)
    release_year = None
    if (found := YEAR.search(text)) and int(found[1]) in YEARS:
        release_year = int(found[1])
        text = text[: found.start()]
    main, parenthesis, rest = text.partition(" (")
    main = _article_first(main)
    rest = ALTERNATIVE.sub(lambda group: f"({_article_first(group[1])})", parenthesis + rest)
    others = [ALSO_KNOWN_AS.sub("", other) for other in ALTERNATIVE.findall(rest)]
    return Title(main + rest, (main, *others) if others else (), release_year)


def _clean(text: str) -> str:
    """As the API stores a name: NFC, without control characters, white space folded."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(character for character in text if unicodedata.category(character) != "Cc")


def _article_first(name: str) -> str:
    """ "Matrix, The" to "The Matrix", "Avventura, L'" to "L'Avventura"."""
    # The space lets an article be told from the beginning of a word.
    if not (found := ARTICLE.fullmatch(f"{name} ".rstrip() + " ") or None):
        return name
    return name
