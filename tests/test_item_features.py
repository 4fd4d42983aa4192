"""Item features: which ones there are, and which ones are left out."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from movies import services
from movies.models import Genre, Movie
from movies.tasks import tick_ranking
from recommendations import feature_builder, selectors
from recommendations.dataset import load_dataset
from recommendations.engine.matrices import IdMap
from recommendations.feature_builder import FeatureBuilder, load_features
from recommendations.selectors import features_hash
from tests.builders import change_movie, interact, make_movie, make_user

pytestmark = pytest.mark.django_db


def made_of() -> dict[str, dict[str, float]]:
    """The features with their counts, by the name of the film."""
    movies = list(Movie.objects.published().order_by("pk"))
    found = load_features(IdMap(np.array([movie.pk for movie in movies], dtype=np.int64)))
    assert found.matrix.shape == (len(movies), len(found.names))
    rows = found.matrix.toarray()
    return {
        movie.name: {found.names[i]: float(row[i]) for i in np.flatnonzero(row)}
        for movie, row in zip(movies, rows, strict=True)
    }


def make_pair(**fields: Any) -> None:
    """Two films of the same: what one alone has would be left out."""
    bare = {"release_year": None, "original_language": None, "protagonists": ["Unknown"]}
    for name in ("one", "other"):
        make_movie(**{**bare, "name": name, **fields})


def names_of_pair(**fields: Any) -> set[str]:
    make_pair(**fields)
    one, other = made_of().values()
    assert one == other
    return set(one)


# --- what there is


def test_each_field_makes_features_of_its_kind() -> None:
    make_pair(
        genres=["Drama", "music"],
        protagonists=["Agnès Varda", "Corinne MARCHAND"],
        directors=["Agnès Varda"],
        keywords=["Real-Time", "paris"],
        release_year=1962,
        original_language="fr-CA",
        overview="A singer in Paris waits; the singer sings.",
    )
    one, other = made_of().values()
    assert one == other
    assert one == {
        "genre:drama": 1,
        "genre:music": 1,
        "person:agnes varda": 1,
        "person:corinne marchand": 1,
        "director:agnes varda": 1,
        "keyword:real time": 1,
        "keyword:paris": 1,
        "decade:1960": 1,
        "language:fr": 1,
        "word:singer": 2,
        "word:in": 1,
        "word:paris": 1,
        "word:waits": 1,
        "word:the": 1,
        "word:sings": 1,
    }


def test_features_of_a_single_film_are_left_out() -> None:
    make_pair(genres=["drama"], overview="Rain.")
    make_movie(
        name="third",
        genres=["war"],
        protagonists=["Somebody"],
        directors=["Somebody"],
        keywords=["snow"],
        overview="Snow. Rain.",
        release_year=1984,
        original_language="de",
    )
    assert made_of()["third"] == {"word:rain": 1}


@pytest.mark.parametrize(
    ("overview", "words"),
    [
        ("Straße, CLÉO’s l'été", {"strasse", "cleo", "ete"}),
        ("Ёлки и 2001", {"елки", "2001"}),
        ("七人の侍 Kurosawa", {"七人", "人の", "の侍", "侍", "kurosawa"}),
        ("한국 영화", {"한국", "국", "영화", "화"}),
        ("!!! – …", set()),
        ("", set()),
    ],
)
def test_an_overview_is_read_in_any_script(overview: str, words: set[str]) -> None:
    assert names_of_pair(overview=overview) == {f"word:{word}" for word in words}


def test_however_a_name_is_written_it_is_one() -> None:
    for number, name in enumerate(("Łucja O'Neal", "LUCJA  O’NEAL", "lucja o neal")):
        make_movie(name=f"film {number}", protagonists=[name], keywords=[name])
    assert all(
        {"person:lucja o neal", "keyword:lucja o neal"} <= set(of) for of in made_of().values()
    )


def test_a_name_without_letters_is_no_feature() -> None:
    assert names_of_pair(protagonists=["!!!"], directors=["?"], keywords=["<3", "…"]) == {
        "keyword:3"
    }


def test_placeholder_names_are_no_people() -> None:
    assert names_of_pair(protagonists=["Unknown"]) == set()


def test_only_the_beginning_of_a_long_overview_is_read() -> None:
    long = "a" * (selectors.OVERVIEW_LENGTH - 10)
    make_pair(overview=f"{long} paris  x  beyond")
    assert "word:paris" in made_of()["one"]
    assert not any("beyond" in name for name in made_of()["one"])


def test_words_of_too_many_overviews_are_left_out_whatever_the_language() -> None:
    for number in range(feature_builder.STOP_LEAST + 1):
        make_movie(
            name=str(number), overview=f"die {'Nacht' if number else 'Katze'} Katze", genres=["x"]
        )
    found = made_of()["1"]
    assert "word:die" not in found
    assert "word:katze" not in found
    assert "word:nacht" in found
    assert "genre:x" in found


# --- what may not be used


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "genres": ({"genres": ["drama"]}, "genre:drama"),
    "protagonists": ({"protagonists": ["Varda"]}, "person:varda"),
    "directors": ({"directors": ["Varda"]}, "director:varda"),
    "keywords": ({"keywords": ["paris"]}, "keyword:paris"),
    "overview": ({"overview": "Paris"}, "word:paris"),
    "release_year": ({"release_year": 1962}, "decade:1960"),
    "original_language": ({"original_language": "fr"}, "language:fr"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_fields_from_tmdb_are_features_only_if_the_settings_allow_it(
    settings: Settings, field: str
) -> None:
    value, name = FIELDS[field]
    assert names_of_pair(**value) == {name}
    Movie.objects.update(tmdb_fields=[field])
    assert made_of() == {"one": {}, "other": {}}
    settings.TMDB_USE_FOR_TRAINING = True
    assert made_of()["one"] == {name: 1}
    settings.TMDB_USE_FOR_TRAINING = False
    Movie.objects.update(tmdb_fields=sorted(FIELDS.keys() - {field}))
    assert made_of()["one"] == {name: 1}


# --- as a matrix


def test_names_ascend_whatever_the_order_of_the_films() -> None:
    texts = ["Ägypten", "zoo", "Straße", "七人", "a1"]
    for seed in (1, 2):
        random.Random(seed).shuffle(texts)
        make_pair(overview=" ".join(texts), keywords=texts, genres=["war", "drama"])
        movies = Movie.objects.order_by("pk").values_list("pk", flat=True)
        found = load_features(IdMap(np.array(movies, dtype=np.int64)))
        assert list(found.names) == sorted(found.names)
        assert found.matrix.has_canonical_format
        assert found.matrix.dtype == np.float32
        Movie.objects.all().delete()


def test_rows_are_those_of_the_ids_also_where_films_have_nothing_or_are_not_asked_for() -> None:
    make_movie(name="not asked for", genres=["drama"], keywords=["a", "b"])
    bare = make_movie(
        name="bare", protagonists=["Unknown"], release_year=None, original_language=None
    )
    made = [make_movie(name=str(n), genres=["drama"], release_year=None) for n in range(2)]
    ids = np.array([bare.pk, *(movie.pk for movie in made), 10**9], dtype=np.int64)
    found = load_features(IdMap(ids))
    column = found.names.index("genre:drama")
    assert found.matrix[:, [column]].toarray().ravel().tolist() == [0, 1, 1, 0]
    assert found.matrix.getnnz(axis=1)[[0, 3]].tolist() == [0, 0]


def test_without_films_or_without_anything_in_common_there_are_no_features() -> None:
    assert load_features(IdMap(np.array([], dtype=np.int64))).matrix.shape == (0, 0)
    movie = make_movie()
    assert load_features(IdMap(np.array([movie.pk]))).matrix.shape == (1, 0)


def test_withdrawn_films_say_nothing() -> None:
    make_pair(genres=["drama"])
    services.delete_movie(movie_id=Movie.objects.order_by("pk")[0].pk)
    assert made_of() == {"other": {}}


def test_a_dataset_has_the_features_of_its_items() -> None:
    make_pair(genres=["drama"])
    dataset = load_dataset()
    assert dataset.features.names == ("genre:drama",)
    assert dataset.features.matrix.toarray().tolist() == [[1], [1]]


def test_a_large_catalogue_takes_as_many_queries_as_a_small_one(
    django_assert_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    for count in (1, 5):
        for number in range(count):
            make_movie(name=f"{count} {number}", genres=["drama", "war"], overview="Paris")
        ids = IdMap(np.array(Movie.objects.order_by("pk").values_list("pk", flat=True)))
        with django_assert_num_queries(2):
            load_features(ids)


# --- in bounded memory


def test_features_of_a_single_item_are_dropped_beyond_the_limit() -> None:
    """A feature that two films have had by then is counted as without a limit."""
    luck = random.Random(3)
    narrow, wide = FeatureBuilder(room=100), FeatureBuilder()
    for row in range(500):
        own = {f"own {row} {n}": 1 for n in range(10)}
        some = luck.sample(range(20), 5) if row > 1 else range(20)
        shared = {f"shared {n}": luck.randint(1, 9) for n in some}
        for gathered in (narrow, wide):
            gathered.add(row * 2, {**own, **shared})
    assert len(narrow._columns) <= 110
    names, matrix = narrow.shared(1000)
    assert names == sorted(f"shared {n}" for n in range(20))
    expected = wide.shared(1000)
    assert names == expected[0]
    np.testing.assert_array_equal(matrix.toarray(), expected[1].toarray())
    narrow.add(1000, {"own 0 0": 1})
    narrow.add(1001, {"own 0 0": 1})
    assert narrow.shared(1002)[0] == ["own 0 0", *names]


def test_the_features_of_the_most_items_are_kept() -> None:
    gathered = FeatureBuilder()
    for row, letters in enumerate(("abc", "abc", "ab", "ad", "d")):
        gathered.add(row, dict.fromkeys(letters, 1))
    assert gathered.n_items == 5
    assert gathered.shared(5)[0] == ["a", "b", "c", "d"]
    assert gathered.shared(5, features=2)[0] == ["a", "b"]
    assert gathered.shared(5, features=3)[0] == ["a", "b", "c"]
    names, matrix = gathered.shared(5, by_at_most=3)
    assert names == ["b", "c", "d"]
    assert matrix.toarray().tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]]


CHANGES: dict[str, Callable[[Movie], object]] = {
    "a genre more": lambda film: change_movie(film, genres=["drama", "war"]),
    "no genre": lambda film: change_movie(film, genres=[]),
    "a protagonist": lambda film: change_movie(film, protagonists=["Corinne Marchand"]),
    "a director": lambda film: change_movie(film, directors=["Agnès Varda"]),
    "a keyword": lambda film: change_movie(film, keywords=["paris"]),
    "the overview": lambda film: change_movie(film, overview="Paris!"),
    "the year": lambda film: change_movie(film, release_year=1961),
    "the language": lambda film: change_movie(film, original_language=None),
    "another film": lambda film: make_movie(),
    "a film less": lambda film: services.delete_movie(movie_id=film.pk),
    "the slug of a genre": lambda film: Genre.objects.update(slug="tragedy"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_changes_with_the_features(change: str) -> None:
    make_movie()
    film = make_movie(genres=["drama"], overview="Paris.")
    before = features_hash()
    assert features_hash() == before
    CHANGES[change](film)
    assert features_hash() != before


def test_swapped_features_of_two_films_change_the_hash() -> None:
    one, other = make_movie(overview="One."), make_movie(overview="Other.")
    before = features_hash()
    change_movie(one, overview="Other.")
    change_movie(other, overview="One.")
    assert features_hash() != before


def test_other_fields_do_not_change_the_hash() -> None:
    film = make_movie(genres=["drama"], status="running")
    before = features_hash()
    tick_ranking()
    interact(make_user(), film, "rating", half_stars=10)
    change_movie(film, name="Renamed", runtime_minutes=100, poster="https://example.org/a.jpg")
    assert features_hash() == before


def test_the_hash_covers_only_the_permitted_fields(settings: Settings) -> None:
    film = make_movie(overview="Paris.")
    Movie.objects.update(tmdb_fields=["overview"])
    before = features_hash()
    Movie.objects.update(overview="London.", tmdb_fields=["overview"])
    assert features_hash() != before  # the edit was not TMDb's
    Movie.objects.update(tmdb_fields=["overview"])
    assert features_hash() == before
    settings.TMDB_USE_FOR_TRAINING = True
    assert features_hash() != before
    change_movie(film, overview="")
    assert features_hash() != before
