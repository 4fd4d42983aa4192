from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.forms import SimpleArrayField
from django.db import models
from django.http import HttpRequest

from movies import services
from movies.models import CatalogueVersion, Genre, Hall, Movie, Screening


class LinesField(SimpleArrayField):
    """One entry a line: a comma may be part of it."""

    def __init__(self, base_field: forms.Field, **options: Any) -> None:
        super().__init__(base_field, delimiter="\n", **options)

    def to_python(self, value: object) -> Any:
        return super().to_python([line for line in str(value or "").splitlines() if line.strip()])


FIELDS: Any = {
    # An address typed without a scheme is taken to be https.
    models.URLField: {"assume_scheme": "https"},
    ArrayField: {"form_class": LinesField, "widget": forms.Textarea({"rows": 4})},
}


class ScreeningInline(admin.TabularInline[Screening, Movie]):
    model = Screening
    extra = 0
    fields = ("hall", "starts_at", "ends_at", "version", "language", "state")
    show_change_link = True


class MovieForm(forms.ModelForm[Movie]):
    """A status chosen here is set by hand; the empty one goes by the dates again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["status"].required = False

    def validate_unique(self) -> None:
        """Also the name, which Django skips: its constraint names a field that the form hides."""
        super().validate_unique()
        is_published = self.instance.withdrawn_at is None
        if not self.errors and is_published and (standing := services.standing(self.instance)):
            self.add_error(None, f"This is movie {standing} already: same name and start date.")

    def save(self, commit: bool = True) -> Movie:
        if "status" in self.changed_data:
            self.instance.status_is_manual = bool(self.cleaned_data["status"])
        return super().save(commit)


@admin.register(Movie)
class MovieAdmin(admin.ModelAdmin[Movie]):
    form = MovieForm
    exclude = ("status_is_manual",)
    formfield_overrides = FIELDS
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


class ScreeningForm(forms.ModelForm[Screening]):
    def clean_tags(self) -> list[str]:
        return [tag.lower() for tag in self.cleaned_data["tags"]]


@admin.register(Screening)
class ScreeningAdmin(admin.ModelAdmin[Screening]):
    form = ScreeningForm
    formfield_overrides = FIELDS
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
