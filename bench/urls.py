"""The product's addresses, and a view that returns the programme's bytes and does nothing else."""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.urls import path

from cinema.urls import urlpatterns as product
from movies.programme.document import build_programme
from movies.programme.query import DEFAULT_DAYS, ProgrammeQuery
from movies.programme.serving import response_of


@cache
def programme() -> tuple[bytes, dict[str, str]]:
    """With its headers: a response without an ETag would be hashed by the middleware each time."""
    made = response_of(build_programme, ProgrammeQuery.of_days(DEFAULT_DAYS))
    return made.content, {name: made[name] for name in ("Content-Type", "ETag", "Cache-Control")}


def bare_programme(request: HttpRequest) -> HttpResponse:
    body, headers = programme()
    return HttpResponse(body, headers=headers)


urlpatterns = [*product, path("bench/programme", bare_programme)]
