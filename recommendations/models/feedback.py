"""Viewers' opinions of films, and those that wait for their film."""

from __future__ import annotations

from collections.abc import Sequence

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils import timezone

from movies.models import Movie
from recommendations.triggers import CountInteractions


class Interaction(models.Model):
    """A viewer's opinion of a movie. One row for each viewer, movie and kind."""

    class Kind(models.IntegerChoices):
        RATING = 1, "rating"
        LIKE = 2, "like"
        SUPERLIKE = 3, "superlike"
        DISLIKE = 4, "dislike"
        SEEN = 5, "seen"
        HIDE = 6, "hide"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="interactions",
        db_index=False,
    )
    movie = models.ForeignKey(
        Movie, on_delete=models.PROTECT, related_name="interactions", db_index=False
    )
    kind = models.PositiveSmallIntegerField(choices=Kind.choices)
    #: 1 to 10 for a rating, else 0: never null, so that a binary COPY has rows of one width.
    half_stars = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    #: When the viewer last stated it.
    updated_at = models.DateTimeField(default=timezone.now)

    #: The viewers that match since this row was written. Not stored.
    new_matches: Sequence[object] = ()

    class Meta:
        triggers = [
            CountInteractions(pgtrigger.Insert),
            CountInteractions(pgtrigger.Update),
            CountInteractions(pgtrigger.Delete),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "movie", "kind"], name="interaction_unique_by_kind"
            ),
            models.CheckConstraint(condition=Q(kind__range=(1, 6)), name="interaction_kind_known"),
            models.CheckConstraint(
                condition=Q(kind=1, half_stars__range=(1, 10)) | (~Q(kind=1) & Q(half_stars=0)),
                name="interaction_stars_for_ratings",
            ),
        ]
        indexes = [
            models.Index(fields=["movie", "updated_at"], name="interaction_by_movie"),
            # All columns that `recommendations.popular` reads.
            models.Index(
                fields=["updated_at"],
                include=["movie", "kind", "half_stars"],
                name="interaction_recent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of movie {self.movie_id} by user {self.user_id}"

    @property
    def stars(self) -> float | None:
        return self.half_stars / 2 if self.half_stars else None


class PendingImport(models.Model):
    """One statement of an imported file: it takes effect when its film is added.

    `importing/pending.py` keeps the rows and matches them.
    """

    class Kind(models.IntegerChoices):
        RATING = 1, "rating"
        VIEWING = 2, "viewing"
        SEEN = 3, "seen"
        LIKE = 4, "like"
        WATCHLIST = 5, "watchlist"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="pending_imports",
        db_index=False,
    )
    title = models.CharField(max_length=300, blank=True)
    original_title = models.CharField(max_length=300, blank=True)
    year = models.PositiveSmallIntegerField(null=True)
    tmdb_id = models.PositiveIntegerField(null=True)
    imdb_id = models.CharField(max_length=12, blank=True)
    kind = models.PositiveSmallIntegerField(choices=Kind.choices)
    #: 1 to 10 for a rating, else 0.
    half_stars = models.PositiveSmallIntegerField(default=0)
    #: Null where the file gives no date.
    said_at = models.DateTimeField(null=True)
    #: The day of a viewing, in the cinema's time zone.
    day = models.DateField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    #: A hash of the TMDb id, or else of title and year: equal in two files.
    film = models.BigIntegerField()
    #: Hashes of the keys by which titles are compared: `movies.importing.matching`.
    title_keys = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "film", "kind", "day"],
                name="pending_import_unique",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(kind__range=(1, 5)), name="pending_import_kind"),
            models.CheckConstraint(
                condition=Q(kind=1, half_stars__range=(1, 10)) | (~Q(kind=1) & Q(half_stars=0)),
                name="pending_import_stars_for_ratings",
            ),
        ]
        indexes = [
            GinIndex(fields=["title_keys"], name="pending_import_by_title"),
            models.Index(
                fields=["tmdb_id"], name="pending_import_by_tmdb_id", condition=~Q(tmdb_id=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of “{self.title}” by user {self.user_id}"

    @property
    def stars(self) -> float | None:
        return self.half_stars / 2 if self.half_stars else None
