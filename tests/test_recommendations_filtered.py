"""The filters of the caller: what a list is made of is decided before it is ranked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema.cache import shared
from movies.models import Movie
from recommendations.impressions.storage import store_waiting
from recommendations.lists import list_cache
from recommendations.lists.filters import CandidateFilters
from recommendations.lists.list_builder import ListQuery
from recommendations.schemas import MAX_EXCLUDED
from tests.audience import Audience, ids, listed, make_audience, rate, train_release
from tests.builders import Client, at, make_movie, make_screening, make_user
from tests.catalogue import refused_fields
from tests.promoting import make_promotion
from tests.showing import shown, stored
from tests.tastes import publish_popularity
from tests.test_graphql import ask, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

DAY = date(2026, 12, 3)
NOON = at(DAY, 12)
Query = dict[str, Any]


@pytest.fixture
def films(db: None) -> dict[str, int]:
    """Ids by name."""
    made = {
        "short drama": make_movie(genres=["drama"], runtime_minutes=80),
        "long drama": make_movie(genres=["Drama", "war"], runtime_minutes=170),
        "drama": make_movie(genres=["drama"], runtime_minutes=None, original_language="zh-Hant"),
        "comedy": make_movie(genres=["comedy"], runtime_minutes=100, original_language="en"),
        "silent": make_movie(genres=["comedy"], runtime_minutes=60, original_language="zxx"),
        "unknown": make_movie(runtime_minutes=101, original_language=None),
    }
    return {name: movie.pk for name, movie in made.items()}


def found(client: Client, films: Mapping[str, int], **query: Any) -> set[str]:
    names = {pk: name for name, pk in films.items()}
    return {names[pk] for pk in ids(listed(client, limit=40, **query))}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"genre": "drama"}, {"short drama", "long drama", "drama"}),
        ({"genre": "war"}, {"long drama"}),
        ({"genre": "horror"}, set()),
        ({"runtime_max": 100}, {"short drama", "comedy", "silent"}),
        ({"runtime_max": 59}, set()),
        ({"language": "en"}, {"comedy"}),
        ({"language": "zh"}, {"drama"}),
        ({"language": "FRA"}, {"short drama", "long drama"}),
        ({"language": "ja"}, set()),
        ({"understands": "en"}, {"comedy", "silent"}),
        ({"understands": ["en", "zh"]}, {"comedy", "silent", "drama"}),
        ({"genre": "comedy", "runtime_max": 60}, {"silent"}),
        ({"genre": "drama", "language": "fr", "runtime_max": 100}, {"short drama"}),
        ({"genre": "comedy", "understands": "en", "algorithm": "popularity"}, {"comedy", "silent"}),
    ],
)
def test_a_list_has_the_films_that_match(
    viewer: Client, films: dict[str, int], query: Query, expected: set[str]
) -> None:
    publish_popularity()
    assert found(viewer, films, **query) == expected


@pytest.mark.parametrize("query", [{"genre": "drama"}, {"genre": "none"}, {"language": "zh"}])
def test_the_catalogue_is_filtered_as_in_movies(
    viewer: Client, films: dict[str, int], query: Query
) -> None:
    movies = viewer.get("/movies", **query).json()["data"]
    assert set(ids(listed(viewer, **query))) == {movie["id"] for movie in movies}


def test_excluded_films_are_left_out_and_unknown_ones_ignored(
    viewer: Client, films: dict[str, int]
) -> None:
    exclude = [films["comedy"], films["drama"], films["drama"], 2**63 - 1]
    assert found(viewer, films, exclude=exclude) == set(films) - {"comedy", "drama"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"exclude": 0}, "query.exclude"),
        ({"exclude": [1, "Cléo"]}, "query.exclude"),
        ({"exclude": 2**63}, "query.exclude"),
        ({"exclude": "1,2"}, "query.exclude"),
        ({"exclude": list(range(1, MAX_EXCLUDED + 2))}, "query.exclude"),
        ({"runtime_max": 0}, "query.runtime_max"),
        ({"runtime_max": 6001}, "query.runtime_max"),
        ({"language": "English"}, "query.language"),
        ({"understands": ["en", "English"]}, "query.understands"),
        ({"understands": ["en"] * 21}, "query.understands"),
        ({"genre": "g" * 501}, "query.genre"),
        ({"before": "22:00"}, "query.before"),
        ({"before": "22:00", "scope": "catalogue"}, "query.before"),
        ({"before": "24:00", "scope": "programme"}, "query.before"),
        ({"before": "22", "scope": "programme"}, "query.before"),
        ({"before": "2200", "scope": "programme"}, "query.before"),
        ({"before": "22:00:00", "scope": "programme"}, "query.before"),
        ({"calibrated": "very"}, "query.calibrated"),
    ],
)
def test_a_bad_value_is_refused(viewer: Client, query: Query, field: str) -> None:
    assert refused_fields(viewer.get("/recommendations", **query)) == [field]


def test_the_largest_number_of_films_can_be_excluded(viewer: Client) -> None:
    movie = make_movie()
    exclude = range(movie.pk + 1, movie.pk + 1 + MAX_EXCLUDED)
    assert ids(listed(viewer, exclude=list(exclude))) == [movie.pk]


# --- before ranking


@pytest.fixture
def audience(db: None) -> Audience:
    """64 films, all dramas but the first camp's, which the viewers of the tests like."""
    audience = make_audience(n_camps=4, movies_each=16)
    train_release()
    return audience


@pytest.fixture
def fan(viewer: Client, audience: Audience) -> Client:
    for movie in audience.movies[0][:3]:
        rate(viewer, movie, 5)
    return viewer


@pytest.mark.parametrize("algorithm", ["hybrid", "als"])
def test_a_filtered_list_still_has_forty_films(fan: Client, algorithm: str) -> None:
    before = ids(listed(fan, limit=40, algorithm=algorithm))
    exclude = before[:20]
    after = ids(listed(fan, limit=40, algorithm=algorithm, exclude=exclude))
    assert len(before) == len(set(after)) == 40
    assert not set(exclude) & set(after)
    if algorithm == "als":
        assert after[:20] == before[20:]


def test_new_pinned_and_boosted_films_obey(fan: Client, settings: Settings) -> None:
    settings.EXPLORATION_SHARE = 0.1
    new = [make_movie(genres=["war"]) for _ in range(6)]
    pinned, boosted = make_movie(genres=["war"]), make_movie(genres=["war"])
    short = {make_movie(genres=["drama"], runtime_minutes=50).pk for _ in range(12)}
    make_promotion(pinned, place=1)
    make_promotion(boosted, strength=1.0)
    sources = {item["movie"]["id"]: item["source"] for item in listed(fan, limit=40)["items"]}
    assert sources[pinned.pk] == "pin"
    assert boosted.pk in sources
    assert "exploration" in sources.values()
    assert set(ids(listed(fan, limit=40, genre="drama"))) == short
    assert ids(listed(fan, limit=40, genre="war"))[0] == pinned.pk
    assert set(ids(listed(fan, limit=40, runtime_max=50))) == short
    exclude = [movie.pk for movie in (*new, pinned, boosted)]
    assert not set(exclude) & set(ids(listed(fan, limit=40, exclude=exclude)))


def test_fallbacks_follow_the_filters(viewer: Client, films: dict[str, int]) -> None:
    """Preferences, popularity, and without a release the films by date."""
    viewer.put("/users/me/preferences", {"genres": ["comedy"]})
    assert found(viewer, films, genre="drama") == {"short drama", "long drama", "drama"}
    publish_popularity()
    assert found(viewer, films, genre="drama") == {"short drama", "long drama", "drama"}
    assert found(viewer, films, genre="comedy", exclude=films["silent"]) == {"comedy"}


def test_filters_cost_no_query(fan: Client, audience: Audience) -> None:
    """The arrays and the cards are those of the unfiltered lists."""
    tomorrow = timezone.localdate() + timedelta(days=1)
    for movie in audience.movies[1]:
        make_screening(movie, starts_at=at(tomorrow, 14), subtitles="en")
    filters = {"runtime_max": 100, "language": "fr", "understands": ["en", "fr"], "exclude": [1]}
    for scope, more in (("catalogue", {}), ("programme", {"before": "20:00"})):
        before = listed(fan, scope=scope)
        with CaptureQueriesContext(connection) as unfiltered:
            listed(fan, scope=scope, refresh=True)
        with CaptureQueriesContext(connection) as filtered:
            after = listed(fan, scope=scope, **filters, **more)
        assert ids(after) == ids(before)
        assert len(filtered) == len(unfiltered)


# --- the programme


def test_the_programme_is_filtered_by_its_screenings() -> None:
    with time_machine.travel(NOON, tick=False):
        viewer = Client(make_user())
        french = make_movie(original_language="fr")
        dubbed, subtitled, silent = make_movie(), make_movie(), make_movie()
        dubbed_somehow = make_movie(original_language="en")
        make_screening(french, starts_at=at(DAY, 20))
        make_screening(dubbed, starts_at=at(DAY, 20), version="dubbed", language="de")
        make_screening(dubbed_somehow, starts_at=at(DAY, 20), version="dubbed")
        make_screening(subtitled, starts_at=at(DAY, 20), subtitles="en-GB")
        make_screening(silent, starts_at=at(DAY, 20), language="zxx")
        make_movie(original_language="de")
        for query in (
            {"language": "fr"}, {"language": "de"}, {"language": "en"}, {"understands": ["en"]},
            {"understands": ["de", "en"]}, {"understands": ["ja"]}, {"genre": "none"},
            {"language": "fr", "understands": ["en"]},
        ):  # fmt: skip
            programme = viewer.get("/programme", **query).json()["days"]
            expected = {movie["id"] for day in programme for movie in day["movies"]}
            assert set(ids(listed(viewer, scope="programme", **query))) == expected, query
        assert ids(listed(viewer, scope="programme", language="de")) == [dubbed.pk]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("21:29", {"matinée"}),
        ("21:30", {"matinée", "evening"}),
        ("23:59", {"matinée", "evening"}),
        ("00:30", {"matinée", "evening", "late"}),
        ("05:59", {"matinée", "evening", "late"}),
        ("06:00", set()),
        ("13:00", set()),
    ],
)
def test_available_before_compares_the_end_of_a_screening(before: str, expected: set[str]) -> None:
    with time_machine.travel(NOON, tick=False):
        viewer = Client(make_user())
        films = {name: make_movie().pk for name in ("matinée", "evening", "late")}
        tomorrow = DAY + timedelta(days=1)
        for name, starts_at in (
            ("matinée", at(tomorrow, 14)), ("evening", at(DAY, 20)), ("late", at(DAY, 23)),
        ):  # fmt: skip
            make_screening(Movie.objects.get(pk=films[name]), starts_at=starts_at)
        assert found(viewer, films, scope="programme", before=before) == expected


def test_the_night_in_which_the_clock_is_set_back() -> None:
    """02:30 is there twice, and means the first time."""
    night = date(2026, 10, 24)
    with time_machine.travel(at(night, 12), tick=False):
        viewer = Client(make_user())
        film = make_movie()
        starts_at = at(night, 23, 30)
        for minutes, expected in ((180, [film.pk]), (181, [])):
            ends_at = starts_at + timedelta(minutes=minutes)
            screening = make_screening(film, starts_at=starts_at, ends_at=ends_at)
            assert ids(listed(viewer, scope="programme", before="02:30")) == expected
            screening.delete()


def test_language_and_time_are_of_one_screening() -> None:
    with time_machine.travel(NOON, tick=False):
        viewer = Client(make_user())
        film = make_movie()
        make_screening(film, starts_at=at(DAY, 18))
        make_screening(film, starts_at=at(DAY, 21), subtitles="en")
        query = {"scope": "programme", "understands": ["en"]}
        assert ids(listed(viewer, **query, before="23:00")) == [film.pk]
        assert ids(listed(viewer, **query, before="22:00")) == []
        assert ids(listed(viewer, **query, before="22:00", language="fr")) == []


def test_a_film_leaves_when_its_last_matching_screening_begins() -> None:
    """It has a later one, which does not match; the next batch is of the same filters."""
    query: Query = {"scope": "programme", "understands": ["en"], "limit": 1}
    with time_machine.travel(NOON, tick=False) as clock:
        user = make_user()
        films = [make_movie() for _ in range(3)]
        for hour, film in enumerate(films, 18):
            make_screening(film, starts_at=at(DAY, hour), subtitles="en")
            make_screening(film, starts_at=at(DAY, hour + 3))
        assert ids(listed(Client(user), **query)) == [films[0].pk]
        clock.move_to(at(DAY, 18, 30))
        assert ids(listed(Client(user), **query)) == []
        assert ids(listed(Client(user), **query, refresh=True)) == [films[1].pk]
        clock.move_to(at(DAY, 20, 30))
        assert Client(user).get("/recommendations/next", batch=2).status_code == 404
        assert set(ids(listed(Client(user), scope="programme", refresh=True))) == {
            film.pk for film in films
        }


# --- in the cache


def test_lists_of_other_filters_do_not_mix(viewer: Client, films: dict[str, int]) -> None:
    questions: list[Query] = [
        {},
        {"genre": "drama"},
        {"genre": "comedy"},
        {"exclude": [films["comedy"]]},
        {"language": "fr"},
        {"understands": ["fr"]},
        {"runtime_max": 100},
        {"calibrated": True},
    ]
    given = [listed(viewer, **question) for question in questions]
    assert len({each["list_id"] for each in given}) == len(questions)
    for question, before in zip(questions, given, strict=True):
        assert listed(viewer, **question) == before


def test_the_same_question_in_other_words_is_the_same_list(
    viewer: Client, films: dict[str, int]
) -> None:
    a, b = films["comedy"], films["drama"]
    first = listed(viewer, exclude=[a, b], understands=["fr", "zh-Hant"], language="fr")
    again = listed(viewer, exclude=[b, a, b], understands=["zh_hant", "fra", "fr"], language="FRA")
    assert again == first


def test_a_viewer_has_a_bounded_number_of_lists_and_of_bytes_in_a_key(viewer: Client) -> None:
    films = [make_movie() for _ in range(3)]
    for minutes in range(1, 2 * list_cache.MAX_LISTS):
        listed(viewer, runtime_max=minutes, exclude=[film.pk for film in films])
    keys = set(shared().keys_below(list_cache.keys_of(viewer.user.pk)))
    lists = [key for key in keys if ":list:" in key]
    assert len(lists) == list_cache.MAX_LISTS
    most = CandidateFilters(exclude=tuple(range(MAX_EXCLUDED)), genre="g" * 500)
    key = list_cache.key_of(viewer.user.pk, ListQuery("catalogue", "hybrid", 7, most, True))
    assert len(key) < 120
    assert key.isascii()


def test_the_next_batch_clicks_and_impressions_are_of_the_filtered_list(fan: Client) -> None:
    left_out = ids(listed(fan, limit=10))
    first = listed(fan, limit=10, exclude=left_out)
    second = fan.get("/recommendations/next").json()
    assert second["list_id"] == first["list_id"]
    both = [*ids(first), *ids(second)]
    assert len(set(both)) == 20
    assert not set(both) & set(left_out)
    click = {"movie_id": ids(second)[0]}
    path = f"/recommendations/{first['list_id']}/clicks"
    assert fan.post(path, click).status_code == 204
    assert fan.post(path, {"movie_id": left_out[0]}).status_code == 404
    store_waiting()
    assert {*shown(first), *shown(second)} <= {*stored()}


def test_graphql_has_the_filters(viewer: Client, films: dict[str, int]) -> None:
    query = """query($exclude: [Int!], $runtimeMax: Int) {
        recommendations(exclude: $exclude, runtimeMax: $runtimeMax, genre: "drama",
            language: "fr", understands: ["fr"], calibrated: true) { items { movie { pk } } }
    }"""

    def asked(**variables: Any) -> set[int]:
        items = ask(viewer, query, **variables)["recommendations"]["items"]
        return {item["movie"]["pk"] for item in items}

    assert asked() == {films["short drama"], films["long drama"]}
    assert asked(runtimeMax=100) == {films["short drama"]}
    assert asked(exclude=[films["short drama"]]) == {films["long drama"]}
    for arguments, message in (
        ('before: "22:00"', "needs `scope=programme`"),
        ('scope: PROGRAMME, before: "25:00"', "expected a time"),
        ('understands: ["English"]', "language tag"),
        ("runtimeMax: 0", "runtime_max"),
    ):
        question = f"{{ recommendations({arguments}) {{ listId }} }}"
        assert message in refusal(viewer, question), question
