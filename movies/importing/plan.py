"""The plan of an import: what each row changes, worked out in memory. Nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from cinema.errors import ApiError, Conflict, FieldError
from movies import services
from movies.errors import SlugTaken
from movies.importing.schemas import (
    AppliedRow,
    GenreKey,
    MovieRow,
    RefusedMovieRow,
    Result,
    refused,
)
from movies.media.files import replace_uploads
from movies.models import Genre, Movie

LOWER = "SELECT name, lower(name) FROM unnest(%s::text[]) AS name"
FIND = """
SELECT id, lower(name), xmin::text FROM movies_movie
WHERE withdrawn_at IS NULL AND tmdb_id = ANY(%s)
UNION
SELECT id, wanted.name, film.xmin::text
FROM unnest(%s::text[], %s::date[]) AS wanted (name, start_date)
JOIN movies_movie AS film
  ON lower(film.name) = wanted.name AND film.start_date = wanted.start_date
WHERE withdrawn_at IS NULL
"""


class OtherTmdbId(Conflict):
    """The row has the name and start date of a movie, and another TMDb id."""

    def __init__(self, named: Movie, numbered: Movie | None) -> None:
        has = (
            f"the TMDb id is that of {_called(numbered)}"
            if numbered
            else f"the TMDb id {named.tmdb_id}"
        )
        super().__init__(
            f"{_called(named).capitalize()} has the same name and start date, and {has}.",
            movie_id=named.pk,
        )


@dataclass(eq=False)
class PlannedMovie:
    """A movie that a row names; a new one has no id.

    Attributes:
        lower: The name in the lower case of the database.
        genres: The planned genres by slug.
        columns: The columns that change, of an existing movie.
        version: `xmin` of the row when it was read; each write changes it.
    """

    movie: Movie
    lower: str = ""
    genres: Mapping[str, Genre] = field(default_factory=dict)
    old_genres: Mapping[str, Genre] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    version: str = ""

    @property
    def is_new(self) -> bool:
        return self.movie.pk is None

    def value(self, name: str) -> Any:
        """Return the value as a row would give it."""
        if name == "genres":
            return sorted(self.genres)
        if name == "status" and not self.movie.status_is_manual:
            return None
        return getattr(self.movie, name)


class ImportPlan:
    """The movies of some rows. Each row sees the changes of the rows before it."""

    def __init__(self) -> None:
        self.created: list[PlannedMovie] = []
        self.updated: dict[int, PlannedMovie] = {}
        self._loaded: set[int] = set()
        self._lower: dict[str, str] = {}
        self._by_tmdb_id: dict[int, PlannedMovie] = {}
        self._by_name: dict[tuple[str, date], PlannedMovie] = {}
        #: The movie of each taken slug; None for a movie that no row names.
        self._by_slug: dict[str, PlannedMovie | None] = {}
        self._genres: dict[GenreKey, Genre] = {}

    # --- the catalogue

    def load(self, rows: Sequence[MovieRow]) -> None:
        """Read all that the rows could match or collide with, in a fixed number of queries."""
        fields = [row.fields for row in rows]
        self._lower |= lower_names(each["name"] for each in fields)
        # The version comes first: if a movie changes before it is read, the lock shows that.
        found = self._find(fields)
        movie_ids = found.keys() - self._loaded
        genres = _genres_of(movie_ids)
        for movie in Movie.objects.published().filter(pk__in=movie_ids):
            (lower, version), its = found[movie.pk], genres.get(movie.pk, {})
            self._index(PlannedMovie(movie, lower, its, old_genres=its, version=version))
            self._loaded.add(movie.pk)
        self._load_slugs(fields)
        self._load_genres(dict.fromkeys(key for each in fields for key in each.get("genres", ())))

    def _find(self, fields: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str, str]]:
        """Return lower name and version by id, of the movies that the fields name."""
        tmdb_ids = [each["tmdb_id"] for each in fields if each.get("tmdb_id")]
        names = [self._lower[each["name"]] for each in fields]
        with connection.cursor() as cursor:
            cursor.execute(FIND, [tmdb_ids, names, [each["start_date"] for each in fields]])
            return {pk: (lower, version) for pk, lower, version in cursor.fetchall()}

    def _load_slugs(self, fields: Sequence[Mapping[str, Any]]) -> None:
        given = {each["slug"] for each in fields if "slug" in each}
        others = Movie.objects.filter(slug__in=given).exclude(pk__in=self._loaded)
        # Only for rows that seem to be new movies. A row may be new after all if an earlier row
        # renames its movie: the database may then refuse the slug, and the rows are planned in
        # smaller parts.
        stems = {
            services.slug_stem(each["name"])
            for each in fields
            if "slug" not in each and not self._seems_known(each)
        }
        taken = [*others.values_list("slug", flat=True), *services.taken_slugs(stems)]
        for slug in taken:
            self._by_slug.setdefault(slug, None)

    def _seems_known(self, fields: Mapping[str, Any]) -> bool:
        by_name = self._lower[fields["name"]], fields["start_date"]
        return by_name in self._by_name or fields.get("tmdb_id") in self._by_tmdb_id

    def _load_genres(self, keys: Iterable[GenreKey]) -> None:
        """Find genres by their slug where it is given, else by name or slug."""
        wanted = [key for key in keys if key not in self._genres]
        by_name = services.match_genres(key.name for key in wanted if not key.slug)
        known = Genre.objects.filter(slug__in={key.slug for key in wanted})
        by_slug = {genre.slug: genre for genre in known}
        for key in wanted:
            new = by_name[key.name] if not key.slug else Genre(slug=key.slug, name=key.name)
            # The first of several names of a new genre counts.
            self._genres[key] = by_slug.setdefault(new.slug, new)

    # --- the rows

    def apply(self, rows: Sequence[MovieRow | RefusedMovieRow]) -> list[Result]:
        """Plan the rows: each is a change, a new movie, or a refusal that changes nothing."""
        self.load([row for row in rows if isinstance(row, MovieRow)])
        return [self._apply(row) if isinstance(row, MovieRow) else row for row in rows]

    def _apply(self, row: MovieRow) -> Result:
        try:
            film = self._match(row)
            return self._update(film, row) if film else self.create(row)
        except ApiError as error:
            return _refusal(row, error)

    def _match(self, row: MovieRow) -> PlannedMovie | None:
        """Return the movie of the row's TMDb id, else of its name and start date."""
        tmdb_id = row.fields.get("tmdb_id")
        by_tmdb_id = self._by_tmdb_id.get(tmdb_id) if tmdb_id else None
        by_name = self._by_name.get((self._lower[row.fields["name"]], row.fields["start_date"]))
        if by_name and by_tmdb_id and by_name is not by_tmdb_id:
            raise OtherTmdbId(by_name.movie, by_tmdb_id.movie)
        if by_name and tmdb_id and by_name.movie.tmdb_id not in (None, tmdb_id):
            raise OtherTmdbId(by_name.movie, None)
        return by_tmdb_id or by_name

    def create(self, row: MovieRow) -> AppliedRow:
        """Plan a new movie, whatever the catalogue has."""
        film = PlannedMovie(Movie())
        self._refuse_taken_slug(film, row.fields)
        self._set(film, row.fields)
        self.created.append(film)
        return AppliedRow(row.number, "created", film.movie, film.movie.name)

    def _update(self, film: PlannedMovie, row: MovieRow) -> AppliedRow:
        given = {
            name: value
            for name, value in row.fields.items()
            if (self._slugs(value) if name == "genres" else value) != film.value(name)
        }
        given = replace_uploads(film.movie, given)
        if not given:
            return AppliedRow(row.number, "unchanged", film.movie, film.movie.name)
        self._refuse_taken_slug(film, given)
        before = {name: film.value(name) for name in row.fields if name in given}
        old = dict(vars(film.movie))
        self._set(film, given)
        changes = {name: (value, film.value(name)) for name, value in before.items()}
        changes = {name: (old, new) for name, (old, new) in changes.items() if old != new}
        if old["status"] != film.movie.status:
            changes.setdefault("status", (old["status"], film.movie.status))
        if not changes:
            # The dates have moved the status beyond the one that the row gives.
            return AppliedRow(row.number, "unchanged", film.movie, film.movie.name)
        film.columns |= {name for name, value in vars(film.movie).items() if old[name] != value}
        if not film.is_new:
            self.updated[film.movie.pk] = film
        return AppliedRow(row.number, "updated", film.movie, film.movie.name, changes)

    def _set(self, film: PlannedMovie, fields: Mapping[str, Any]) -> None:
        """Set the fields and those that follow from them, and index the movie by them."""
        movie = film.movie
        self._forget(film)
        try:
            services.set_fields(movie, fields)
            if "genres" in fields:
                found = [self._genres[key] for key in fields["genres"]]
                film.genres = {genre.slug: genre for genre in found}
            film.lower = self._lower.get(movie.name, film.lower)
            if not movie.slug:
                year = movie.release_year or movie.start_date.year
                movie.slug = services.free_slug(movie.name, year, self._by_slug)
        finally:
            self._index(film)

    def _refuse_taken_slug(self, film: PlannedMovie, fields: Mapping[str, Any]) -> None:
        slug = fields.get("slug")
        if slug in self._by_slug and self._by_slug[slug] is not film:
            raise SlugTaken(slug)

    def _slugs(self, genres: Iterable[GenreKey]) -> list[str]:
        return sorted({self._genres[key].slug for key in genres})

    # --- the indexes

    def _keys(self, film: PlannedMovie) -> Iterator[tuple[dict[Any, Any], Any]]:
        movie = film.movie
        if movie.slug:
            yield self._by_slug, movie.slug
            yield self._by_name, (film.lower, movie.start_date)
        if movie.tmdb_id:
            yield self._by_tmdb_id, movie.tmdb_id

    def _index(self, film: PlannedMovie) -> None:
        for index, key in self._keys(film):
            index[key] = film

    def _forget(self, film: PlannedMovie) -> None:
        for index, key in self._keys(film):
            del index[key]


def _called(movie: Movie) -> str:
    return f"movie {movie.pk}" if movie.pk else "a movie of a row before"


def _refusal(row: MovieRow, error: ApiError) -> RefusedMovieRow:
    """Report the error that the endpoint for a single movie would answer."""
    errors = error.members.get("errors")
    reported = errors if isinstance(errors, list) else [{"field": "body", "message": error.detail}]
    movie_id = error.members.get("movie_id")
    return refused(
        row.number,
        *(FieldError.model_validate(each) for each in reported),
        movie_id=movie_id if isinstance(movie_id, int) else None,
    )


def _genres_of(movie_ids: Collection[int]) -> dict[int, dict[str, Genre]]:
    """Return genres by movie and slug. A prefetch would build a query set for each movie."""
    of_them = Movie.genres.through.objects.filter(movie_id__in=movie_ids)
    links = list(of_them.values_list("movie_id", "genre_id"))
    genres = Genre.objects.in_bulk({genre_id for _, genre_id in links})
    found: defaultdict[int, dict[str, Genre]] = defaultdict(dict)
    for movie_id, genre_id in links:
        if genre := genres.get(genre_id):  # it may have been deleted meanwhile
            found[movie_id][genre.slug] = genre
    return found


def lower_names(names: Iterable[str]) -> dict[str, str]:
    """Ask Postgres, whose lower case decides which names are the same: Python's differs."""
    with connection.cursor() as cursor:
        cursor.execute(LOWER, [list(set(names))])
        return dict(cursor.fetchall())
