"""Releases, trainings, promotions, experiments, impressions, neighbours and similar movies."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone

from cinema.partitions import MonthlyTable
from movies.models import Movie
from movies.triggers import staff_audit


class Release(models.Model):
    """A published set of trained models. The one row with `is_current` is what viewers get."""

    created_at = models.DateTimeField(default=timezone.now)
    is_current = models.BooleanField(default=False)
    #: Newer trainings are not published over the current release until staff lift its hold.
    is_held = models.BooleanField(default=False, db_default=False)
    #: A directory below CINEMA_HOME/releases, and below RELEASES_URL if that is set; empty once
    #: the files are deleted.
    directory = models.CharField(max_length=60, blank=True)
    users = models.PositiveIntegerField()
    items = models.PositiveIntegerField()
    interactions = models.PositiveBigIntegerField()
    #: The measured quality, by algorithm.
    metrics = models.JSONField(default=dict)
    #: The reasons why algorithms are not part of the release, by algorithm.
    left_out = models.JSONField(default=dict, db_default={})
    #: Tuned settings by algorithm, where the next search starts.
    tuned_settings = models.JSONField(default=dict, db_default={})
    #: A hash of the training data.
    fingerprint = models.CharField(max_length=64)
    training_s = models.FloatField()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["is_current"], condition=Q(is_current=True), name="release_one_current"
            ),
            models.CheckConstraint(
                condition=Q(is_current=False) | ~Q(directory=""), name="release_current_has_files"
            ),
        ]

    def __str__(self) -> str:
        return f"release {self.pk}"

    @property
    def path(self) -> Path:
        return Path(settings.CINEMA_HOME) / "releases" / self.directory

    @property
    def has_files(self) -> bool:
        """Whether its files are in the folder. A bucket is not asked: each use finds it out."""
        return bool(self.directory) and (bool(settings.RELEASES_URL) or self.path.is_dir())

    def is_of(self, fingerprint: str) -> bool:
        """Whether the release was trained on these data and still has its files."""
        return self.fingerprint == fingerprint and self.has_files

    @property
    def age_s(self) -> float:
        # Not negative after the clock was set back.
        return max(0.0, (timezone.now() - self.created_at).total_seconds())


class TrainingRun(models.Model):
    """One attempt to train, from the request to its end."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PUBLISHED = "published"
        UNCHANGED = "unchanged"
        REJECTED = "rejected"
        FAILED = "failed"

    UNFINISHED = (State.QUEUED, State.RUNNING)

    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    phase = models.CharField(max_length=60, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    #: The number of times that a trainer has started it; more than one if one was killed.
    attempts = models.PositiveSmallIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True)
    #: As in `Release`: after a rejection the same data are not tried again.
    fingerprint = models.CharField(max_length=64, blank=True)
    release = models.ForeignKey(
        Release, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(percent__range=(0, 100)), name="training_run_percent_range"
            ),
        ]
        indexes = [models.Index(fields=["state"], name="training_run_by_state")]

    def __str__(self) -> str:
        return f"training {self.pk}: {self.state}"

    @property
    def waits_s(self) -> float:
        """The seconds since a queued run was requested, or since its trainer was killed."""
        return (timezone.now() - (self.started_at or self.created_at)).total_seconds()


class TimeRange(Func):
    function = "tstzrange"
    output_field = DateTimeRangeField()


class Scheduled(models.Model):
    """A row that is in force from its start until its end."""

    #: The name of the state between start and end.
    IN_FORCE: ClassVar[str]

    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def state_at(self, moment: datetime) -> str:
        if self.ends_at <= moment:
            return "ended"
        return self.IN_FORCE if self.starts_at <= moment else "upcoming"

    @property
    def state(self) -> str:
        return self.state_at(timezone.now())


class Promotion(Scheduled):
    """Staff place a film in lists for a time: at a fixed place, or further up."""

    IN_FORCE = "current"

    class Kind(models.TextChoices):
        PIN = "pin", "pinned to a place"
        BOOST = "boost", "moved up"

    class Scope(models.TextChoices):
        """The scope of `lists.scores.Scope`; empty for both."""

        ALL = "", "all lists"
        CATALOGUE = "catalogue", "lists of the whole catalogue"
        PROGRAMME = "programme", "lists of the programme"

    movie = models.ForeignKey(Movie, on_delete=models.CASCADE, related_name="promotions")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    #: The place of a pin, from 1.
    place = models.PositiveSmallIntegerField(null=True, blank=True)
    #: The strength of a boost, which is added to the film's relevance of 0 to 1.
    strength = models.FloatField(null=True, blank=True)
    scope = models.CharField(max_length=9, choices=Scope.choices, blank=True)
    #: The reason, for staff only.
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-ends_at", "-id")
        triggers = [
            staff_audit(
                "promotion",
                ["movie_id", "kind", "place", "strength", "scope", "note", "starts_at", "ends_at"],
                movie_column="movie_id",
            )
        ]
        constraints = [
            models.CheckConstraint(
                # A check that evaluates to null passes.
                condition=Q(kind="pin", place__isnull=False, place__range=(1, 10), strength=None)
                | Q(
                    kind="boost",
                    place=None,
                    strength__isnull=False,
                    strength__gt=0,
                    strength__lte=1,
                ),
                name="promotion_pin_or_boost",
                violation_error_message=(
                    "A pin has a place from 1 to 10; a boost has a strength above 0, up to 1."
                ),
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["", "catalogue", "programme"]), name="promotion_scope_known"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="promotion_ends_after_start",
                violation_error_message="It ends after it starts.",
            ),
        ]
        indexes = [models.Index(fields=["ends_at"], name="promotion_by_end")]

    def __str__(self) -> str:
        return f"{self.kind} of movie {self.movie_id}"


class Experiment(Scheduled):
    """A comparison of two algorithms in viewers' lists. One runs at a time."""

    IN_FORCE = "running"

    name = models.CharField(max_length=100)
    algorithm_a = models.CharField(max_length=40)
    algorithm_b = models.CharField(max_length=40)
    #: The share of viewers that take part.
    share = models.FloatField(default=1.0)

    class Meta:
        ordering = ("-starts_at", "-id")
        triggers = [
            staff_audit(
                "experiment",
                ["name", "algorithm_a", "algorithm_b", "share", "starts_at", "ends_at"],
            )
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="experiment_name_not_empty"),
            models.CheckConstraint(
                condition=~Q(algorithm_a=F("algorithm_b")),
                name="experiment_of_two",
                violation_error_message="An algorithm cannot be held against itself.",
            ),
            models.CheckConstraint(
                condition=Q(share__gt=0, share__lte=1), name="experiment_share_range"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="experiment_ends_after_start",
                violation_error_message="It ends after it starts.",
            ),
            ExclusionConstraint(
                name="experiment_alone",
                expressions=[(TimeRange("starts_at", "ends_at"), RangeOperators.OVERLAPS)],
                violation_error_message="Another experiment runs in that time.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


IMPRESSIONS_KEPT_DAYS = 90


def impressions_kept_since() -> datetime:
    return timezone.now() - timedelta(days=IMPRESSIONS_KEPT_DAYS)


class KeptImpressions(models.Manager["Impression"]):
    """The impressions of IMPRESSIONS_KEPT_DAYS. Older ones stay until their month is dropped."""

    def get_queryset(self) -> models.QuerySet[Impression]:
        return super().get_queryset().filter(shown_at__gte=impressions_kept_since())


class Impression(models.Model):
    """A film was shown in a viewer's list; `clicked_at` tells whether it was opened."""

    class Team(models.TextChoices):
        """The algorithm of an experiment that contributed the film."""

        NONE = ""
        A = "a"
        B = "b"

    list_id = models.UUIDField()
    #: The item's `rank`.
    position = models.PositiveSmallIntegerField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    movie = models.ForeignKey(Movie, on_delete=models.CASCADE, related_name="+")
    scope = models.CharField(max_length=9)
    #: The algorithm of the list; in an experiment, of the team.
    algorithm = models.CharField(max_length=40)
    #: The source of the film; for a fallback, another one than the algorithm.
    source = models.CharField(max_length=40)
    is_fallback = models.BooleanField()
    release = models.ForeignKey(
        Release, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    experiment = models.ForeignKey(
        Experiment, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    team = models.CharField(max_length=1, choices=Team.choices, blank=True)
    shown_at = models.DateTimeField()
    clicked_at = models.DateTimeField(null=True)

    objects = KeptImpressions()
    MONTHS = MonthlyTable("recommendations_impression", "shown_at", ["list_id", "position"])

    class Meta:
        constraints = [
            # The same list may be fetched, or its batch be stored, several times. Each month has
            # it as its primary key.
            models.UniqueConstraint(fields=["list_id", "position"], name="impression_unique"),
        ]
        indexes = [
            models.Index(fields=["user", "shown_at"], include=["movie"], name="impression_by_user"),
            BrinIndex(fields=["shown_at"], autosummarize=True, name="impression_by_time"),
            models.Index(
                fields=["experiment", "user"],
                condition=Q(experiment__isnull=False),
                name="impression_by_experiment",
            ),
        ]

    def __str__(self) -> str:
        return f"movie {self.movie_id} at place {self.position}, shown to user {self.user_id}"


class Neighbour(models.Model):
    """The similarity of two viewers' tastes. Each of them has a row of its own.

    The three sums are over the films that both have an opinion of. They give the effect of one more
    shared film: `engine/viewer_similarity.py: PairSums`.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="neighbours",
        db_index=False,
    )
    other = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    similarity = models.FloatField()
    #: The number of films that both have an opinion of.
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
    """The films most similar to a film, computed nightly.

    A row has all of them: with a row for each, each with its foreign keys, a catalogue took
    twenty times as long to write, and to delete.
    """

    movie = models.OneToOneField(
        Movie, on_delete=models.CASCADE, primary_key=True, related_name="similar_movies"
    )
    #: The release whose factors were used; None: there was none.
    release = models.ForeignKey(
        Release, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    #: The algorithm whose factors they are.
    algorithm = models.CharField(max_length=40, blank=True)
    #: Ids, most similar first. Some may have been withdrawn or deleted since.
    others = ArrayField(models.BigIntegerField())
    #: A blend of the two below for each film; above 0, up to 1.
    scores = ArrayField(models.FloatField())
    by_factors = ArrayField(models.FloatField(null=True))
    by_content = ArrayField(models.FloatField(null=True))

    def __str__(self) -> str:
        return f"films like movie {self.movie_id}"
