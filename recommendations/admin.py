from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from recommendations.models import Interaction, Release, TrainingRun


@admin.register(Interaction)
class InteractionAdmin(admin.ModelAdmin[Interaction]):
    list_display = ("user", "movie", "kind", "stars", "updated_at")
    list_filter = ("kind",)
    list_select_related = ("user", "movie")
    search_fields = ("user__email", "movie__name")
    autocomplete_fields = ("user", "movie")
    show_full_result_count = False


class ReadOnlyAdmin:
    """To look at: the trainer writes these."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin, admin.ModelAdmin[Release]):
    list_display = (
        "id",
        "created_at",
        "is_current",
        "users",
        "items",
        "interactions",
        "training_s",
    )


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin, admin.ModelAdmin[TrainingRun]):
    list_display = ("id", "state", "phase", "percent", "attempts", "created_at", "finished_at")
    list_filter = ("state",)
