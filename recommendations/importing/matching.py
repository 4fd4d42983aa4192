"""The films of the catalogue that the rows of an imported file mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Q

from movies.models import Movie
from recommendations.importing.statements import WantedFilm
from recommendations.importing.titles import hashed_keys, title_keys

#: The ranks of `title_keys`, the surest first.
TITLE_RANKS = range(3)


@dataclass(frozen=True, slots=True)
class CatalogueFilm:
    """A published film; `year` is the release year, else the year in which it began to run."""

    pk: int
    name: str
    year: int
    tmdb_id: int | None


class FilmMatcher:
    """Finds wanted films in the catalogue, which is read in one query.

    A film matches by its TMDb id; else by its title and year; else by its title and a year before
    or after. Services differ in the year: one counts the festival, another one the release.
    """

    def __init__(self, wanted: Collection[WantedFilm]) -> None:
        self._by_tmdb_id: dict[int, CatalogueFilm] = {}
        #: A memo, as folding a title takes longest.
        self._keys: dict[str, list[tuple[int, str]]] = {}
        self._by_key: defaultdict[str, list[tuple[int, CatalogueFilm]]] = defaultdict(list)
        for film in _films_near(wanted):
            if film.tmdb_id:
                self._by_tmdb_id[film.tmdb_id] = film
            for rank, key in title_keys(film.name):
                self._by_key[key].append((rank, film))

    def find(self, wanted: WantedFilm) -> Sequence[CatalogueFilm]:
        """Return the film; several if they cannot be told apart, none if it is unknown."""
        if wanted.tmdb_id and (found := self._by_tmdb_id.get(wanted.tmdb_id)):
            return [found]
        for title in wanted.titles:
            named = list(self._named(title, wanted))
            for years_apart in (0, 1):
                for rank in TITLE_RANKS:
                    if films := {
                        film for apart, of, film in named if apart <= years_apart and of <= rank
                    }:
                        return sorted(films, key=lambda film: film.pk)
        return []

    def _named(self, title: str, wanted: WantedFilm) -> Iterator[tuple[int, int, CatalogueFilm]]:
        """Yield the distance in years and the rank of each film with a key of the title."""
        for own_rank, key in self._keys_of(title):
            for rank, film in self._by_key.get(key, ()):
                # Two different TMDb ids are two films, whatever their titles.
                if not (wanted.tmdb_id and film.tmdb_id):
                    years_apart = abs(film.year - wanted.year) if wanted.year else 0
                    yield years_apart, max(rank, own_rank), film

    def key_hashes(self, wanted: WantedFilm) -> list[int]:
        """Return `hashed_title_keys` of the titles."""
        return hashed_keys(key for title in wanted.titles for _, key in self._keys_of(title))

    def _keys_of(self, title: str) -> list[tuple[int, str]]:
        if title not in self._keys:
            self._keys[title] = list(title_keys(title))
        return self._keys[title]


def _films_near(wanted: Collection[WantedFilm]) -> Iterator[CatalogueFilm]:
    """Read the published films of the wanted years and TMDb ids."""
    years = {each.year for each in wanted}
    near = {year + apart for year in years if year for apart in (-1, 0, 1)}
    ids = {each.tmdb_id for each in wanted if each.tmdb_id}
    is_near = Q(release_year__in=near) | Q(release_year=None) | Q(tmdb_id__in=ids)
    columns = ("pk", "name", "release_year", "start_date", "tmdb_id")
    movies = Movie.objects.filter(Q() if None in years else is_near, withdrawn_at=None)
    for pk, name, release_year, start, tmdb_id in movies.order_by("pk").values_list(*columns):
        yield CatalogueFilm(pk, name, release_year or start.year, tmdb_id)
