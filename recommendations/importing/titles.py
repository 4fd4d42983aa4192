"""MovieLens titles: the year stands at the end, and an article after a comma."""

from __future__ import annotations

import re
from dataclasses import dataclass

YEARS = range(1870, 2201)

#: "(1999)"; of a series, "(2006–2007)" or "(2011- )", the first year.
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)\s*$")
ARTICLES = "The|An?|La|Le|Les|L['’]|Der|Die|Das|El|Los|Las|Il|Un|Une|Una"
ARTICLE = re.compile(rf"(?P<aka>(?:a\.?k\.?a\.? )?)(?P<rest>.+), (?P<article>{ARTICLES})")
LEADING_ARTICLE = re.compile(rf"^(?:{ARTICLES})(?:(?<=['’])|\s+)(?=\S)", re.IGNORECASE)
ALTERNATIVE = re.compile(r"\(([^()]+)\)")


@dataclass(frozen=True)
class Title:
    """`name` is all that stands before the year; `others` are the names that it is made of."""

    name: str
    others: tuple[str, ...]
    release_year: int | None


def parse_title(text: str) -> Title:
    """Split "Postman, The (Postino, Il) (1994)" to "The Postman (Il Postino)" and 1994.

    A year that cannot be one stays in the name.
    """
    release_year = None
    if (found := YEAR.search(text)) and int(found[1]) in YEARS:
        release_year = int(found[1])
        text = text[: found.start()]
    main, parenthesis, rest = text.strip().partition(" (")
    main = article_first(main)
    rest = ALTERNATIVE.sub(lambda group: f"({article_first(group[1])})", parenthesis + rest)
    others = [other.removeprefix("a.k.a. ") for other in ALTERNATIVE.findall(rest)]
    return Title(main + rest, (main, *others) if others else (), release_year)


def article_first(name: str) -> str:
    """From "Matrix, The" to "The Matrix", from "Avventura, L'" to "L'Avventura"."""
    if not (found := ARTICLE.fullmatch(name)):
        return name
    article = found["article"]
    space = "" if article.endswith(("'", "’")) else " "
    return f"{found['aka']}{article}{space}{found['rest']}"
