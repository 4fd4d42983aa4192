"""Actions of the admin site on several films or screenings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.utils import timezone

from cinema.errors import ApiError
from cinema.model_admin import StaffModelAdmin
from movies import services
from movies.admin.forms import describe_hall_taken
from movies.days import ONE_WEEK, Week, moment_of
from movies.models import Movie, Screening
from movies.schemas import MoviePatch
from movies.screenings import batches
from movies.screenings import services as screenings
from movies.screenings.schemas import (
    ScreeningCopyIn,
    ScreeningIn,
    ScreeningOut,
    ScreeningPatch,
    UnplacedOut,
)
from movies.tmdb import services as tmdb
from movies.tmdb.client import is_connected

Action = Callable[[Any, HttpRequest, QuerySet[Any]], None]

#: More rows are a mistake, such as "select all 100,000 films".
MAX_CHOSEN = 500
#: The number of refusals that are shown one by one.
MAX_TOLD = 10


def apply_to_each(
    request: HttpRequest, chosen: QuerySet[Any], write: Callable[[Any], object], did: str
) -> None:
    """Write each of the rows, and show how many succeeded and why others did not."""
    rows = list(chosen[: MAX_CHOSEN + 1])
    if len(rows) > MAX_CHOSEN:
        messages.error(request, f"Select at most {MAX_CHOSEN}. Nothing was changed.")
        return
    refused = []
    for row in rows:
        try:
            write(row)
        except ApiError as error:
            refused.append(f"{row}: {error.detail}")
    if done := len(rows) - len(refused):
        messages.success(request, f"{done} {did}.")
    _tell_refusals(request, refused)


def _tell_refusals(request: HttpRequest, refused: list[str]) -> None:
    for refusal in refused[:MAX_TOLD]:
        messages.error(request, refusal)
    if len(refused) > MAX_TOLD:
        messages.error(request, f"… and {len(refused) - MAX_TOLD} more.")


REASONS = {
    "cancelled": "it is cancelled",
    "movie-finished": "the film has finished by then",
    "movie-withdrawn": "the film is withdrawn",
}


def _reason(left_out: UnplacedOut) -> str:
    what = f"{left_out.movie}, {left_out.starts_at:%a %d %b %H:%M} in {left_out.hall}"
    reason = REASONS.get(left_out.reason) or describe_hall_taken(left_out.standing)
    return f"{what}: not copied, as {reason}"


def _action_on_each(
    name: str, description: str, write: Callable[[Any], object], did: str
) -> Action:
    def action(page: Any, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        apply_to_each(request, chosen, write, did)

    action.__name__ = name
    return admin.action(action, description=description)


def set_status(status: Movie.Status | None) -> Action:
    shown = f"“{status.label}”" if status else "what the dates say"
    changes = MoviePatch.model_validate({"status": status})
    return _action_on_each(
        f"set_status_{status.name.lower() if status else 'by_date'}",
        f"Set status to {shown}",
        lambda film: services.update_movie(movie_id=film.pk, changes=changes),
        f"set to {shown}",
    )


def set_state(state: Screening.State, description: str) -> Action:
    changes = ScreeningPatch.model_validate({"state": state})
    return _action_on_each(
        f"set_state_{state.name.lower()}",
        description,
        lambda one: screenings.update_screening(screening_id=one.pk, changes=changes),
        f"set to “{state.label}”",
    )


@admin.action(description="Copy to next week")
def copy_to_next_week(page: Any, request: HttpRequest, chosen: QuerySet[Screening]) -> None:
    apply_to_each(
        request, chosen.select_related("movie", "hall"), _copy_to_next_week, "copied to next week"
    )


def _copy_to_next_week(screening: Screening) -> Screening:
    """Copy to the same local time, scheduled again if cancelled, without the booking link."""
    reading = timezone.localtime(screening.starts_at).replace(tzinfo=None) + ONE_WEEK
    starts_at, _ = moment_of(reading)
    is_hidden = screening.state == Screening.State.HIDDEN
    copy = {
        **ScreeningOut.from_orm(screening).model_dump(exclude={"id", "booking_url"}),
        "starts_at": starts_at,
        "ends_at": starts_at + (screening.ends_at - screening.starts_at),
        "state": Screening.State.HIDDEN if is_hidden else Screening.State.SCHEDULED,
    }
    return screenings.create_screening(
        screening=ScreeningIn.model_validate(copy), hall_id=screening.hall_id
    )


@admin.action(description="Copy the week's screenings to the week after")
def copy_weeks_screenings(page: Any, request: HttpRequest, chosen: QuerySet[Movie]) -> None:
    """Copy the screenings of the week that the list is filtered by, else of the present one."""
    week = Week.read(request.GET.get("week")) or Week.present()
    rules = {"from": week.monday, "to": week.after(1).monday, "days": 7, "on_collision": "skip"}
    created: list[Screening] = []
    refused: list[str] = []

    def copy(film: Movie) -> None:
        order = ScreeningCopyIn.model_validate({**rules, "movie_id": film.pk})
        placed = batches.copy_screenings(order=order)
        created.extend(placed.created)
        refused.extend(map(_reason, placed.left_out))

    apply_to_each(request, chosen, copy, f"checked for screenings in {week}")
    messages.info(request, f"{len(created)} screenings copied.")
    _tell_refusals(request, refused)


@admin.action(description="Refresh from TMDb")
def refresh_from_tmdb(page: Any, request: HttpRequest, chosen: QuerySet[Movie]) -> None:
    """Ask the worker for a refresh; its result is among the TMDb syncs."""
    known = chosen.exclude(tmdb_id=None).filter(withdrawn_at=None)
    movie_ids = list(known.order_by("pk").values_list("pk", flat=True)[: MAX_CHOSEN + 1])
    if len(movie_ids) > MAX_CHOSEN:
        messages.error(request, f"Select at most {MAX_CHOSEN}. Nothing was requested.")
    elif not movie_ids:
        messages.error(request, "None of these films has a TMDb id. Enter one first.")
    else:
        try:
            report = tmdb.request_refresh(movie_ids=movie_ids)
        except ApiError as refusal:
            messages.error(request, refusal.detail)
            return
        count = len(movie_ids)
        messages.success(request, f"Sync {report.pk} will refresh {count} film{pluralize(count)}.")


class WithdrawalAdmin(StaffModelAdmin[Movie]):
    """Deletes a film that nothing refers to, withdraws others, and restores withdrawn ones."""

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
        """Show the outcome for each film; Django would list all rows that refer to them."""
        films = objs[:MAX_CHOSEN] if isinstance(objs, QuerySet) else list(objs)
        return [_fate(film) for film in films], {"films": len(films)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Movie) -> None:
        films = Movie.objects.filter(pk=obj.pk)
        apply_to_each(request, films, _delete, "deleted, or withdrawn where it is needed")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Movie]) -> None:
        apply_to_each(request, queryset, _delete, "deleted, or withdrawn where they are needed")

    @admin.action(description="Bring back (of those withdrawn)")
    def restore(self, request: HttpRequest, chosen: QuerySet[Movie]) -> None:
        def restore(film: Movie) -> None:
            services.restore_movie(movie_id=film.pk)

        did = "brought back; their cancelled screenings stay cancelled"
        apply_to_each(request, chosen.exclude(withdrawn_at=None), restore, did)


def _delete(film: Movie) -> None:
    services.delete_movie(movie_id=film.pk, force=True)


def _fate(film: Movie) -> str:
    if film.withdrawn_at:
        return f"{film}: is withdrawn already"
    if counts := services.count_references(film):
        return f"{film}: withdrawn, as it has {_listed(counts)}; these are kept"
    return f"{film}: deleted for good"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())
