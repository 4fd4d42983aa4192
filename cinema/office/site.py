from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse

from cinema.office.today import overview

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.template.response import TemplateResponse
else:
    from unfold.sites import UnfoldAdminSite as AdminSite


class OfficeSite(AdminSite):
    index_title = "Today"
    index_template = "office/index.html"

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        return super().index(request, {**overview(), **(extra_context or {})})

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Not offered: it caches objects, and our cache holds nothing but JSON."""
        raise Http404
