from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from cinema.model_admin import (
    CinemaModelAdmin,
    ReadOnlyPermissions,
    StaffModelAdmin,
    StaffPermissions,
    label_column,
)
from movies.admin.actions import apply_to_each
from movies.admin.forms import FORMFIELD_OVERRIDES, SchemaForm
from recommendations import experiments, promotions, releases
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.experiments import ExperimentIn, ExperimentPatch
from recommendations.impressions.storage import store_waiting
from recommendations.models import Experiment, Interaction, Promotion, Release, TrainingRun
from recommendations.models.serving import Scheduled
from recommendations.promotions import PromotionPatch
from recommendations.schedule import in_state

S = TypeVar("S", bound=Scheduled)


@admin.register(Interaction)
class InteractionAdmin(ReadOnlyPermissions, CinemaModelAdmin[Interaction]):
    list_display = ("user", "movie", "kind", "stars", "updated_at")
    list_filter = (("kind", ChoicesDropdownFilter),)
    list_select_related = ("user", "movie")
    search_fields = ("user__email",)
    search_help_text = "The viewer's e-mail address"
    ordering = ("-id",)


@admin.register(Release)
class ReleaseAdmin(ReadOnlyPermissions, StaffPermissions[Release], CinemaModelAdmin[Release]):
    audited = "release"
    list_display = (
        "id",
        "created_at",
        "is_current",
        "is_held",
        "users",
        "items",
        "interactions",
        "training_s",
    )
    actions = ("activate", "hold", "lift_hold")

    @admin.action(description="Serve (an older one is held)")
    def activate(self, request: HttpRequest, chosen: QuerySet[Release]) -> None:
        self._write(request, chosen, releases.activate_release, "served")

    @admin.action(description="Hold: publish no training over it")
    def hold(self, request: HttpRequest, chosen: QuerySet[Release]) -> None:
        self._write(request, chosen, releases.hold_release, "held")

    @admin.action(description="Lift the hold")
    def lift_hold(self, request: HttpRequest, chosen: QuerySet[Release]) -> None:
        self._write(request, chosen, releases.lift_hold, "no longer held")

    def _write(
        self,
        request: HttpRequest,
        chosen: QuerySet[Release],
        write: Callable[..., object],
        did: str,
    ) -> None:
        if len(chosen) > 1:
            messages.error(request, "Select exactly one release.")
            return
        apply_to_each(request, chosen, lambda release: write(release_id=release.pk), did)


@admin.register(TrainingRun)
class TrainingRunAdmin(
    ReadOnlyPermissions, StaffPermissions[TrainingRun], CinemaModelAdmin[TrainingRun]
):
    audited = "training-run"
    list_display = ("id", "state", "phase", "percent", "attempts", "created_at", "finished_at")
    list_filter = (("state", ChoicesDropdownFilter),)


# --- promotions and experiments


class ScheduledForm(SchemaForm):
    together = ("starts_at", "ends_at")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        ends_at = cleaned.get("ends_at")
        if not self.instance.pk and ends_at and ends_at <= timezone.now():
            self.add_error("ends_at", "This end is in the past. Choose a later one.")
        return cleaned


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        states = (model_admin.model.IN_FORCE, "upcoming", "ended")
        return [(state, state.capitalize()) for state in states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return in_state(queryset, self.value())


class ScheduledAdmin(StaffModelAdmin[S]):
    formfield_overrides = FORMFIELD_OVERRIDES

    @label_column(
        description="State",
        ordering="ends_at",
        label={"current": "success", "running": "success", "upcoming": "info"},
    )
    def state(self, row: S) -> tuple[str, str]:
        return row.state, row.state


class PromotionForm(ScheduledForm):
    schema = PromotionPatch

    class Meta:
        labels = {"movie": "Film"}
        help_texts = {
            "place": "Of a pin: 1 to 10.",
            "strength": "Of a boost: above 0, up to 1. 0.1 is a nudge; 1 puts a film to the top.",
            "note": "Why, for colleagues. No viewer sees it.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        movie = cleaned.get("movie")
        if not self.instance.pk and movie and movie.withdrawn_at:
            self.add_error("movie", "The film is withdrawn.")
        return cleaned


@admin.register(Promotion)
class PromotionAdmin(ScheduledAdmin[Promotion]):
    audited = "promotion"
    form = PromotionForm
    list_display = ("film", "what", "scope", "state", "starts_at", "ends_at", "note")
    list_filter = (StateFilter, ("kind", ChoicesDropdownFilter))
    list_select_related = ("movie",)
    search_fields = ("movie__name", "note")
    search_help_text = "The film, the note"
    autocomplete_fields = ("movie",)
    fields = ("movie", "kind", "place", "strength", "scope", "starts_at", "ends_at", "note")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Promotion]:
        return super().get_queryset(request).defer("movie__overview")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("movie", "kind") if obj else ()

    def save_model(self, request: HttpRequest, obj: Promotion, form: Any, change: bool) -> None:
        promotions.write_promotion(obj)

    @admin.display(description="Film", ordering="movie__name")
    def film(self, promotion: Promotion) -> str:
        return promotion.movie.name

    @admin.display(description="What")
    def what(self, promotion: Promotion) -> str:
        if promotion.kind == Promotion.Kind.PIN:
            return f"pinned to place {promotion.place}"
        return f"moved up by {promotion.strength}"


def algorithm_field() -> forms.ChoiceField:
    choices = [(name, name) for name in ALGORITHMS]
    return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget)


class ExperimentForm(ScheduledForm):
    schema = ExperimentPatch
    algorithm_a = algorithm_field()
    algorithm_b = algorithm_field()

    class Meta:
        help_texts = {"share": "Of the viewers, above 0 up to 1. The others keep the default."}


@admin.register(Experiment)
class ExperimentAdmin(ScheduledAdmin[Experiment]):
    audited = "experiment"
    form = ExperimentForm
    list_display = ("name", "algorithm_a", "algorithm_b", "share", "state", "starts_at", "ends_at")
    list_filter = (StateFilter,)
    search_fields = ("name",)
    fields = ("name", "algorithm_a", "algorithm_b", "share", "starts_at", "ends_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        settled = experiments.SETTLED[obj.state] if obj else frozenset()
        return [name for name in self.fields if name in settled]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only the page of an experiment deletes it: the service looks for its impressions."""
        return obj is not None and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Experiment, form: Any, change: bool) -> None:
        if change:
            experiments.change_experiment(obj.pk, ExperimentPatch(**form.cleaned_data))
        else:
            obj.pk = experiments.add_experiment(ExperimentIn(**form.cleaned_data)).pk

    def delete_view(self, request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        if request.method == "POST":
            store_waiting()  # before the transaction begins
        return super().delete_view(request, *args, **named)

    def delete_model(self, request: HttpRequest, obj: Experiment) -> None:
        experiments.remove_stored_experiment(obj.pk)
