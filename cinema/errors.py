"""Errors as responses: RFC 9457 problem details, and the exceptions that carry them."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

import orjson
import psycopg
from django.db import DataError
from django.http import HttpResponse
from ninja import Schema
from pydantic import ConfigDict, Field

CONTENT_TYPE = "application/problem+json"


class FieldError(Schema):
    field: str = Field(examples=["body.start_date"])
    message: str = Field(examples=["Input should be a valid date"])


class Problem(Schema):
    """A refusal by RFC 9457, with `errors` beside it where the payload is malformed."""

    model_config = ConfigDict(extra="allow")

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No movie has the id 7."])
    errors: list[FieldError] | None = None


def problems(*statuses: int) -> dict[int, type[Problem]]:
    """The `response=` entries of the error statuses that an operation can produce."""
    return dict.fromkeys(statuses, Problem)


class ApiError(Exception):
    """A refusal with a response. Subclasses set the status, and say what happened in `detail`.

    Keyword arguments become members of the problem document beside the standard ones.
    """

    status: ClassVar[int] = 400
    headers: ClassVar[dict[str, str]] = {}
    detail: str = ""

    def __init__(self, detail: str = "", **members: object) -> None:
        self.detail = detail or self.detail
        self.members = members
        super().__init__(self.detail)

    def response(self) -> HttpResponse:
        return problem(self.status, self.detail, headers=self.headers, **self.members)


class Unauthorized(ApiError):
    """There is no token, or it is not valid."""

    status = 401
    headers = {"WWW-Authenticate": 'Bearer realm="cinema"'}


class Forbidden(ApiError):
    """The user is known, and has no right to do this."""

    status = 403


class NotFound(ApiError):
    status = 404


class Conflict(ApiError):
    status = 409


class BackgroundJobsDisabled(Conflict):
    """The operation needs a background job, and ENABLE_BACKGROUND_JOBS is false."""

    def __init__(self, instead: str) -> None:
        super().__init__(f"Background jobs are disabled (ENABLE_BACKGROUND_JOBS). {instead}")


class PreconditionFailed(ApiError):
    """The row was edited since the caller read it."""

    status = 412
    detail = "The object was edited meanwhile. Read it again, then change it."


class Unprocessable(ApiError):
    """A malformed payload that only a query can tell from a good one."""

    status = 422
    field: str = "body"

    def __init__(self, field: str = "", message: str = "") -> None:
        message = message or self.detail
        super().__init__(message, errors=[{"field": field or self.field, "message": message}])


def is_bad_value(error: BaseException) -> bool:
    """Whether Postgres refused a value that no column of its type can hold.

    Schemas check first. This catches a value that they let through: it is the client's mistake, and
    no fault of the server.
    """
    return isinstance(error, DataError) or isinstance(
        getattr(error, "__cause__", None), psycopg.DataError
    )


def database_away() -> HttpResponse:
    return problem(503, "The database is unavailable. Try again.", headers={"Retry-After": "2"})


def problem(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **members: object
) -> HttpResponse:
    """A problem document as a response."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return HttpResponse(
        orjson.dumps(document), status=status, content_type=CONTENT_TYPE, headers=headers
    )
