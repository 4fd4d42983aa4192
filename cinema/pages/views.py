"""The pages for people."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from movies.programme import NO_FILTERS, ProgrammeQuery, programme_document


@require_safe
@cache_control(public=True, max_age=0, must_revalidate=True)
def welcome(request: HttpRequest) -> HttpResponse:
    """The week's programme, from the same bytes that the API serves."""
    document, _ = programme_document(ProgrammeQuery.of(NO_FILTERS))
    programme = orjson.loads(document.body)
    days = [
        {"date": date.fromisoformat(day["date"]), "showings": _by_start(day["movies"])}
        for day in programme["days"]
    ]
    context = {"cinema": settings.CINEMA_NAME, "days": days, "coming_up": programme["coming_up"]}
    return render(request, "cinema/welcome.html", context)


def _by_start(movies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each screening, in the order of the evening."""
    showings = [
        {**screening, "movie": movie, "time": datetime.fromisoformat(screening["starts_at"])}
        for movie in movies
        for screening in movie["screenings"]
    ]
    return sorted(showings, key=lambda showing: showing["time"])
