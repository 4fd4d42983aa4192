from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from cinema.model_admin import StaffModelAdmin, label_column
from movies.admin.forms import FORMFIELD_OVERRIDES, SchemaForm
from recommendations.models import Promotion
from recommendations.promotions import selectors, services
from recommendations.promotions.schemas import PromotionPatch

STATES = ("current", "upcoming", "ended")


class PromotionForm(SchemaForm):
    schema = PromotionPatch
    together = ("starts_at", "ends_at")

    class Meta:
        labels = {"movie": "Film"}
        help_texts = {
            "place": "Of a pin: 1 to 10.",
            "strength": "Of a boost: above 0, up to 1. 0.1 is a nudge; 1 puts a film to the top.",
            "note": "Why, for colleagues. No viewer sees it.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.instance.pk:
            film, ends_at = cleaned.get("movie"), cleaned.get("ends_at")
            if film and film.withdrawn_at:
                self.add_error("movie", "The film is withdrawn.")
            if ends_at and ends_at <= timezone.now():
                self.add_error("ends_at", "It would be over by now.")
        return cleaned


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return selectors.in_state(queryset, self.value())


@admin.register(Promotion)
class PromotionAdmin(StaffModelAdmin[Promotion]):
    audited = "promotion"
    form = PromotionForm
    formfield_overrides = FORMFIELD_OVERRIDES
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
        services.write_promotion(promotion=obj)

    @admin.display(description="Film", ordering="movie__name")
    def film(self, promotion: Promotion) -> str:
        return promotion.movie.name

    @admin.display(description="What")
    def what(self, promotion: Promotion) -> str:
        if promotion.kind == Promotion.Kind.PIN:
            return f"pinned to place {promotion.place}"
        return f"moved up by {promotion.strength}"

    @label_column(
        description="State", ordering="ends_at", label={"current": "success", "upcoming": "info"}
    )
    def state(self, promotion: Promotion) -> tuple[str, str]:
        state = promotion.state_at(timezone.now())
        return state, state
