from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from cinema.audit.recording import record
from cinema.model_admin import (
    CinemaModelAdmin,
    ReadOnlyPermissions,
    StaffModelAdmin,
    StaffPermissions,
)
from movies.tmdb.models import SyncReport, TmdbGenre


@admin.register(SyncReport)
class SyncReportAdmin(
    ReadOnlyPermissions, StaffPermissions[SyncReport], CinemaModelAdmin[SyncReport]
):
    list_display = (
        "created_at",
        "kind",
        "state",
        "fetched",
        "updated",
        "failed",
        "erased",
        "finished_at",
    )
    list_filter = (("kind", ChoicesDropdownFilter), ("state", ChoicesDropdownFilter))


@admin.register(TmdbGenre)
class TmdbGenreAdmin(StaffModelAdmin[TmdbGenre]):
    """Maps TMDb's genres to ours. Rows come and go with TMDb's own genres."""

    fields = ("name", "genre", "tmdb_id", "fetched_at")
    readonly_fields = ("name", "tmdb_id", "fetched_at")
    list_display = ("name", "genre")
    list_select_related = ("genre",)
    autocomplete_fields = ("genre",)

    def save_model(self, request: HttpRequest, obj: TmdbGenre, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "genre" in form.changed_data:
            before, after = {"genre_id": form.initial["genre"]}, {"genre_id": obj.genre_id}
            record("update", "tmdb-genre", obj.pk, before=before, after=after)

    def has_add_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False
