"""All addresses of the server."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from cinema import health, pages
from cinema.api import api, openapi_json, redoc
from cinema.graphql import graphql
from cinema.metrics.exposition import metrics
from cinema.pages import welcome
from movies.media.serving import serve_media
from users.admin_sign_in import second_factor_page

admin.autodiscover()

DOCS = "/api/v1/docs"

# `cinema.middleware.one_path` takes trailing slashes away, except below admin/.

urlpatterns = [
    path("", welcome, name="welcome"),
    path("account/verify-email", pages.verify_email),
    path("account/reset-password", pages.reset_password),
    # Load balancers ask for health without the base path. The API has the same below it.
    path("health", health.ready),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("health/db", health.db),
    path("metrics", metrics),
    *(path(typed, RedirectView.as_view(url=DOCS)) for typed in ("api", "api/docs", "api/v1")),
    path("api/v1/redoc", redoc),
    path("api/v1/openapi.json", openapi_json),
    path("api/v1/", api.urls),
    path("graphql", graphql),
    path("admin/second-factor/", second_factor_page, name="second-factor"),
    path("admin/", admin.site.urls),
    # A bucket serves its files itself.
    *([] if settings.MEDIA_BUCKET else [path("media/<path:name>", serve_media)]),
]
