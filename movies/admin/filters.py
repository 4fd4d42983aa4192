"""Filters of the lists of films and screenings."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from cinema.model_admin import is_id
from movies.days import Week
from movies.languages import language_name
from movies.models import MAX_SCREENING_LENGTH, Genre, Movie, Screening

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as DropdownFilter
else:
    from unfold.contrib.filters.admin import DropdownFilter

ALL, TO_COME = "all", "to-come"

#: The names of the weeks around the present one.
WEEKS = {
    -1: "Last week", 0: "This week", 1: "Next week", 2: "In two weeks", 3: "In three weeks",
}  # fmt: skip


def to_come(screenings: QuerySet[Screening]) -> QuerySet[Screening]:
    """The screenings that have not ended. The condition on the start can use an index."""
    now = timezone.now()
    return screenings.filter(starts_at__gt=now - MAX_SCREENING_LENGTH, ends_at__gt=now)


class DefaultFilter(admin.SimpleListFilter):
    """A filter whose first choice applies by default."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for number, (value, title) in enumerate(self.lookup_choices):
            without = changelist.get_query_string(remove=[self.parameter_name or ""])
            chosen = changelist.get_query_string({self.parameter_name or "": value})
            yield {
                "selected": self.value() == value or (number == 0 and self.value() is None),
                "query_string": chosen if number else without,
                "display": title,
            }


class WeekFilter(DefaultFilter):
    """A week's screenings; `?week=2026-12-03` is the week of that day."""

    title = parameter_name = "week"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        present = Week.present()
        by_distance = sorted(WEEKS, key=lambda weeks: (weeks != 0, weeks))
        weeks = [(present.after(n).monday.isoformat(), WEEKS[n]) for n in by_distance]
        return [*weeks, (TO_COME, "All to come"), (ALL, "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == ALL:
            return queryset
        if value == TO_COME:
            return to_come(queryset)
        first, last = (Week.read(value) or Week.present()).span
        return queryset.filter(starts_at__gte=first, starts_at__lt=last)


class RunsInWeekFilter(DropdownFilter):
    """Films with a screening in that week that is not cancelled."""

    title = parameter_name = "week"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        present = Week.present()
        return [(present.after(n).monday.isoformat(), name) for n, name in WEEKS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if (week := Week.read(self.value())) is None:
            return queryset
        first, last = week.span
        screenings = Screening.objects.filter(starts_at__gte=first, starts_at__lt=last)
        running = screenings.exclude(state=Screening.State.CANCELLED).values("movie_id")
        return queryset.filter(pk__in=running)


class VisibilityFilter(DefaultFilter):
    title = parameter_name = "catalogue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("published", "Published"), ("withdrawn", "Withdrawn"), (ALL, "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == ALL:
            return queryset
        return queryset.filter(withdrawn_at__isnull=self.value() != "withdrawn")


class PosterFilter(DropdownFilter):
    title = parameter_name = "poster"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "With a poster"), ("no", "Without")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        without = Q(poster_upload="") & (Q(poster=None) | Q(poster=""))
        if self.value() == "yes":
            return queryset.exclude(without)
        return queryset.filter(without) if self.value() == "no" else queryset


class GenreFilter(DropdownFilter):
    title = parameter_name = "genre"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(genre.pk), genre.name) for genre in Genre.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(genre_ids__contains=[int(value)]) if is_id(value) else queryset


class LanguageFilter(DropdownFilter):
    title = parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        codes = Movie.objects.exclude(original_language=None).order_by("original_language")
        found = codes.values_list("original_language", flat=True).distinct()
        return sorted(((code, language_name(code)) for code in found if code), key=itemgetter(1))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(original_language=value) if value else queryset
