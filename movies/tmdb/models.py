from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone


class FilmDetails(models.Model):
    """TMDb's latest data of a film, in the catalogue or not."""

    tmdb_id = models.PositiveIntegerField(primary_key=True)
    language = models.CharField(max_length=5)
    #: `movies.tmdb.payloads.Details`: the used fields of the response only.
    payload = models.JSONField()
    fetched_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "film details"

    def __str__(self) -> str:
        return f"TMDb {self.tmdb_id}"


class ListedFilm(models.Model):
    """A place in one of TMDb's lists."""

    class List(models.TextChoices):
        TRENDING = "trending", "trending"
        POPULAR = "popular", "popular"
        NOW_PLAYING = "now-playing", "now playing"

    list = models.CharField(max_length=11, choices=List.choices)
    rank = models.PositiveSmallIntegerField()
    tmdb_id = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    original_title = models.CharField(max_length=300)
    year = models.PositiveSmallIntegerField(null=True)
    overview = models.TextField()
    poster = models.URLField(max_length=500, null=True)
    fetched_at = models.DateTimeField()

    class Meta:
        ordering = ("list", "rank")
        constraints = [
            models.UniqueConstraint(fields=["list", "rank"], name="listed_film_rank_unique"),
            models.UniqueConstraint(fields=["list", "tmdb_id"], name="listed_film_once_a_list"),
        ]

    def __str__(self) -> str:
        return f"{self.get_list_display()} {self.rank}: {self.title}"


class TmdbGenre(models.Model):
    """A genre of TMDb, and the genre of ours that it is mapped to."""

    tmdb_id = models.PositiveIntegerField(primary_key=True)
    name = models.CharField(max_length=60)
    #: Matched by name, until staff choose another. None: created when needed.
    genre = models.ForeignKey(
        "movies.Genre", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    fetched_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)
        verbose_name = "genre of TMDb"
        verbose_name_plural = "genres of TMDb"

    def __str__(self) -> str:
        return self.name


class SyncReport(models.Model):
    """One sync with TMDb: its request, progress and result."""

    class Kind(models.TextChoices):
        FILMS = "films", "films"
        LISTS = "lists", "lists"
        GENRES = "genres", "genres"

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    UNFINISHED = (State.QUEUED, State.RUNNING)
    ONE_UNFINISHED = "sync_report_one_unfinished"

    kind = models.CharField(max_length=6, choices=Kind.choices)
    state = models.CharField(max_length=7, choices=State.choices, default=State.QUEUED)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: Films with older data are fetched again.
    fetched_before = models.DateTimeField()
    #: The films to sync; null for all that are due.
    movie_ids = ArrayField(models.BigIntegerField(), null=True)
    #: The last film that is done, after which the sync goes on.
    cursor = models.BigIntegerField(default=0)
    #: The number of starts that did not reach the end.
    attempts = models.PositiveSmallIntegerField(default=0)
    fetched = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    erased = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    problems = ArrayField(models.TextField(), default=list)

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = "sync report"
        constraints = [
            models.UniqueConstraint(
                fields=["kind"],
                condition=Q(state__in=["queued", "running"], movie_ids=None),
                name="sync_report_one_unfinished",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="sync_report_by_time"),
            models.Index(
                fields=["kind"],
                condition=Q(state__in=["queued", "running"]),
                name="sync_report_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.created_at:%Y-%m-%d %H:%M}: {self.state}"
