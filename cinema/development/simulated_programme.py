"""The demonstration's films, their runs and their screenings."""

import csv
from calendar import FRIDAY, SATURDAY, SUNDAY, THURSDAY
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from movies.metadata import as_protagonists

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
class DemonstrationFilm:
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


def load_films() -> list[DemonstrationFilm]:
    """Every film of films.csv, in the file's order."""
    with Path(__file__).with_name("films.csv").open(encoding="utf-8", newline="") as file:
        return [_film(row) for row in csv.DictReader(file)]


def _film(row: dict[str, str]) -> DemonstrationFilm:
    return DemonstrationFilm(
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


Version = Literal["original", "subtitled", "dubbed"]
State = Literal["scheduled", "sold-out", "cancelled", "hidden"]

SEED = 1927

RUNNING_FAMILY_FILMS = 5
RUNNING_OTHER_FILMS = 21
COMING_FILMS = 24

# Starts, in hours after the evening's midnight: 24.25 is a quarter past midnight of the next date.
WEEKNIGHT = {"Hall 1": (14.0, 16.25, 18.75, 21.5), "Hall 2": (14.5, 17.25, 20.25, 22.5)}
FRIDAY_AND_SATURDAY = {
    "Hall 1": (14.0, 16.25, 18.75, 21.5, 24.25),
    "Hall 2": (14.25, 16.25, 18.25, 20.25, 22.5),
}
CLOSING = 26.0  # Every film ends before 02:00, where daylight saving skips or repeats an hour.
TURNOVER = timedelta(minutes=20)
FAMILY_HOURS_END = time(17, 30)
LATE_SHOW_GENRES = {"horror", "thriller", "science-fiction"}
EXCEPTIONS: Counter[State] = Counter({"sold-out": 6, "cancelled": 2, "hidden": 1})


@dataclass(frozen=True)
class Run:
    """The first and last evening of a film, by index; `ends_on` None while that is undecided."""

    film: int
    starts_on: date
    ends_on: date | None

    def includes(self, evening: date) -> bool:
        return self.starts_on <= evening and (self.ends_on is None or evening <= self.ends_on)


@dataclass(frozen=True)
class PlannedScreening:
    """Times are the cinema's wall time, without a zone; a late show starts on the next date."""

    film: int
    hall: str
    starts_at: datetime
    ends_at: datetime
    version: Version
    language: str
    subtitles: str | None
    tags: tuple[str, ...]
    state: State


@dataclass(frozen=True)
class Slot:
    """Time that a hall has for one film, on an evening that may last past midnight."""

    evening: date
    hall: str
    starts_at: datetime
    ends_before: datetime

    @property
    def is_matinee(self) -> bool:
        return time(12) <= self.starts_at.time() < time(16)

    @property
    def is_late_show(self) -> bool:
        return self.starts_at.date() > self.evening


def plan_runs(films: Sequence[DemonstrationFilm], today: date) -> list[Run]:
    """One run for each film, in random order: running films first, then coming, then finished."""
    rng = np.random.default_rng(SEED)
    shuffled = [int(film) for film in rng.permutation(len(films))]
    family = [film for film in shuffled if "family" in films[film].genres]
    others = [film for film in shuffled if "family" not in films[film].genres]
    chosen = {*family[:RUNNING_FAMILY_FILMS], *others[:RUNNING_OTHER_FILMS]}
    running = [film for film in shuffled if film in chosen]
    remaining = [film for film in shuffled if film not in chosen]

    def days(fewest: int, most: int) -> timedelta:
        return timedelta(days=int(rng.integers(fewest, most, endpoint=True)))

    runs = []
    for film in running:
        starts_on = today + days(-42, 4)
        runs.append(Run(film, starts_on, max(starts_on, today) + days(7, 35)))
    for film in remaining[:COMING_FILMS]:
        runs.append(Run(film, today + days(3, 120), None))
    for film in remaining[COMING_FILMS:]:
        starts_on = today - days(92, 910)
        runs.append(Run(film, starts_on, starts_on + days(14, 56)))
    return runs


def plan_screenings(
    films: Sequence[DemonstrationFilm], runs: Sequence[Run], today: date
) -> list[PlannedScreening]:
    """Both halls from a week ago to two weeks ahead, the films taking turns."""
    evenings = [today + timedelta(days=days) for days in range(-7, 14)]
    evenings_of = {run.film: sum(map(run.includes, evenings)) for run in runs}
    times_shown: Counter[int] = Counter()
    screenings = []
    for evening in evenings:
        tonight = [run.film for run in runs if run.includes(evening)]
        for slot in _slots(evening):
            fitting = [film for film in tonight if _fits(films[film], slot)]
            if not fitting:
                continue
            best_suited = [film for film in fitting if _suits(films[film], slot)] or fitting
            film = min(best_suited, key=lambda film: (times_shown[film] + 1) / evenings_of[film])
            times_shown[film] += 1
            tonight.remove(film)
            screenings.append(_screening(film, films[film], slot))
    return _with_exceptions(screenings, today)


def _slots(evening: date) -> Iterator[Slot]:
    midnight = datetime.combine(evening, time())
    has_late_show = evening.weekday() in (FRIDAY, SATURDAY)
    for hall, starts in (FRIDAY_AND_SATURDAY if has_late_show else WEEKNIGHT).items():
        times = [midnight + timedelta(hours=hours) for hours in starts]
        closing = midnight + timedelta(hours=CLOSING) + TURNOVER
        for start, following in pairwise([*times, closing]):
            yield Slot(evening, hall, start, following - TURNOVER)


def _fits(film: DemonstrationFilm, slot: Slot) -> bool:
    """Whether the film ends in time, and a family film starts early enough for children."""
    if "family" in film.genres and (slot.is_late_show or slot.starts_at.time() > FAMILY_HOURS_END):
        return False
    return slot.starts_at + timedelta(minutes=film.runtime_minutes) < slot.ends_before


def _suits(film: DemonstrationFilm, slot: Slot) -> bool:
    """Whether the slot is for such films: matinees for families, thrillers after midnight."""
    if slot.is_matinee:
        return "family" in film.genres
    return slot.is_late_show and not LATE_SHOW_GENRES.isdisjoint(film.genres)


def _screening(film: int, facts: DemonstrationFilm, slot: Slot) -> PlannedScreening:
    version: Version = "subtitled"
    if facts.language == "en":
        version = "original"
    elif "family" in facts.genres:
        version = "dubbed"
    return PlannedScreening(
        film=film,
        hall=slot.hall,
        starts_at=slot.starts_at,
        ends_at=slot.starts_at + timedelta(minutes=facts.runtime_minutes),
        version=version,
        language="en" if version == "dubbed" else facts.language,
        subtitles="en" if version == "subtitled" else None,
        tags=_tags(facts, slot),
        state="scheduled",
    )


def _tags(film: DemonstrationFilm, slot: Slot) -> tuple[str, ...]:
    """Hall 1 has the film projector and Hall 2 the headphones for audio description; guests come on
    Thursdays, and for recent films only."""
    is_evening = slot.starts_at.hour in (18, 20)
    weekday = slot.evening.weekday()
    tags = {
        "35mm": slot.hall == "Hall 1" and is_evening and film.release_year < 1980,
        "q&a": weekday == THURSDAY and is_evening and film.release_year >= 1995,
        "audio-description": slot.hall == "Hall 2" and is_evening and film.language == "en",
        "matinee": slot.is_matinee,
        "family": "family" in film.genres,
        "sing-along": weekday == SUNDAY and "music" in film.genres,
    }
    return tuple(tag for tag, applies in tags.items() if applies)


def _with_exceptions(screenings: Sequence[PlannedScreening], today: date) -> list[PlannedScreening]:
    """A few of the coming evenings' screenings are sold out, cancelled or hidden."""
    coming = [
        index
        for index, screening in enumerate(screenings)
        if screening.starts_at.date() >= today and screening.starts_at.hour >= 18
    ]
    chosen = np.random.default_rng(SEED).choice(coming, size=EXCEPTIONS.total(), replace=False)
    states = dict(zip(chosen.tolist(), EXCEPTIONS.elements(), strict=True))
    return [
        replace(screening, state=states.get(index, "scheduled"))
        for index, screening in enumerate(screenings)
    ]
