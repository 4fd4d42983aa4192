"""Lists for viewers who have only said what they love and like: step by step, and then no more."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from movies.models import Genre, Movie
from tests.audience import Audience, ids, listed, make_audience, rate, say, sources, train_release
from tests.builders import Client, make_movie, make_screening

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def love(client: Client, movie: Movie) -> None:
    assert client.put(f"/users/me/favourites/{movie.pk}").status_code == 200


def prefer(client: Client, *genres: str) -> None:
    answer = client.put("/users/me/preferences", {"genres": genres, "languages": []})
    assert answer.status_code == 200, answer.content


def set_genre(slug: str, *films: Movie) -> None:
    genre, _ = Genre.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    genre.movies.add(*films)


@pytest.fixture
def audience(db: None) -> Audience:
    """Three camps of eight films; the last of the third camp are the only ones of war."""
    audience = make_audience()
    set_genre("war", *audience.movies[2][-2:])
    train_release()
    return audience


def test_preferences_come_before_favourites_and_popular_films(
    viewer: Client, audience: Audience
) -> None:
    loved = audience.movies[1][:2]
    prefer(viewer, "war")
    for movie in loved:
        love(viewer, movie)
    items = listed(viewer, limit=40, algorithm="hybrid")["items"]
    marked = [item["source"] for item in items]
    assert list(dict.fromkeys(marked)) == ["preferences", "favourites", "popularity"]
    assert {item["movie"]["id"] for item in items[:2]} == {m.pk for m in audience.movies[2][-2:]}
    assert items[0]["reasons"][0]["text"] == "You like War"
    found = [item for item in items if item["source"] == "favourites"]
    assert [audience.camp_of(item["movie"]["id"]) for item in found[:4]] == [1] * 4
    names = {movie.pk: movie.name for movie in loved}
    for reason in (reason for item in found for reason in item["reasons"]):
        said = f"Because {names[reason['movie_id']]} is a favourite of yours"
        assert reason["kind"] == "favourite"
        assert reason["text"].partition(":")[0] == said
    assert all(item["reasons"] for item in found)
    assert len(items) == 24 - len(loved)


def test_a_viewer_who_gave_nothing_gets_popular_films(viewer: Client, audience: Audience) -> None:
    assert sources(listed(viewer)) == ["popularity"]


def test_a_viewer_with_preferences_alone_gets_them_before_popular_films(
    viewer: Client, audience: Audience
) -> None:
    prefer(viewer, "war")
    assert sources(listed(viewer)) == ["preferences", "popularity"]


def test_a_viewer_with_favourites_alone_gets_their_neighbours_before_popular_films(
    viewer: Client, audience: Audience
) -> None:
    love(viewer, audience.movies[0][0])
    answer = listed(viewer)
    assert sources(answer) == ["favourites", "popularity"]
    assert audience.camp_of(ids(answer)[0]) == 0


def test_a_favourite_that_no_release_knows_finds_nothing(
    viewer: Client, audience: Audience
) -> None:
    love(viewer, make_movie())
    assert sources(listed(viewer)) == ["popularity"]


def test_favourites_rank_the_programme(viewer: Client, audience: Audience) -> None:
    for camp in audience.movies:
        make_screening(camp[5])
    love(viewer, audience.movies[2][0])
    answer = listed(viewer, scope="programme")
    assert ids(answer)[0] == audience.movies[2][5].pk
    assert sources(answer) == ["favourites", "popularity"]


@pytest.mark.parametrize("act", ["rate", "like", "dislike", "seen", "history"])
def test_a_viewer_is_folded_in_from_the_first_interaction(
    viewer: Client, audience: Audience, act: str
) -> None:
    """Favourites decide; preferences decide only for films that the models do not know."""
    prefer(viewer, "war")
    love(viewer, audience.movies[1][0])
    assert sources(listed(viewer))[:2] == ["preferences", "favourites"]
    other = audience.movies[1][1]
    if act == "rate":
        rate(viewer, other, 5)
    elif act == "history":
        assert viewer.post("/users/me/history", {"movie_id": other.pk}).status_code == 201
    else:
        say(viewer, other, act)
    answer = listed(viewer, limit=40)
    assert set(sources(answer)) <= {"als", "ease", "content", "popularity"}
    # A dislike leaves one like, after which popularity may add more to each score than any part.
    assert "als" in sources(answer) or act == "dislike"
    assert audience.camp_of(ids(answer)[0]) == 1


def test_a_rating_counts_though_the_same_film_became_a_favourite_later(
    viewer: Client, audience: Audience
) -> None:
    movie = audience.movies[1][0]
    rate(viewer, movie, 4)
    love(viewer, movie)
    assert "favourites" not in sources(listed(viewer))
    viewer.delete(f"/movies/{movie.pk}/rating")
    assert sources(listed(viewer))[0] == "favourites"


def test_a_named_algorithm_uses_the_favourites_alone(viewer: Client, audience: Audience) -> None:
    prefer(viewer, "war")
    love(viewer, audience.movies[1][0])
    answer = listed(viewer, algorithm="als")
    assert sources(answer) == ["als"]
    assert audience.camp_of(ids(answer)[0]) == 1


def test_a_release_without_the_default_uses_its_algorithms(
    viewer: Client, audience: Audience, settings: Settings
) -> None:
    settings.TRAINING_ALGORITHMS = ["als"]
    train_release(force=True)
    prefer(viewer, "war")
    love(viewer, audience.movies[1][0])
    answer = listed(viewer, algorithm="hybrid")
    assert sources(answer) == ["preferences", "favourites", "popularity"]
    assert audience.camp_of(ids(answer)[2]) == 1


def test_without_a_release_preferences_come_before_the_programme(viewer: Client) -> None:
    film, loved, other = make_movie(genres=["war"]), make_movie(), make_movie()
    prefer(viewer, "war")
    love(viewer, loved)
    answer = listed(viewer)
    assert ids(answer) == [film.pk, other.pk]
    assert sources(answer) == ["preferences", "programme"]
