"""The admin of packages' models: those that staff need, with the looks of the rest."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from django_celery_results.models import GroupResult, TaskResult
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from cinema.model_admin import CinemaModelAdmin, ReadOnlyPermissions

admin.site.unregister([Group, GroupResult, TaskResult])


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyPermissions, CinemaModelAdmin[TaskResult]):
    """The outcome of each task. `manage.py requeue_failed_tasks` sends a failed one again."""

    list_display = ("date_done", "task_name", "status", "worker")
    list_filter = (("status", ChoicesDropdownFilter),)
    search_fields = ("task_name", "task_id")
    ordering = ("-date_created",)
    exclude = ("content_type", "content_encoding")
