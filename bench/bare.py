"""A whole Django project: one view, no middleware, no database."""

import os
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])

BODY = (Path(os.environ["CINEMA_HOME"]) / "programme.json").read_bytes()


def programme(request: HttpRequest) -> HttpResponse:
    # Django's own middleware sets it; without it the server would cut the body into chunks.
    length = {"Content-Length": str(len(BODY))}
    return HttpResponse(BODY, content_type="application/json", headers=length)


urlpatterns = [path("bench/programme", programme)]
application = get_wsgi_application()
