"""The pages of the audit log and of tasks in the admin site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_celery_results.models import GroupResult, TaskResult
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from cinema.audit.models import AuditEntry
from cinema.audit.presentation import PresentedEntry, present
from cinema.model_admin import CinemaModelAdmin, ReadOnlyPermissions, StaffPermissions

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

admin.site.unregister([Group, GroupResult, TaskResult])


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyPermissions, CinemaModelAdmin[TaskResult]):
    """The outcome of each task. `manage.py requeue_failed_tasks` sends a failed one again."""

    list_display = ("date_done", "task_name", "status", "worker")
    list_filter = (("status", ChoicesDropdownFilter),)
    search_fields = ("task_name", "task_id")
    ordering = ("-date_created",)
    exclude = ("content_type", "content_encoding")


class AuditChangeList(ChangeList):
    """Look up the names of the rows that a page's entries refer to, all at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        entries: list[Any] = list(self.result_list)
        for entry, presented in zip(entries, present(entries), strict=True):
            entry.presented = presented
        self.result_list = entries


class AuthorFilter(admin.SimpleListFilter):
    title = "who"
    parameter_name = "user_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        staff = get_user_model()._default_manager.filter(is_staff=True).order_by("email")
        return [(str(pk), email) for pk, email in staff.values_list("pk", "email")[:100]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(user_id=int(value)) if value.isdecimal() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(
    ReadOnlyPermissions, StaffPermissions[AuditEntry], CinemaModelAdmin[AuditEntry]
):
    """The changes by staff."""

    list_display = ("at", "who", "what", "action", "changes", "via")
    list_display_links = ("at",)
    list_filter = ("model", "action", "via", AuthorFilter, "at")
    fields = ("at", "who", "what", "action", "changes", "via", "path", "request_id")
    ordering = ("-at", "-id")
    actions = None

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[AuditChangeList]:
        return AuditChangeList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> AuditEntry | None:
        entry = super().get_object(request, object_id, from_field)
        if entry is not None:
            [entry.presented] = present([entry])  # type: ignore[attr-defined]
        return entry

    @admin.display
    def who(self, entry: Any) -> str:
        return _presented(entry).who or "–"

    @admin.display
    def what(self, entry: Any) -> str:
        return _presented(entry).what

    @admin.display
    def changes(self, entry: Any) -> SafeString:
        return format_html(
            "{}", render_to_string("admin_site/changes.html", {"presented": _presented(entry)})
        )


def _presented(entry: Any) -> PresentedEntry:
    presented: PresentedEntry = entry.presented
    return presented
