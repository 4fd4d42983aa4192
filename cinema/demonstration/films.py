"""The catalogue of the demonstration cinema: 120 films and the facts about them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from movies.people import as_protagonists

COUNTRY_NAMES = {
    "AR": "Argentina",
    "BR": "Brazil",
    "DE": "Germany",
    "DK": "Denmark",
    "ES": "Spain",
    "FR": "France",
    "GB": "the United Kingdom",
    "HK": "Hong Kong",
    "IN": "India",
    "IR": "Iran",
    "IT": "Italy",
    "JP": "Japan",
    "KR": "South Korea",
    "PL": "Poland",
    "RU": "Russia",
    "SE": "Sweden",
    "TR": "Turkey",
    "TW": "Taiwan",
    "US": "the United States",
}


@dataclass(frozen=True)
class Film:
    """Genres are slugs, `language` is ISO 639-1 and `country` ISO 3166-1 alpha-2."""

    name: str
    release_year: int
    directors: tuple[str, ...]
    actors: tuple[str, ...]
    genres: tuple[str, ...]
    language: str
    runtime_minutes: int
    country: str

    @property
    def protagonists(self) -> tuple[str, ...]:
        return tuple(as_protagonists(self.actors, self.directors))

    @property
    def overview(self) -> str:
        """One English sentence made of the facts alone."""
        genres = _enumerate([genre.replace("-", " ") for genre in self.genres])
        article = "An" if genres[0] in "aeiou" else "A"
        return (
            f"{article} {genres} film from {COUNTRY_NAMES[self.country]}, {self.release_year}, "
            f"{self.runtime_minutes} minutes, directed by {_enumerate(self.directors)}."
        )


def load_films() -> list[Film]:
    """Every film of films.csv, in the file's order."""
    with Path(__file__).with_name("films.csv").open(encoding="utf-8", newline="") as file:
        return [_film(row) for row in csv.DictReader(file)]


def _film(row: dict[str, str]) -> Film:
    return Film(
        name=row["name"],
        release_year=int(row["release_year"]),
        directors=tuple(row["director"].split("|")),
        actors=tuple(row["actors"].split("|")),
        genres=tuple(row["genres"].split("|")),
        language=row["language"],
        runtime_minutes=int(row["runtime_minutes"]),
        country=row["country"],
    )


def _enumerate(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *leading, last = words
    return f"{', '.join(leading)} and {last}" if leading else last
