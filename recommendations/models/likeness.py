"""Viewers and films that are alike, as found by night."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from movies.models import Movie
from recommendations.models.releases import Release


class Neighbour(models.Model):
    """How alike two viewers' tastes are, for the first one; the second has a row of its own.

    The three sums are over the films that both have said something of, so that it can be told
    what one more shared film would change: `engine/matching.py`.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="neighbours",
        db_index=False,
    )
    other = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    similarity = models.FloatField()
    #: Films.
    shared = models.PositiveIntegerField()
    product_sum = models.FloatField()
    own_square_sum = models.FloatField()
    other_square_sum = models.FloatField()
    #: When the similarity reached `MATCH_THRESHOLD`; None below it.
    matched_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "other"], name="neighbour_unique"),
            models.CheckConstraint(condition=~Q(user=F("other")), name="neighbour_is_another"),
        ]
        indexes = [models.Index(fields=["user", "-similarity"], name="neighbour_by_similarity")]

    def __str__(self) -> str:
        return f"user {self.user_id} and user {self.other_id}: {self.similarity:.2f}"


class SimilarMovies(models.Model):
    """The films most like a film, as one night found them: `similar/relating.py`.

    A row has all of them: with a row for each, each with its foreign keys, a catalogue took
    twenty times as long to write, and to delete.
    """

    movie = models.OneToOneField(
        Movie, on_delete=models.CASCADE, primary_key=True, related_name="similar_movies"
    )
    #: Whose factors were asked; None where there was no release.
    release = models.ForeignKey(
        Release, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    #: The algorithm whose factors they are.
    algorithm = models.CharField(max_length=40, blank=True)
    #: Ids, the most alike first. Some may have been withdrawn or deleted since.
    others = ArrayField(models.BigIntegerField())
    #: Of each the blend of the two below, above 0 to 1.
    scores = ArrayField(models.FloatField())
    by_factors = ArrayField(models.FloatField(null=True))
    by_content = ArrayField(models.FloatField(null=True))

    def __str__(self) -> str:
        return f"films like movie {self.movie_id}"
