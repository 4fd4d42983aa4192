from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Cast, Lower, NullIf
from django.utils import timezone

from cinema.triggers import Audit
from movies import triggers
from movies.languages import MAX_LENGTH as MAX_LANGUAGE_LENGTH
from movies.metadata import actors_of
from movies.search.text import SortKey

MAX_PROTAGONISTS = 100
MAX_KEYWORDS = 100
MAX_DIRECTORS = 20
MAX_SCREENING_LENGTH = timedelta(hours=24)
#: The columns that lists filter by, and the films that they leave out.
LISTED: Any = {
    "include": ["status", "original_language", "release_year", "genre_ids"],
    "condition": Q(withdrawn_at=None),
}


class Genre(models.Model):
    slug = models.SlugField(max_length=60, unique=True, allow_unicode=True)
    name = models.CharField(max_length=60)

    class Meta:
        ordering = ("name",)
        triggers = [triggers.staff_audit("genre", ["slug", "name"])]

    def __str__(self) -> str:
        return self.name


class MovieQuerySet(models.QuerySet["Movie"]):
    def published(self) -> MovieQuerySet:
        """Leave out withdrawn films."""
        return self.filter(withdrawn_at=None)


class Movie(models.Model):
    class Status(models.TextChoices):
        """The statuses, in the order in which the clock moves a movie through them."""

        COMING_UP = "coming-up", "coming up"
        STARTING = "starting", "starting"
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"

    name = models.CharField(max_length=300)
    slug = models.SlugField(max_length=120, unique=True, allow_unicode=True)
    #: The leading cast. Clients that give no directors may list them first: `actors`.
    protagonists = ArrayField(models.CharField(max_length=200))
    overview = models.TextField(blank=True)
    genres = models.ManyToManyField(Genre, related_name="movies", blank=True)
    directors = ArrayField(
        models.CharField(max_length=200), default=list, db_default=Value("{}"), blank=True
    )
    #: Subjects, from TMDb, an import or staff. Searched, not shown.
    keywords = ArrayField(
        models.CharField(max_length=80), default=list, db_default=Value("{}"), blank=True
    )
    #: Empty: `movies.metadata` derives it from the title. Searched, not shown.
    series = models.CharField(max_length=200, default="", db_default="", blank=True)
    poster = models.URLField(max_length=500, null=True, blank=True)
    trailer = models.URLField(max_length=500, null=True, blank=True)
    #: The uploaded file's name in the storage. It precedes the address; empty: none.
    poster_upload = models.CharField(
        max_length=200, default="", db_default="", blank=True, editable=False
    )
    poster_widths = ArrayField(
        models.PositiveSmallIntegerField(), default=list, db_default=Value("{}"), editable=False
    )
    trailer_upload = models.CharField(
        max_length=200, default="", db_default="", blank=True, editable=False
    )
    start_date = models.DateField()
    end_date = models.DateField(null=True, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices)
    #: Set by staff: the clock may move it forward, and a change of dates not back.
    status_is_manual = models.BooleanField(default=False)
    ranking = models.PositiveIntegerField(default=0, editable=False)
    ranked_at = models.DateTimeField(null=True, editable=False)
    original_language = models.CharField(max_length=MAX_LANGUAGE_LENGTH, null=True, blank=True)
    release_year = models.PositiveSmallIntegerField(null=True, blank=True)
    runtime_minutes = models.PositiveSmallIntegerField(null=True, blank=True)
    tmdb_id = models.PositiveIntegerField(null=True, blank=True, unique=True)
    #: The fields that TMDb filled and no one has edited since: `triggers.DERIVED_COLUMNS`.
    tmdb_fields = ArrayField(
        models.CharField(max_length=30), default=list, db_default=Value("{}"), editable=False
    )
    tmdb_fetched_at = models.DateTimeField(null=True, editable=False)
    #: Count and sum are kept by `recommendations.triggers.CountInteractions`.
    rating_count = models.PositiveIntegerField(default=0, editable=False)
    rating_sum = models.FloatField(default=0, editable=False)
    rating_average = models.GeneratedField(
        expression=Cast(F("rating_sum"), models.FloatField()) / NullIf(F("rating_count"), 0),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )
    #: The mean with `RatingPrior` as further ratings: `triggers.DERIVED_COLUMNS`.
    community_score = models.FloatField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    #: Set instead of deleting a film that has screenings or interactions.
    withdrawn_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: The order of lists. PostgreSQL's own collations put accented letters behind z.
    name_key = models.GeneratedField(
        expression=SortKey("name"), output_field=models.TextField(db_collation="C"), db_persist=True
    )
    #: The ids of `genres`, as an index cannot reach into another table: `MovieGenre`.
    genre_ids = ArrayField(
        models.BigIntegerField(), default=list, db_default=Value("{}"), editable=False
    )

    objects: ClassVar[models.Manager[Movie]] = MovieQuerySet.as_manager()

    class Meta:
        verbose_name = "film"
        ordering = ("name", "id")
        triggers = [
            triggers.RaiseCatalogueVersion(*triggers.PROGRAMME_COLUMNS),
            triggers.DERIVED_COLUMNS,
            triggers.MARK_DOCUMENT_STALE,
            triggers.MOVIE_AUDIT,
        ]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                "start_date",
                condition=Q(withdrawn_at=None),
                name="movie_name_and_start_date_unique",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["coming-up", "starting", "running", "finished"]),
                name="movie_status_known",
            ),
            models.CheckConstraint(
                condition=Q(end_date=None) | Q(end_date__gte=F("start_date")),
                name="movie_ends_after_start",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="movie_name_not_empty"),
            models.CheckConstraint(
                condition=Q(protagonists__len__range=(1, MAX_PROTAGONISTS)),
                name="movie_protagonists_range",
            ),
            models.CheckConstraint(
                condition=Q(directors__len__range=(0, MAX_DIRECTORS)),
                name="movie_directors_range",
                violation_error_message=f"A film has at most {MAX_DIRECTORS} directors.",
            ),
            models.CheckConstraint(
                condition=Q(release_year__range=(1870, 2200)), name="movie_release_year_range"
            ),
            models.CheckConstraint(
                condition=Q(runtime_minutes__range=(1, 6000)), name="movie_runtime_range"
            ),
            models.CheckConstraint(condition=Q(rating_count__gte=0), name="movie_rating_count"),
        ]
        indexes = [
            # Each list is read from one of these four, with its order and filters: only the films
            # of the page are read from the table.
            models.Index(F("name_key"), F("id"), name="movie_by_name", **LISTED),
            models.Index(F("ranking").desc(), F("id"), name="movie_by_ranking", **LISTED),
            models.Index(F("start_date"), F("id"), name="movie_by_start_date", **LISTED),
            models.Index(
                F("community_score").desc(nulls_last=True),
                F("rating_count").desc(),
                F("id"),
                name="movie_by_rating",
                **LISTED,
            ),
            # The list of trending films, and their number.
            models.Index(
                F("ranking").desc(),
                F("id"),
                condition=Q(withdrawn_at=None) & ~Q(status="finished"),
                name="movie_by_trend",
            ),
            models.Index(fields=["status", "start_date"], name="movie_by_status"),
            models.Index(
                fields=["id"], condition=Q(withdrawn_at__isnull=False), name="movie_withdrawn"
            ),
            # LIKE finds `zh-Hant` by its prefix with this index.
            models.Index(
                fields=["original_language"],
                opclasses=["varchar_pattern_ops"],
                name="movie_by_language",
            ),
            models.Index(fields=["release_year"], name="movie_by_release_year"),
            GinIndex(fields=["genre_ids"], name="movie_by_genre"),
            models.Index(
                F("created_at").desc(),
                F("id").desc(),
                condition=Q(withdrawn_at=None),
                name="movie_by_announcement",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def actors(self) -> list[str]:
        return actors_of(self.protagonists, self.directors)

    def language_of(self, version: str) -> str | None:
        """The language spoken in a screening that names none; unknown in a dubbed one."""
        return None if version == Screening.Version.DUBBED else self.original_language


class MovieGenre(Movie.genres.through):  # type: ignore[misc, name-defined]
    """A proxy, so that the triggers of the relation's table have a model that declares them."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [
            triggers.FollowGenres(pgtrigger.Insert),
            triggers.FollowGenres(pgtrigger.Update),
            triggers.FollowGenres(pgtrigger.Delete),
        ]


class MovieSearch(models.Model):
    """A film's search document, which `movies.search` writes; triggers mark it as stale.

    It is not a column of the film: its index has a hundred entries for each document, and each
    rating writes the film's row, with which all entries of its indexes may be written again.
    """

    # The database deletes it with its film.
    movie = models.OneToOneField(
        Movie, models.DO_NOTHING, primary_key=True, related_name="search", db_constraint=False
    )
    document = SearchVectorField(null=True)
    is_stale = models.BooleanField(default=True, db_default=True)

    class Meta:
        indexes = [
            # Kilobytes of new entries that wait in a list, which each search reads through.
            GinIndex(fields=["document"], name="movie_by_words", gin_pending_list_limit=1024)
        ]

    def __str__(self) -> str:
        return str(self.movie_id)


class Hall(models.Model):
    name = models.CharField(max_length=60)

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(Lower("name"), name="hall_name_unique")]
        triggers = [triggers.staff_audit("hall", ["name"])]

    def __str__(self) -> str:
        return self.name


class Screening(models.Model):
    class Version(models.TextChoices):
        ORIGINAL = "original", "original"
        SUBTITLED = "subtitled", "subtitled"
        DUBBED = "dubbed", "dubbed"

    class State(models.TextChoices):
        SCHEDULED = "scheduled", "scheduled"
        SOLD_OUT = "sold-out", "sold out"
        CANCELLED = "cancelled", "cancelled"
        HIDDEN = "hidden", "hidden"

    #: Identifies the event in calendars; it never changes.
    uid = models.UUIDField(default=uuid4, db_default=RandomUUID(), unique=True, editable=False)
    #: RFC 5545, 3.8.7.4: counts the changes: `triggers.SCREENING_FOLLOWERS`.
    sequence = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    movie = models.ForeignKey(
        Movie, on_delete=models.PROTECT, related_name="screenings", db_index=False
    )
    hall = models.ForeignKey(
        Hall, on_delete=models.PROTECT, related_name="screenings", db_index=False
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    version = models.CharField(max_length=10, choices=Version.choices, default=Version.ORIGINAL)
    language = models.CharField(max_length=MAX_LANGUAGE_LENGTH, null=True, blank=True)
    subtitles = models.CharField(max_length=MAX_LANGUAGE_LENGTH, null=True, blank=True)
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    booking_url = models.URLField(max_length=500, null=True, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.SCHEDULED)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("starts_at", "id")
        triggers = [
            triggers.RaiseCatalogueVersion(),
            triggers.SCREENING_FOLLOWERS,
            Audit("screening", triggers.SCREENING_COLUMNS, movie_column="movie_id"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="screening_ends_after_start"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__lte=F("starts_at") + MAX_SCREENING_LENGTH),
                name="screening_length_range",
            ),
            models.CheckConstraint(
                condition=Q(version__in=["original", "subtitled", "dubbed"]),
                name="screening_version_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["scheduled", "sold-out", "cancelled", "hidden"]),
                name="screening_state_known",
            ),
            # The one-element range makes the hall comparable in a GiST index without btree_gist,
            # which the embedded PostgreSQL does not carry.
            ExclusionConstraint(
                name="screening_hall_is_free",
                expressions=[
                    (
                        Func(F("hall"), F("hall"), Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(
                            F("starts_at"),
                            F("ends_at"),
                            Value("[)"),
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=~Q(state="cancelled"),
            ),
        ]
        indexes = [
            models.Index(fields=["starts_at", "id"], name="screening_by_start"),
            models.Index(fields=["movie", "starts_at"], name="screening_by_movie"),
            models.Index(fields=["hall", "starts_at"], name="screening_by_hall"),
            GinIndex(fields=["tags"], name="screening_by_tag"),
        ]

    @property
    def spoken_language(self) -> str | None:
        return self.language or self.movie.language_of(self.version)

    def __str__(self) -> str:
        return f"{self.movie} in {self.hall} at {timezone.localtime(self.starts_at):%d %b %H:%M}"


class RatingPrior(models.Model):
    """One row: the mean that `movies.scheduled_updates` averages a film's ratings with."""

    mean = models.FloatField()
    #: The number of ratings that the prior counts as.
    weight = models.FloatField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="rating_prior_one_row"),
            models.CheckConstraint(condition=Q(weight__gte=0), name="rating_prior_weight"),
        ]

    def __str__(self) -> str:
        return f"{self.mean:.2f} stars, {self.weight:g} times"


class CatalogueVersion(models.Model):
    """One row. Database triggers raise `version` with each change that viewers can see."""

    version = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="catalogue_version_one_row")]

    def __str__(self) -> str:
        return str(self.version)
