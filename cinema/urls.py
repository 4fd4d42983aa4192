"""The address space, assembled."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from cinema import health
from cinema.api import api, redoc
from cinema.pages.views import welcome

admin.autodiscover()

urlpatterns = [
    path("", welcome, name="welcome"),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("api/docs", RedirectView.as_view(url="/api/v1/docs")),
    path("api/v1/redoc", redoc),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]
