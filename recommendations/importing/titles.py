"""Film titles: MovieLens' form of them, and the keys by which titles are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from movies.search.text import RUN, spellings

YEARS = range(1870, 2201)
#: The part of a title that is compared, as in `movies.sorting`.
MAX_LENGTH = 100

#: "(1999)"; of a series, "(2006–2007)" or "(2011- )", the first year.
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)\s*$")
ARTICLES = "The|An?|La|Le|Les|L['’]|Der|Die|Das|El|Los|Las|Il|Un|Une|Una"
ARTICLE = re.compile(rf"(?P<aka>(?:a\.?k\.?a\.? )?)(?P<rest>.+), (?P<article>{ARTICLES})")
LEADING_ARTICLE = re.compile(rf"^(?:{ARTICLES})(?:(?<=['’])|\s+)(?=\S)", re.IGNORECASE)
ALTERNATIVE = re.compile(r"\(([^()]+)\)")


@dataclass(frozen=True)
class ParsedTitle:
    """`name` is the text before the year; `others` are the names that it consists of."""

    name: str
    others: tuple[str, ...]
    release_year: int | None


def parse_title(text: str) -> ParsedTitle:
    """Split "Postman, The (Postino, Il) (1994)" into "The Postman (Il Postino)" and 1994.

    An impossible year stays in the name.
    """
    release_year = None
    if (found := YEAR.search(text)) and int(found[1]) in YEARS:
        release_year = int(found[1])
        text = text[: found.start()]
    main, parenthesis, rest = text.strip().partition(" (")
    main = article_first(main)
    rest = ALTERNATIVE.sub(lambda group: f"({article_first(group[1])})", parenthesis + rest)
    others = [other.removeprefix("a.k.a. ") for other in ALTERNATIVE.findall(rest)]
    return ParsedTitle(main + rest, (main, *others) if others else (), release_year)


def article_first(name: str) -> str:
    """Turn "Matrix, The" into "The Matrix", and "Avventura, L'" into "L'Avventura"."""
    if not (found := ARTICLE.fullmatch(name)):
        return name
    article = found["article"]
    space = "" if article.endswith(("'", "’")) else " "
    return f"{found['aka']}{article}{space}{found['rest']}"


def title_keys(title: str) -> Iterator[tuple[int, str]]:
    """Yield the keys by which the title is compared, each with a rank.

    0 is the title itself, 1 the title without its article, 2 one of the names in it, as in
    "The Postman (Il Postino)".
    """
    title = _shortened(title).replace("&", " and ")
    yield from ((0, key) for key in _folded(title))
    if (bare := LEADING_ARTICLE.sub("", article_first(title))) != title:
        yield from ((1, key) for key in _folded(bare))
    if "(" in title:
        for other in parse_title(title).others:
            yield from ((2, key) for key in _folded(LEADING_ARTICLE.sub("", other)))


def hashed_title_keys(titles: Iterable[str]) -> list[int]:
    """Hash the keys of all titles for an index; titles that share no hash do not match."""
    return hashed_keys(key for title in titles for _, key in title_keys(title))


def hashed_keys(keys: Iterable[str]) -> list[int]:
    return sorted(map(hash_of, set(keys)))


def hash_of(text: str) -> int:
    """Hash to a signed number of 64 bits."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _shortened(title: str) -> str:
    """Cut before and after NFKC, which can expand one character to many."""
    if title.isascii():
        return title[:MAX_LENGTH]
    return unicodedata.normalize("NFKC", title[:MAX_LENGTH])[:MAX_LENGTH]


def _folded(title: str) -> set[str]:
    """Reduce to letters and digits in each spelling; a title without any is its punctuation."""
    return {"".join(RUN.findall(text)) or text.strip() for text in spellings(title)}
