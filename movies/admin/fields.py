from __future__ import annotations

from datetime import datetime
from typing import Any, TypeGuard

from django import forms
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.http import QueryDict
from ninja import Schema
from pydantic import ValidationError as BrokenRule
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextareaWidget

from movies.days import moment_of


def is_id(text: object) -> TypeGuard[str]:
    """Whether Postgres can look for a row by it."""
    return isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 19


class LinesField(SimpleArrayField):
    """One entry a line: a comma may be part of it."""

    def __init__(self, base_field: forms.Field, **options: Any) -> None:
        super().__init__(base_field, delimiter="\n", **options)

    def to_python(self, value: object) -> Any:
        return super().to_python([line for line in str(value or "").splitlines() if line.strip()])


class ClockField(forms.SplitDateTimeField):
    """What the cinema's clock shows. Django's own refuses the hour that it shows twice."""

    def compress(self, data_list: Any) -> datetime | None:
        if not data_list:
            return None
        for part, complaint in zip(data_list, ("invalid_date", "invalid_time"), strict=True):
            if part in self.empty_values:
                raise ValidationError(self.error_messages[complaint], code=complaint)
        moment, _ = moment_of(datetime.combine(*data_list))
        return moment


OVERRIDES: Any = {
    # An address typed without a scheme is taken to be https.
    models.URLField: {"assume_scheme": "https"},
    models.DateTimeField: {"form_class": ClockField, "widget": UnfoldAdminSplitDateTimeWidget},
    ArrayField: {"form_class": LinesField, "widget": UnfoldAdminTextareaWidget({"rows": 4})},
}


class RuledForm(forms.ModelForm[Any]):
    """A form whose fields keep the rules of a schema of the API, and are cleaned as there."""

    schema: type[Schema]
    #: Fields of the schema that are something else in the form, such as a row instead of its name.
    unruled: frozenset[str] = frozenset()
    #: Looked at together: each of them counts as changed if one has.
    together: tuple[str, str]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if isinstance(self.data, QueryDict):
            self.data = self._with_ids_only(self.data)

    def _with_ids_only(self, data: QueryDict) -> QueryDict:
        """Django's lists that complete what one types fail where a choice is not a number."""
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
        # An empty one has been judged by the form: it may be, or is required.
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
