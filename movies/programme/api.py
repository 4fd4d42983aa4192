from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from cinema.errors import problems
from cinema.http import skip_parameter_parsing
from movies.programme import calendar, feed, structured_data
from movies.programme.document import build_programme, programme_response, this_week
from movies.programme.selectors import ProgrammeFilters, ProgrammeOut, ProgrammeQuery

router = Router(tags=["Programme"])


def _answers(content_type: str, example: object) -> dict[str, Any]:
    """The OpenAPI entry of a response that is not plain JSON."""
    kind = "string" if isinstance(example, str) else "object"
    schema = {"type": kind, "examples": [example]}
    content = {content_type.partition(";")[0]: {"schema": schema}}
    return {"responses": {200: {"description": "OK", "content": content}}}


CALENDAR = _answers(calendar.CONTENT_TYPE, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n…")
STRUCTURED_DATA = _answers(
    structured_data.CONTENT_TYPE, {"@context": "https://schema.org", "@graph": []}
)
FEED = _answers(feed.Feed.content_type, '<feed xmlns="http://www.w3.org/2005/Atom">…</feed>')


@router.get("/programme", response={200: ProgrammeOut, **problems(422, 503)}, by_alias=True)
@skip_parameter_parsing(this_week(build_programme))
def get_programme(request: HttpRequest, filters: Query[ProgrammeFilters]) -> HttpResponse:
    """The programme by day. The small hours belong to the evening before."""
    return programme_response(build_programme, ProgrammeQuery.of(filters))


@router.get("/programme.ics", response=problems(422, 503), openapi_extra=CALENDAR)
@skip_parameter_parsing(this_week(calendar.build_calendar))
def get_calendar(request: HttpRequest, filters: Query[ProgrammeFilters]) -> HttpResponse:
    """The programme as iCalendar. Subscribe with `days`, say of a `hall` or a `tag`."""
    return programme_response(calendar.build_calendar, ProgrammeQuery.of(filters))


@router.get("/programme.jsonld", response=problems(422, 503), openapi_extra=STRUCTURED_DATA)
@skip_parameter_parsing(this_week(structured_data.build_structured_data))
def get_structured_data(request: HttpRequest, filters: Query[ProgrammeFilters]) -> HttpResponse:
    """The programme as JSON-LD of schema.org. Safe to put into a page as it is."""
    return programme_response(structured_data.build_structured_data, ProgrammeQuery.of(filters))


@router.get(
    "/movies/{int:movie_id}/programme.ics", response=problems(404, 503), openapi_extra=CALENDAR
)
def get_movie_calendar(request: HttpRequest, movie_id: int) -> HttpResponse:
    """A movie's screenings of the next three months as iCalendar."""
    return programme_response(calendar.build_movie_calendar, ProgrammeQuery.of_movie(movie_id))


@router.get(
    "/movies/{int:movie_id}/programme.jsonld",
    response=problems(404, 503),
    openapi_extra=STRUCTURED_DATA,
)
def get_movie_structured_data(request: HttpRequest, movie_id: int) -> HttpResponse:
    """A movie and its screenings of the next three months as JSON-LD of schema.org."""
    build = structured_data.build_movie_structured_data
    return programme_response(build, ProgrammeQuery.of_movie(movie_id))


@router.get("/movies/feed.atom", response=problems(503), openapi_extra=FEED)
def get_feed(request: HttpRequest) -> HttpResponse:
    """The movies that were announced last, as an Atom feed."""
    return feed.feed_response()
