"""The API: the routers of the apps, error handlers, and its document."""

from __future__ import annotations

import logging
from functools import cache
from threading import Lock
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.http import require_safe
from ninja import NinjaAPI, Redoc, Swagger
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.responses import Response

from cinema.audit.api import router as audit
from cinema.cache_statistics import router as answers
from cinema.errors import ApiError, Unauthorized, database_away, is_bad_value, problem
from cinema.health import router as health
from cinema.http import (
    BodyParser,
    Document,
    JsonRenderer,
    document_response,
    refuse_wrong_parameters,
)
from cinema.openapi import polish
from cinema.web.threads import give_way
from movies.api import router as movies
from movies.importing.api import router as importing
from movies.media.api import router as media
from movies.programme.api import router as programme
from movies.screenings.api import router as screenings
from movies.tmdb.api import router as tmdb
from recommendations.analytics.audience_fit import router as audience_fit
from recommendations.analytics.report import router as analytics
from recommendations.api import router as recommendations
from recommendations.experiments import router as experiments
from recommendations.importing.api import router as viewer_import
from recommendations.matches.api import router as matches
from recommendations.promotions import router as promotions
from recommendations.ratings import router as ratings
from users.api import router as users
from users.favourites import router as favourites
from users.history import router as history
from users.playlists.api import router as playlists
from users.preferences import router as preferences

log = logging.getLogger(__name__)


class CinemaAPI(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        polish(document)
        return document


api = CinemaAPI(
    title="Cinema",
    version="1",
    description="The programme of a cinema, and what each viewer should watch next.\n\n"
    "A query parameter that an operation does not have is refused with 422; calendars, "
    "feeds and JSON-LD ignore it. A trailing slash makes no difference.",
    parser=BodyParser(),
    renderer=JsonRenderer(),
    docs=Swagger(settings={"persistAuthorization": True}),
    urls_namespace="api-1",
)
api.add_decorator(refuse_wrong_parameters)
#: The routers, by the first part of their operation ids. Clients are generated from these ids, so
#: they stay when a module is renamed.
ROUTERS = {
    "movies_api": movies,
    "movies_importing_api": importing,
    "movies_media_api": media,
    "movies_tmdb_api": tmdb,
    "movies_screenings_api": screenings,
    "movies_programme_api": programme,
    "users_api": users,
    "users_preferences_api": preferences,
    "users_favourites_api": favourites,
    "users_history_api": history,
    "recommendations_ratings_api": ratings,
    "users_playlists_api": playlists,
    "recommendations_api": recommendations,
    "recommendations_importing_api": viewer_import,
    "recommendations_matches_api": matches,
    "recommendations_promotions_api": promotions,
    "recommendations_experiments_api": experiments,
    "recommendations_analytics_api": analytics,
    "recommendations_analytics_audience_api": audience_fit,
    "cinema_audit_api": audit,
    "cinema_answers_api": answers,
    "cinema_health_api": health,
}
#: Operations whose ids name a module that no longer exists.
OPERATION_PREFIXES = {
    "export_me": "users_privacy_api",
    "create_click": "recommendations_impressions_api",
    **dict.fromkeys(
        ("request_verification", "verify_email", "forgot_password", "reset_password"),
        "users_recovery_api",
    ),
    **dict.fromkeys(
        ("login", "logout", "refresh", "list_sessions", "end_session", "end_other_sessions"),
        "users_sessions_api",
    ),
}
for prefix, router in ROUTERS.items():
    for view in router.path_operations.values():
        for operation in view.operations:
            name = operation.view_func.__name__
            operation.operation_id = f"{OPERATION_PREFIXES.get(name, prefix)}_{name}"
    api.add_router("", router)


class ScriptedRedoc(Redoc):
    """Ninja's page has an inline script, which our Content-Security-Policy does not allow."""

    template = "cinema/redoc.html"


@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    """The description of the API, which takes a second to make and never changes."""
    if not _openapi_document.cache_info().currsize:
        give_way()
    with _making_openapi:
        document = _openapi_document()
    return document_response(document, stale=False)


#: Otherwise each request makes the document until the first one is answered.
_making_openapi = Lock()


@cache
def _openapi_document() -> Document:
    return Document(Response(api.get_openapi_schema()).content)


def redoc(request: HttpRequest) -> HttpResponse:
    return ScriptedRedoc().render_page(request, api)


@api.exception_handler(ApiError)
def on_refusal(request: HttpRequest, error: ApiError) -> HttpResponse:
    return error.response()


@api.exception_handler(ValidationError)
def on_malformed_payload(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"field": ".".join(_field(item["loc"])), "message": _message(item)} for item in error.errors
    ]
    return problem(422, "The request is malformed: see `errors`.", errors=errors)


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, ApiError):  # ninja hides what the parser raises
        return error.__cause__.response()
    if error.status_code == 400:  # ninja's answer to a body that is not JSON
        errors = [{"field": "body", "message": "not valid JSON"}]
        return problem(422, "The request is malformed: see `errors`.", errors=errors)
    return problem(error.status_code, str(error))


@api.exception_handler(MultiPartParserError)
@api.exception_handler(TooManyFieldsSent)
@api.exception_handler(UnreadablePostError)
def on_malformed_form(request: HttpRequest, error: Exception) -> HttpResponse:
    """A body that is no form, or is not complete."""
    errors = [{"field": "body", "message": "not a valid form"}]
    return problem(422, "The request is malformed: see `errors`.", errors=errors)


@api.exception_handler(RequestDataTooBig)
def on_body_too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    limit_mb = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024 // 1024
    return problem(413, f"The body may have at most {limit_mb} MB.")


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def on_database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("the database is away: %s", error)
    return database_away()


@api.exception_handler(DatabaseError)
def on_refused_write(request: HttpRequest, error: DatabaseError) -> HttpResponse:
    """A write that Postgres refuses: the account of the caller may have been erased meanwhile."""
    if is_bad_value(error):
        log.warning("%s %s: Postgres refused a value", request.method, request.path)
        return problem(422, "The request has a value that the database cannot take.")
    caller = getattr(request, "auth", None)
    if isinstance(caller, Model) and not type(caller)._base_manager.filter(pk=caller.pk).exists():
        return Unauthorized("This account is erased.").response()
    return on_fault(request, error)


@api.exception_handler(Exception)
def on_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("%s %s failed", request.method, request.path, extra={"request": request})
    return problem(500, "The server made an error. It is logged under this X-Request-ID.")


def _field(location: tuple[str | int, ...]) -> list[str]:
    """`("body", "payload", "name")` to `body.name`, without the parameter of the endpoint."""
    where, *rest = map(str, location)
    if where == "file":  # a part of the body too
        return ["body", *rest[-1:]]
    if where == "body":
        return [where, *rest[1:]]
    # A parameter that may be repeated also has a number: `query.tag.1`.
    start = -2 if len(location) > 2 and isinstance(location[-1], int) else -1
    return [where, *rest[start:]]


def _message(item: dict[str, Any]) -> str:
    return str(item["msg"]).removeprefix("Value error, ")
