"""Field types of the schemas: validation of input, and the display of times."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, time
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from cinema.schemas import Line, Name
from movies.days import local_isoformat
from movies.languages import canonical_tag

Status = Literal["coming-up", "starting", "running", "finished"]
Version = Literal["original", "subtitled", "dubbed"]
State = Literal["scheduled", "sold-out", "cancelled", "hidden"]


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in text:
        raise ValueError("expected an http or https address")
    return text


#: Control characters and surrogates.
NOT_PLAIN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _plain_text(text: str) -> str:
    """Normalise to NFC, and remove control characters other than line ends."""
    return unicodedata.normalize("NFC", NOT_PLAIN.sub("", text.replace("\r\n", "\n")))


def _hours_and_minutes(value: object) -> object:
    """Refuse a number, which Pydantic would take for seconds since midnight, and an offset."""
    if not isinstance(value, time) and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(value)):
        raise ValueError("expected a time as in 20:30")
    return value


def each_once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


Text = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_plain_text)]
WebAddress = Annotated[Line, StringConstraints(max_length=500), AfterValidator(_web_address)]
#: A canonical BCP 47 tag. As a filter, `zh` also matches `zh-Hant`.
Language = Annotated[
    str,
    StringConstraints(max_length=35),
    AfterValidator(canonical_tag),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"}),
]
#: A local time of day.
ClockTime = Annotated[
    time,
    BeforeValidator(_hours_and_minutes),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}),
]
#: Displayed in the cinema's time zone, with the offset.
LocalTime = Annotated[datetime, PlainSerializer(local_isoformat, return_type=str)]
Title = Annotated[Name, StringConstraints(max_length=300)]
Person = Annotated[Name, StringConstraints(max_length=200)]
SeriesName = Annotated[Line, StringConstraints(max_length=200)]
Slug = Annotated[Line, StringConstraints(max_length=120, pattern=r"^[\w]+(-[\w]+)*$")]
Tag = Annotated[Name, AfterValidator(str.lower), StringConstraints(max_length=40)]
Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(each_once)]
#: A number is accepted as a name.
HallName = Annotated[
    Name,
    StringConstraints(max_length=60),
    BeforeValidator(lambda v: str(v) if type(v) is int else v),
]

#: The default of a field that PATCH may leave out and that cannot be null.
UNSET: Any = None
