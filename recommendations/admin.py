from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from cinema.model_admin import CinemaModelAdmin, ReadOnlyPermissions, StaffPermissions
from recommendations.experiments.admin import ExperimentAdmin
from recommendations.models import Interaction, Release, TrainingRun
from recommendations.promotions.admin import PromotionAdmin

__all__ = [
    "ExperimentAdmin",
    "InteractionAdmin",
    "PromotionAdmin",
    "ReleaseAdmin",
    "TrainingRunAdmin",
]


@admin.register(Interaction)
class InteractionAdmin(ReadOnlyPermissions, CinemaModelAdmin[Interaction]):
    """What viewers said themselves: nobody says it for them."""

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
        "users",
        "items",
        "interactions",
        "training_s",
    )


@admin.register(TrainingRun)
class TrainingRunAdmin(
    ReadOnlyPermissions, StaffPermissions[TrainingRun], CinemaModelAdmin[TrainingRun]
):
    audited = "training-run"
    list_display = ("id", "state", "phase", "percent", "attempts", "created_at", "finished_at")
    list_filter = (("state", ChoicesDropdownFilter),)
