"""Shared parts of schemas: pagination, and text and dates that can be stored and shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Schema
from ninja.pagination import PaginationBase
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
)


class StrictSchema(Schema):
    """A payload that refuses fields which it does not declare."""

    model_config = ConfigDict(extra="forbid")


class Pagination(Schema):
    page: int = Field(examples=[1])
    per_page: int = Field(examples=[20])
    total: int = Field(examples=[100])
    pages: int = Field(examples=[5])

    @classmethod
    def of(cls, asked: Paginated.Input, total: int) -> Pagination:
        pages = -(-total // asked.per_page)
        return cls(page=asked.page, per_page=asked.per_page, total=total, pages=pages)


class Paginated(PaginationBase):
    """`?page=` and `?per_page=`, with `data` and `pagination` in the response."""

    class Input(Schema):
        page: int = Field(1, ge=1, le=1_000_000_000)
        per_page: int = Field(20, ge=1, le=100)

        @property
        def start(self) -> int:
            return (self.page - 1) * self.per_page

        @property
        def end(self) -> int:
            return self.start + self.per_page

    class Output(Schema):
        data: list[Any]
        pagination: Pagination

    items_attribute = "data"

    def paginate_queryset(
        self, queryset: QuerySet[Any], pagination: Input, request: HttpRequest, **params: object
    ) -> dict[str, object]:
        data, shown = page_rows(queryset, pagination)
        return {"data": data, "pagination": shown}


def page_rows(
    queryset: QuerySet[Any], asked: Paginated.Input, total: int | None = None
) -> tuple[Iterable[Any], Pagination]:
    """The rows of a page, and the numbers of the page and of all pages.

    Args:
        total: The number of rows, if the caller knows it.
    """
    if total is None:
        total = queryset.count()
    rows = _rows(queryset, asked, total) if asked.start < total else []
    return rows, Pagination.of(asked, total)


def _rows(queryset: QuerySet[Any], asked: Paginated.Input, total: int) -> QuerySet[Any]:
    """The rows of a page, found from the nearer end.

    The subquery reads keys alone, from an index on the filter and the order, so that Postgres does
    not read the skipped rows.
    """
    keys, end = queryset.values("pk"), min(asked.end, total)
    if asked.start > total // 2:
        keys = keys.reverse()[total - end : total - asked.start]
    else:
        keys = keys[asked.start : end]
    return queryset.filter(pk__in=keys)


#: The id of a row in a payload; neither "4" nor true is one.
RowId = Annotated[int, Field(ge=1, le=2**63 - 1, strict=True)]

SURROGATES = re.compile(r"[\ud800-\udfff]")
#: The control characters except white space.
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


def _clean(text: str) -> str:
    """NFC, without control characters (tabs and line ends are spaces), white space folded.

    Raises:
        ValueError: The text holds a lone surrogate, which no database can store.
    """
    if SURROGATES.search(text):
        raise ValueError("the text is not valid Unicode")
    # Control characters go first: characters that they separate would not be composed.
    return " ".join(unicodedata.normalize("NFC", CONTROLS.sub("", text)).split())


def _not_blank(text: str) -> str:
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        raise ValueError("the text is blank")
    return text


#: A text of one line, cleaned.
Line = Annotated[
    str,
    StringConstraints(max_length=500),
    AfterValidator(_clean),
    StringConstraints(max_length=500),  # NFC can make a text longer.
]
#: A text of one line that is not blank.
Name = Annotated[Line, AfterValidator(_not_blank)]


def _written_out(value: object) -> object:
    """Refuse a number, which Pydantic would read as seconds since 1970."""
    if not isinstance(value, date) and not re.match(r"\d{4}-\d\d-\d\d", str(value)):
        raise ValueError("expected a date as in 2026-12-03")
    return value


def is_within_years(value: date) -> bool:
    """Whether the date stays within the range of Python and Postgres in every time zone."""
    return 1870 <= value.year <= 2200


def _within_years(value: date) -> date:
    if not is_within_years(value):
        raise ValueError("expected a year from 1870 to 2200")
    return value


Day = Annotated[date, BeforeValidator(_written_out), AfterValidator(_within_years)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_within_years)]
