"""The movies of the films: found in the catalogue or created, and given the tags as keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import chain, count

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from django.db.models.functions import Lower

from cinema.locks import retry_at_once
from movies import services
from movies.importing.plan import ImportPlan, PlannedMovie, lower_names
from movies.importing.services import write
from movies.metadata import UNKNOWN
from movies.models import Movie
from movies.search.text import fold, letters_of
from movies.services import current_status
from recommendations.movielens.films import MovieLensFilm, Tag

#: The start date of a film without a year.
NO_START_DATE = date(1970, 1, 1)
#: The id of a new movie whose name is taken already.
NOT_WRITTEN = -1
MOVIES_AT_ONCE = 5_000


# Another request may create a movie of the same name meanwhile.
@retry_at_once(IntegrityError)
@transaction.atomic
def find_or_create_movies(films: Sequence[MovieLensFilm]) -> tuple[dict[int, int], int]:
    """Return the id of each film's movie, by movieId, and the number of new movies.

    All movies are written or none. Movies of the catalogue, withdrawn ones too, stay as they are.
    """
    matcher = CatalogueMatcher(films)
    missing = [film for film in films if film.number not in matcher.ids]
    genres = services.match_genres({genre for film in missing for genre in film.genres})
    planned = {film.number: PlannedMovie(matcher.new_movie(film)) for film in missing}
    for film in missing:
        named = (genres[name] for name in film.genres)
        planned[film.number].genres = {genre.slug: genre for genre in named}
    for start in range(0, len(missing), MOVIES_AT_ONCE):
        plan = ImportPlan()
        plan.created = [planned[film.number] for film in missing[start : start + MOVIES_AT_ONCE]]
        write(plan)
    created = {number: film.movie.pk for number, film in planned.items()}
    return {**matcher.ids, **created}, len(missing)


class CatalogueMatcher:
    """Finds films in the catalogue.

    A film is the movie of the same TMDb id; else of the same name, whatever its case, and the same
    release year or start date; else of one of the names that its title consists of. Each film is
    another movie: the second film of a name is called " (2)".

    Attributes:
        ids: The ids of the movies that were found, by movieId.
    """

    def __init__(self, films: Sequence[MovieLensFilm]) -> None:
        self.ids: dict[int, int] = {}
        self._used: set[int] = set()
        names = {name for film in films for name in (film.name, *film.other_names)}
        self._lower = lower_names(names)
        self._by_tmdb: dict[int, int] = {}
        #: By the name in lower case, with the release year and also with the start date.
        self._named: dict[tuple[str, int | date | None], int] = {}
        self._slugs: set[str] = set()
        self._read_catalogue()
        # The surest way for all films first: a less sure match must not take the movie away.
        for find in (self._by_tmdb_id, self._by_name, self._by_part_of_name):
            self._match(films, find)

    def _read_catalogue(self) -> None:
        published_first = Movie.objects.order_by(F("withdrawn_at").asc(nulls_first=True), "pk")
        columns = ("pk", Lower("name"), "release_year", "start_date", "tmdb_id", "slug")
        rows = published_first.values_list(*columns)
        for pk, name, release_year, start_date, tmdb_id, slug in rows:
            self._named.setdefault((name, release_year), pk)
            self._named.setdefault((name, start_date), pk)
            self._slugs.add(slug)
            if tmdb_id:
                self._by_tmdb[tmdb_id] = pk

    def _match(
        self, films: Sequence[MovieLensFilm], find: Callable[[MovieLensFilm], int | None]
    ) -> None:
        for film in films:
            if film.number not in self.ids and (found := find(film)) is not None:
                self.ids[film.number] = found
                self._used.add(found)

    def _by_tmdb_id(self, film: MovieLensFilm) -> int | None:
        return self._by_tmdb.get(film.tmdb_id) if film.tmdb_id else None

    def _by_name(self, film: MovieLensFilm) -> int | None:
        named = (self._find(self._lower[film.name] + suffix, film) for suffix in _suffixes())
        return next(found for found in named if found not in self._used)

    def _by_part_of_name(self, film: MovieLensFilm) -> int | None:
        named = (self._find(self._lower[name], film) for name in film.other_names)
        return next((found for found in named if found and found not in self._used), None)

    def _find(self, lower: str, film: MovieLensFilm) -> int | None:
        by_year = self._named.get((lower, film.release_year))
        return by_year or self._named.get((lower, _start_date(film)))

    def new_movie(self, film: MovieLensFilm) -> Movie:
        """Make a movie with a free name and a free slug."""
        lower, start_date = self._lower[film.name], _start_date(film)
        suffix = next(suffix for suffix in _suffixes() if not self._find(lower + suffix, film))
        self._named[lower + suffix, start_date] = NOT_WRITTEN
        movie = Movie(
            name=film.name + suffix,
            slug=self._free_slug(film.name, start_date.year),
            protagonists=[UNKNOWN],
            start_date=start_date,
            release_year=film.release_year,
            tmdb_id=film.tmdb_id,
        )
        movie.status = current_status(movie)
        return movie

    def _free_slug(self, name: str, year: int) -> str:
        stem = services.slug_stem(name)
        candidates = chain((stem, f"{stem}-{year}"), (f"{stem}-{n}" for n in count(2)))
        slug = next(candidate for candidate in candidates if candidate not in self._slugs)
        self._slugs.add(slug)
        return slug


def _suffixes() -> Iterator[str]:
    return chain([""], (f" ({number})" for number in count(2)))


def _start_date(film: MovieLensFilm) -> date:
    return date(film.release_year, 1, 1) if film.release_year else NO_START_DATE


# --- keywords

#: A famous film has thousands of tags, most of them from a single viewer.
MAX_KEYWORDS = 50

CREATE_STAGE = """
CREATE TEMPORARY TABLE movielens_tags (movie_id bigint, viewer integer, folded text, tag text)
"""
COPY = "COPY movielens_tags FROM STDIN"
# The most frequent of several spellings counts.
RANK = """
CREATE TEMPORARY TABLE movielens_keywords AS
SELECT movie_id, array_agg(tag ORDER BY place) AS keywords
FROM (
    SELECT movie_id, mode() WITHIN GROUP (ORDER BY tag COLLATE "C") AS tag,
           row_number() OVER (
               PARTITION BY movie_id
               ORDER BY count(DISTINCT viewer) DESC, folded COLLATE "C"
           ) AS place
    FROM movielens_tags GROUP BY movie_id, folded
) AS ranked
WHERE place <= %s GROUP BY movie_id
"""
# In the order of all writers.
LOCK = """
SELECT id FROM movies_movie WHERE id IN (SELECT movie_id FROM movielens_keywords)
ORDER BY id FOR NO KEY UPDATE
"""
FILL = """
UPDATE movies_movie AS film SET keywords = made.keywords, updated_at = now()
FROM movielens_keywords AS made WHERE film.id = made.movie_id AND film.keywords = '{}'
"""
DROP_STAGE = "DROP TABLE movielens_tags, movielens_keywords"


def fill_keywords(tags: Iterable[Tag], movie_ids: Mapping[int, int]) -> int:
    """Make keywords of the most frequent tags; returns how many movies got any.

    Movies with keywords keep them. The tags are never all in memory.

    Args:
        movie_ids: By movieId.
    """
    bare = set(Movie.objects.filter(keywords=[]).values_list("pk", flat=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        with cursor.copy(COPY) as copy:
            for tag in tags:
                if (movie_id := movie_ids[tag.film]) in bare:
                    copy.write_row((movie_id, tag.viewer, _folded(tag.text), tag.text))
        filled = _fill(cursor)
        cursor.execute(DROP_STAGE)
    return filled


def _fill(cursor: CursorWrapper) -> int:
    cursor.execute("SET LOCAL work_mem = '64MB'")
    cursor.execute(RANK, [MAX_KEYWORDS])
    cursor.execute(LOCK)
    if not cursor.rowcount:  # statement triggers fire for no row too
        return 0
    cursor.execute(FILL)
    return int(cursor.rowcount)


@lru_cache(maxsize=100_000)
def _folded(tag: str) -> str:
    """Fold "Sci-Fi" and "sci fi" to the same text."""
    return letters_of(tag) or fold(tag)
