"""Which films of the catalogue the rows of a file mean."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from django.db.models import Q

from movies.models import Movie
from movies.search.text import RUN, spellings
from recommendations.importing.statements import Wanted
from recommendations.importing.titles import LEADING_ARTICLE, article_first, parse_title

#: How a title was recognised, the surest first: as it stands; but for the article; by one of the
#: names in it, as in "The Postman (Il Postino)".
SURENESSES = range(3)
#: As in `movies.sorting`.
MAX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Film:
    """One of the catalogue; without a release year it counts as of the year it began to run."""

    pk: int
    name: str
    year: int
    tmdb_id: int | None


class Matching:
    """The films of the catalogue that some files can mean, read in one query.

    A film is that of the same TMDb id; else of the same title, and of the same year or, where
    there is none, of the year before or after. Services differ in the year: one counts the
    festival, another one the release.
    """

    def __init__(self, wanted: Collection[Wanted]) -> None:
        self._by_tmdb_id: dict[int, Film] = {}
        #: Of titles that were looked for: folding them takes longest.
        self._keys: dict[str, list[tuple[int, str]]] = {}
        self._by_key: defaultdict[str, list[tuple[int, Film]]] = defaultdict(list)
        for film in _films(wanted):
            if film.tmdb_id:
                self._by_tmdb_id[film.tmdb_id] = film
            for sureness, key in _keys(film.name):
                self._by_key[key].append((sureness, film))

    def find(self, wanted: Wanted) -> Sequence[Film]:
        """The film; several if they cannot be told apart, none if it is unknown."""
        if wanted.tmdb_id and (found := self._by_tmdb_id.get(wanted.tmdb_id)):
            return [found]
        for title in wanted.titles:
            named = list(self._named(title, wanted))
            for years_apart in (0, 1):
                for sureness in SURENESSES:
                    if films := _at_most(named, years_apart, sureness):
                        return films
        return []

    def _named(self, title: str, wanted: Wanted) -> Iterator[tuple[int, int, Film]]:
        for own_sureness, key in self._keys_of(title):
            for sureness, film in self._by_key.get(key, ()):
                # Of another TMDb id it is another film, whatever they are called.
                if not (wanted.tmdb_id and film.tmdb_id):
                    years_apart = abs(film.year - wanted.year) if wanted.year else 0
                    yield years_apart, max(sureness, own_sureness), film

    def key_hashes(self, wanted: Wanted) -> list[int]:
        """As `key_hashes` of the titles."""
        return _hashes(key for title in wanted.titles for _, key in self._keys_of(title))

    def _keys_of(self, title: str) -> list[tuple[int, str]]:
        if title not in self._keys:
            self._keys[title] = list(_keys(title))
        return self._keys[title]


def _at_most(
    named: Sequence[tuple[int, int, Film]], years_apart: int, sureness: int
) -> Sequence[Film]:
    found = {film for apart, rank, film in named if apart <= years_apart and rank <= sureness}
    return sorted(found, key=lambda film: film.pk)


def _films(wanted: Collection[Wanted]) -> Iterator[Film]:
    """Published ones, of the years in question."""
    columns = ("pk", "name", "release_year", "start_date", "tmdb_id")
    movies = Movie.objects.filter(_in_question(wanted), withdrawn_at=None).order_by("pk")
    for pk, name, release_year, start_date, tmdb_id in movies.values_list(*columns):
        yield Film(pk, name, release_year or start_date.year, tmdb_id)


def _in_question(wanted: Collection[Wanted]) -> Q:
    years = {each.year for each in wanted}
    if None in years:
        return Q()
    near = {year + apart for year in years if year for apart in (-1, 0, 1)}
    ids = {each.tmdb_id for each in wanted if each.tmdb_id}
    return Q(release_year__in=near) | Q(release_year=None) | Q(tmdb_id__in=ids)


def _keys(title: str) -> Iterator[tuple[int, str]]:
    """What titles are compared by, each with how sure it is; letters and digits alone."""
    title = _short(title).replace("&", " and ")
    yield from ((0, key) for key in _folded(title))
    if (bare := LEADING_ARTICLE.sub("", article_first(title))) != title:
        yield from ((1, key) for key in _folded(bare))
    if "(" in title:
        for other in parse_title(title).others:
            yield from ((2, key) for key in _folded(LEADING_ARTICLE.sub("", other)))


def key_hashes(titles: Iterable[str]) -> list[int]:
    """What titles are compared by, as numbers that an index can hold. Of two titles that share
    none, neither is taken for the other.
    """
    return _hashes(key for title in titles for _, key in _keys(title))


def _hashes(keys: Iterable[str]) -> list[int]:
    return sorted(map(hash_of, set(keys)))


def hash_of(text: str) -> int:
    """A signed number of 64 bits."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _short(title: str) -> str:
    """So much of it counts. Cut twice, as there are characters that are many others in one."""
    if title.isascii():
        return title[:MAX_LENGTH]
    return unicodedata.normalize("NFKC", title[:MAX_LENGTH])[:MAX_LENGTH]


def _folded(title: str) -> set[str]:
    """One way or two; a title without letters is its punctuation."""
    return {"".join(RUN.findall(text)) or text.strip() for text in spellings(title)}
