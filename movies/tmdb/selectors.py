from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from cinema.schemas import Pagination
from movies.models import Movie, Screening
from movies.tmdb.client import ListName, check_token, connect
from movies.tmdb.models import ListedFilm, SyncReport
from movies.tmdb.payloads import summary_fields
from movies.tmdb.schemas import ATTRIBUTION, FilmOut, FilmSearch, FilmsOut

#: TMDb's own figures.
FILMS_TO_A_PAGE, PAGES_IN_A_SEARCH = 20, 500
#: Finished films are refreshed in the last sixth of the time that their data may be kept, so that
#: syncs can fail for a month before anything is erased.
LAST_PART = 1 / 6


def movies_of(tmdb_ids: list[int]) -> dict[int, int]:
    """Return the ids of the published movies, by TMDb id."""
    movies = Movie.objects.published().filter(tmdb_id__in=tmdb_ids)
    return {tmdb_id: pk for tmdb_id, pk in movies.values_list("tmdb_id", "pk") if tmdb_id}


def search(filters: FilmSearch) -> FilmsOut:
    """Search TMDb; each film names our movie, if the catalogue has it.

    Raises:
        TmdbNotConnected, TmdbUnusable, TmdbAway, TmdbRefused: TMDb gave no data.
    """
    found = connect().search(filters.q, year=filters.year, page=filters.page)
    ours = movies_of([film.id for film in found.results])
    pages = min(found.total_pages or 0, PAGES_IN_A_SEARCH)
    return FilmsOut(
        data=[
            FilmOut(**summary_fields(film), movie_id=ours.get(film.id)) for film in found.results
        ],
        pagination=Pagination(
            page=filters.page,
            per_page=FILMS_TO_A_PAGE,
            total=found.total_results or len(found.results),
            pages=pages,
        ),
        attribution=ATTRIBUTION,
    )


def list_films(name: ListName) -> QuerySet[ListedFilm]:
    """Read one of TMDb's lists as it was last fetched; each film names our movie.

    Raises:
        TmdbNotConnected: There is no token, so the list is never fetched.
    """
    check_token()
    ours = Movie.objects.published().filter(tmdb_id=OuterRef("tmdb_id")).values("pk")[:1]
    return ListedFilm.objects.filter(list=name).annotate(movie_id=Subquery(ours)).order_by("rank")


def list_reports() -> QuerySet[SyncReport]:
    return SyncReport.objects.order_by("-created_at", "-id")


def movies_older_than(moment: datetime) -> QuerySet[Movie]:
    """Select movies, withdrawn ones too, with TMDb's data from before the moment."""
    return Movie.objects.filter(Q(tmdb_fetched_at=None) | Q(tmdb_fetched_at__lt=moment)).exclude(
        tmdb_fields=[]
    )


def movies_to_refresh(fetched_before: datetime, movie_ids: list[int] | None) -> QuerySet[Movie]:
    """Select the movies with a TMDb id whose data are due, in the order of their ids.

    Due are movies in the programme or coming up with data from before `fetched_before`, and
    finished ones whose data expire soon, unless staff have rewritten every field.
    """
    expiring = timezone.now() - timedelta(days=settings.TMDB_MAX_AGE_DAYS * (1 - LAST_PART))
    movies = Movie.objects.published().exclude(tmdb_id=None)
    if movie_ids is not None:
        movies = movies.filter(pk__in=movie_ids)
    else:
        to_come = Screening.objects.filter(movie=OuterRef("pk"), starts_at__gt=timezone.now())
        movies = movies.filter(
            ~Q(status=Movie.Status.FINISHED) | Q(Exists(to_come)) | Q(tmdb_fetched_at__lt=expiring)
        )
    is_due = Q(tmdb_fetched_at__lt=fetched_before) & ~Q(tmdb_fields=[])
    return movies.filter(Q(tmdb_fetched_at=None) | is_due).order_by("pk")
