"""The admin site: its first page, its sidebar, and limits of guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from cinema.audit.models import AuditEntry
from cinema.audit.presentation import present
from cinema.throttling.limits import Limit, TooManyRequests
from movies.days import ONE_DAY, cinema_day, start_of_cinema_day
from movies.models import Screening

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.template.response import TemplateResponse
else:
    from unfold.sites import UnfoldAdminSite as AdminSite


PASSWORD_GUESSES = Limit("THROTTLE_LOGIN", when=lambda request: request.method == "POST")
MAX_SCREENINGS = 200
MAX_CHANGES = 8


class CinemaAdminSite(AdminSite):
    index_title = "Today"
    index_template = "admin_site/index.html"
    login_template = "admin_site/login.html"

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        return super().index(request, {**day_overview(), **(extra_context or {})})

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """Limited, as another person at an open browser could guess the old password."""
        try:
            PASSWORD_GUESSES.take(request)
        except TooManyRequests as refusal:
            return refusal.response()
        if request.method != "POST":
            return super().password_change(request, extra_context)
        with transaction.atomic():
            # The form writes all columns back, so it gets the present row.
            accounts = get_user_model()._default_manager.select_for_update(no_key=True)
            found = accounts.filter(pk=request.user.pk or 0).first()
            if found is None:
                return redirect("admin:login")
            request.user = found
            return super().password_change(request, extra_context)

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Refuse a search: Unfold caches its objects, and the cache takes JSON alone."""
        raise Http404


#: The sidebar: by group the name, the symbol and the model of each link.
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


def sidebar_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    pages = {model._meta.label_lower: found for model, found in admin.site._registry.items()}
    today = {"title": "Today", "icon": "today", "link": reverse("admin:index")}
    own = {"title": "Second factor", "icon": "lock", "link": reverse("second-factor")}
    return [
        {"items": [today, own]},
        *(
            {
                "title": group,
                "items": [
                    {"title": name, "icon": icon, "link": _changelist_url(model)}
                    for name, icon, model in items
                    if model in pages and pages[model].has_view_permission(request)
                ],
            }
            for group, items in GROUPS.items()
        ),
    ]


def _changelist_url(model: str) -> str:
    return reverse(f"admin:{model.replace('.', '_')}_changelist")


def day_overview() -> dict[str, Any]:
    """The screenings until tomorrow morning and the latest changes, for the first page."""
    today = cinema_day(timezone.now())
    screenings = Screening.objects.filter(
        starts_at__gte=start_of_cinema_day(today),
        starts_at__lt=start_of_cinema_day(today + ONE_DAY),
    )
    return {
        "today": today,
        "screenings": screenings.select_related("movie", "hall")[:MAX_SCREENINGS],
        "presented": present([*AuditEntry.objects.all()[:MAX_CHANGES]]),
    }
