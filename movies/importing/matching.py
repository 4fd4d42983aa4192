"""Titles and the films of the catalogue that they mean."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from django.db.models import F, Q

from movies.models import Movie, MovieQuerySet
from movies.search.text import RUN, spellings

YEARS = range(1870, 2201)
#: The part of a title that is compared, as in `SortKey`.
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
    """Yield the keys by which the title is compared, each with a rank, the surest being 0.

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


# --- the catalogue


@dataclass(frozen=True, slots=True)
class WantedFilm:
    """The film that a row means."""

    titles: tuple[str, ...]
    year: int | None
    tmdb_id: int | None
    imdb_id: str = ""

    @property
    def title(self) -> str:
        return self.titles[0] if self.titles else ""


@dataclass(frozen=True, slots=True)
class CatalogueFilm:
    """`year` is the release year, else the year in which the film began to run."""

    pk: int
    name: str
    year: int
    tmdb_id: int | None


#: How sure a match is, the surest first: the place among the wanted titles, the years between the
#: two films, and the rank of the titles.
Surety = tuple[int, int, int]
BY_TMDB_ID: Surety = (-1, 0, 0)


class FilmMatcher:
    """Finds wanted films in the catalogue, which is read in one query.

    A film matches by its TMDb id; else by its title and year; else by its title and a year before
    or after. Services differ in the year: one counts the festival, another one the release.
    """

    def __init__(self, wanted: Collection[WantedFilm] | None = None) -> None:
        """Read the films that can match `wanted`; by default all films, withdrawn ones too."""
        self._films = list(_every_film() if wanted is None else _films_near(wanted))
        self._by_tmdb_id = {film.tmdb_id: film for film in self._films if film.tmdb_id}
        #: A memo, as folding a title takes longest.
        self._keys: dict[str, list[tuple[int, str]]] = {}

    @cached_property
    def _by_key(self) -> Mapping[str, Sequence[tuple[int, CatalogueFilm]]]:
        by_key = defaultdict(list)
        for film in self._films:
            for rank, key in title_keys(film.name):
                by_key[key].append((rank, film))
        return by_key

    def find(self, wanted: WantedFilm) -> Sequence[CatalogueFilm]:
        """Return the film; several if they cannot be told apart, none if it is unknown."""
        candidates = self.candidates(wanted)
        surest = min(candidates.values(), default=None)
        films = (film for film, surety in candidates.items() if surety == surest)
        return sorted(films, key=lambda film: film.pk)

    def candidates(self, wanted: WantedFilm) -> Mapping[CatalogueFilm, Surety]:
        """Return all films that can be meant."""
        if wanted.tmdb_id and (found := self._by_tmdb_id.get(wanted.tmdb_id)):
            return {found: BY_TMDB_ID}
        candidates: dict[CatalogueFilm, Surety] = {}
        for place, title in enumerate(wanted.titles):
            for own_rank, key in self._keys_of(title):
                for rank, film in self._by_key.get(key, ()):
                    years_apart = abs(film.year - wanted.year) if wanted.year else 0
                    # Two different TMDb ids are two films, whatever their titles.
                    if years_apart <= 1 and not (wanted.tmdb_id and film.tmdb_id):
                        surety = place, years_apart, max(rank, own_rank)
                        candidates[film] = min(surety, candidates.get(film, surety))
        return candidates

    def key_hashes(self, wanted: WantedFilm) -> list[int]:
        """Return `hashed_title_keys` of the titles."""
        return hashed_keys(key for title in wanted.titles for _, key in self._keys_of(title))

    def _keys_of(self, title: str) -> list[tuple[int, str]]:
        if title not in self._keys:
            self._keys[title] = list(title_keys(title))
        return self._keys[title]


def _every_film() -> Iterator[CatalogueFilm]:
    """Read the whole catalogue, the published films first."""
    return _read_films(Movie.objects.order_by(F("withdrawn_at").asc(nulls_first=True), "pk"))


def _films_near(wanted: Collection[WantedFilm]) -> Iterator[CatalogueFilm]:
    """Read the published films of the wanted years and TMDb ids."""
    years = {each.year for each in wanted}
    near = {year + apart for year in years if year for apart in (-1, 0, 1)}
    ids = {each.tmdb_id for each in wanted if each.tmdb_id}
    is_near = Q(release_year__in=near) | Q(release_year=None) | Q(tmdb_id__in=ids)
    return _read_films(
        Movie.objects.published().filter(Q() if None in years else is_near).order_by("pk")
    )


def _read_films(movies: MovieQuerySet) -> Iterator[CatalogueFilm]:
    columns = ("pk", "name", "release_year", "start_date", "tmdb_id")
    for pk, name, release_year, start, tmdb_id in movies.values_list(*columns):
        yield CatalogueFilm(pk, name, release_year or start.year, tmdb_id)
