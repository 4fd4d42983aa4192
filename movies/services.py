from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from string import capwords
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify

from movies import selectors
from movies.errors import (
    DatesReversed,
    EndsAtUnknown,
    HallTaken,
    MovieExists,
    MovieInUse,
    SlugTaken,
)
from movies.models import Genre, Hall, Movie, Screening
from movies.schemas import check_screening_times

#: The clock moves a movie through these from left to right.
STATUS_ORDER = list(Movie.Status)

UNIQUE_SLUG = "movies_movie_slug_key"
UNIQUE_MOVIE = {UNIQUE_SLUG, "movies_movie_tmdb_id_key", "movie_name_and_start_date_unique"}


@transaction.atomic
def create_movie(*, fields: Mapping[str, Any]) -> Movie:
    """Post a movie. `fields` are those of `MovieIn`; genres and slug are made as needed.

    Raises:
        MovieExists: One of the same name and start date stands, or of the same TMDb id.
        SlugTaken: Staff gave the slug, and another movie has it.
    """
    return _write_movie(Movie(), fields)


@transaction.atomic
def update_movie(*, movie_id: int, fields: Mapping[str, Any]) -> Movie:
    """Change the given fields of a movie, as `MoviePatch` names them.

    Raises:
        MovieNotFound, MovieExists, SlugTaken: As their names say.
        DatesReversed: The dates given and those that stand are in the wrong order.
    """
    return _write_movie(selectors.get_movie(movie_id, for_update=True), fields)


def _write_movie(movie: Movie, fields: Mapping[str, Any]) -> Movie:
    changes = dict(fields)
    genres = changes.pop("genres", None)
    if "status" in changes:
        movie.status_is_manual = changes["status"] is not None
    manual_status = changes.pop("status", None) or (
        movie.status if movie.status_is_manual else None
    )
    for field, value in changes.items():
        setattr(movie, field, value)
    if movie.end_date and movie.end_date < movie.start_date:
        raise DatesReversed("body.end_date", "end_date lies before start_date")
    movie.status = current_status(movie, manual=manual_status)
    # Only what was changed: the rating's count and sum belong to a database trigger.
    written = {*changes, "status", "status_is_manual", "slug", "updated_at"} if movie.pk else None
    slug = movie.slug
    while True:
        movie.slug = slug or _free_slug(movie)
        try:
            with transaction.atomic():
                movie.save(update_fields=written)
                break
        except IntegrityError as error:
            _refuse_second(movie, error, slug_is_given=bool(slug))
    if genres is not None:
        movie.genres.set(find_or_create_genres(genres))
    return selectors.get_movie(movie.pk)


def _refuse_second(movie: Movie, error: IntegrityError, *, slug_is_given: bool) -> None:
    """Name what stands in the movie's way; return if the next try can succeed.

    It can where another writer was faster to take the slug, or to take the standing movie away.
    """
    constraint = _broken_constraint(error)
    if constraint not in UNIQUE_MOVIE:
        raise error
    if movie_id := standing(movie):
        raise MovieExists(movie_id) from error
    if constraint == UNIQUE_SLUG and slug_is_given:
        raise SlugTaken(movie.slug) from error


def standing(movie: Movie) -> int | None:
    """The id of the movie that is the same; None if it has gone in the meantime."""
    # Lower as in the constraint: Django's `iexact` compares upper case, where ß is not ẞ.
    same = Q(lower=Lower(Value(movie.name)), start_date=movie.start_date, withdrawn_at=None)
    if movie.tmdb_id:
        same |= Q(tmdb_id=movie.tmdb_id)
    others = Movie.objects.exclude(pk=movie.pk).alias(lower=Lower("name"))
    return others.filter(same).values_list("pk", flat=True).first()


def _free_slug(movie: Movie) -> str:
    """From the name; then with the year; then with a number."""
    stem = slug_of(movie.name)[:100].strip("-") or "movie"
    taken = set(
        Movie.objects.filter(slug__startswith=stem)
        .exclude(pk=movie.pk)
        .values_list("slug", flat=True)
    )
    candidates = [stem, f"{stem}-{movie.release_year or movie.start_date.year}"]
    number = 2
    while candidates[0] in taken:
        candidates = candidates[1:] or [f"{stem}-{number}"]
        number += 1
    return candidates[0]


def slug_of(name: str) -> str:
    """In ASCII where no letter gets lost by it: Amélie is amelie, 七人の侍 and Straße stay."""
    ascii_only, whole = slugify(name), slugify(name, allow_unicode=True)
    return ascii_only if len(ascii_only) == len(whole) else whole


def find_or_create_genres(names: Iterable[str]) -> list[Genre]:
    """The genres of these names or slugs, made where there are none yet."""
    wanted = {slug_of(name)[:60]: name for name in names}
    lower = [name.lower() for name in wanted.values()]
    known = Genre.objects.alias(lower=Lower("name")).filter(Q(slug__in=wanted) | Q(lower__in=lower))
    taken = {key for genre in known for key in (genre.slug, genre.name.lower())}
    new = [
        Genre(slug=slug, name=name if name != slug else capwords(slug.replace("-", " "))[:60])
        for slug, name in sorted(wanted.items())
        if not taken & {slug, name.lower()}
    ]
    if new:
        Genre.objects.bulk_create(new, ignore_conflicts=True)
        known = known.all()
    return list(known)


def delete_movie(*, movie_id: int, force: bool = False) -> None:
    """Delete a movie; with `force`, withdraw one that has screenings or interactions.

    Raises:
        MovieNotFound: There is none.
        MovieInUse: It has screenings or interactions, and `force` was not said.
    """
    with transaction.atomic():
        movie = selectors.get_movie(movie_id, for_update=True)
        if not (counts := _uses(movie)):
            movie.delete()
        elif force:
            _withdraw(movie)
        else:
            raise MovieInUse(counts)


def _withdraw(movie: Movie) -> None:
    """Take it out of sight, and let another have what only one may: TMDb id, slug and halls."""
    now = timezone.now()
    movie.withdrawn_at, movie.tmdb_id = now, None
    movie.slug = f"withdrawn-{movie.pk}-{movie.slug}"[:120]
    movie.save(update_fields=["withdrawn_at", "tmdb_id", "slug"])
    movie.screenings.filter(ends_at__gt=now).update(state=Screening.State.CANCELLED)


def _uses(movie: Movie) -> dict[str, int]:
    """How many rows of each other table need the movie; asked of Django, which knows all apps."""
    counts: dict[str, int] = {}
    for relation in Movie._meta.related_objects:
        if relation.one_to_many:
            model = relation.related_model
            count = model._base_manager.filter(**{relation.field.name: movie}).count()
            counts[str(model._meta.verbose_name_plural)] = count
    return {name: count for name, count in counts.items() if count}


# --- status and ranking


def current_status(movie: Movie, *, manual: str | None = None, today: date | None = None) -> str:
    """The status by the dates, or the one set by hand where that is further on."""
    today = today or timezone.localdate()
    if movie.end_date and today > movie.end_date:
        by_date = Movie.Status.FINISHED
    elif today < movie.start_date:
        by_date = Movie.Status.COMING_UP
    elif today < movie.start_date + timedelta(days=settings.STARTING_DAYS):
        by_date = Movie.Status.STARTING
    else:
        by_date = Movie.Status.RUNNING
    return max(by_date, Movie.Status(manual or by_date), key=STATUS_ORDER.index)


def advance_statuses(*, today: date | None = None) -> int:
    """Move each movie on to the status of the date, never back; returns how many moved."""
    today = today or timezone.localdate()
    starting_since = today - timedelta(days=settings.STARTING_DAYS)
    moves = [
        (Movie.Status.FINISHED, Q(end_date__lt=today)),
        (Movie.Status.RUNNING, Q(start_date__lte=starting_since)),
        (Movie.Status.STARTING, Q(start_date__lte=today)),
    ]
    is_due = Q()
    for status, condition in moves:
        is_due |= condition & Q(status__in=STATUS_ORDER[: STATUS_ORDER.index(status)])
    # The first condition that holds names the furthest status, so one UPDATE moves all.
    cases = [When(condition, then=Value(status.value)) for status, condition in moves]
    return _update_any(Movie.objects.filter(is_due), status=Case(*cases))


def _update_any(movies: QuerySet[Movie], **values: Any) -> int:
    """Update the movies, if there are any: an UPDATE of no row still fires the trigger that raises
    the catalogue's version, upon which every process makes all its bytes anew.
    """
    return movies.update(**values) if movies.exists() else 0


def tick_ranking(*, now: datetime | None = None) -> int:
    """Raise the ranking of each movie that does not run yet; returns how many rose.

    One step at most, however long nobody ticked: a server that was down for a night must not
    turn the order upside down in the morning. A second tick within three quarters of an
    interval, from a second beat or a second worker, finds nothing to do: it waits for the first
    one's row locks and then sees the new `ranked_at`. More than half, so that two beats cannot
    take turns; less than all, so that one late tick does not cost the next one.
    """
    now = now or timezone.now()
    lately = now - timedelta(seconds=settings.RANKING_INTERVAL_S * 0.75)
    due = Q(ranked_at=None) | Q(ranked_at__lte=lately)
    waiting = Movie.objects.filter(due, status__in=["coming-up", "starting"])
    return _update_any(waiting, ranking=F("ranking") + settings.RANKING_STEP, ranked_at=now)


# --- screenings


@transaction.atomic
def create_screening(*, fields: Mapping[str, Any]) -> Screening:
    """Post a screening. `fields` are those of `ScreeningIn`; a hall is made on its first use.

    Raises:
        MovieNotFound: `movie_id` names none.
        EndsAtUnknown: Neither the end nor the movie's running time is given.
        HallTaken: Another screening is in the hall at that time.
    """
    return _write_screening(Screening(), {"ends_at": None, **fields})


@transaction.atomic
def update_screening(*, screening_id: int, fields: Mapping[str, Any]) -> Screening:
    """Change the given fields. A new start without an end keeps the length.

    Raises:
        ScreeningNotFound, MovieNotFound, HallTaken: As their names say.
        DatesReversed: The times given and those that stand do not go together.
    """
    screening = selectors.get_screening(screening_id, for_staff=True, for_update=True)
    changes = dict(fields)
    if "starts_at" in changes and "ends_at" not in changes:
        changes["ends_at"] = changes["starts_at"] + (screening.ends_at - screening.starts_at)
    return _write_screening(screening, changes)


def _write_screening(screening: Screening, fields: Mapping[str, Any]) -> Screening:
    changes = dict(fields)
    hall_name = changes.pop("hall", None)
    movie = selectors.get_movie(
        changes.get("movie_id") or screening.movie_id, for_update="movie_id" in changes
    )
    for field, value in changes.items():
        setattr(screening, field, value)
    if screening.ends_at is None:
        if not movie.runtime_minutes:
            raise EndsAtUnknown
        screening.ends_at = screening.starts_at + timedelta(minutes=movie.runtime_minutes)
    if not screening.pk and "language" not in changes:
        screening.language = movie.original_language
    try:
        check_screening_times(screening.starts_at, screening.ends_at)
    except ValueError as error:
        raise DatesReversed("body.ends_at", str(error)) from error
    screening.hall = _lock_hall(hall_name or screening.hall.name)
    try:
        with transaction.atomic():
            screening.save()
    except IntegrityError as error:
        if _broken_constraint(error) != "screening_hall_is_free":
            raise
        raise HallTaken(screening.hall.name, _colliding(screening)) from error
    return screening


def _lock_hall(name: str) -> Hall:
    """The hall, made on its first use, for one writer at a time until the transaction ends.

    Two at once would each wait in the exclusion constraint for the other: a deadlock.
    """
    halls = Hall.objects.alias(lower=Lower("name")).filter(lower=Lower(Value(name)))
    locked = halls.select_for_update(no_key=True)
    if (found := locked.first()) is None:
        # Two may post the first screening of a hall at once; one row comes of it.
        Hall.objects.bulk_create([Hall(name=name)], ignore_conflicts=True)
        found = locked.get()
    return found


def _colliding(screening: Screening) -> list[int]:
    others = Screening.objects.exclude(pk=screening.pk).exclude(state=Screening.State.CANCELLED)
    at_once = others.filter(starts_at__lt=screening.ends_at, ends_at__gt=screening.starts_at)
    return list(at_once.filter(hall=screening.hall).values_list("pk", flat=True))


def delete_screening(*, screening_id: int) -> None:
    """Take a screening out for good; to show viewers that it is off, set `cancelled` instead.

    Raises:
        ScreeningNotFound: There is none.
    """
    selectors.get_screening(screening_id, for_staff=True).delete()


def _broken_constraint(error: IntegrityError) -> str | None:
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)
