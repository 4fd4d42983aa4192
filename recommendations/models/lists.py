"""What staff want in lists, and what viewers were shown."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone

from movies.models import Movie
from recommendations.models.releases import Release


class TimeRange(Func):
    function = "tstzrange"
    output_field = DateTimeRangeField()


class Promotion(models.Model):
    """That staff want viewers to see a film, for a time: at a certain place, or further up."""

    class Kind(models.TextChoices):
        PIN = "pin", "pinned to a place"
        BOOST = "boost", "moved up"

    class Scope(models.TextChoices):
        """As in `lists.candidates.Scope`; empty for lists of either."""

        ALL = "", "all lists"
        CATALOGUE = "catalogue", "lists of the whole catalogue"
        PROGRAMME = "programme", "lists of the programme"

    movie = models.ForeignKey(Movie, on_delete=models.CASCADE, related_name="promotions")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    #: Of a pin: counted from 1.
    place = models.PositiveSmallIntegerField(null=True, blank=True)
    #: Of a boost: added to the film's relevance, which goes from 0 to 1 over the films of a list.
    strength = models.FloatField(null=True, blank=True)
    scope = models.CharField(max_length=9, choices=Scope.choices, blank=True)
    #: Why, for colleagues. No viewer sees it.
    note = models.CharField(max_length=200, blank=True)
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-ends_at", "-id")
        constraints = [
            models.CheckConstraint(
                # A check that comes to null passes.
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

    def state_at(self, moment: datetime) -> str:
        if self.ends_at <= moment:
            return "ended"
        return "current" if self.starts_at <= moment else "upcoming"


class Experiment(models.Model):
    """Two algorithms held against each other in viewers' own lists. One at a time."""

    name = models.CharField(max_length=100)
    algorithm_a = models.CharField(max_length=40)
    algorithm_b = models.CharField(max_length=40)
    #: Of the viewers: the others go on with the default.
    share = models.FloatField(default=1.0)
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-starts_at", "-id")
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

    def state_at(self, moment: datetime) -> str:
        if self.ends_at <= moment:
            return "ended"
        return "running" if self.starts_at <= moment else "upcoming"


class Impression(models.Model):
    """That a film stood in a list that a viewer was given, and whether the viewer opened it."""

    class Team(models.TextChoices):
        """Of an experiment: whose film it is."""

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
    #: That the list was made by; in an experiment that of the team.
    algorithm = models.CharField(max_length=40)
    #: What put the film there; some other than the algorithm for a fallback.
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

    class Meta:
        constraints = [
            # However often the same list is fetched, or a batch of impressions is stored.
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
