from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from movies import services
from movies.models import CatalogueVersion, Genre, Hall, Movie, Screening

#: An address typed without a scheme is taken to be https.
HTTPS: Any = {models.URLField: {"assume_scheme": "https"}}


class ScreeningInline(admin.TabularInline[Screening, Movie]):
    model = Screening
    extra = 0
    fields = ("hall", "starts_at", "ends_at", "version", "language", "state")
    show_change_link = True


class MovieForm(forms.ModelForm[Movie]):
    """A status chosen here is set by hand; left as it is, it goes on by the dates."""

    def save(self, commit: bool = True) -> Movie:
        self.instance.status_is_manual |= "status" in self.changed_data
        return super().save(commit)


@admin.register(Movie)
class MovieAdmin(admin.ModelAdmin[Movie]):
    form = MovieForm
    exclude = ("status_is_manual",)
    formfield_overrides = HTTPS
    list_display = ("name", "start_date", "end_date", "status", "ranking", "rating_average")
    list_filter = ("status", "genres", "original_language")
    search_fields = ("name",)
    date_hierarchy = "start_date"
    filter_horizontal = ("genres",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("ranking", "rating_average", "rating_count", "created_at", "withdrawn_at")
    inlines = (ScreeningInline,)

    def save_model(
        self, request: HttpRequest, obj: Movie, form: forms.ModelForm[Movie], change: bool
    ) -> None:
        """Write the changed columns alone: the others may have moved on meanwhile."""
        manual = obj.status if obj.status_is_manual else None
        obj.status = services.current_status(obj, manual=manual)
        columns = {field.name for field in Movie._meta.concrete_fields}
        changed = columns & {*form.changed_data, "status", "status_is_manual", "updated_at"}
        obj.save(update_fields=changed if change else None)


@admin.register(Screening)
class ScreeningAdmin(admin.ModelAdmin[Screening]):
    formfield_overrides = HTTPS
    list_display = ("movie", "hall", "starts_at", "version", "language", "state")
    list_filter = ("state", "hall", "version")
    list_select_related = ("movie", "hall")
    search_fields = ("movie__name",)
    autocomplete_fields = ("movie",)
    date_hierarchy = "starts_at"


@admin.register(Genre)
class GenreAdmin(admin.ModelAdmin[Genre]):
    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Hall)
class HallAdmin(admin.ModelAdmin[Hall]):
    search_fields = ("name",)


@admin.register(CatalogueVersion)
class CatalogueVersionAdmin(admin.ModelAdmin[CatalogueVersion]):
    """To look at: triggers raise it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: CatalogueVersion | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: CatalogueVersion | None = None
    ) -> bool:
        return False
