"""The admin pages of films."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db import connection
from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from cinema.errors import ApiError
from cinema.locks import retry_on_deadlock
from cinema.model_admin import (
    FormRefusal,
    StaffInline,
    StaffModelAdmin,
    is_id,
    label_column,
)
from movies import services
from movies.admin import actions, filters
from movies.admin.actions import WithdrawalAdmin
from movies.admin.forms import (
    FORMFIELD_OVERRIDES,
    MovieForm,
    ScreeningForm,
    ScreeningFormSet,
)
from movies.days import Week
from movies.errors import NoPoster, NoTrailer
from movies.media import services as media
from movies.media.files import poster_url, replace_uploads, trailer_url
from movies.media.services import StoredFiles
from movies.models import Movie, Screening
from movies.screenings.selectors import lock_movies
from movies.search import queries
from movies.search.index import index_movies

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

#: A film's page shows the next screenings only: a film may run for years.
MAX_INLINE = 30
SCREENING_ID = re.compile(r"screenings-\d+-id")
WITHDRAWN = "withdrawn"
TEXTS = ("overview", "genres", "keywords", "series")
POSTER_FIELDS = ("picture", "poster_file", "poster", "without_poster")
TRAILER_FIELDS = ("present_trailer", "trailer_file", "trailer", "without_trailer")
DETAILS = ("original_language", "release_year", "runtime_minutes", "tmdb_id")
COUNTERS = ("ranking", "rating_average", "rating_count", "created_at", "withdrawn_at")


class ScreeningInline(StaffInline):
    model = Screening
    form = ScreeningForm
    formset = ScreeningFormSet
    formfield_overrides = FORMFIELD_OVERRIDES
    verbose_name_plural = f"screenings to come, the next {MAX_INLINE}"
    extra = 0
    max_num = 2 * MAX_INLINE
    tab = True
    fields = ("hall", "starts_at", "ends_at", "version", "state")
    ordering = ("starts_at", "id")
    show_change_link = True

    def get_formset(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        """Limit the number of rows that a request can make the server validate."""
        return super().get_formset(request, obj, absolute_max=self.max_num + 1, **options)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Screening]:
        """The next screenings. A submitted form gets the rows it shows, even if one has begun."""
        screenings = super().get_queryset(request).select_related("hall", "movie")
        if request.method == "POST":
            shown = [str(v) for k, v in request.POST.items() if SCREENING_ID.fullmatch(k)]
            return screenings.filter(pk__in=[int(pk) for pk in shown if is_id(pk)])
        match = request.resolver_match
        movie_id = unquote(match.kwargs.get("object_id", "")) if match else ""
        if not is_id(movie_id):
            return screenings.none()
        to_come = filters.to_come(Screening.objects.filter(movie_id=movie_id))
        return screenings.filter(
            pk__in=to_come.order_by("starts_at", "id")[:MAX_INLINE].values("pk")
        )


class FilmChangeList(ChangeList):
    """Counts the upcoming screenings of the films on the page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        films: list[Any] = list(self.result_list)
        to_come = filters.to_come(Screening.objects.filter(movie__in=films))
        rows = to_come.exclude(state=Screening.State.CANCELLED).order_by().values("movie_id")
        found = {
            row["movie_id"]: row for row in rows.annotate(many=Count("pk"), next=Min("starts_at"))
        }
        for film in films:
            film.to_come = found.get(film.pk)
        self.result_list = films


@admin.register(Movie)
class MovieAdmin(WithdrawalAdmin, StaffModelAdmin[Movie]):
    audited = "movie"
    form = MovieForm
    formfield_overrides = FORMFIELD_OVERRIDES
    inlines = (ScreeningInline,)
    list_display = (
        "thumbnail",
        "name",
        "shown_status",
        "run",
        "shown_to_come",
        "ranking",
        "rating",
    )
    list_display_links = ("thumbnail", "name")
    list_filter = (
        filters.VisibilityFilter,
        ("status", ChoicesDropdownFilter),
        filters.RunsInWeekFilter,
        filters.GenreFilter,
        filters.LanguageFilter,
        filters.PosterFilter,
    )
    list_filter_submit = True
    list_before_template = "admin_site/films.html"
    search_fields = ("name",)
    search_help_text = "Name, people, keywords"
    ordering = ("-start_date", "-id")
    autocomplete_fields = ("genres",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("picture", "present_trailer", *COUNTERS)
    fieldsets = (
        (None, {"fields": ("name", "slug", "protagonists", "directors", *TEXTS)}),
        ("Run", {"fields": ("start_date", "end_date", "status")}),
        ("Pictures", {"fields": (*POSTER_FIELDS, *TRAILER_FIELDS)}),
        ("Details", {"fields": DETAILS}),
        ("Counted", {"fields": COUNTERS}),
    )
    actions = (
        *(actions.set_status(status) for status in Movie.Status),
        actions.set_status(None),
        actions.copy_weeks_screenings,
        actions.refresh_from_tmdb,
        "restore",
    )

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Store the uploaded files first: it takes long, and the transaction holds locks."""
        if request.method == "POST" and self.has_change_permission(request):
            store_files(request)
        show = retry_on_deadlock(super().changeform_view)
        return show(request, *args, **options)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[FilmChangeList]:
        return FilmChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Movie], search_term: str
    ) -> tuple[QuerySet[Movie], bool]:
        """Search as the API does; without withdrawn films where one is chosen for a screening."""
        if request.path.endswith("/autocomplete/"):
            queryset = queryset.filter(withdrawn_at=None)
        if not search_term:
            return queryset, False
        found = queries.find_movie_ids(search_term, Movie.objects.all(), "")
        return queryset.filter(pk__in=found).order_by(queries.position_in(found)), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        present = Week.present()
        weeks = {"this_week": present, "next_week": present.after(1)}
        return super().changelist_view(request, {**weeks, **(extra_context or {})})

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Movie | None:
        """Lock the film of a submitted form before its screenings and their halls."""
        if connection.in_atomic_block and request.method == "POST" and is_id(object_id):
            lock_movies([int(object_id)])
        return super().get_object(request, object_id, from_field)

    def save_model(self, request: HttpRequest, obj: Movie, form: Any, change: bool) -> None:
        """Write the changed columns only: triggers and the clock may have changed others."""
        addresses = {name: getattr(obj, name) for name in ("poster", "trailer")}
        changes = {name: addresses[name] for name in form.changed_data if name in addresses}
        replaced = replace_uploads(obj, changes)
        for name, value in replaced.items():
            setattr(obj, name, value)
        manual = obj.status if obj.status_is_manual else None
        obj.status = services.current_status(obj, manual=manual)
        columns = {field.name for field in Movie._meta.concrete_fields}
        touched = {*form.changed_data, *replaced, "status", "status_is_manual", "updated_at"}
        obj.save(update_fields=columns & touched if change else None)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        index_movies([form.instance.pk])
        write_files(form.instance.pk, form.cleaned_data, request)

    @admin.display(description="Poster")
    def thumbnail(self, movie: Movie) -> SafeString | str:
        return _image(poster_url(movie, 200), "cinema-thumbnail") or "–"

    @admin.display(description="Present poster")
    def picture(self, movie: Movie) -> SafeString | str:
        return _image(poster_url(movie, 400), "cinema-poster") or "None yet."

    @admin.display(description="Present trailer")
    def present_trailer(self, movie: Movie) -> SafeString | str:
        if not (address := trailer_url(movie)):
            return "None yet."
        return format_html('<a class="text-link" href="{}">Watch</a>', address)

    @label_column(
        description="Status",
        ordering="status",
        label={
            Movie.Status.COMING_UP: "info",
            Movie.Status.STARTING: "warning",
            Movie.Status.RUNNING: "success",
            WITHDRAWN: "danger",
        },
    )
    def shown_status(self, movie: Movie) -> tuple[str, str]:
        if movie.withdrawn_at:
            return WITHDRAWN, WITHDRAWN
        by_hand = ", by hand" if movie.status_is_manual else ""
        return movie.status, f"{movie.get_status_display()}{by_hand}"

    @admin.display(description="Run", ordering="start_date")
    def run(self, movie: Movie) -> str:
        end = f"{movie.end_date:%d %b %Y}" if movie.end_date else "…"
        return f"{movie.start_date:%d %b %Y} – {end}"

    @admin.display(description="To come")
    def shown_to_come(self, movie: Any) -> str:
        if not (found := movie.to_come):
            return "–"
        return f"{found['many']}, next {timezone.localtime(found['next']):%a %d %b, %H:%M}"

    @admin.display(description="Rating", ordering="community_score")
    def rating(self, movie: Movie) -> str:
        if movie.rating_average is None:
            return "–"
        return f"{movie.rating_average:.1f} ({movie.rating_count})"


def _image(address: str | None, looks: str) -> SafeString | str:
    if not address:
        return ""
    return format_html('<img src="{}" alt="" loading="lazy" class="{}">', address, looks)


STORE: dict[str, Callable[[IO[bytes]], StoredFiles]] = {
    "poster_file": media.store_poster,
    "trailer_file": media.store_trailer,
}
REMOVE: dict[str, Callable[..., None]] = {
    "without_poster": media.remove_poster,
    "without_trailer": media.remove_trailer,
}


def store_files(request: HttpRequest) -> None:
    """Store the uploaded files of a form, and keep them, or a refusal, with the request."""
    request.stored = stored = {}  # type: ignore[attr-defined]
    for field, store in STORE.items():
        if file := request.FILES.get(field):
            try:
                stored[field] = store(file)
            except ApiError as error:
                request.refusal = FormRefusal(field, error.detail)  # type: ignore[attr-defined]
                return


def write_files(movie_id: int, entries: Mapping[str, Any], request: HttpRequest) -> None:
    """Remove the poster and trailer that are to go, and name the uploaded files in the row.

    Raises:
        FormRefusal: The film is withdrawn, or the storage is unreachable.
    """
    for field, remove in REMOVE.items():
        if entries.get(field):
            with suppress(NoPoster, NoTrailer):  # another request removed it
                remove(movie_id=movie_id)
    for field, files in request.stored.items():  # type: ignore[attr-defined]
        try:
            media.attach(movie_id=movie_id, stored=files)
        except ApiError as error:
            raise FormRefusal(field, error.detail) from error
