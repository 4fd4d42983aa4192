"""What viewers think of films."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from movies.models import Movie


class Interaction(models.Model):
    """What a viewer thinks of a movie, or did with it: one row for viewer, movie and kind."""

    class Kind(models.IntegerChoices):
        RATING = 1, "rating"
        LIKE = 2, "like"
        SUPERLIKE = 3, "superlike"
        DISLIKE = 4, "dislike"
        SEEN = 5, "seen"
        HIDE = 6, "hide"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="interactions"
    )
    movie = models.ForeignKey(
        Movie, on_delete=models.PROTECT, related_name="interactions", db_index=False
    )
    kind = models.PositiveSmallIntegerField(choices=Kind.choices)
    #: 1 to 10 for a rating, else 0: never null, so that a binary COPY has rows of one width.
    half_stars = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    #: When the viewer last said so.
    updated_at = models.DateTimeField(default=timezone.now)

    #: Who has come to match the viewer by it, on the row that was just written.
    new_matches: Sequence[object] = ()

    class Meta:
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
            # All that `recommendations.popular` reads.
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
