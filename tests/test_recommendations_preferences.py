"""Lists from what viewers say to like: from the first minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies.models import Genre, Movie
from tests.audience import ids, listed, make_audience, rate, say, sources, train_release
from tests.builders import Client, interact, make_movie, make_screening, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def prefer(client: Client, *genres: str, languages: tuple[str, ...] = ()) -> None:
    payload = {"genres": genres, "languages": languages}
    answer = client.put("/users/me/preferences", payload)
    assert answer.status_code == 200, answer.content


def source_of(answer: dict[str, Any], movie: Movie) -> str | None:
    return next(
        (item["source"] for item in answer["items"] if item["movie"]["id"] == movie.pk), None
    )


def test_without_a_release_and_a_rating_come_films_of_the_preferred_genres(viewer: Client) -> None:
    other = make_movie(genres=["war"])
    drama, both = make_movie(genres=["drama"]), make_movie(genres=["drama", "music", "war"])
    prefer(viewer, "drama", "music")
    answer = listed(viewer)
    assert ids(answer) == [both.pk, drama.pk, other.pk]
    assert [item["source"] for item in answer["items"]] == ["preferences"] * 2 + ["programme"]
    assert [item["reasons"] for item in answer["items"][:2]] == [
        [{"kind": "preference", "text": "You like Drama and Music", "movie_id": None}],
        [{"kind": "preference", "text": "You like Drama", "movie_id": None}],
    ]
    scores = [item["score"] for item in answer["items"][:2]]
    assert scores == sorted(scores, reverse=True)


def test_languages_count_less_than_genres_and_include_their_variants(viewer: Client) -> None:
    spoken = make_movie(original_language="pt-BR")
    drama = make_movie(genres=["drama"], original_language="en")
    spoken_drama = make_movie(genres=["drama"], original_language="pt")
    make_movie(original_language=None)
    make_movie(original_language="en")
    prefer(viewer, "drama", languages=("pt",))
    items = listed(viewer)["items"]
    assert [item["movie"]["id"] for item in items[:3]] == [spoken_drama.pk, drama.pk, spoken.pk]
    assert [[reason["text"] for reason in item["reasons"]] for item in items[:3]] == [
        ["You like Drama", "You like films in Portuguese"],
        ["You like Drama"],
        ["You like films in Brazilian Portuguese"],
    ]
    assert {item["source"] for item in items[3:]} == {"programme"}


def test_a_language_without_a_name_goes_by_its_code(viewer: Client) -> None:
    make_movie(original_language="qaa")
    prefer(viewer, languages=("qaa",))
    [item] = listed(viewer)["items"]
    assert item["reasons"][0]["text"] == "You like films in qaa"


def test_preferred_films_come_after_the_models_and_before_popular_ones(
    viewer: Client, settings: Settings
) -> None:
    audience = make_audience(n_camps=2, movies_each=6)
    unpopular = audience.movies[1][-1]
    war, _ = Genre.objects.get_or_create(slug="war", name="War")
    unpopular.genres.set([war])
    train_release()
    new = make_movie(genres=["war"])
    settings.EXPLORATION_SHARE = 0.0
    assert sources(listed(viewer)) == ["popularity", "programme"]
    prefer(viewer, "war")
    answer = listed(viewer)
    assert set(ids(answer)[:2]) == {unpopular.pk, new.pk}
    assert sources(answer) == ["preferences", "popularity"]
    rate(viewer, audience.movies[0][0], 5)
    answer = listed(viewer)
    assert sources(answer)[-1] == source_of(answer, new) == "preferences"
    assert source_of(answer, unpopular) != "preferences"
    assert sources(listed(viewer, algorithm="als")) == ["als", "preferences"]
    assert sources(listed(viewer, algorithm="popularity")) == ["popularity", "programme"]


def test_equally_preferred_films_are_ordered_by_popularity_and_ranking(viewer: Client) -> None:
    known = [make_movie(genres=["drama"]) for _ in range(4)]
    for place, movie in enumerate(known[1:]):
        for _ in range(place + 1):
            interact(make_user(), movie)
    train_release()
    new = [make_movie(genres=["drama"]) for _ in range(2)]
    Movie.objects.filter(pk=new[1].pk).update(ranking=500)
    prefer(viewer, "drama")
    order = ids(listed(viewer))
    assert [pk for pk in order if pk in {m.pk for m in known[1:]}] == [
        movie.pk for movie in reversed(known[1:])
    ]
    assert order.index(new[1].pk) < order.index(new[0].pk)
    assert order.index(new[1].pk) < order.index(known[1].pk)


def test_preferences_rank_the_programme(viewer: Client) -> None:
    drama, other = make_movie(genres=["drama"]), make_movie()
    make_movie(genres=["drama"])  # without a screening
    make_screening(other, starts_at=timezone.now() + timedelta(hours=1))
    make_screening(drama, starts_at=timezone.now() + timedelta(hours=5))
    assert ids(listed(viewer, scope="programme")) == [other.pk, drama.pk]
    prefer(viewer, "drama")
    answer = listed(viewer, scope="programme")
    assert ids(answer) == [drama.pk, other.pk]
    assert sources(answer) == ["preferences", "programme"]


def test_a_change_of_preferences_changes_the_next_list(viewer: Client) -> None:
    drama, war = make_movie(genres=["drama"]), make_movie(genres=["war"])
    first = listed(viewer)
    prefer(viewer, "drama")
    second = listed(viewer)
    assert second["list_id"] != first["list_id"]
    assert (ids(second)[0], listed(viewer)["list_id"]) == (drama.pk, second["list_id"])
    prefer(viewer, "war")
    assert ids(listed(viewer))[0] == war.pk
    prefer(viewer)
    assert sources(listed(viewer)) == ["programme"]


def test_a_new_film_of_a_preferred_genre_is_in_the_next_list(viewer: Client) -> None:
    prefer_nothing_known = make_movie(genres=["drama"])
    prefer(viewer, "drama")
    listed(viewer)
    new = make_movie(genres=["drama"])
    answer = listed(viewer, refresh=True)
    assert set(ids(answer)) == {prefer_nothing_known.pk, new.pk}
    assert sources(answer) == ["preferences"]


def test_preferred_films_leave_out_those_the_viewer_has_acted_on(viewer: Client) -> None:
    films = [make_movie(genres=["drama"]) for _ in range(5)]
    prefer(viewer, "drama")
    say(viewer, films[0], "hide")
    rate(viewer, films[1], 5)
    viewer.put(f"/users/me/favourites/{films[2].pk}")
    viewer.post("/users/me/history", {"movie_id": films[3].pk})
    assert ids(listed(viewer)) == [films[4].pk]


def test_a_preferred_genre_that_no_film_has_is_no_harm(viewer: Client) -> None:
    movie = make_movie()
    Genre.objects.create(slug="drama", name="Drama")
    prefer(viewer, "drama", languages=("zu",))
    assert (ids(listed(viewer)), sources(listed(viewer))) == ([movie.pk], ["programme"])
    movie.delete()
    assert ids(listed(viewer)) == []


def test_preferences_cost_one_query_and_only_where_there_is_room(settings: Settings) -> None:
    audience = make_audience(n_camps=2, movies_each=30)
    drama, _ = Genre.objects.get_or_create(slug="drama", name="Drama")
    drama.movies.set(audience.movies[0])
    train_release()
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 60

    def cost(client: Client) -> int:
        listed(client, limit=40)
        with CaptureQueriesContext(connection) as queries:
            listed(client, refresh=True, limit=40)
        return len(queries)

    newcomer, regular = Client(make_user()), Client(make_user())
    rate(regular, audience.movies[0][0], 5)
    before = cost(newcomer), cost(regular)
    for client in (newcomer, regular):
        prefer(client, "drama")
    # A viewer without preferences is asked too. The model leaves none of the forty places open.
    assert (cost(newcomer), cost(regular)) == before == (4, 3)
