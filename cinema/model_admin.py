"""Base classes of the model admins of all apps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import orjson
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import TO_FIELD_VAR, BaseModelAdmin, IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import (
    FieldDoesNotExist,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.core.paginator import Paginator
from django.db import DataError, IntegrityError
from django.db.models import Model, ProtectedError, QuerySet, RestrictedError
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from unfold.decorators import display

from cinema.audit.api import AuditedModel
from cinema.audit.models import AuditEntry
from cinema.audit.presentation import present
from cinema.errors import ApiError
from cinema.schemas import is_within_years

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, TabularInline
else:
    # Unfold's are these with other looks, and without types.
    from unfold.admin import ModelAdmin, TabularInline

M = TypeVar("M", bound=Model)

ENTRIES_A_PAGE = 50


def label_column(
    *, description: str, ordering: str, label: Mapping[str, str]
) -> Callable[[Callable[..., tuple[str, str]]], Callable[..., tuple[str, str]]]:
    """A column of keys and their texts, each in the colour that `label` gives the key."""
    decorate: Callable[[Any], Any] = display(
        description=description, ordering=ordering, label=dict(label)
    )
    return decorate


class EstimatedPaginator(Paginator[Any]):
    """Uses the planner's estimate for a whole table: to count a million rows takes a second."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        whole: Any = rows.model._default_manager.all()
        if len(rows.query.where) > len(whole.query.where):
            return super().count
        [found] = orjson.loads(whole.order_by().explain(format="json"))
        estimate = int(found["Plan"]["Plan Rows"])
        return estimate if estimate >= 10_000 else super().count


def is_id(text: object) -> TypeGuard[str]:
    """Whether the text can be the id of a row."""
    return isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 19


class FormRefusal(Exception):
    """An error of a form that is known only when its entries are written."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message

    @classmethod
    def of(cls, error: Exception) -> FormRefusal:
        if isinstance(error, FormRefusal):
            return error
        if isinstance(error, ApiError):
            return cls(None, error.detail)
        return cls(None, "Someone else has just saved the same. Reload the page and try again.")

    def added_to(self, form: type[ModelForm[Any]]) -> type[ModelForm[Any]]:
        """The form with this error, as staff see it next."""
        refusal = self

        class Refused(form):  # type: ignore[misc, valid-type]
            def clean(self) -> Any:
                cleaned = super().clean()
                self.add_error(refusal.field, refusal.message)
                return cleaned

        return Refused


class StaffPermissions(BaseModelAdmin[M]):
    """Staff may do the same as through the API, without Django's permissions."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and bool(getattr(request.user, "is_staff", False))

    has_module_permission = has_add_permission = has_view_permission
    has_change_permission = has_delete_permission = has_view_permission


class CinemaModelAdmin(ModelAdmin[M]):
    """The admin of a model, with the audit log as its history.

    Django's own log is not written: it covers the admin alone, and has names and addresses in it.
    """

    #: The name of the model in the audit log. None: it has no entries.
    audited: AuditedModel | None = None
    paginator = EstimatedPaginator
    show_full_result_count = False
    # A count for each choice of each filter takes seconds.
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list. A filter with a value that fits no column leads to the list without filters."""
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError, DataError) as error:
            # Django raises this for errors of building the query alone, not of running it.
            if not request.GET or ERROR_FLAG in request.GET:
                raise
            raise IncorrectLookupParameters from error

    def response_action(self, request: HttpRequest, queryset: QuerySet[M], *args: Any) -> Any:
        """Perform an action on the rows whose ids the form has; the ids may be forged."""
        key = self.opts.pk
        try:
            for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key.run_validators(key.to_python(text))
        except ValidationError:
            messages.error(request, "These rows are not in the list. Select them again.")
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Initial values from the query string, without those that no field takes."""
        given = super().get_changeform_initial_data(request)
        return {name: value for name, text in given.items() for value in self._usable(name, text)}

    def _usable(self, name: str, value: Any) -> list[Any]:
        """A list with the value, or an empty one if the field does not take it."""
        try:
            field: Any = self.opts.get_field(name)
            if field.many_to_many:
                for each in value:
                    field.target_field.run_validators(field.target_field.to_python(each))
                return [value]
            cleaned = field.clean(value, None)
        except (FieldDoesNotExist, AttributeError, ValidationError, DataError):
            return []
        except (ValueError, TypeError, OverflowError):  # an array's text is read as JSON
            return []
        is_of_no_time_zone = isinstance(cleaned, date) and not is_within_years(cleaned)
        return [] if is_of_no_time_zone else [cleaned]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        refusal: FormRefusal | None = getattr(request, "refusal", None)
        return form if refusal is None else refusal.added_to(form)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show a form again, with its entries, if an error comes up only when they are written."""
        if request.GET.get(TO_FIELD_VAR) == "":
            raise SuspiciousOperation("an empty _to_field")
        show = super().changeform_view
        try:
            return show(request, object_id, form_url, extra_context)
        except (ApiError, IntegrityError, FormRefusal) as error:
            # The transaction is rolled back; the form that comes now is not valid.
            request.refusal = FormRefusal.of(error)  # type: ignore[attr-defined]
            return show(request, object_id, form_url, extra_context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        if request.GET.get(TO_FIELD_VAR) == "":
            raise SuspiciousOperation("an empty _to_field")
        try:
            return super().delete_view(request, object_id, extra_context)
        except ApiError as refusal:
            messages.error(request, refusal.detail)
        except (ProtectedError, RestrictedError):
            messages.error(request, "Not deleted: something refers to it now. Reload the page.")
        return HttpResponseRedirect(request.path)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return None

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """The changes of the row and of the rows that belong to it."""
        found = self.get_object(request, unquote(object_id))
        if found is None:
            # A method of Django that its stubs do not know.
            gone: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                request, self.opts, object_id
            )
            return gone
        if not self.has_view_or_change_permission(request, found):
            raise PermissionDenied
        entries = AuditEntry.about(self.audited, found.pk)
        page = Paginator(entries, ENTRIES_A_PAGE).get_page(request.GET.get("p"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"History: {found}",
            "opts": self.opts,
            "object": found,
            "original": found,
            "page": page,
            "presented": present([*page.object_list]),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin_site/history.html", context)


class StaffModelAdmin(StaffPermissions[M], CinemaModelAdmin[M]):
    """A model admin for all staff."""


class StaffInline(StaffPermissions[Any], TabularInline[Any, Any]):
    """An inline for all staff."""


class ReadOnlyPermissions:
    """Rows that staff only look at."""

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission
