"""The admin pages of screenings, halls and genres."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from cinema.locks import retry_on_deadlock
from cinema.model_admin import StaffModelAdmin, label_column
from movies.admin import actions, filters
from movies.admin.forms import FORMFIELD_OVERRIDES, ScreeningForm
from movies.days import Week, cinema_day, local_time
from movies.models import Genre, Hall, Movie, Screening
from movies.programme.texts import describe_version
from movies.search import queries
from movies.search.index import index_movies

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

State = Screening.State


class ScreeningChangeList(ChangeList):
    """Marks the first screening of each day, which alone shows the day."""

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
class ScreeningAdmin(StaffModelAdmin[Screening]):
    audited = "screening"
    form = ScreeningForm
    formfield_overrides = FORMFIELD_OVERRIDES
    list_display = ("day", "time", "film", "hall", "shown_version", "shown_tags", "shown_state")
    list_display_links = ("time", "film")
    list_filter = (
        filters.WeekFilter,
        ("state", ChoicesDropdownFilter),
        ("hall", RelatedDropdownFilter),
        ("version", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    list_per_page = 100
    list_before_template = "admin_site/week.html"
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

    changeform_view = retry_on_deadlock(StaffModelAdmin.changeform_view)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ScreeningChangeList]:
        return ScreeningChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Screening]:
        found = super().get_queryset(request).select_related("movie", "hall")
        return found.defer("movie__overview")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Screening], search_term: str
    ) -> tuple[QuerySet[Screening], bool]:
        if not search_term:
            return queryset, False
        found = queries.find_movie_ids(search_term, Movie.objects.all(), "")
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
        looks = "" if screening.opens_day else "cinema-same-day"
        return format_html('<span class="{}">{}</span>', looks, f"{screening.day:%A %d %b}")

    @admin.display(description="Time")
    def time(self, screening: Screening) -> str:
        starts, ends = local_time(screening.starts_at), local_time(screening.ends_at)
        return f"{starts:%H:%M} – {ends:%H:%M}"

    @admin.display(description="Film", ordering="movie__name")
    def film(self, screening: Screening) -> str:
        return screening.movie.name

    @admin.display(description="Version", ordering="version")
    def shown_version(self, screening: Screening) -> str:
        return describe_version(screening)

    @admin.display(description="Tags")
    def shown_tags(self, screening: Screening) -> str:
        return ", ".join(screening.tags)

    @label_column(
        description="State",
        ordering="state",
        label={State.SOLD_OUT: "success", State.CANCELLED: "danger", State.HIDDEN: "warning"},
    )
    def shown_state(self, screening: Screening) -> tuple[str, str]:
        return screening.state, screening.get_state_display()


Deleted = tuple[list[Any], dict[str, int], set[str], list[Any]]


@admin.register(Genre)
class GenreAdmin(StaffModelAdmin[Genre]):
    audited = "genre"
    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """Count the affected films, which Django would list one by one."""
        genres = list(objs)
        films = Movie.objects.filter(genres__in=genres).distinct().count()
        return [*map(str, genres)], {"genres": len(genres), "films without it": films}, set(), []


@admin.register(Hall)
class HallAdmin(StaffModelAdmin[Hall]):
    audited = "hall"
    search_fields = ("name",)

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """Protect a hall with screenings. Django would list them one by one."""
        halls = list(objs)
        many = Screening.objects.filter(hall__in=halls).count()
        protected = [f"{many} screenings are in it"] if many else []
        return [*map(str, halls)], {"halls": len(halls)}, set(), protected
