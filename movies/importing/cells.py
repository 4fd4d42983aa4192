"""How a field is written in the cell of a spreadsheet, and read from it again.

A list has `|` between its entries; a `|` in an entry is written `\\|`, and a backslash `\\\\`. A
genre whose slug is not the one made from its name is written `slug=Name`. What a spreadsheet would
take for a formula begins with an apostrophe, which is taken off again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from movies.importing.schemas import ImportedMovie
from movies.services import slug_of

FIELDS = tuple(ImportedMovie.model_fields)
REQUIRED = tuple(name for name in FIELDS if ImportedMovie.model_fields[name].is_required())
LISTS = ("protagonists", "genres", "keywords", "directors")
#: What a field is without a value, where it can be.
EMPTY: dict[str, Any] = {
    "overview": "", "genres": [], "keywords": [], "directors": [], "series": "", "poster": None,
    "trailer": None, "end_date": None, "status": None, "original_language": None,
    "release_year": None, "runtime_minutes": None, "tmdb_id": None,
}  # fmt: skip

# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = r"[=+\-@\t\r\n＝＋－＠]"
NEEDS_APOSTROPHE = re.compile(f"'*{FORMULA}")
HAS_APOSTROPHE = re.compile(f"'+{FORMULA}")

ENTRY = re.compile(r"((?:\\[\\|]|[^|])*)(?:\||$)", re.DOTALL)
SLUG_AND_NAME = re.compile(r"([-\w]+)=(.+)", re.DOTALL)
#: As a German spreadsheet shows a date, and so saves it.
WITH_POINTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")


def to_cell(name: str, value: Any) -> str:
    if name == "genres":
        value = [_genre_entry(genre) for genre in value]
    text = "|".join(map(_escaped, value)) if name in LISTS else "" if value is None else str(value)
    return guarded(text)


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if NEEDS_APOSTROPHE.match(text) else text


def from_cell(name: str, cell: str) -> Any:
    """What a row of JSON would have there; None if the cell is empty."""
    text = cell[1:] if HAS_APOSTROPHE.match(cell) else cell
    if name == "overview":
        return text or None
    text = text.strip()
    if name in LISTS:
        entries = [entry for found in ENTRY.finditer(text) if (entry := _unescaped(found[1]))]
        return ([_genre(entry) for entry in entries] if name == "genres" else entries) or None
    if name.endswith("_date") and (found := WITH_POINTS.fullmatch(text)):
        day, month, year = found.groups()
        return f"{year}-{month:0>2}-{day:0>2}"
    return text or None


def _escaped(entry: str) -> str:
    return entry.replace("\\", "\\\\").replace("|", "\\|")


def _unescaped(entry: str) -> str:
    return re.sub(r"\\([\\|])", r"\1", entry).strip()


def _genre_entry(genre: Mapping[str, str]) -> str:
    """The name alone if an import makes the same genre of it."""
    slug, name = genre["slug"], genre["name"]
    is_plain = "=" not in name and name != slug and slug_of(name)[:60] == slug
    return name if is_plain else f"{slug}={name}"


def _genre(entry: str) -> str | dict[str, str]:
    found = SLUG_AND_NAME.fullmatch(entry)
    return {"slug": found[1], "name": found[2]} if found else entry
