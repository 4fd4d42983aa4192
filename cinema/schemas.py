"""What the schemas of all apps share: pages, and text that can be stored and shown."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Schema
from ninja.pagination import PaginationBase
from pydantic import AfterValidator, StringConstraints


class Pagination(Schema):
    page: int = Field(examples=[1])
    per_page: int = Field(examples=[20])
    total: int = Field(examples=[100])
    pages: int = Field(examples=[5])


class Paginated(PaginationBase):
    """`?page=` and `?per_page=`, answered with `data` and `pagination`. Past the end is empty."""

    class Input(Schema):
        page: int = Field(1, ge=1, le=1_000_000_000)
        per_page: int = Field(20, ge=1, le=100)

    class Output(Schema):
        data: list[Any]
        pagination: Pagination

    items_attribute = "data"

    def paginate_queryset(
        self, queryset: QuerySet[Any], pagination: Input, request: HttpRequest, **params: object
    ) -> dict[str, object]:
        total = queryset.count()
        start = (pagination.page - 1) * pagination.per_page
        return {
            "data": queryset[start : start + pagination.per_page] if start < total else [],
            "pagination": Pagination(
                page=pagination.page,
                per_page=pagination.per_page,
                total=total,
                pages=-(-total // pagination.per_page),
            ),
        }


def _clean(text: str) -> str:
    """NFC, without control characters (tabs and line ends are spaces), white space folded.

    Raises:
        ValueError: The text holds a lone surrogate, which no database can store.
    """
    text = unicodedata.normalize("NFC", text)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is not valid Unicode")
    spaced = "".join(" " if c.isspace() else c for c in text)
    return " ".join("".join(c for c in spaced if unicodedata.category(c) != "Cc").split())


def _not_blank(text: str) -> str:
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        raise ValueError("the text is blank")
    return text


#: One line of text, cleaned.
Line = Annotated[
    str,
    StringConstraints(max_length=500),
    AfterValidator(_clean),
    StringConstraints(max_length=500),  # once more: NFC can make a text longer
]
#: One line of text that says something.
Name = Annotated[Line, AfterValidator(_not_blank)]
