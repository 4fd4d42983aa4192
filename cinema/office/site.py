from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse

from cinema.office.today import overview
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.limits import Limit

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.template.response import TemplateResponse
else:
    from unfold.sites import UnfoldAdminSite as AdminSite


GUESSES = Limit("THROTTLE_LOGIN", when=lambda request: request.method == "POST")


class OfficeSite(AdminSite):
    index_title = "Today"
    index_template = "office/index.html"
    login_template = "office/login.html"

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        return super().index(request, {**overview(), **(extra_context or {})})

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """It asks for the old password, which who sits at an open office may try to guess."""
        try:
            GUESSES.take(request)
        except TooManyRequests as refusal:
            return refusal.response()
        return super().password_change(request, extra_context)

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Not offered: it caches objects, and our cache holds nothing but JSON."""
        raise Http404
