"""Trained models, and how they came about."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Release(models.Model):
    """A published set of trained models. The one row with `is_current` is what viewers get."""

    created_at = models.DateTimeField(default=timezone.now)
    is_current = models.BooleanField(default=False)
    #: Below CINEMA_HOME/releases; empty once the files are deleted.
    directory = models.CharField(max_length=60, blank=True)
    users = models.PositiveIntegerField()
    items = models.PositiveIntegerField()
    interactions = models.PositiveBigIntegerField()
    #: By algorithm: the quality measured in the evaluation.
    metrics = models.JSONField(default=dict)
    #: By algorithm: why the release is without it.
    left_out = models.JSONField(default=dict, db_default={})
    #: By algorithm: the settings that were found for it, where the next search goes on.
    tuned_settings = models.JSONField(default=dict, db_default={})
    #: Of the data; equal to today's means that nothing has changed since.
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
        return bool(self.directory) and self.path.is_dir()

    def is_of(self, fingerprint: str) -> bool:
        """Whether training on these data would make it again; without its files it has to."""
        return self.fingerprint == fingerprint and self.has_files

    @property
    def age_s(self) -> float:
        # Not negative after the clock was set back.
        return max(0.0, (timezone.now() - self.created_at).total_seconds())


class TrainingRun(models.Model):
    """One attempt to train, from the asking to its end."""

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
    #: How often a trainer has begun it; more than once when one was killed.
    attempts = models.PositiveSmallIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True)
    #: Of the data, as in `Release`: what was rejected is not tried again until they change.
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
        """Of a queued run: since when it waits, at first or after its trainer was killed."""
        return (timezone.now() - (self.started_at or self.created_at)).total_seconds()
