"""A large catalogue: films in words and names that occur as unevenly as real ones, and years of
screenings of which the last two weeks are still to come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from itertools import compress
from pathlib import Path
from typing import TypeVar

import numpy as np
import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from bench.inside.filling import FILMS, GENRES_OF_FILMS, without_indexes, without_triggers
from cinema.development.simulated_programme import DemonstrationFilm, load_films
from movies import services
from movies.models import Genre, Hall, Movie
from movies.schemas import MovieIn
from movies.screenings import services as screenings
from movies.screenings.schemas import ScreeningIn
from movies.search.index import index_stale_movies
from movies.services import current_status

T = TypeVar("T")

SEED = 1895
SYLLABLES = """
an ar as be ber bra ca car ce che cla co com con cor cra da de den der di dis do dra e en ent er
es ex fa fer fi for fra fu ga ge gra ha hea her hi ho hu i im in ing inter is ja jo ka ke ki la
le li lin lo lu ma man mar me mer mi min mo mor mu na ne ni no nor o on or ou out over pa par pe
per pi pla po por pre pro qua ra re ri ro ru sa sca se ser sha she shi si so sta ste sto stra
sub sun ta te ter th the ti tion to tor tra tri tu u un under up va ve ver vi vo wa war we wh wi
wo y ya ze
"""
#: The commonest words of English, and how many of a thousand words each one is.
COMMON = {
    "the": 60, "of": 32, "and": 30, "to": 27, "a": 26, "in": 20, "his": 11, "is": 11, "with": 9,
    "for": 8, "an": 8, "her": 8, "by": 7, "on": 7, "he": 7, "who": 7, "from": 6, "as": 6,
    "their": 5, "that": 5, "when": 5, "but": 4, "they": 4, "she": 4, "at": 4, "into": 4, "it": 3,
    "him": 3, "after": 3, "life": 3, "young": 2, "love": 2, "world": 2, "family": 2, "man": 2,
    "woman": 2, "story": 2, "one": 2, "find": 2, "must": 2, "new": 2, "all": 2, "years": 1,
}  # fmt: skip
GENRES = {
    "drama": 45, "comedy": 28, "documentary": 15, "romance": 14, "action": 13, "thriller": 13,
    "crime": 11, "horror": 11, "animation": 8, "adventure": 7, "family": 6, "fantasy": 5,
    "mystery": 5, "science-fiction": 5, "music": 4, "history": 3, "war": 2.5, "western": 1.5,
    "noir": 0.5,
}  # fmt: skip
LANGUAGES = {
    "en": 50, "fr": 9, "de": 6, "ja": 6, "es": 6, "it": 5, "zh": 3, "ru": 3, "hi": 3, "ko": 2,
    "pt": 2, "sv": 2, "tr": 1, "pl": 1, "el": 0.5, "hu": 0.3, "is": 0.2,
}  # fmt: skip
BLOCK = 100_000
TAGS = ("35mm", "q&a", "matinee", "family", "sing-along", "premiere", "restored", "open air")
VOCABULARY, PEOPLE, WORDS_IN_AN_OVERVIEW = 40_000, 60_000, 55
HALLS, SHOWS_A_DAY, DAYS_TO_COME, RUN_DAYS = 10, 6, 14, 28
#: Films are announced so far ahead.
ANNOUNCED_DAYS = 120

SCREENINGS = "movies_screening"
MOVIE_COLUMNS = (
    "name, slug, protagonists, overview, keywords, start_date, end_date, status, "
    "status_is_manual, ranking, original_language, release_year, runtime_minutes, "
    "rating_count, rating_sum, created_at, updated_at, genre_ids"
)
INSERT_SCREENINGS = """
WITH days (first, films, day) AS (
    SELECT * FROM unnest(%(first)s::bigint[], %(films)s::bigint[]) WITH ORDINALITY AS days
), shows AS (
    SELECT first, films, hall, row_number() OVER (ORDER BY day, slot, hall) AS show,
           (%(first_day)s + day::int - 1 + time '11:00' + slot * interval '2 hours')
               AT TIME ZONE %(zone)s AS starts_at
    FROM days, generate_series(0, %(shows)s - 1) AS slot, unnest(%(halls)s::bigint[]) AS hall
), lists (versions, tags, states) AS (
    VALUES (%(versions)s::text[], %(tags)s::text[], %(states)s::text[])
)
INSERT INTO movies_screening
    (movie_id, hall_id, starts_at, ends_at, version, language, tags, state, created_at, updated_at)
SELECT %(first_movie)s + first + show * 7 %% films, hall, starts_at,
       starts_at + interval '110 minutes', versions[1 + show %% cardinality(versions)], 'en',
       CASE show %% 5 WHEN 0 THEN ARRAY[tags[1 + show %% cardinality(tags)]] ELSE '{}' END,
       states[1 + show %% cardinality(states)], now(), now()
FROM shows, lists
"""
VERSIONS = ("original", "subtitled", "dubbed")
STATES = ("sold-out", "cancelled", "hidden", *["scheduled"] * 47)


def fill_catalogue(*, films: int, screenings: int) -> dict[str, float]:
    """Returns how many seconds each step took."""
    steps = {"start": time.perf_counter()}
    days = screenings // (HALLS * SHOWS_A_DAY)
    first_day = timezone.localdate() - timedelta(days=days - DAYS_TO_COME)
    rng = np.random.default_rng(SEED)
    # Screenings are inserted in the order in which a cinema posts them, long before they start.
    starts = np.sort(rng.integers(0, days - DAYS_TO_COME + ANNOUNCED_DAYS, films))
    with (
        transaction.atomic(),
        without_triggers(SCREENINGS, GENRES_OF_FILMS),
        without_indexes(SCREENINGS, FILMS, GENRES_OF_FILMS),
    ):
        movie_ids = _copy_movies(rng, [first_day + timedelta(days=int(day)) for day in starts])
        steps["films"] = time.perf_counter()
        _insert_screenings(first_day, days, movie_ids, starts)
        steps["screenings"] = time.perf_counter()
    steps["indexes"] = time.perf_counter()
    with without_indexes("movies_moviesearch"):
        index_stale_movies()
    steps["search"] = time.perf_counter()
    with connection.cursor() as cursor:  # as autovacuum would, which must not run meanwhile
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    steps["vacuum"] = time.perf_counter()
    times = list(steps.values())
    return dict(zip(list(steps)[1:], np.diff(times).tolist(), strict=True))


def _copy_movies(rng: np.random.Generator, start_dates: Sequence[date]) -> list[int]:
    """The ids in the order of the dates."""
    texts = _Texts(rng)
    count = len(start_dates)
    genres = _draw_genres(rng, count)
    real = dict(zip(rng.permutation(count).tolist(), load_films(), strict=False))
    languages = _draw(rng, LANGUAGES, count)
    years = (2026 - rng.exponential(18, count)).clip(1900, 2026).astype(int)
    ratings = (rng.pareto(1.1, count) * 3).astype(int).clip(0, 5000)
    now = timezone.now()
    with connection.cursor() as cursor, cursor.copy(_copy(FILMS, MOVIE_COLUMNS)) as copy:
        for number, start_date in enumerate(start_dates):
            film = real.get(number)
            end_date = start_date + timedelta(days=RUN_DAYS)
            movie = Movie(start_date=start_date, end_date=end_date)
            copy.write_row((
                film.name if film else texts.name(),
                f"film-{number}",
                list(film.protagonists) if film else texts.people(),
                film.overview if film else texts.overview(),
                texts.keywords(), start_date, end_date, current_status(movie), False, 0,
                film.language if film else languages[number],
                film.release_year if film else int(years[number]),
                90, int(ratings[number]), int(ratings[number]) * rng.uniform(2, 4.5), now, now,
                genres[number],
            ))  # fmt: skip
    ids = list(Movie.objects.order_by("pk").values_list("pk", flat=True))
    with (
        connection.cursor() as cursor,
        cursor.copy(_copy(GENRES_OF_FILMS, "movie_id, genre_id")) as copy,
    ):
        for movie_id, own in zip(ids, genres, strict=True):
            for genre_id in own:
                copy.write_row((movie_id, genre_id))
    return ids


def _draw_genres(rng: np.random.Generator, films: int) -> list[list[int]]:
    """The ids of each film's genres, in ascending order."""
    ids = sorted(Genre.objects.create(slug=slug, name=slug.capitalize()).pk for slug in GENRES)
    chances = np.array(list(GENRES.values())) / 100
    has = rng.random((films, len(ids))) < chances
    return [list(compress(ids, own)) for own in has.tolist()]


def _insert_screenings(
    first_day: date, days: int, movie_ids: Sequence[int], starts: NDArray[np.int64]
) -> None:
    """Every hall shows films of the last weeks, one after another, each day at the same hours."""
    assert movie_ids[-1] - movie_ids[0] == len(movie_ids) - 1, "the statement adds to the first id"
    halls = [Hall.objects.create(name=f"Hall {number + 1}").pk for number in range(HALLS)]
    last = np.searchsorted(starts, np.arange(days), side="right")
    first = np.searchsorted(starts, np.arange(days) - RUN_DAYS, side="right")
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_SCREENINGS,
            {
                "first": first.tolist(),
                "films": np.maximum(1, last - first).tolist(),
                "first_day": first_day,
                "first_movie": movie_ids[0],
                "shows": SHOWS_A_DAY,
                "halls": halls,
                "zone": settings.TIME_ZONE,
                "versions": list(VERSIONS),
                "tags": list(TAGS),
                "states": list(STATES),
            },
        )


class _Texts:
    """Random names and sentences; some words and people occur far more often than others."""

    def __init__(self, rng: np.random.Generator) -> None:
        first, last = _invent(rng, 800), _invent(rng, 8000)
        people = [
            f"{first[one]} {last[other]}".title()
            for one, other in rng.integers(0, (len(first), len(last)), (PEOPLE, 2)).tolist()
        ]
        self._people = _drawn(rng, people, (np.arange(PEOPLE) + 50) ** -0.7)
        words = _invent(rng, VOCABULARY)
        self._rare = _drawn(rng, words, (np.arange(VOCABULARY) + 30) ** -0.9)
        self._common = _drawn(rng, list(COMMON), np.array(list(COMMON.values())))
        self._tens = _drawn(rng, range(1, 11), np.ones(10))

    def name(self) -> str:
        words = [*self._words(1 + next(self._tens) // 2, common_in_ten=3), next(self._rare)]
        return " ".join(words).capitalize()

    def people(self) -> list[str]:
        return list({next(self._people): None for _ in range(2 + next(self._tens) // 2)})

    def keywords(self) -> list[str]:
        return [next(self._rare) for _ in range(next(self._tens) // 2)]

    def overview(self) -> str:
        words = self._words(WORDS_IN_AN_OVERVIEW // 2 + 5 * next(self._tens), common_in_ten=4)
        return " ".join(words).capitalize() + "."

    def _words(self, count: int, *, common_in_ten: int) -> list[str]:
        return [
            next(self._common if next(self._tens) <= common_in_ten else self._rare)
            for _ in range(count)
        ]


def _drawn(
    rng: np.random.Generator, things: Sequence[T], weights: NDArray[np.floating]
) -> Iterator[T]:
    """Yield random things by their weights, endlessly."""
    while True:
        for place in rng.choice(len(things), BLOCK, p=weights / weights.sum()).tolist():
            yield things[place]


def _invent(rng: np.random.Generator, count: int) -> list[str]:
    """Different words, two to four syllables long."""
    syllables, words = SYLLABLES.split(), dict[str, None]()
    while len(words) < count:
        for *drawn, length in rng.integers(0, (*[len(syllables)] * 4, 3), (count, 5)).tolist():
            words["".join(syllables[one] for one in drawn[: 2 + length])] = None
    return list(words)[:count]


def _draw(rng: np.random.Generator, weights: Mapping[str, float], count: int) -> list[str]:
    shares = np.array(list(weights.values()))
    return [str(one) for one in rng.choice(list(weights), count, p=shares / shares.sum())]


def _copy(table: str, columns: str) -> str:
    return f"COPY {table} ({columns}) FROM STDIN"


#: Each after those that it refers to.
TABLES = ("movies_genre", "movies_movie", "movies_movie_genres")
FIND_COLUMNS = """
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


def empty_catalogue() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def write_changed(*, source: str, target: str) -> None:
    """The films of a file, each with another overview."""
    with open(source, "rb") as lines, open(target, "wb") as changed:
        for line in lines:
            film = orjson.loads(line)
            film["overview"] += " Again."
            changed.write(orjson.dumps(film) + b"\n")


def save_tables(*, folder: str) -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            with (
                Path(folder, table).open("wb") as file,
                cursor.copy(f"COPY {_columns(table)} TO STDOUT") as copy,
            ):
                for block in copy:
                    file.write(block)


def measure_copy(*, folder: str) -> float:
    """Seconds until the saved tables stand again, with all indexes and triggers."""
    empty_catalogue()
    saved = {table: Path(folder, table).read_bytes() for table in TABLES}
    into = {table: f"COPY {_columns(table)} FROM STDIN" for table in TABLES}
    started_at = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table in TABLES:
            with cursor.copy(into[table]) as copy:
                copy.write(saved[table])
    return time.perf_counter() - started_at


def _columns(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(FIND_COLUMNS, [table])
        (columns,) = cursor.fetchone()
    return f"{table} ({columns})"


PROGRAMME_DAYS, PROGRAMME_SCREENINGS, RUNNING_FILMS, FILMS_TO_COME = 7, 60, 20, 10
PROGRAMME_HALLS = ("Lumière", "Méliès", "Varda")
PROGRAMME_STARTS = (time_of_day(15), time_of_day(18), time_of_day(21))
#: Long enough for every film, and short enough that the next one in the hall can start.
SCREENING_LENGTH = timedelta(hours=2, minutes=45)


def fill_programme() -> int:
    """Returns the number of screenings."""
    today = timezone.localdate()
    films = load_films()[: RUNNING_FILMS + FILMS_TO_COME]
    running = [_create_movie(film, today - timedelta(days=30)) for film in films[:RUNNING_FILMS]]
    for film in films[RUNNING_FILMS:]:
        _create_movie(film, today + timedelta(days=14))
    for number in range(PROGRAMME_SCREENINGS):
        slot, day = divmod(number, PROGRAMME_DAYS)
        start, hall = divmod(slot, len(PROGRAMME_HALLS))
        starts_at = timezone.make_aware(
            datetime.combine(today + timedelta(days=day), PROGRAMME_STARTS[start])
        )
        screening = {
            "movie_id": running[number % RUNNING_FILMS].pk,
            "hall": PROGRAMME_HALLS[hall],
            "starts_at": starts_at,
            "ends_at": starts_at + SCREENING_LENGTH,
        }
        screenings.create_screening(screening=ScreeningIn.model_validate(screening))
    return PROGRAMME_SCREENINGS


def _create_movie(film: DemonstrationFilm, start_date: object) -> Movie:
    movie = {
        "name": film.name,
        "protagonists": list(film.protagonists),
        "overview": film.overview,
        "genres": list(film.genres),
        "start_date": start_date,
        "original_language": film.language,
        "release_year": film.release_year,
        "runtime_minutes": film.runtime_minutes,
    }
    return services.create_movie(movie=MovieIn.model_validate(movie))
