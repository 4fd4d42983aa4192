"""Forms of the admin site that apply the rules of the API's schemas."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import cached_property
from ninja import Schema
from pydantic import ValidationError as BrokenRule
from unfold.widgets import UnfoldAdminFileFieldWidget as FileWidget
from unfold.widgets import (
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from cinema.model_admin import is_id
from movies import services
from movies.days import moment_of
from movies.models import Hall, Movie, Screening
from movies.schemas import MoviePatch
from movies.screenings.schemas import ScreeningPatch, StandingOut
from movies.screenings.selectors import lock_halls, lock_movies
from movies.screenings.services import find_collisions


class LinesField(SimpleArrayField):
    """One entry a line, as an entry may contain a comma."""

    def __init__(self, base_field: forms.Field, **options: Any) -> None:
        super().__init__(base_field, delimiter="\n", **options)

    def to_python(self, value: object) -> Any:
        return super().to_python([line for line in str(value or "").splitlines() if line.strip()])


class ClockField(forms.SplitDateTimeField):
    """A local time. Django's field refuses the hour that the clock shows twice."""

    def compress(self, data_list: Any) -> datetime | None:
        if not data_list:
            return None
        for part, complaint in zip(data_list, ("invalid_date", "invalid_time"), strict=True):
            if part in self.empty_values:
                raise ValidationError(self.error_messages[complaint], code=complaint)
        moment, _ = moment_of(datetime.combine(*data_list))
        return moment


FORMFIELD_OVERRIDES: Any = {
    models.URLField: {"assume_scheme": "https"},
    models.DateTimeField: {"form_class": ClockField, "widget": UnfoldAdminSplitDateTimeWidget},
    ArrayField: {"form_class": LinesField, "widget": UnfoldAdminTextareaWidget({"rows": 4})},
}


class SchemaForm(forms.ModelForm[Any]):
    """A form that validates and cleans its fields with a schema of the API."""

    schema: type[Schema]
    #: Fields that have another type in the form, such as a row instead of its name.
    unruled: frozenset[str] = frozenset()
    #: Fields that are validated together if one of them has changed.
    together: tuple[str, str]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if isinstance(self.data, QueryDict):
            self.data = self._with_ids_only(self.data)

    def _with_ids_only(self, data: QueryDict) -> QueryDict:
        """Drop choices that are no ids, on which Django's autocomplete widgets fail."""
        usable = data.copy()
        for name, field in self.fields.items():
            key = self.add_prefix(name)
            if isinstance(field, forms.ModelChoiceField) and key in usable:
                usable.setlist(key, [pk for pk in usable.getlist(key) if is_id(pk)])
        return usable

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        ruled_names = {*self.schema.model_fields} - self.unruled
        changed = {*self.changed_data} & ruled_names
        if changed & {*self.together}:
            changed |= {*self.together}
        # The form itself decides whether a field may be empty.
        given = {name: cleaned[name] for name in changed if cleaned.get(name) not in (None, "", [])}
        try:
            ruled = self.schema.model_validate(given)
        except BrokenRule as error:
            for each in error.errors():
                field = str(each["loc"][0]) if each["loc"] else self.together[1]
                self.add_error(field, str(each["msg"]).removeprefix("Value error, ") + ".")
        else:
            cleaned.update({name: getattr(ruled, name) for name in given})
        return cleaned


if TYPE_CHECKING:
    from django.forms.models import BaseInlineFormSet
else:
    from unfold.forms import PaginationInlineFormSet as BaseInlineFormSet


class MovieForm(SchemaForm):
    """A chosen status is manual; an empty one follows the dates."""

    poster_file = forms.FileField(required=False, label="New poster", widget=FileWidget)
    trailer_file = forms.FileField(required=False, label="New trailer", widget=FileWidget)
    without_poster = forms.BooleanField(
        required=False, label="Remove the poster", widget=UnfoldBooleanSwitchWidget
    )
    without_trailer = forms.BooleanField(
        required=False, label="Remove the trailer", widget=UnfoldBooleanSwitchWidget
    )

    schema = MoviePatch
    unruled = frozenset({"genres", "status"})
    together = ("start_date", "end_date")

    class Meta:
        labels = {
            "poster": "Poster's address",
            "trailer": "Trailer's address",
            "runtime_minutes": "Running time in minutes",
            "tmdb_id": "TMDb id",
        }
        help_texts = {
            "protagonists": "The cast, one a line. List a director who also acts after an actor.",
            "directors": "One a line.",
            "keywords": "One a line. Searched, not shown.",
            "series": "Such as Harry Potter. Empty: derived from the title. Searched, not shown.",
            "status": "A status set by hand only moves forward. Empty: it follows the dates.",
            "end_date": "The last day. Empty: until further notice.",
            "original_language": "A tag of BCP 47, as in fr, pt-BR or zh-Hant. No words: zxx.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["status"].required = False
        poster_mb, trailer_mb = settings.POSTER_MAX_MB, settings.TRAILER_MAX_MB
        self.fields["poster_file"].help_text = f"JPEG, PNG or WebP of at most {poster_mb} MB."
        self.fields["trailer_file"].help_text = f"MP4 or WebM of at most {trailer_mb} MB."

    def validate_unique(self) -> None:
        """Check the name too: Django skips its constraint, as the form lacks `withdrawn_at`."""
        super().validate_unique()
        is_published = self.instance.withdrawn_at is None
        if (
            not self.errors
            and is_published
            and (standing := services.find_same_movie(self.instance))
        ):
            self.add_error(None, f"Movie {standing} has the same name and start date.")

    def save(self, commit: bool = True) -> Any:
        if "status" in self.changed_data:
            self.instance.status_is_manual = bool(self.cleaned_data["status"])
        return super().save(commit)


class ScreeningForm(SchemaForm):
    """The end is optional, and errors name the screenings that are in the way."""

    schema = ScreeningPatch
    unruled = frozenset({"hall", "movie_id"})
    together = ("starts_at", "ends_at")
    #: The film of an inline form, which has no field for it.
    film: Movie | None = None
    #: False in a form set, which looks for collisions itself.
    looks_for_collisions = True

    class Meta:
        labels = {"movie": "Film", "booking_url": "Booking link"}
        help_texts = {
            "language": "Spoken, as in fr. Empty: the film's, or unknown if dubbed.",
            "subtitles": "As in en.",
            "tags": "One a line, as in 35mm.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "ends_at" in self.fields:
            self.fields["ends_at"].required = False
            self.fields["ends_at"].help_text = "Empty: the start plus the running time."

    def clean(self) -> dict[str, Any]:
        film: Movie | None = self.film or self.cleaned_data.get("movie")
        if film and film.withdrawn_at and (not self.instance.pk or "movie" in self.changed_data):
            self.add_error("movie" if "movie" in self.fields else None, "The film is withdrawn.")
        if film and not self.errors:
            self._complete(film)
        return super().clean()

    def _complete(self, film: Movie) -> None:
        """Keep the seconds of untouched times, and move the end with the start."""
        cleaned, screening = self.cleaned_data, self.instance
        if screening.pk and "starts_at" not in self.changed_data:
            cleaned["starts_at"] = screening.starts_at
        if screening.pk and "ends_at" not in self.changed_data:
            length = screening.ends_at - screening.starts_at
            cleaned["ends_at"] = cleaned["starts_at"] + length
        elif not cleaned.get("ends_at"):
            if film.runtime_minutes:
                cleaned["ends_at"] = cleaned["starts_at"] + timedelta(minutes=film.runtime_minutes)
            else:
                self.add_error("ends_at", "Needed, as the film has no running time.")
        if not screening.pk and not cleaned.get("language"):
            # The inline forms have no field for the language.
            spoken = film.language_of(cleaned.get("version") or screening.version)
            cleaned["language"] = screening.language = spoken

    def _get_validation_exclusions(self) -> set[str]:
        """Exclude the hall, so that Django skips the exclusion constraint and its vague message."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | {"hall"}

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.looks_for_collisions and not self.errors:
            lock_movies([self.instance.movie_id])
            lock_halls([self.instance.hall_id])
            if found := describe_collisions(self.instance):
                self.add_error("starts_at", found)


class ScreeningFormSet(BaseInlineFormSet[Any, Any, Any]):
    """A film's screenings, which must not collide with each other either."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.film, form.looks_for_collisions = self.instance, False
        form.fields["hall"].choices = self._halls

    @cached_property
    def _halls(self) -> list[tuple[int | str, str]]:
        """The choices of halls, which each row would otherwise read again."""
        return [("", "–"), *((hall.pk, hall.name) for hall in Hall.objects.all())]

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        written = [
            form for form in self.forms if form.has_changed() and form not in self.deleted_forms
        ]
        lock_halls(form.instance.hall_id for form in written)
        for form in written:
            if found := describe_collisions(form.instance):
                form.add_error("starts_at", found)
        for one, other in combinations(written, 2):
            if _overlap(one.instance, other.instance):
                other.add_error("starts_at", "Overlaps another screening in this form.")
        if any(form.errors for form in written):
            raise ValidationError("Two screenings overlap in one hall.")


def describe_collisions(screening: Screening) -> str | None:
    """A sentence about the screenings in the hall at that time; None if it is free."""
    if screening.state == Screening.State.CANCELLED or not screening.hall_id:
        return None
    return describe_hall_taken(find_collisions(screening))


def describe_hall_taken(standing: Iterable[StandingOut]) -> str | None:
    named = [
        f"{one.movie}, {_span(one.starts_at, one.ends_at)} (screening {one.id})" for one in standing
    ]
    halls = {one.hall for one in standing}
    return f"{', '.join(halls)} is taken: {'; '.join(named)}." if named else None


def _span(starts_at: datetime, ends_at: datetime) -> str:
    starts, ends = timezone.localtime(starts_at), timezone.localtime(ends_at)
    return f"{starts:%a %d %b %Y, %H:%M} to {ends:%H:%M}"


def _overlap(one: Screening, other: Screening) -> bool:
    cancelled = Screening.State.CANCELLED
    return (
        one.hall_id == other.hall_id
        and cancelled not in (one.state, other.state)
        and one.starts_at < other.ends_at
        and other.starts_at < one.ends_at
    )
