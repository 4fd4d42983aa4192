from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from cinema.model_admin import StaffModelAdmin, label_column
from movies.admin.forms import FORMFIELD_OVERRIDES, SchemaForm
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.experiments import selectors, services
from recommendations.experiments.schemas import ExperimentPatch
from recommendations.models import Experiment

STATES = ("running", "upcoming", "ended")


def algorithm_field() -> forms.ChoiceField:
    return forms.ChoiceField(
        choices=[(name, name) for name in ALGORITHMS], widget=UnfoldAdminSelectWidget
    )


class ExperimentForm(SchemaForm):
    schema = ExperimentPatch
    together = ("starts_at", "ends_at")
    algorithm_a = algorithm_field()
    algorithm_b = algorithm_field()

    class Meta:
        help_texts = {"share": "Of the viewers, above 0 up to 1. The others keep the default."}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        ends_at = cleaned.get("ends_at")
        if not self.instance.pk and ends_at and ends_at <= timezone.now():
            self.add_error("ends_at", "It would be over by now.")
        return cleaned


class ExperimentStateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset & selectors.list_experiments(self.value())


@admin.register(Experiment)
class ExperimentAdmin(StaffModelAdmin[Experiment]):
    audited = "experiment"
    form = ExperimentForm
    formfield_overrides = FORMFIELD_OVERRIDES
    list_display = ("name", "algorithm_a", "algorithm_b", "share", "state", "starts_at", "ends_at")
    list_filter = (ExperimentStateFilter,)
    search_fields = ("name",)
    fields = ("name", "algorithm_a", "algorithm_b", "share", "starts_at", "ends_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        settled = services.SETTLED[obj.state_at(timezone.now())] if obj else frozenset()
        return [name for name in self.fields if name in settled]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """From its own page: what was shown of it is looked for there."""
        return obj is not None and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Experiment, form: Any, change: bool) -> None:
        given = {name: form.cleaned_data[name] for name in form.cleaned_data}
        if change:
            services.update_experiment(experiment_id=obj.pk, fields=given)
        else:
            obj.pk = services.create_experiment(fields=given).pk

    def delete_model(self, request: HttpRequest, obj: Experiment) -> None:
        services.delete_experiment(experiment_id=obj.pk)

    @label_column(
        description="State", ordering="ends_at", label={"running": "success", "upcoming": "info"}
    )
    def state(self, experiment: Experiment) -> tuple[str, str]:
        state = experiment.state_at(timezone.now())
        return state, state
