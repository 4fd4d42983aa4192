from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from cinema.office.pages import StaffPage
from movies.models import Genre, Hall, Movie, Screening

Deleted = tuple[list[Any], dict[str, int], set[str], list[Any]]


@admin.register(Genre)
class GenreAdmin(StaffPage[Genre]):
    audited = "genre"
    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """Counted: Django would list each film that loses the genre."""
        genres = list(objs)
        films = Movie.objects.filter(genres__in=genres).distinct().count()
        return [*map(str, genres)], {"genres": len(genres), "films without it": films}, set(), []


@admin.register(Hall)
class HallAdmin(StaffPage[Hall]):
    audited = "hall"
    search_fields = ("name",)

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """A hall with screenings stays. Counted: Django would list them all."""
        halls = list(objs)
        many = Screening.objects.filter(hall__in=halls).count()
        protected = [f"{many} screenings are in it"] if many else []
        return [*map(str, halls)], {"halls": len(halls)}, set(), protected
