"""The product's addresses, and a view that returns the programme's bytes and does nothing else."""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.urls import path

from cinema.urls import urlpatterns as product
from movies.programme.document import build_programme, programme_response
from movies.programme.selectors import DEFAULT_DAYS, ProgrammeQuery


@cache
def programme() -> tuple[bytes, dict[str, str]]:
    """With its headers: a response without an ETag would be hashed by the middleware each time."""
    made = programme_response(build_programme, ProgrammeQuery.of_days(DEFAULT_DAYS))
    return made.content, {name: made[name] for name in ("Content-Type", "ETag", "Cache-Control")}


def bare_programme(request: HttpRequest) -> HttpResponse:
    body, headers = programme()
    return HttpResponse(body, headers=headers)


urlpatterns = [*product, path("bench/programme", bare_programme)]
