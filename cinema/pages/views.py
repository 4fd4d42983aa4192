"""The pages for people."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def welcome(request: HttpRequest) -> HttpResponse:
    return render(request, "cinema/welcome.html", {"cinema_name": settings.CINEMA_NAME})
