from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminRadioSelectWidget

from cinema.audit.recording import record
from cinema.errors import ApiError
from cinema.model_admin import CinemaModelAdmin, is_id
from users import erasure, second_factor
from users.addresses import normal_email
from users.models import Session, User
from users.preferences import mark_visibility_changed

Deleted = tuple[list[Any], dict[str, int], set[str], list[Any]]


class EmailForm(forms.ModelForm[User]):
    """Stores the e-mail address in the spelling of the API."""

    def clean_email(self) -> str:
        try:
            return normal_email(self.cleaned_data["email"])
        except ValueError as error:
            raise ValidationError(str(error)) from error


class ChangedUserForm(EmailForm, UserChangeForm):  # type: ignore[misc]  # untyped
    pass


class NewUserForm(EmailForm, AdminUserCreationForm[User]):
    class Meta:
        model = User
        fields = ("email", "name")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("password1", "password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget({"autocomplete": "new-password"})
        usable = self.fields["usable_password"]
        usable.widget = UnfoldAdminRadioSelectWidget(choices=usable.choices)  # type: ignore[attr-defined]


@admin.register(User)
class ViewerAdmin(UserAdmin[User], CinemaModelAdmin[User]):  # type: ignore[misc]  # how `get_form` is typed
    """Accounts, for superusers alone, as they hold personal data and the rights of staff.

    There are no groups and permissions, as in the API: all staff have the same rights.
    """

    audited = "user"
    add_form = NewUserForm
    form = ChangedUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_superuser", "is_active")
    search_fields = ("email", "name")
    ordering = ("-date_joined",)
    readonly_fields = ("date_joined", "last_login", "email_verified_at", "taste_version")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Dates", {"fields": ("date_joined", "last_login", "email_verified_at", "taste_version")}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )

    actions = ("remove_second_factor",)

    @admin.action(description="Remove the second factor (of a lost device)")
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        removed = sum(second_factor.remove(user=user) for user in queryset.order_by("pk"))
        messages.success(request, f"Second factors removed: {removed}.")

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Deleted:
        """List the viewers alone: Django would list each of their ratings, without permission."""
        viewers = [*map(str, objs)]
        return viewers, {"viewers, with all that belongs to them": len(viewers)}, set(), []

    @transaction.atomic
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **named: Any
    ) -> HttpResponse:
        _lock_submitted(request, object_id)
        response: HttpResponse = super().changeform_view(request, object_id, *args, **named)
        return response

    @transaction.atomic
    def user_change_password(self, request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        _lock_submitted(request, named.get("id"))
        response: HttpResponse = super().user_change_password(request, *args, **named)
        return response

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        transaction.on_commit(mark_visibility_changed)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Erase the viewer as `DELETE /users/me` does."""
        erasure.erase(user_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for viewer in queryset.order_by("pk"):
            try:
                erasure.erase(user_id=viewer.pk)
            except ApiError as refusal:
                messages.error(request, f"{viewer}: {refusal.detail}")


def _lock_submitted(request: HttpRequest, object_id: str | None) -> None:
    """Lock the viewer of a submitted form: the form writes all columns back."""
    if request.method == "POST" and is_id(object_id):
        User.objects.select_for_update(no_key=True).filter(pk=int(object_id)).first()


@admin.register(Session)
class SessionAdmin(CinemaModelAdmin[Session]):
    """Sessions can be read and deleted, which ends them."""

    audited = "session"
    list_display = ("user", "device", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        record("delete", "session", obj.pk, before={"user_id": obj.user_id})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        for session in queryset:
            record("delete", "session", session.pk, before={"user_id": session.user_id})
        super().delete_queryset(request, queryset)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        return False
