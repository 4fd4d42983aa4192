from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cinema.partitions import MonthlyTable


def kept_since() -> datetime:
    return timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)


class KeptEntries(models.Manager["AuditEntry"]):
    """The entries of the last AUDIT_KEEP_DAYS. Older ones stay until their month is dropped."""

    def get_queryset(self) -> models.QuerySet[AuditEntry]:
        return super().get_queryset().filter(at__gte=kept_since())


class AuditEntry(models.Model):
    """The change of one row by staff. Triggers write it (`cinema.triggers.Audit`).

    `cinema.audit.recording.record` writes it for tables that one or two functions write.
    """

    class Via(models.TextChoices):
        API = "api", "API"
        ADMIN = "admin", "admin site"
        COMMAND = "command", "command"
        TASK = "task", "task"
        #: Written in other ways, such as psql.
        DATABASE = "database", "database"

    class Action(models.TextChoices):
        CREATE = "create", "created"
        UPDATE = "update", "changed"
        DELETE = "delete", "deleted"

    class Model(models.TextChoices):
        MOVIE = "movie", "film"
        SCREENING = "screening", "screening"
        HALL = "hall", "hall"
        GENRE = "genre", "genre"
        USER = "user", "viewer"
        SESSION = "session", "session"
        SECOND_FACTOR = "second-factor", "second factor"
        RELEASE = "release", "release"
        TRAINING_RUN = "training-run", "training"
        TMDB_SYNC = "tmdb-sync", "TMDb sync"
        TMDB_GENRE = "tmdb-genre", "genre of TMDb"
        PROMOTION = "promotion", "promotion"
        EXPERIMENT = "experiment", "experiment"

    at = models.DateTimeField()
    #: No foreign key: the number stays when the account is erased, and then identifies no one.
    user_id = models.BigIntegerField(null=True)
    via = models.CharField(max_length=8, choices=Via.choices)
    action = models.CharField(max_length=6, choices=Action.choices)
    model = models.CharField(max_length=20, choices=Model.choices)
    object_id = models.BigIntegerField()
    #: The film that the row belongs to.
    movie_id = models.BigIntegerField(null=True)
    #: Old values by column; for an update, of the changed columns only. Null on creation.
    before = models.JSONField(null=True)
    #: New values by column. Null on deletion.
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    #: Method and path of the request, or the name of the command or task.
    path = models.CharField(max_length=300, blank=True)

    objects = KeptEntries()
    MONTHS = MonthlyTable("audit_auditentry", "at", ["id"])

    class Meta:
        ordering = ("-at", "-id")
        verbose_name = "change"
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_by_time"),
            models.Index(fields=["model", "object_id", "-at", "-id"], name="audit_by_object"),
            models.Index(
                fields=["movie_id", "-at", "-id"],
                name="audit_by_movie",
                condition=models.Q(movie_id__isnull=False),
            ),
            models.Index(fields=["user_id", "-at", "-id"], name="audit_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.get_model_display()} {self.object_id} {self.get_action_display()}"

    @classmethod
    def about(cls, model: str | None, object_id: int) -> models.QuerySet[AuditEntry]:
        """The history of one row, newest first; a film's includes its screenings."""
        if model == cls.Model.MOVIE:
            return cls.objects.filter(movie_id=object_id)
        return cls.objects.filter(model=model or "", object_id=object_id)


class AuditEntryKeeper:
    """The entries that a viewer wrote as staff, and those about the viewer's account."""

    name = "audit_log"

    def export(self, user: AbstractBaseUser) -> Iterator[Mapping[str, Any]]:
        """Leave out the ids of other authors, which are personal data of theirs."""
        by, about = Q(user_id=user.pk), Q(model=AuditEntry.Model.USER, object_id=user.pk)
        about |= Q(model=AuditEntry.Model.SESSION, before__user_id=user.pk)
        factor = Q(model=AuditEntry.Model.SECOND_FACTOR)
        about |= factor & (Q(before__user_id=user.pk) | Q(after__user_id=user.pk))
        for entry in AuditEntry.objects.filter(by | about).order_by("id").iterator():
            yield {
                "at": entry.at,
                "by_you": entry.user_id == user.pk,
                "what": f"{entry.get_model_display()} {entry.object_id}",
                "action": entry.get_action_display(),
                "before": entry.before,
                "after": entry.after,
                "via": entry.get_via_display(),
                "path": entry.path,
                "request_id": entry.request_id,
            }

    def erase(self, user: AbstractBaseUser) -> None:
        """Keep the log: the number that it holds identifies no one any more."""
