"""The pages for viewers: the programme, and those that mailed links open."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from cinema.errors import database_away
from cinema.http import Document, absolute_url
from movies.catalogue import Snapshot
from movies.languages import language_name
from movies.models import Movie, Screening
from movies.programme.document import build_programme, programme_response, snapshot_document
from movies.programme.feed import PATH as FEED_PATH
from movies.programme.selectors import DEFAULT_DAYS, SUBSCRIBED_DAYS, ProgrammeQuery
from movies.programme.structured_data import build_structured_data
from movies.programme.texts import credits_of

CALENDAR_PATH = f"/api/v1/programme.ics?days={SUBSCRIBED_DAYS}"


@require_safe
def welcome(request: HttpRequest) -> HttpResponse:
    """The programme of the week, built once for each version of the catalogue."""
    try:
        return programme_response(build_welcome, ProgrammeQuery.of_days(DEFAULT_DAYS))
    except (OperationalError, InterfaceError):
        return database_away()


def build_welcome(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    programme = orjson.loads(snapshot_document(snapshot, build_programme, query).body)
    days = [
        {"date": date.fromisoformat(day["date"]), "showings": _by_start(day["movies"])}
        for day in programme["days"]
    ]
    structured_data = snapshot_document(snapshot, build_structured_data, query)
    shown = [movie for day in programme["days"] for movie in day["movies"]]
    context = {
        "cinema": settings.CINEMA_NAME,
        "days": days,
        "coming_up": [
            {**movie, "people": dict.fromkeys([*movie["directors"], *movie["protagonists"]])}
            for movie in programme["coming_up"]
        ],
        "credits": credits_of({movie["id"] for movie in [*shown, *programme["coming_up"]]}),
        "structured_data": structured_data.body.decode(),
        "feed": FEED_PATH,
        "calendar": CALENDAR_PATH,
        **_subscriptions(),
    }
    page = render_to_string("cinema/welcome.html", context)
    return Document(page.encode(), "text/html; charset=utf-8")


def _subscriptions() -> dict[str, str]:
    """Addresses by which calendars subscribe to the programme."""
    webcal = f"webcal://{absolute_url(CALENDAR_PATH).partition('://')[2]}"
    google = "https://calendar.google.com/calendar/r?" + urlencode({"cid": webcal})
    return {"webcal": webcal, "google_calendar": google}


def _by_start(movies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each screening, in the order of the evening."""
    showings = [
        {
            **screening,
            "movie": movie,
            "time": datetime.fromisoformat(screening["starts_at"]),
            "languages": _languages(screening, movie),
        }
        for movie in movies
        for screening in movie["screenings"]
    ]
    return sorted(showings, key=lambda showing: showing["time"])


def _languages(screening: dict[str, Any], movie: dict[str, Any]) -> str:
    """A text such as "subtitled, French, English subtitles", without the original version."""
    shown = Movie(original_language=movie["original_language"])
    spoken = screening["language"] or shown.language_of(screening["version"])
    facts = [
        screening["version"] if screening["version"] != Screening.Version.ORIGINAL else "",
        language_name(spoken) if spoken else "",
        f"{language_name(screening['subtitles'])} subtitles" if screening["subtitles"] else "",
    ]
    return ", ".join(fact for fact in facts if fact)


#: The token of a mailed link is behind a `#`, which browsers do not send: it reaches the API in a
#: body, and no log. A page with a token runs our own script alone.
ACCOUNT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@require_safe
def verify_email(request: HttpRequest) -> HttpResponse:
    return _account_page(request, "cinema/verify_email.html")


@require_safe
def reset_password(request: HttpRequest) -> HttpResponse:
    """Without a token, the page asks for the address to mail a link to."""
    return _account_page(request, "cinema/reset_password.html")


def _account_page(request: HttpRequest, template: str) -> HttpResponse:
    response = render(request, template, {"cinema": settings.CINEMA_NAME})
    response["Content-Security-Policy"] = ACCOUNT_POLICY
    response["Referrer-Policy"] = "no-referrer"
    return response
