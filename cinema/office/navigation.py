"""The sidebar, in the cinema's words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

#: By group: name, symbol, and the model whose pages it opens.
GROUPS = {
    "Programme": [
        ("Films", "movie", "movies.movie"),
        ("Screenings", "calendar_month", "movies.screening"),
        ("Halls", "meeting_room", "movies.hall"),
        ("Genres", "label", "movies.genre"),
        ("Promotions", "push_pin", "recommendations.promotion"),
    ],
    "Audience": [
        ("Viewers", "group", "users.user"),
        ("Opinions", "thumbs_up_down", "recommendations.interaction"),
        ("Sessions", "key", "users.session"),
    ],
    "Behind the screen": [
        ("Audit", "history", "audit.auditentry"),
        ("TMDb syncs", "sync", "tmdb.syncreport"),
        ("TMDb genres", "merge", "tmdb.tmdbgenre"),
        ("Releases", "rocket_launch", "recommendations.release"),
        ("Experiments", "science", "recommendations.experiment"),
        ("Trainings", "model_training", "recommendations.trainingrun"),
        ("Tasks", "task", "django_celery_results.taskresult"),
    ],
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    pages = {model._meta.label_lower: found for model, found in admin.site._registry.items()}
    today = {"title": "Today", "icon": "today", "link": reverse("admin:index")}
    own = {"title": "Second factor", "icon": "lock", "link": reverse("second-factor")}
    return [
        {"items": [today, own]},
        *(
            {
                "title": group,
                "items": [
                    {"title": name, "icon": icon, "link": _address(model)}
                    for name, icon, model in items
                    if model in pages and pages[model].has_view_permission(request)
                ],
            }
            for group, items in GROUPS.items()
        ),
    ]


def _address(model: str) -> str:
    return reverse(f"admin:{model.replace('.', '_')}_changelist")
