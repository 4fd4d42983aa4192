from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, Value, When
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


def create_movie(*, fields: Mapping[str, Any]) -> Movie:
    """Post a movie. `fields` are those of `MovieIn`; genres and slug are made as needed.

    Raises:
        MovieExists: One of the same name and start date stands, or of the same TMDb id.
        SlugTaken: Staff gave the slug, and another movie has it.
    """
    return _write_movie(Movie(), fields)


def update_movie(*, movie_id: int, fields: Mapping[str, Any]) -> Movie:
    """Change the given fields of a movie, as `MoviePatch` names them.

    Raises:
        MovieNotFound, MovieExists, SlugTaken: As their names say.
        DatesReversed: The dates given and those that stand are in the wrong order.
    """
    return _write_movie(selectors.get_movie(movie_id), fields)


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
    written = {*changes, "status", "status_is_manual", "slug", "updated_at"}

    def save() -> Movie:
        if not movie.slug:
            movie.slug = _free_slug(movie)
        # Only what was changed: the rating's count and sum belong to a database trigger.
        movie.save(update_fields=written if movie.pk else None)
        if genres is not None:
            movie.genres.set(find_or_create_genres(genres))
        return selectors.get_movie(movie.pk)

    while True:
        try:
            with transaction.atomic():
                return save()
        except IntegrityError as error:
            match _broken_constraint(error):
                case "movie_name_and_start_date_unique":
                    raise MovieExists(_standing(movie), "name and start date") from error
                case "movies_movie_tmdb_id_key":
                    raise MovieExists(_standing(movie), "TMDb id") from error
                case "movies_movie_slug_key" if "slug" in changes:
                    raise SlugTaken(movie.slug) from error
                case "movies_movie_slug_key":
                    movie.slug = ""  # another writer was faster: find the next free one
                case _:
                    raise


def _standing(movie: Movie) -> int:
    same = Q(name__iexact=movie.name, start_date=movie.start_date, withdrawn_at=None)
    if movie.tmdb_id:
        same |= Q(tmdb_id=movie.tmdb_id)
    return Movie.objects.exclude(pk=movie.pk).filter(same).values_list("pk", flat=True)[0]


def _free_slug(movie: Movie) -> str:
    """From the name; then with the year; then with a number."""
    stem = _slug(movie.name)[:100].strip("-") or "movie"
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


def _slug(name: str) -> str:
    """In ASCII where that leaves anything: Amélie is amelie, and 七人の侍 stays."""
    return slugify(name) or slugify(name, allow_unicode=True)


def find_or_create_genres(names: Iterable[str]) -> list[Genre]:
    """The genres of these names or slugs, made where there are none yet."""
    wanted = {_slug(name)[:60]: name for name in names}
    wanted.pop("", None)
    known = Genre.objects.in_bulk(list(wanted), field_name="slug")
    if new := sorted(wanted.keys() - known.keys()):
        shown = [wanted[slug] for slug in new]
        Genre.objects.bulk_create(
            [
                Genre(slug=slug, name=name if name != slug else slug.replace("-", " ").title())
                for slug, name in zip(new, shown, strict=True)
            ],
            ignore_conflicts=True,
        )
        known = Genre.objects.in_bulk(list(wanted), field_name="slug")
    return list(known.values())


def delete_movie(*, movie_id: int, force: bool = False) -> None:
    """Delete a movie; with `force`, withdraw one that has screenings or interactions.

    Raises:
        MovieNotFound: There is none.
        MovieInUse: It has screenings or interactions, and `force` was not said.
    """
    with transaction.atomic():
        movie = selectors.get_movie(movie_id)
        if not (counts := _uses(movie)):
            movie.delete()
        elif force:
            movie.withdrawn_at = timezone.now()
            movie.save(update_fields=["withdrawn_at"])
        else:
            raise MovieInUse(counts)


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
    return Movie.objects.filter(is_due).update(status=Case(*cases))


def tick_ranking(*, now: datetime | None = None) -> int:
    """Raise the ranking of each movie that does not run yet; returns how many rose.

    One step at most, however long nobody ticked: a server that was down for a night must not
    turn the order upside down in the morning. A second tick within half an interval, from a
    second beat or a second worker, finds nothing to do: it waits for the first one's row locks
    and then sees the new `ranked_at`.
    """
    now = now or timezone.now()
    half = timedelta(seconds=settings.RANKING_INTERVAL_S / 2)
    due = Q(ranked_at=None) | Q(ranked_at__lte=now - half)
    waiting = Movie.objects.filter(due, status__in=["coming-up", "starting"])
    return waiting.update(ranking=F("ranking") + settings.RANKING_STEP, ranked_at=now)


# --- screenings


def create_screening(*, fields: Mapping[str, Any]) -> Screening:
    """Post a screening. `fields` are those of `ScreeningIn`; a hall is made on its first use.

    Raises:
        MovieNotFound: `movie_id` names none.
        EndsAtUnknown: Neither the end nor the movie's running time is given.
        HallTaken: Another screening is in the hall at that time.
    """
    return _write_screening(Screening(), {"ends_at": None, **fields})


def update_screening(*, screening_id: int, fields: Mapping[str, Any]) -> Screening:
    """Change the given fields. A new start without an end keeps the length.

    Raises:
        ScreeningNotFound, MovieNotFound, HallTaken: As their names say.
        DatesReversed: The times given and those that stand do not go together.
    """
    screening = selectors.get_screening(screening_id, for_staff=True)
    changes = dict(fields)
    if "starts_at" in changes and "ends_at" not in changes:
        changes["ends_at"] = changes["starts_at"] + (screening.ends_at - screening.starts_at)
    return _write_screening(screening, changes)


def _write_screening(screening: Screening, fields: Mapping[str, Any]) -> Screening:
    changes = dict(fields)
    hall_name = changes.pop("hall", None)
    movie = selectors.get_movie(changes.get("movie_id") or screening.movie_id)
    for field, value in changes.items():
        setattr(screening, field, value)
    if screening.ends_at is None:
        if not movie.runtime_minutes:
            raise EndsAtUnknown
        screening.ends_at = screening.starts_at + timedelta(minutes=movie.runtime_minutes)
    if not screening.language and "language" not in changes:
        screening.language = movie.original_language
    try:
        check_screening_times(screening.starts_at, screening.ends_at)
    except ValueError as error:
        raise DatesReversed("body.ends_at", str(error)) from error
    try:
        with transaction.atomic():
            if hall_name is not None:
                screening.hall = _find_or_create_hall(hall_name)
            screening.save()
    except IntegrityError as error:
        if _broken_constraint(error) != "screening_hall_is_free":
            raise
        raise HallTaken(screening.hall.name, _colliding(screening)) from error
    return screening


def _find_or_create_hall(name: str) -> Hall:
    found = Hall.objects.filter(name__iexact=name).first()
    if found is None:
        # Two may post the first screening of a hall at once; one row comes of it.
        Hall.objects.bulk_create([Hall(name=name)], ignore_conflicts=True)
        found = Hall.objects.get(name__iexact=name)
    return found


def _colliding(screening: Screening) -> list[int]:
    others = Screening.objects.exclude(pk=screening.pk).exclude(state=Screening.State.CANCELLED)
    at_once = others.filter(starts_at__lt=screening.ends_at, ends_at__gt=screening.starts_at)
    found = at_once.filter(hall__name__iexact=screening.hall.name)
    return list(found.values_list("pk", flat=True))


def delete_screening(*, screening_id: int) -> None:
    """Take a screening out for good; to show viewers that it is off, set `cancelled` instead.

    Raises:
        ScreeningNotFound: There is none.
    """
    selectors.get_screening(screening_id, for_staff=True).delete()


def _broken_constraint(error: IntegrityError) -> str | None:
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)
