from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from cinema.locks import again_after_deadlock
from cinema.office.pages import StaffPage, labelled
from movies.admin import actions, filters
from movies.admin.fields import OVERRIDES
from movies.admin.forms import ScreeningForm
from movies.admin.weeks import Week
from movies.days import cinema_day
from movies.models import Movie, Screening
from movies.programme.texts import version_in_words
from movies.search import finding
from movies.search.indexing import index_movies

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

State = Screening.State


class ByDay(ChangeList):
    """Tells of each row whether it opens a day: its day is shown there and not in the others."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        screenings: list[Any] = list(self.result_list)
        before = None
        for screening in screenings:
            screening.day = cinema_day(screening.starts_at)
            screening.opens_day = screening.day != before
            before = screening.day
        self.result_list = screenings


@admin.register(Screening)
class ScreeningAdmin(StaffPage[Screening]):
    audited = "screening"
    form = ScreeningForm
    formfield_overrides = OVERRIDES
    list_display = ("day", "time", "film", "hall", "shown_version", "shown_tags", "shown_state")
    list_display_links = ("time", "film")
    list_filter = (
        filters.ScreeningWeek,
        ("state", ChoicesDropdownFilter),
        ("hall", RelatedDropdownFilter),
        ("version", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    list_select_related = ("movie", "hall")
    list_per_page = 100
    list_before_template = "office/week.html"
    search_fields = ("movie__name",)
    search_help_text = "The film"
    ordering = ("starts_at", "id")
    autocomplete_fields = ("movie", "hall")
    fieldsets = (
        (None, {"fields": ("movie", "hall", "starts_at", "ends_at", "state")}),
        ("Version", {"fields": ("version", "language", "subtitles", "tags")}),
        ("Booking", {"fields": ("booking_url",)}),
    )
    actions = (
        actions.set_state(State.CANCELLED, "Cancel"),
        actions.set_state(State.SOLD_OUT, "Mark as sold out"),
        actions.set_state(State.HIDDEN, "Hide"),
        actions.set_state(State.SCHEDULED, "Schedule (again)"),
        actions.copy_to_next_week,
    )

    changeform_view = again_after_deadlock(StaffPage.changeform_view)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ByDay]:
        return ByDay

    def get_queryset(self, request: HttpRequest) -> QuerySet[Screening]:
        found = super().get_queryset(request).select_related("movie", "hall")
        return found.defer("movie__overview")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Screening], search_term: str
    ) -> tuple[QuerySet[Screening], bool]:
        if not search_term:
            return queryset, False
        found = finding.find(search_term, Movie.objects.all(), "")
        return queryset.filter(movie_id__in=found), False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        films = {form.instance.movie_id, form.initial.get("movie") or form.instance.movie_id}
        index_movies(films)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        chosen = request.GET.get("week")
        week = Week.read(chosen) or Week.present()
        context = {
            "week": week,
            "shows_week": chosen not in (filters.ALL, filters.TO_COME),
            "week_before": week.after(-1),
            "week_after": week.after(1),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description="Day", ordering="starts_at")
    def day(self, screening: Any) -> str:
        looks = "" if screening.opens_day else "office-same-day"
        return format_html('<span class="{}">{}</span>', looks, f"{screening.day:%A %d %b}")

    @admin.display(description="Time")
    def time(self, screening: Screening) -> str:
        starts, ends = (
            timezone.localtime(screening.starts_at),
            timezone.localtime(screening.ends_at),
        )
        return f"{starts:%H:%M} – {ends:%H:%M}"

    @admin.display(description="Film", ordering="movie__name")
    def film(self, screening: Screening) -> str:
        return screening.movie.name

    @admin.display(description="Version", ordering="version")
    def shown_version(self, screening: Screening) -> str:
        return version_in_words(screening)

    @admin.display(description="Tags")
    def shown_tags(self, screening: Screening) -> str:
        return ", ".join(screening.tags)

    @labelled(
        description="State",
        ordering="state",
        label={State.SOLD_OUT: "success", State.CANCELLED: "danger", State.HIDDEN: "warning"},
    )
    def shown_state(self, screening: Screening) -> tuple[str, str]:
        return screening.state, screening.get_state_display()
