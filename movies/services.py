from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import date, timedelta
from itertools import chain, count
from operator import attrgetter
from string import capwords
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify

from cinema.http import check_if_match
from cinema.locks import retry_on_deadlock
from movies import errors, selectors
from movies.media.files import replace_uploads
from movies.models import Genre, Movie, Screening
from movies.schemas import MovieIn, MoviePatch
from movies.search.index import index_movies

UNIQUE_SLUG = "movies_movie_slug_key"
UNIQUE_MOVIE = {UNIQUE_SLUG, "movies_movie_tmdb_id_key", "movie_name_and_start_date_unique"}
#: The index orders slugs by their bytes, where a point follows a hyphen.
TAKEN_SLUGS = """
SELECT slug FROM unnest(%s::text[]) AS stem
JOIN movies_movie ON slug ~>=~ stem AND slug ~<~ (stem || '.')
"""


@transaction.atomic
def create_movie(*, movie: MovieIn) -> Movie:
    """Post a movie. A missing slug and unknown genres are created.

    Raises:
        MovieExists: A movie has the same name and start date, or the same TMDb id.
        SlugTaken: Another movie has the given slug.
    """
    return _write_movie(Movie(), movie.model_dump(exclude_unset=True))


@retry_on_deadlock
@transaction.atomic
def update_movie(*, movie_id: int, changes: MoviePatch, if_match: str | None = None) -> Movie:
    """Change the fields that are set in `changes`.

    Raises:
        MovieNotFound, MovieExists, SlugTaken.
        DatesReversed: The end would lie before the start.
        PreconditionFailed: The movie was edited since the caller read it.
    """
    movie = selectors.get_movie(movie_id, for_update=True)
    check_if_match(if_match, movie.updated_at)
    return _write_movie(movie, replace_uploads(movie, changes.model_dump(exclude_unset=True)))


def _write_movie(movie: Movie, fields: Mapping[str, Any]) -> Movie:
    set_fields(movie, fields)
    # A database trigger owns the rating's count and sum, so only the changed columns are written.
    derived = {"status", "status_is_manual", "slug", "updated_at"}
    columns = {*fields, *derived} - {"genres"} if movie.pk else None
    slug = movie.slug
    year = movie.release_year or movie.start_date.year
    while True:
        movie.slug = slug or free_slug(movie.name, year, taken_slugs([slug_stem(movie.name)]))
        try:
            with transaction.atomic():
                movie.save(update_fields=columns)
                break
        except IntegrityError as error:
            _raise_conflict(movie, error, slug_is_given=bool(slug))
    if (genres := fields.get("genres")) is not None:
        movie.genres.set(find_or_create_genres(genres))
    index_movies([movie.pk])
    return movie


def set_fields(movie: Movie, fields: Mapping[str, Any]) -> None:
    """Set the attributes among `fields` and the status that follows from them, without saving.

    Raises:
        DatesReversed: The end would lie before the start.
    """
    start_date = fields.get("start_date", movie.start_date)
    end_date = fields.get("end_date", movie.end_date)
    if end_date and end_date < start_date:
        raise errors.DatesReversed("body.end_date", "end_date lies before start_date")
    for field in fields.keys() - {"genres", "status"}:
        setattr(movie, field, fields[field])
    if "status" in fields:
        movie.status_is_manual = fields["status"] is not None
    by_hand = fields.get("status") or (movie.status if movie.status_is_manual else None)
    movie.status = current_status(movie, manual=by_hand)


def current_status(movie: Movie, *, manual: str | None = None, today: date | None = None) -> str:
    """The status by the dates, or the manual one if that is further on."""
    today = today or timezone.localdate()
    if movie.end_date and today > movie.end_date:
        by_date = Movie.Status.FINISHED
    elif today < movie.start_date:
        by_date = Movie.Status.COMING_UP
    elif today < movie.start_date + timedelta(days=settings.STARTING_DAYS):
        by_date = Movie.Status.STARTING
    else:
        by_date = Movie.Status.RUNNING
    return max(by_date, Movie.Status(manual or by_date), key=list(Movie.Status).index)


def _raise_conflict(movie: Movie, error: IntegrityError, *, slug_is_given: bool) -> None:
    """Raise an error that names the conflicting movie, or return if another attempt can succeed.

    It can when another writer took the slug first, or deleted the conflicting movie.
    """
    constraint = errors.broken_constraint(error)
    if constraint not in UNIQUE_MOVIE:
        raise error
    if movie_id := find_same_movie(movie):
        raise errors.MovieExists(movie_id) from error
    if constraint == UNIQUE_SLUG and slug_is_given:
        raise errors.SlugTaken(movie.slug) from error


def find_same_movie(movie: Movie) -> int | None:
    """The id of another movie with the same name and start date, or the same TMDb id."""
    # The constraint compares lower case. Django's `iexact` compares upper case, where ß is not ẞ.
    same = Q(lower=Lower(Value(movie.name)), start_date=movie.start_date, withdrawn_at=None)
    if movie.tmdb_id:
        same |= Q(tmdb_id=movie.tmdb_id)
    others = Movie.objects.exclude(pk=movie.pk).alias(lower=Lower("name"))
    return others.filter(same).values_list("pk", flat=True).first()


def slug_stem(name: str) -> str:
    return slug_of(name)[:100].strip("-") or "movie"


def taken_slugs(stems: Iterable[str]) -> set[str]:
    """The existing slugs that begin with one of the stems."""
    with connection.cursor() as cursor:
        cursor.execute(TAKEN_SLUGS, [list(stems)])
        return {slug for (slug,) in cursor.fetchall()}


def free_slug(name: str, year: int, taken: Container[str]) -> str:
    """A slug made from the name, with the year or a number added if needed."""
    stem = slug_stem(name)
    candidates = chain((stem, f"{stem}-{year}"), (f"{stem}-{number}" for number in count(3)))
    return next(slug for slug in candidates if slug not in taken)


def slug_of(name: str) -> str:
    """An ASCII slug if it loses no letter (`amelie`), else a Unicode one (`七人の侍`, `straße`)."""
    ascii_only, whole = slugify(name), slugify(name, allow_unicode=True)
    return ascii_only if len(ascii_only) == len(whole) else whole


def find_or_create_genres(names: Iterable[str]) -> list[Genre]:
    """The genres of these names or slugs; missing ones are created."""
    names = list(names)
    genres = match_genres(names).values()
    if new := [genre for genre in genres if genre.pk is None]:
        # Two names can have one slug, and another writer may create the same genre.
        Genre.objects.bulk_create(sorted(new, key=attrgetter("slug")), ignore_conflicts=True)
        genres = match_genres(names).values()
    return list({genre.pk: genre for genre in genres}.values())


def match_genres(names: Iterable[str]) -> dict[str, Genre]:
    """The genre of each name or slug; an unsaved one where none exists."""
    slugs = {name: slug_of(name)[:60] for name in names}
    is_named = Q(slug__in=slugs.values()) | Q(lower__in=[name.lower() for name in slugs])
    known = Genre.objects.alias(lower=Lower("name")).filter(is_named).order_by("-pk")
    by_slug = {genre.slug: genre for genre in known}
    by_name = {genre.name.lower(): genre for genre in known}
    return {
        name: by_slug.get(slug) or by_name.get(name.lower()) or _new_genre(slug, name)
        for name, slug in slugs.items()
    }


def _new_genre(slug: str, name: str) -> Genre:
    return Genre(slug=slug, name=name if name != slug else capwords(slug.replace("-", " "))[:60])


@retry_on_deadlock
@transaction.atomic
def delete_movie(*, movie_id: int, force: bool = False, if_match: str | None = None) -> None:
    """Delete a movie; with `force`, withdraw one that has screenings or interactions.

    Raises:
        MovieNotFound.
        MovieInUse: The movie has screenings or interactions, and `force` is false.
        PreconditionFailed: The movie was edited since the caller read it.
    """
    movie = selectors.get_movie(movie_id, for_update=True)
    check_if_match(if_match, movie.updated_at)
    if not (counts := count_references(movie)):
        movie.delete()
    elif force:
        _withdraw(movie)
    else:
        raise errors.MovieInUse(counts)


def _withdraw(movie: Movie) -> None:
    """Hide the movie, and free its TMDb id, its slug and the halls of its screenings."""
    now = timezone.now()
    movie.withdrawn_at, movie.tmdb_id = now, None
    movie.slug = f"withdrawn-{movie.pk}-{movie.slug}"[:120]
    movie.save(update_fields=["withdrawn_at", "tmdb_id", "slug"])
    to_come = movie.screenings.filter(ends_at__gt=now)
    # No viewer has seen a hidden screening. If it were cancelled, viewers would see it once the
    # movie is restored.
    to_come.filter(state=Screening.State.HIDDEN).delete()
    to_come.update(state=Screening.State.CANCELLED)


@retry_on_deadlock
@transaction.atomic
def restore_movie(*, movie_id: int) -> Movie:
    """Publish a withdrawn movie again; its cancelled screenings stay cancelled.

    Raises:
        MovieNotFound.
        MovieExists: Another movie has taken its name and start date.
    """
    movie = Movie.objects.select_for_update(no_key=True).filter(pk=movie_id).first()
    if movie is None:
        raise errors.MovieNotFound(movie_id)
    if movie.withdrawn_at is None:
        return movie
    return _write_movie(movie, {"withdrawn_at": None, "slug": ""})


def count_references(movie: Movie) -> dict[str, int]:
    """The number of rows that refer to the movie, by the plural name of their model."""
    counts: dict[str, int] = {}
    for relation in Movie._meta.related_objects:
        if relation.one_to_many:
            model = relation.related_model
            count = model._base_manager.filter(**{relation.field.name: movie}).count()
            counts[str(model._meta.verbose_name_plural)] = count
    return {name: count for name, count in counts.items() if count}
