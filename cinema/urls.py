"""The address space, assembled."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from cinema import health
from cinema.api import api, openapi_json, redoc
from cinema.graphql.view import view as graphql
from cinema.pages import account
from cinema.pages.views import welcome
from movies.media.serving import serve_media

admin.autodiscover()

urlpatterns = [
    path("", welcome, name="welcome"),
    path("account/verify-email", account.verify_email),
    path("account/reset-password", account.reset_password),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("api/docs", RedirectView.as_view(url="/api/v1/docs")),
    path("api/v1/redoc", redoc),
    path("api/v1/openapi.json", openapi_json),
    path("api/v1/", api.urls),
    path("graphql", graphql),
    path("admin/", admin.site.urls),
    # A bucket shows what is in it itself.
    *([] if settings.MEDIA_BUCKET else [path("media/<path:name>", serve_media)]),
]
