"""TMDb's data, from our tables where they are fresh, else from TMDb and into our tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from movies.models import Genre
from movies.tmdb import payloads
from movies.tmdb.client import Client, ListName
from movies.tmdb.errors import TmdbUnusable
from movies.tmdb.filling import shown
from movies.tmdb.models import FilmDetails, ListedFilm, TmdbGenre

#: Younger data are not fetched again: less than the day between two nights.
FRESH_FOR = timedelta(hours=20)
#: Of each list; 20 films to a page.
PAGES_OF_A_LIST = 3


@dataclass(frozen=True)
class Fetched:
    details: payloads.Details
    at: datetime


@dataclass(frozen=True)
class Changes:
    """How many rows came, changed, stayed and went."""

    fetched: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    erased: int = 0


def details_of(tmdb_id: int, client: Client, *, newer_than: datetime | None = None) -> Fetched:
    """The details of a film, fetched after `newer_than` (by default: fresh).

    Raises:
        TmdbLacksFilm, TmdbUnusable, TmdbAway, TmdbRefused: As their names say.
    """
    row = FilmDetails.objects.filter(
        pk=tmdb_id,
        language=settings.TMDB_LANGUAGE,
        fetched_at__gte=newer_than or timezone.now() - FRESH_FOR,
    ).first()
    if row is not None:
        return Fetched(payloads.Details.model_validate(row.payload), row.fetched_at)
    fetched = Fetched(client.details(tmdb_id), timezone.now())
    FilmDetails.objects.update_or_create(
        tmdb_id=tmdb_id,
        defaults={
            "language": settings.TMDB_LANGUAGE,
            "payload": fetched.details.model_dump(mode="json"),
            "fetched_at": fetched.at,
        },
    )
    return fetched


def fetch_list(name: ListName, client: Client) -> Changes:
    """Replace one of TMDb's lists by what it is now; all or nothing."""
    films: dict[int, payloads.Film] = {}
    for number in range(1, PAGES_OF_A_LIST + 1):
        page = client.listed(name, page=number)
        for film in page.results:  # one may have moved on to the next page meanwhile
            films.setdefault(film.id, film)
        if number >= (page.total_pages or 1):
            break
    if not films:  # no day is so poor: the list that stands is better
        raise TmdbUnusable(f"has nothing in its list {name!r}")
    now = timezone.now()
    rows = [
        ListedFilm(list=name, rank=rank, fetched_at=now, **shown(film))
        for rank, film in enumerate(films.values(), start=1)
    ]
    with transaction.atomic():
        before = dict(ListedFilm.objects.filter(list=name).values_list("tmdb_id", "rank"))
        ListedFilm.objects.filter(list=name).delete()
        ListedFilm.objects.bulk_create(rows)
    return _compared(before, {row.tmdb_id: row.rank for row in rows})


def fetch_genres(client: Client) -> Changes:
    """TMDb's genres, each mapped to ours of the same name in our language or in English.

    What the office has mapped stays.
    """
    names = _genre_names(client, settings.TMDB_LANGUAGE)
    english = names if settings.TMDB_LANGUAGE[:2] == "en" else _genre_names(client, "en")
    if not names:
        raise TmdbUnusable("names no genres")
    now, ours = timezone.now(), _our_genres()
    with transaction.atomic():
        # In the order of their ids, as whoever else writes them: or two would wait in a circle.
        standing = {row.pk: row for row in TmdbGenre.objects.select_for_update().order_by("pk")}
        rows = [
            TmdbGenre(
                tmdb_id=number,
                name=name,
                fetched_at=now,
                genre_id=(standing[number].genre_id if number in standing else None)
                or ours.get(name.lower())
                or ours.get(english.get(number, name).lower()),
            )
            for number, name in sorted(names.items())
        ]
        TmdbGenre.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["tmdb_id"],
            update_fields=["name", "genre", "fetched_at"],
        )
        TmdbGenre.objects.exclude(pk__in=names).delete()
    before = {number: row.name for number, row in standing.items()}
    return _compared(before, names)


def _genre_names(client: Client, language: str) -> dict[int, str]:
    found = client.genres(language=language).genres
    return {genre.id: genre.name for genre in found if genre.id and genre.name}


def _our_genres() -> dict[str, int]:
    """The ids of the cinema's genres, by slug and by name in lower case."""
    genres = list(Genre.objects.all())
    by_name = {genre.name.lower(): genre.pk for genre in genres}
    return {genre.slug: genre.pk for genre in genres} | by_name


def _compared(before: Mapping[int, object], after: Mapping[int, object]) -> Changes:
    """What differs, by TMDb's id."""
    return Changes(
        fetched=len(after),
        created=len(after.keys() - before.keys()),
        updated=sum(before[key] != after[key] for key in after.keys() & before.keys()),
        unchanged=sum(before[key] == after[key] for key in after.keys() & before.keys()),
        erased=len(before.keys() - after.keys()),
    )


def make_sure_of_genres(client: Client) -> None:
    """Fetch the genres if we have none yet: the week may be long."""
    if not TmdbGenre.objects.exists():
        fetch_genres(client)
