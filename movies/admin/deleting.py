"""Deleting films from the office, by the rule of the API: what is needed is withdrawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from cinema.office.pages import StaffPage
from movies import services
from movies.admin.actions import MAX_CHOSEN, each
from movies.models import Movie
from movies.tmdb.syncing import is_connected


class WithdrawsFilms(StaffPage[Movie]):
    """Deletes a film that nothing needs; withdraws the others, and brings them back."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_withdrawn = obj is not None and obj.withdrawn_at is not None
        return super().has_delete_permission(request, obj) and not is_withdrawn

    def get_actions(self, request: HttpRequest) -> Any:
        found: Any = super().get_actions(request)
        if not is_connected():
            found.pop("refresh_from_tmdb", None)
        if "delete_selected" in found:
            function, name, _ = found["delete_selected"]
            found["delete_selected"] = (function, name, "Delete or withdraw")
        return found

    def get_deleted_objects(
        self, objs: Iterable[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """What will come of each. Django would read all that belongs to them, and then refuse."""
        films = objs[:MAX_CHOSEN] if isinstance(objs, QuerySet) else list(objs)
        return [_fate(film) for film in films], {"films": len(films)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Movie) -> None:
        each(request, _only(obj), _delete, "deleted, or withdrawn where it is needed")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Movie]) -> None:
        each(request, queryset, _delete, "deleted, or withdrawn where they are needed")

    @admin.action(description="Bring back (of those withdrawn)")
    def restore(self, request: HttpRequest, chosen: QuerySet[Movie]) -> None:
        withdrawn = chosen.exclude(withdrawn_at=None)
        each(
            request,
            withdrawn,
            lambda film: services.restore_movie(movie_id=film.pk),
            "brought back; their cancelled screenings stay cancelled",
        )


def _only(film: Movie) -> QuerySet[Movie]:
    return Movie.objects.filter(pk=film.pk)


def _delete(film: Movie) -> None:
    services.delete_movie(movie_id=film.pk, force=True)


def _fate(film: Movie) -> str:
    if film.withdrawn_at:
        return f"{film}: is withdrawn already"
    if counts := services.uses(film):
        return f"{film}: withdrawn, as it has {_listed(counts)}; these are kept"
    return f"{film}: deleted for good"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())
